//! What stands in `#[message(..)]`.

use syn::{Attribute, Error, Ident, LitStr, Path, Result, ext::IdentExt as _, spanned::Spanned as _};

/// The longest name AMQP can carry, in bytes.
const NAME_MAX: usize = 255;

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
        if message_type.value().is_empty() {
            return Err(Error::new(message_type.span(), "a message type must not be empty"));
        }
        for literal in [Some(&message_type), exchange.as_ref()].into_iter().flatten() {
            check_name(literal)?;
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
                check_name(&name)?;
                if name.value().is_empty() {
                    return Err(Error::new(name.span(), "a header name must not be empty"));
                }
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

fn check_name(literal: &LitStr) -> Result<()> {
    check_text(literal, &literal.value())
}

/// Checks a name, or the text of a key, that stands in `literal`.
pub(crate) fn check_text(literal: &LitStr, name: &str) -> Result<()> {
    if name.len() > NAME_MAX {
        let message = format!("a name is at most {NAME_MAX} bytes, but this one has {}", name.len());
        return Err(Error::new(literal.span(), message));
    }
    if name.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return Err(Error::new(literal.span(), "a name must not contain control characters"));
    }
    Ok(())
}
