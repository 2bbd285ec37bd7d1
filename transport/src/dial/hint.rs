//! Says what a peer is that is no AMQP broker, or not one on this kind of port.

use std::io;

use futures_rustls::rustls;

/// Says why a TLS handshake failed, if the peer answered without TLS.
pub(crate) fn of_tls(error: &io::Error) -> Option<&'static str> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    matches!(error, rustls::Error::InvalidMessage(_))
        .then_some("the peer does not speak TLS: use `amqp://`, or the port for TLS, usually 5671")
}

/// Says what answered a protocol header of AMQP with these first bytes, if it is not a frame of AMQP 0-9-1.
pub(crate) fn of_first_bytes(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        // A record of TLS: an alert (21) or a handshake (22), of version 3.x.
        [21 | 22, 3, ..] => {
            Some("the peer speaks TLS: use `amqps://`, or the port without TLS, usually 5672")
        }
        // What a broker answers to a version that it does not know (AMQP 0-9-1, section 4.2.2).
        [b'A', b'M', b'Q', b'P', ..] => Some("the broker does not speak AMQP 0-9-1 on this port"),
        [b'H', b'T', b'T', b'P', ..] => {
            Some("the peer speaks HTTP: this is the port of a management API; AMQP is usually on 5672")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_broker_is_recognized_by_its_first_bytes() {
        for (bytes, word) in [
            (&b"\x15\x03\x03\x00\x02\x02\x0a"[..], "speaks TLS"),
            (b"AMQP\x00\x01\x00\x00", "AMQP 0-9-1"),
            (b"HTTP/1.1 400 Bad Request", "speaks HTTP"),
        ] {
            assert!(of_first_bytes(bytes).is_some_and(|hint| hint.contains(word)), "{word}");
        }
        assert_eq!(of_first_bytes(b"\x01\x00\x00\x00\x00\x01\xdb"), None);
        assert_eq!(of_first_bytes(b""), None);
    }

    #[tokio::test]
    async fn tls_to_a_plain_port_says_so() {
        let broker = garenne_embedded::Broker::start().await.unwrap();
        let url = broker.url().replace("amqp://", "amqps://");
        let error = crate::Client::connect(url.as_str()).await.unwrap_err();
        assert!(error.to_string().contains("the peer does not speak TLS"), "{error}");
        broker.stop().await;
    }
}
