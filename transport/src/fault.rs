//! What lapin's errors mean.

use lapin::{
    ErrorKind as LapinKind,
    protocol::{AMQPError, AMQPErrorKind},
};

use crate::{Error, ErrorKind};

/// Translates an error of lapin that happened while doing `what` (such as "declaring queue `q`").
pub(crate) fn fault(error: &lapin::Error, what: &str) -> Error {
    match error.kind() {
        LapinKind::ProtocolError(refusal) => refused(refusal, what),
        LapinKind::IOError(source) => {
            Error::new(ErrorKind::ConnectionLost, format!("the connection was lost while {what}: {source}"))
        }
        _ => Error::new(
            ErrorKind::ConnectionLost,
            format!("the connection or its channel ended while {what}: {error}"),
        ),
    }
}

/// The reply codes of AMQP 0-9-1 (section 1.2.2), as RabbitMQ uses them.
fn refused(refusal: &AMQPError, what: &str) -> Error {
    let code = refusal.kind().get_id();
    let (kind, remedy) = match code {
        403 => (ErrorKind::AccessRefused, "; grant the permission or correct user and password"),
        530 => (ErrorKind::AccessRefused, "; check the vhost, its permissions and its limits"),
        404 => (ErrorKind::NotFound, "; apply the topology or correct the name"),
        405 => (ErrorKind::Locked, "; another connection uses it exclusively"),
        406 => (ErrorKind::Mismatch, ""),
        320 => (ErrorKind::ConnectionLost, ""),
        _ if matches!(refusal.kind(), AMQPErrorKind::Hard(_)) => (ErrorKind::ConnectionLost, ""),
        _ => (ErrorKind::Refused, ""),
    };
    let text = refusal.get_message();
    Error::new(kind, format!("the broker refused while {what}: {code} {text}{remedy}"))
}
