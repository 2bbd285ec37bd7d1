//! Names and arguments on AMQP's wire types. What cannot be carried is refused.

mod value;

use lapin::types::{MAX_SHORT_STRING_LENGTH, ShortString};

pub(crate) use self::value::table;

/// The largest expiration in milliseconds that RabbitMQ takes (`MAX_EXPIRY_TIMER`).
const EXPIRATION_MAX: u32 = u32::MAX;

/// Why something cannot be put into an AMQP frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConvertError {
    /// AMQP 0-9-1 section 4.2.5.3; lapin panics beyond it.
    #[error("{what} is at most {MAX_SHORT_STRING_LENGTH} bytes, but `{start}…` has {found}; shorten it")]
    TooLong { what: &'static str, start: String, found: usize },
    #[error("{what} is at or after 1970, but it lies before; correct it")]
    BeforeEpoch { what: &'static str },
    /// RabbitMQ closes the channel (406) beyond it.
    #[error(
        "an expiration is at most {EXPIRATION_MAX} ms (49 days), but it is {found} ms; shorten it or leave it out"
    )]
    TooLate { found: u128 },
    #[error("headers are nested at most {limit} deep; flatten them")]
    TooDeep { limit: usize },
    #[error("a header value of this kind cannot be sent: {found}")]
    Unsupported { found: String },
}

/// Returns the text as an AMQP short string.
pub(crate) fn short(text: &str) -> Result<ShortString, ConvertError> {
    bounded(text, "a name")
}

/// Returns the text if it fits a short string.
pub(crate) fn check_short<'a>(text: &'a str, what: &'static str) -> Result<&'a str, ConvertError> {
    if text.len() <= MAX_SHORT_STRING_LENGTH { Ok(text) } else { Err(too_long(text, what)) }
}

fn bounded(text: &str, what: &'static str) -> Result<ShortString, ConvertError> {
    ShortString::try_new(text).map_err(|_| too_long(text, what))
}

fn too_long(text: &str, what: &'static str) -> ConvertError {
    ConvertError::TooLong {
        what,
        start: text.chars().take(32).flat_map(char::escape_debug).collect(),
        found: text.len(),
    }
}
