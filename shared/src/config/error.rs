//! Why a configuration was refused.

use std::fmt;

/// Why a configuration was refused. It never shows a password.
///
/// `Debug` prints the message as `Display` does, so that it reads well where `main` returns the error.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The text is not an AMQP URL.
    #[error("`{shown}` is not an AMQP URL: {reason}; write `amqp://user:password@host:5672/vhost`")]
    Url {
        /// The text without its credentials.
        shown: String,
        /// What is wrong with it, and what to escape.
        reason: String,
    },
    /// A setting has a value that it cannot have.
    #[error("{}`{setting}` must be {rule}, but is `{found}`", place(.setting))]
    Setting {
        /// The setting's name: a variable as the caller gave it, or a key such as `publish.window`.
        setting: String,
        /// What it must be.
        rule: String,
        /// What was found.
        found: String,
    },
    /// A variable begins with `GARENNE_`, its next word is one of Garenne's, and it is none of those that are known.
    #[error("unknown variable `{name}`; the known ones are {known}")]
    UnknownVariable {
        /// The name that was found.
        name: String,
        /// The names that are known.
        known: String,
    },
    /// The value of a variable that counts is not Unicode. It is not shown.
    #[error("the value of the variable `{name}` is not Unicode")]
    NotUnicode {
        /// The variable's name.
        name: String,
    },
    /// A file cannot be read as a configuration.
    #[error("{file}, line {line}{}: {reason}", in_key(.key.as_deref()))]
    File {
        /// The file's name as the caller gave it.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The key, such as `publish.window`, where the error belongs to one.
        key: Option<String>,
        /// What is wrong.
        reason: String,
    },
}

fn place(setting: &str) -> &'static str {
    if setting.contains(|c: char| c.is_ascii_uppercase()) { "variable " } else { "setting " }
}

fn in_key(key: Option<&str>) -> String {
    key.map(|key| format!(", key `{key}`")).unwrap_or_default()
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
