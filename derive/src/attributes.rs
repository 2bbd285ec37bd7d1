//! What stands in `#[message(..)]`.

use std::str::FromStr;

use garenne_shared::{ExchangeName, MessageType, NameError};
use syn::{Attribute, Error, Ident, LitStr, Path, Result, ext::IdentExt as _, spanned::Spanned as _};

/// The longest name of a header in bytes, an AMQP short string.
const HEADER_NAME_MAX: usize = 255;

/// What stands on the struct.
pub(crate) struct OnStruct {
    pub(crate) message_type: LitStr,
    pub(crate) exchange: Option<LitStr>,
    pub(crate) key: Option<LitStr>,
    pub(crate) krate: Path,
}

// === impl OnStruct ===

impl OnStruct {
    /// Reads the attributes of a struct named `name`.
    pub(crate) fn read(name: &Ident, attributes: &[Attribute]) -> Result<Self> {
        let (mut message_type, mut exchange, mut key, mut krate) = (None, None, None, None);
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("message")) {
            attribute.parse_nested_meta(|meta| {
                let slot = if meta.path.is_ident("type") {
                    &mut message_type
                } else if meta.path.is_ident("exchange") {
                    &mut exchange
                } else if meta.path.is_ident("key") {
                    &mut key
                } else if meta.path.is_ident("crate") {
                    &mut krate
                } else {
                    return Err(
                        meta.error("unknown attribute; `type`, `exchange`, `key` and `crate` are known")
                    );
                };
                let value: LitStr = meta.value()?.parse()?;
                if slot.replace(value).is_some() {
                    return Err(meta.error("this attribute is given twice"));
                }
                Ok(())
            })?;
        }
        let message_type = message_type.ok_or_else(|| {
            Error::new(name.span(), "a message needs a type: add `#[message(type = \"order.placed.v1\")]`")
        })?;
        check::<MessageType>(&message_type, &message_type.value())?;
        if let Some(exchange) = &exchange {
            check::<ExchangeName>(exchange, &exchange.value())?;
        }
        let krate = match krate {
            Some(path) => path.parse()?,
            None => syn::parse_quote!(::garenne),
        };
        Ok(Self { message_type, exchange, key, krate })
    }
}

/// Returns the name of the header that a field is sent as, if it is.
pub(crate) fn header(field: &syn::Field) -> Result<Option<String>> {
    let mut header = None;
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("message")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("header") {
                return Err(meta.error("unknown attribute; on a field only `header` is known"));
            }
            let name = if meta.input.peek(syn::Token![=]) {
                let name: LitStr = meta.value()?.parse()?;
                check_header_name(&name)?;
                name.value()
            } else {
                field.ident.as_ref().map(|name| name.unraw().to_string()).unwrap_or_default()
            };
            if header.replace(name).is_some() {
                return Err(meta.error("this attribute is given twice"));
            }
            Ok(())
        })?;
        if header.is_none() {
            return Err(Error::new(
                attribute.span(),
                "expected `#[message(header)]` or `#[message(header = \"name\")]`",
            ));
        }
    }
    Ok(header)
}

/// Checks a name that stands in `literal` as it is checked at run time.
pub(crate) fn check<N: FromStr<Err = NameError>>(literal: &LitStr, name: &str) -> Result<()> {
    name.parse::<N>().map(|_| ()).map_err(|error| Error::new(literal.span(), error))
}

fn check_header_name(literal: &LitStr) -> Result<()> {
    let name = literal.value();
    let refuse = |message: String| Err(Error::new(literal.span(), message));
    match name.len() {
        0 => refuse("a header name must not be empty".to_owned()),
        len if len > HEADER_NAME_MAX => {
            refuse(format!("a header name is at most {HEADER_NAME_MAX} bytes, but this one has {len}"))
        }
        _ if name.contains(|character: char| character.is_ascii_control()) => {
            refuse("a header name must not contain control characters".to_owned())
        }
        _ => Ok(()),
    }
}
