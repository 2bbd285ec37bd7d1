//! What the broker's refusals and lapin's errors mean.

use amq_protocol::protocol::AMQPClass;
use lapin::{ErrorKind as LapinKind, protocol::AMQPErrorKind};

use crate::{Error, ErrorKind, wire::End};

/// Translates an error of lapin that happened while doing `what` (such as "connecting to host").
pub(crate) fn fault(error: &lapin::Error, what: &str) -> Error {
    match error.kind() {
        LapinKind::ProtocolError(refusal) => {
            let is_hard = matches!(refusal.kind(), AMQPErrorKind::Hard(_));
            refused(refusal.kind().get_id(), refusal.get_message().as_str(), is_hard, what)
        }
        LapinKind::IOError(source) => {
            Error::new(ErrorKind::ConnectionLost, format!("the connection was lost while {what}: {source}"))
        }
        _ => Error::new(ErrorKind::ConnectionLost, format!("the connection ended while {what}: {error}")),
    }
}

/// Translates the end of a channel that cut off a request.
pub(crate) fn ended(end: &End, what: &str) -> Error {
    match end {
        End::Refused { code, text } => refused(*code, text, false, what),
        End::Lost(lost) => Error::new(
            ErrorKind::ConnectionLost,
            format!("the connection was lost while {what}: {}", lost.reason),
        ),
        End::Closed => Error::new(ErrorKind::Closed, format!("the channel was closed while {what}")),
    }
}

/// Says that an answer is not one to what was asked.
pub(crate) fn unexpected(answer: &AMQPClass, what: &str) -> Error {
    let (class, method) = (answer.get_amqp_class_id(), answer.get_amqp_method_id());
    let message = format!("the broker answered with the method {class}.{method} while {what}");
    Error::new(ErrorKind::Refused, message)
}

/// The reply codes of AMQP 0-9-1 (section 1.2.2), as RabbitMQ uses them.
fn refused(code: u16, text: &str, is_hard: bool, what: &str) -> Error {
    let (kind, remedy) = match code {
        403 => (ErrorKind::AccessRefused, "; grant the permission or correct user and password"),
        530 => (ErrorKind::AccessRefused, "; check the vhost, its permissions and its limits"),
        404 => (ErrorKind::NotFound, "; apply the topology or correct the name"),
        405 => (ErrorKind::Locked, "; another connection uses it exclusively"),
        406 => (ErrorKind::Mismatch, ""),
        320 => (ErrorKind::ConnectionLost, ""),
        _ if is_hard => (ErrorKind::ConnectionLost, ""),
        _ => (ErrorKind::Refused, ""),
    };
    let text = text.trim_end_matches('.');
    Error::new(kind, format!("the broker refused while {what}: {code} {text}{remedy}"))
}
