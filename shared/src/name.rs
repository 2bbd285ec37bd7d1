//! Validated names of broker objects: at most 255 bytes, the limit of an AMQP short string.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The longest name AMQP 0-9-1 can carry, in bytes (`shortstr`, AMQP 0-9-1 section 4.2.5.3).
const MAX_NAME_BYTES: usize = 255;

/// Why a name was refused.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The name is longer than an AMQP short string.
    #[error("{what} is at most 255 bytes, but `{start}…` has {found}; shorten it")]
    TooLong {
        /// What kind of name it is, with its article.
        what: &'static str,
        /// The first characters of the name, escaped.
        start: String,
        /// The length found, in bytes.
        found: usize,
    },
    /// The name is empty where the broker would give it another meaning.
    #[error("{what} must not be empty")]
    Empty {
        /// What kind of name it is, with its article.
        what: &'static str,
    },
    /// The name holds a character that no AMQP peer accepts in a name.
    #[error("{what} must not contain control characters, but `{name}` does")]
    Control {
        /// What kind of name it is, with its article.
        what: &'static str,
        /// The name, escaped.
        name: String,
    },
}

/// Shows the causes too: it is what a `main` that returns the error prints.
impl fmt::Debug for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::Chain(self).fmt(f)
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $what:literal, empty: $empty:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Cow<'static, str>);

        impl $name {
            /// Makes the name from a literal.
            ///
            /// # Panics
            ///
            /// Panics (at compile time in a `const`) if the literal is not a valid name: a wiring mistake.
            #[must_use]
            #[track_caller]
            pub const fn from_static(name: &'static str) -> Self {
                assert!(name.len() <= MAX_NAME_BYTES, concat!($what, " is at most 255 bytes"));
                assert!($empty || !name.is_empty(), concat!($what, " must not be empty"));
                let bytes = name.as_bytes();
                let mut at = 0;
                while at < bytes.len() {
                    assert!(bytes[at] >= 0x20 && bytes[at] != 0x7f, concat!($what, " must not contain control characters"));
                    at += 1;
                }
                Self(Cow::Borrowed(name))
            }

            /// Returns the name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(name: String) -> Result<Self, NameError> {
                check(&name, $what, $empty)?;
                Ok(Self(Cow::Owned(name)))
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::try_from(name.to_owned())
            }
        }

        /// Makes the name from a literal; panics if it is not valid, see `from_static`.
        impl From<&'static str> for $name {
            #[track_caller]
            fn from(name: &'static str) -> Self {
                Self::from_static(name)
            }
        }

        impl From<&$name> for $name {
            fn from(name: &$name) -> Self {
                name.clone()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.into_owned()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    )*};
}

names! {
    /// The name of an exchange. Empty is the default exchange, which routes by queue name.
    ExchangeName, "an exchange name", empty: true;
    /// The name of a queue.
    QueueName, "a queue name", empty: false;
    /// The routing key of a message, or the key of a binding. It may be empty.
    RoutingKey, "a routing key", empty: true;
    /// The type of a message, such as `order.placed.v1`; it travels in the AMQP property `type`.
    MessageType, "a message type", empty: false;
}

impl ExchangeName {
    /// The default exchange: routes to the queue whose name is the routing key.
    pub const DEFAULT: Self = Self::from_static("");
}

fn check(name: &str, what: &'static str, may_be_empty: bool) -> Result<(), NameError> {
    if name.len() > MAX_NAME_BYTES {
        let start = name.chars().take(32).flat_map(char::escape_debug).collect();
        return Err(NameError::TooLong { what, start, found: name.len() });
    }
    if name.is_empty() && !may_be_empty {
        return Err(NameError::Empty { what });
    }
    // All bytes, and not up to the first: that is a few instructions for many bytes at once.
    if name.bytes().fold(false, |found, byte| found | (byte < 0x20) | (byte == 0x7f)) {
        return Err(NameError::Control { what, name: name.escape_debug().to_string() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_at_most_255_bytes() {
        assert!(QueueName::try_from("q".repeat(255)).is_ok());
        let error = QueueName::try_from("q".repeat(256)).unwrap_err();
        assert!(matches!(error, NameError::TooLong { what: "a queue name", found: 256, .. }), "{error:?}");
        // Bytes, not characters.
        assert!(RoutingKey::try_from("é".repeat(128)).is_err());
    }

    #[test]
    fn only_exchanges_and_keys_may_be_empty() {
        assert!(ExchangeName::try_from(String::new()).is_ok());
        assert!(RoutingKey::try_from(String::new()).is_ok());
        assert!(matches!(QueueName::try_from(String::new()), Err(NameError::Empty { .. })));
        assert!(matches!(MessageType::try_from(String::new()), Err(NameError::Empty { .. })));
    }

    #[test]
    fn control_characters_are_refused() {
        assert!(matches!("a\nb".parse::<QueueName>(), Err(NameError::Control { .. })));
    }

    #[test]
    fn an_error_shows_no_character_that_a_terminal_obeys() {
        for name in ["a\u{1b}[2J".to_owned(), "\u{1b}".repeat(300)] {
            let error = QueueName::try_from(name).unwrap_err().to_string();
            assert!(!error.contains('\u{1b}'), "{error:?}");
        }
    }

    #[test]
    fn a_name_in_a_file_is_checked() {
        assert_eq!(serde_json::from_str::<QueueName>("\"billing\"").unwrap(), "billing");
        let error = serde_json::from_str::<QueueName>("\"\"").unwrap_err();
        assert!(error.to_string().contains("a queue name must not be empty"), "{error}");
    }

    #[test]
    #[should_panic(expected = "at most 255 bytes")]
    fn a_literal_that_is_no_name_is_a_wiring_mistake() {
        let _ = QueueName::from_static(Box::leak("q".repeat(256).into_boxed_str()));
    }

    proptest! {
        #[test]
        fn a_name_is_taken_as_it_is_or_refused(text in "(\\PC|[\\x00-\\x20]){0,300}") {
            let fits = text.len() <= MAX_NAME_BYTES && !text.bytes().any(|byte| byte < 0x20 || byte == 0x7f);
            let key = RoutingKey::try_from(text.clone());
            prop_assert_eq!(key.is_ok(), fits);
            if let Ok(key) = key {
                prop_assert_eq!(key.as_str(), &text);
                let json = serde_json::to_string(&key).unwrap();
                prop_assert_eq!(serde_json::from_str::<RoutingKey>(&json).unwrap(), key);
                prop_assert_eq!(QueueName::try_from(text.clone()).is_ok(), !text.is_empty());
            }
        }
    }
}
