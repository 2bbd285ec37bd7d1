//! Writes the impl.

use garenne_shared::{
    RoutingKey,
    template::{Part, Template},
};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{
    Data, DeriveInput, Error, Fields, FieldsNamed, LitStr, Result, ext::IdentExt as _, spanned::Spanned as _,
};

use crate::attributes::{OnStruct, check, header};

/// Writes the impl of `Message` for a struct.
pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let name = &input.ident;
    let fields = named_fields(input)?;
    if !input.generics.params.is_empty() {
        let message = "a message type must not be generic: its type, exchange and key stand for one type";
        return Err(Error::new_spanned(&input.generics, message));
    }
    let OnStruct { message_type, exchange, key, krate } = OnStruct::read(name, &input.attrs)?;
    let exchange = exchange.map_or_else(String::new, |exchange| exchange.value());
    let routing_key = routing_key(&krate, fields, key.as_ref())?;
    let headers = headers(&krate, fields)?;
    Ok(quote! {
        #[automatically_derived]
        impl #krate::Message for #name {
            const TYPE: #krate::MessageType = #krate::MessageType::from_static(#message_type);
            const EXCHANGE: #krate::ExchangeName = #krate::ExchangeName::from_static(#exchange);

            fn routing_key(
                &self,
            ) -> ::core::result::Result<#krate::RoutingKey, #krate::MessageError> {
                #routing_key
            }

            #headers
        }
    })
}

fn named_fields(input: &DeriveInput) -> Result<Option<&FieldsNamed>> {
    let message =
        "`Message` can be derived for a struct with named fields; for another type, write the impl by hand";
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => Ok(Some(fields)),
            Fields::Unit => Ok(None),
            Fields::Unnamed(_) => Err(Error::new_spanned(&input.ident, message)),
        },
        Data::Enum(_) | Data::Union(_) => Err(Error::new_spanned(&input.ident, message)),
    }
}

fn routing_key(krate: &syn::Path, fields: Option<&FieldsNamed>, key: Option<&LitStr>) -> Result<TokenStream> {
    let Some(key) = key else { return Ok(fixed_key(krate, "")) };
    let template: Template = key.value().parse().map_err(|error| Error::new(key.span(), error))?;
    if let Some(text) = template.literal() {
        check::<RoutingKey>(key, text)?;
        return Ok(fixed_key(krate, text));
    }
    let mut format = String::new();
    let mut arguments = Vec::new();
    for part in template.parts() {
        match part {
            Part::Text(text) => format.push_str(&text.replace('{', "{{").replace('}', "}}")),
            Part::Field(field) => {
                let (name, field_type) = placeholder(fields, key, field)?;
                // The span is that of the field's type, so that a type without `Display` is pointed at.
                arguments.push(quote_spanned! {field_type.span()=> &self.#name as &dyn ::core::fmt::Display});
                format.push_str("{}");
            }
        }
    }
    Ok(quote! {
        <#krate::RoutingKey as ::core::convert::TryFrom<::std::string::String>>::try_from(
            ::std::format!(#format, #(#arguments),*),
        )
        .map_err(|error| #krate::MessageError::new(<Self as #krate::Message>::TYPE, error))
    })
}

fn fixed_key(krate: &syn::Path, text: &str) -> TokenStream {
    quote! {
        const KEY: #krate::RoutingKey = #krate::RoutingKey::from_static(#text);
        ::core::result::Result::Ok(KEY)
    }
}

/// Finds the field that a placeholder names, and its type.
fn placeholder<'a>(
    fields: Option<&'a FieldsNamed>,
    key: &LitStr,
    name: &str,
) -> Result<(&'a syn::Ident, &'a syn::Type)> {
    let named: Vec<_> = fields
        .into_iter()
        .flat_map(|fields| &fields.named)
        .filter_map(|field| Some((field.ident.as_ref()?, &field.ty)))
        .collect();
    named.iter().find(|(field, _)| field.unraw() == name).copied().ok_or_else(|| {
        let known: Vec<_> = named.iter().map(|(field, _)| format!("`{}`", field.unraw())).collect();
        let known = if known.is_empty() {
            "the struct has none".to_owned()
        } else {
            format!("there are {}", known.join(", "))
        };
        Error::new(key.span(), format!("the placeholder `{{{name}}}` names no field; {known}"))
    })
}

fn headers(krate: &syn::Path, fields: Option<&FieldsNamed>) -> Result<TokenStream> {
    let mut inserts = Vec::new();
    for field in fields.into_iter().flat_map(|fields| &fields.named) {
        if let (Some(header), Some(name)) = (header(field)?, &field.ident) {
            // The span is that of the field's type, so that a type that is no header value is pointed at.
            let value = quote_spanned! {field.ty.span()=> #krate::ToHeader::to_header(&self.#name)};
            inserts.push(quote! {
                let value = #value.map_err(|error| {
                    #krate::MessageError::header(<Self as #krate::Message>::TYPE, #header, error)
                })?;
                if let ::core::option::Option::Some(value) = value {
                    headers.insert(#header, value);
                }
            });
        }
    }
    if inserts.is_empty() {
        return Ok(TokenStream::new());
    }
    Ok(quote! {
        fn headers(
            &self,
            headers: &mut #krate::Headers,
        ) -> ::core::result::Result<(), #krate::MessageError> {
            #(#inserts)*
            ::core::result::Result::Ok(())
        }
    })
}
