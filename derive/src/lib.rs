//! The derive macro `Message` of Garenne. Use it through the crate `garenne`, which documents it.

mod attributes;
mod expand;

use proc_macro::TokenStream;

/// Derives `Message`: the type, the exchange and the routing key of a message, and headers taken from fields.
///
/// ```
/// use garenne::prelude::*;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, Message)]
/// #[message(type = "order.placed.v1", exchange = "orders", key = "order.placed.{region}")]
/// struct OrderPlaced {
///     id: u64,
///     region: String,
///     #[message(header = "tenant")]
///     tenant: String,
/// }
/// ```
///
/// | attribute | on | meaning |
/// |---|---|---|
/// | `type = ".."` | the struct | the message type, 1 to 255 bytes; required |
/// | `exchange = ".."` | the struct | the exchange, at most 255 bytes; `""`, the default exchange, unless given |
/// | `key = ".."` | the struct | the template of the routing key; `""` unless given |
/// | `crate = ".."` | the struct | the path of the crate `garenne`; `::garenne` unless given |
/// | `header`, `header = ".."` | a field | sends the field as a header of its own name, or of the given one |
///
/// A placeholder `{field}` in the key stands for the field's `Display`; `{{` and `}}` stand for braces. A placeholder that names
/// no field does not compile. A value that contains `.` adds words to the key of a topic exchange.
/// A header field is cloned into a `HeaderValue`: text, integers up to 64 bits (`u64` excepted), floats and `bool` have one.
#[proc_macro_derive(Message, attributes(message))]
pub fn derive_message(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    expand::expand(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}
