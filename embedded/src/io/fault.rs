//! What a client does wrong, and how it is told.

use amq_protocol::protocol::{AMQPClass, channel, connection};
use amq_protocol::types::ShortString;

use crate::core::AmqpError;

/// The class and the method that an error names; zeros if it names none.
pub(crate) type MethodId = (u16, u16);

/// Why a connection ends that its client did not close.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is told: `connection.close`.
    Close(AmqpError, MethodId),
    /// It is told, and nothing that it sends is read any more: the frames are out of step.
    ///
    /// `rabbit_reader.erl`, `fatal_frame_error`.
    Deaf(AmqpError),
    /// It is not told. RabbitMQ does so where it does not trust the client yet (and waits for three seconds before), and
    /// where its reader crashes: unknown methods and broken tables.
    Drop,
}

// === impl Fault ===

impl Fault {
    /// An error that names no method.
    pub(crate) fn close(error: AmqpError) -> Self {
        Self::Close(error, (0, 0))
    }
}

/// Returns the text of an error as it goes over the wire: cut to 255 characters. `None` if these are more than 255 bytes, which no short
/// string holds: RabbitMQ crashes then.
///
/// `rabbit_binary_generator.erl`, `amqp_exception_explanation`.
fn reply_text(error: &AmqpError) -> Option<ShortString> {
    // A crash inside RabbitMQ is reported with the bare name.
    let mut text = if error.text.is_empty() { error.name().to_owned() } else { error.to_string() };
    if text.chars().count() > LIMIT {
        text = text.chars().take(LIMIT - ELLIPSIS.len()).collect::<String>() + ELLIPSIS;
    }
    ShortString::try_new(text).ok()
}

const LIMIT: usize = 255;
const ELLIPSIS: &str = "...";

/// Makes the method that closes a connection; `None` if its text does not fit: RabbitMQ's reader crashes, and the client is not told.
pub(crate) fn close_connection(error: &AmqpError, (class_id, method_id): MethodId) -> Option<AMQPClass> {
    let reply_text = reply_text(error)?;
    let close = connection::Close { reply_code: error.code, reply_text, class_id, method_id };
    Some(AMQPClass::Connection(connection::AMQPMethod::Close(close)))
}

/// Makes the method that closes a channel.
///
/// # Errors
///
/// If the text does not fit: RabbitMQ's channel crashes, which ends the connection.
pub(crate) fn close_channel(error: &AmqpError, (class_id, method_id): MethodId) -> Result<AMQPClass, Fault> {
    let reply_text = reply_text(error).ok_or_else(|| Fault::close(AmqpError::internal_error("")))?;
    let close = channel::Close { reply_code: error.code, reply_text, class_id, method_id };
    Ok(AMQPClass::Channel(channel::AMQPMethod::Close(close)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_to_a_short_string() {
        let text = |error| reply_text(&error).map(|text| text.to_string());
        let long = text(AmqpError::not_allowed("v".repeat(300))).unwrap();
        assert_eq!(long.len(), 255);
        assert!(long.starts_with("NOT_ALLOWED - vvv") && long.ends_with("vv..."), "{long}");
        assert_eq!(text(AmqpError::internal_error("")).unwrap(), "INTERNAL_ERROR");
        assert_eq!(text(AmqpError::not_allowed("é".repeat(130))), None, "144 characters, 274 bytes");
    }
}
