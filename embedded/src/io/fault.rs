//! What a client does wrong, and how it is told.

use amq_protocol::protocol::{AMQPClass, channel, connection};

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

/// Returns the text of an error as it goes over the wire; RabbitMQ cuts it to 255 characters.
///
/// `rabbit_binary_generator.erl`, `amqp_exception_explanation`.
pub(crate) fn reply_text(error: &AmqpError) -> String {
    // A crash inside RabbitMQ is reported with the bare name.
    let mut text = if error.text.is_empty() { error.name().to_owned() } else { error.to_string() };
    if text.chars().count() > LIMIT {
        text = text.chars().take(LIMIT - ELLIPSIS.len()).collect::<String>() + ELLIPSIS;
    }
    // A short string counts bytes; here RabbitMQ would fail to encode it.
    while text.len() > LIMIT {
        text.pop();
    }
    text
}

const LIMIT: usize = 255;
const ELLIPSIS: &str = "...";

/// Makes the method that closes a connection.
pub(crate) fn close_connection(error: &AmqpError, (class_id, method_id): MethodId) -> AMQPClass {
    AMQPClass::Connection(connection::AMQPMethod::Close(connection::Close {
        reply_code: error.code,
        reply_text: reply_text(error).into(),
        class_id,
        method_id,
    }))
}

/// Makes the method that closes a channel.
pub(crate) fn close_channel(error: &AmqpError, (class_id, method_id): MethodId) -> AMQPClass {
    AMQPClass::Channel(channel::AMQPMethod::Close(channel::Close {
        reply_code: error.code,
        reply_text: reply_text(error).into(),
        class_id,
        method_id,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_to_a_short_string() {
        let text = reply_text(&AmqpError::not_allowed("v".repeat(300)));
        assert_eq!(text.len(), 255);
        assert!(text.starts_with("NOT_ALLOWED - vvv") && text.ends_with("vv..."), "{text}");
        assert_eq!(reply_text(&AmqpError::internal_error("")), "INTERNAL_ERROR");
        assert!(reply_text(&AmqpError::not_allowed("é".repeat(300))).len() <= 255);
    }
}
