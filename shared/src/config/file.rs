//! A configuration from the text of a TOML file. Its errors name file, line and key, and quote no value.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Config, ConfigError};

/// A file that was read, for saying where a value stands.
#[derive(Debug)]
pub(super) struct File<'a> {
    name: &'a str,
    text: &'a str,
}

// === impl File ===

impl<'a> File<'a> {
    /// Takes the text of a file; a byte-order mark does not count.
    pub(super) fn new(name: &'a str, text: &'a str) -> Self {
        Self { name, text: text.strip_prefix('\u{feff}').unwrap_or(text) }
    }

    pub(super) fn read(&self) -> Result<Config, ConfigError> {
        toml::from_str(self.text).map_err(|error| {
            let span = error.span().unwrap_or_default();
            let key = DeTable::parse(self.text).ok().and_then(|table| key_at(table.get_ref(), &span));
            self.refuse(span.start, key, &without_value(error.message()))
        })
    }

    /// Names the line of a setting that was refused, if this file sets it.
    pub(super) fn locate(&self, setting: &str, rule: &str, found: &str) -> Option<ConfigError> {
        let table = DeTable::parse(self.text).ok()?;
        let mut parts = setting.split('.');
        let mut value = table.get_ref().get(parts.next()?)?;
        for part in parts {
            value = value.get_ref().as_table()?.get(part)?;
        }
        let reason = format!("it must be {rule}, but is `{found}`");
        Some(self.refuse(value.span().start, Some(setting.to_owned()), &reason))
    }

    fn refuse(&self, at: usize, key: Option<String>, reason: &str) -> ConfigError {
        let before = self.text.get(..at).unwrap_or(self.text);
        ConfigError::File {
            file: self.name.to_owned(),
            line: before.matches('\n').count() + 1,
            key,
            reason: reason.to_owned(),
        }
    }
}

/// Finds the innermost key whose name or value holds a place.
fn key_at(table: &DeTable<'_>, place: &Range<usize>) -> Option<String> {
    let holds = |span: Range<usize>| span.start <= place.start && place.end <= span.end;
    table.iter().find_map(|(key, value)| {
        let inner = || match value.get_ref() {
            DeValue::Table(table) => key_at(table, place),
            _ => None,
        };
        match inner() {
            Some(rest) => Some(format!("{}.{rest}", key.get_ref())),
            None if holds(key.span()) || holds(Spanned::span(value)) => Some(key.get_ref().to_string()),
            None => None,
        }
    })
}

/// A message about a wrong type quotes the value, which may be a URL with its password.
fn without_value(message: &str) -> String {
    match (message.find("string \""), message.rfind('"')) {
        (Some(start), Some(end)) if start + "string ".len() < end => {
            format!("{}string{}", &message[..start], &message[end + 1..])
        }
        _ => message.to_owned(),
    }
}
