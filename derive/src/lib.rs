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
/// The derive asks for no serde: publishing needs `Serialize`, handling needs `Deserialize`, so a type that goes one way needs one.
///
/// ```
/// use garenne::prelude::*;
/// use serde::{Deserialize, Serialize};
///
/// /// What this service only publishes.
/// #[derive(Serialize, Message)]
/// #[message(type = "invoice.sent.v1", exchange = "invoices")]
/// struct InvoiceSent {
///     id: u64,
/// }
///
/// /// What this service only handles.
/// #[derive(Deserialize, Message)]
/// #[message(type = "order.placed.v1")]
/// struct OrderPlaced {
///     id: u64,
/// }
///
/// async fn invoice(order: OrderPlaced, cx: Context) -> Result<(), Failure> {
///     cx.publish(&InvoiceSent { id: order.id }).await.or_retry()?;
///     Ok(())
/// }
///
/// let consumer = Consumer::new("billing").handle(invoice);
/// ```
///
/// A placeholder `{field}` in the key stands for the field's `Display`; `{{` and `}}` stand for braces. A placeholder that names
/// no field does not compile. A value that contains `.` adds words to the key of a topic exchange.
/// A header field is of a type with `ToHeader`: text, any integer up to 64 bits, a float, a `bool`, bytes, or an `Option` of those,
/// whose `None` sends no header. An integer above `i64::MAX` is an error of the publish: AMQP has none.
#[proc_macro_derive(Message, attributes(message))]
pub fn derive_message(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    expand::expand(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}
