//! The authentication mechanisms: `rabbit_auth_mechanism_plain.erl`, `rabbit_auth_mechanism_amqplain.erl`.

use amq_protocol::types::AMQPValue;
use amq_protocol::types::parsing::parse_field_table;

use super::fault::Fault;
use super::layout::check_table;
use crate::core::AmqpError;

/// The mechanisms that the broker offers.
pub(crate) const MECHANISMS: &str = "PLAIN AMQPLAIN";

/// Reads user and password from a response; `None` if the mechanism is unknown or the response is none of its.
pub(crate) fn read(mechanism: &str, response: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    match mechanism {
        "PLAIN" => plain(response),
        "AMQPLAIN" => amqplain(response),
        _ => None,
    }
}

/// Refuses a login. A client that cannot be told sees the connection end.
pub(crate) fn refuse(mechanism: &str, is_told: bool) -> Fault {
    if !is_told {
        return Fault::Drop;
    }
    Fault::close(AmqpError::access_refused(format!(
        "Login was refused using authentication mechanism {mechanism}. For details see the broker logfile."
    )))
}

/// Whether this is what [`refuse`] tells the client.
pub(crate) fn is_refused(fault: &Fault) -> bool {
    matches!(fault, Fault::Close(AmqpError { code: 403, .. }, _))
}

/// `\0user\0password`: the empty first part is the identity to act as.
fn plain(response: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut parts = response.strip_prefix(&[0])?.split(|byte| *byte == 0);
    let found = (parts.next()?.to_vec(), parts.next()?.to_vec());
    parts.next().is_none().then_some(found)
}

/// The inside of a field table, without its length.
fn amqplain(response: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    check_table(response).ok()?;
    let mut table = u32::try_from(response.len()).ok()?.to_be_bytes().to_vec();
    table.extend_from_slice(response);
    let (_, table) = parse_field_table(table.as_slice()).ok()?;
    let field = |name| match table.inner().get(name) {
        Some(AMQPValue::LongString(text)) => Some(text.as_bytes().to_vec()),
        Some(AMQPValue::ByteArray(bytes)) => Some(bytes.as_slice().to_vec()),
        _ => None,
    };
    Some((field("LOGIN")?, field("PASSWORD")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(user: &str, password: &str) -> Option<(Vec<u8>, Vec<u8>)> {
        Some((user.into(), password.into()))
    }

    #[test]
    fn plain_takes_exactly_two_parts() {
        assert_eq!(read("PLAIN", b"\0guest\0secret"), pair("guest", "secret"));
        assert_eq!(read("PLAIN", b"\0guest\0"), pair("guest", ""));
        for broken in [b"".as_slice(), b"guest", b"\0guest", b"\0guest\0guest\0x"] {
            assert_eq!(read("PLAIN", broken), None, "{broken:?}");
        }
    }

    #[test]
    fn amqplain_takes_a_table() {
        let response = b"\x05LOGINS\0\0\0\x05guest\x08PASSWORDS\0\0\0\x06secret";
        assert_eq!(read("AMQPLAIN", response), pair("guest", "secret"));
        assert_eq!(read("AMQPLAIN", b"\x05LOGINS\0\0\0\x05guest"), None);
        assert_eq!(read("AMQPLAIN", b"\x05LOGINt\x01\x08PASSWORDt\x01"), None);
        assert_eq!(read("AMQPLAIN", b"xxxx"), None);
        assert_eq!(read("EXTERNAL", b""), None);
    }
}
