//! The fields of a line, as they are written.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// A JSON object, parsed one level deep. Values stay text, so that a number is rendered digit for digit.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    fields: Vec<(Cow<'a, str>, &'a RawValue)>,
}

/// Why a field cannot be part of a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FieldError {
    #[error("field `{0}` is missing")]
    Missing(String),
    #[error("field `{outer}` is not an object, so it has no `{inner}`")]
    NotAnObject { outer: String, inner: String },
    #[error("field `{field}` is {found}; a template takes text, numbers and truth values")]
    NotAScalar { field: String, found: &'static str },
}

// === impl Object ===

impl<'a> Object<'a> {
    /// Parses an object. The whole text is checked to be JSON.
    pub(crate) fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Returns the text of a field that is text, a number or a truth value.
    pub(crate) fn scalar(&self, path: &[String]) -> Result<Cow<'a, str>, FieldError> {
        let named = |depth: usize| path[..depth].join(".");
        let (first, inner) = path.split_first().ok_or_else(|| FieldError::Missing(String::new()))?;
        let mut value = self.get(first).ok_or_else(|| FieldError::Missing(named(1)))?;
        for (depth, name) in (1..).zip(inner) {
            let object = Object::parse(value.get())
                .map_err(|_| FieldError::NotAnObject { outer: named(depth), inner: name.clone() })?;
            value = object.get(name).ok_or_else(|| FieldError::Missing(named(depth + 1)))?;
        }
        let not_a_scalar = |found| FieldError::NotAScalar { field: named(path.len()), found };
        let text = value.get();
        match text.as_bytes().first() {
            Some(b'"') => serde_json::from_str::<Text<'_>>(text)
                .map(|text| text.0)
                .map_err(|_| not_a_scalar("unreadable")),
            Some(b'{') => Err(not_a_scalar("an object")),
            Some(b'[') => Err(not_a_scalar("a list")),
            Some(b'n') => Err(not_a_scalar("null")),
            _ => Ok(Cow::Borrowed(text)),
        }
    }

    /// Returns the value of a field; the last one, if the name comes twice.
    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.fields.iter().rev().find(|(field, _)| field == name).map(|(_, value)| *value)
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some((Text(name), value)) = map.next_entry()? {
                    fields.push((name, value));
                }
                Ok(Object { fields })
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

/// Text that is borrowed from the line unless it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
