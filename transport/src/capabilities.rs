//! What the connected broker can do, read from its server properties.

use lapin::types::{AMQPValue, FieldTable};

/// What the connected broker can do. Nothing else in Garenne looks at a version.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The broker's product name, such as `RabbitMQ`.
    pub product: String,
    /// The broker's version, such as `4.3.6`, for people to read.
    pub version: String,
    /// Whether quorum queues delay retries natively (`x-delayed-retry-type`, RabbitMQ 4.3).
    pub delayed_retry: bool,
    /// Whether `basic.nack(requeue)` does not count as a failed delivery (RabbitMQ 4.3).
    pub uncounted_nack: bool,
    /// How many failed deliveries of a message a quorum queue allows that was declared without a limit (RabbitMQ 4.0: 20).
    pub default_delivery_limit: Option<u32>,
    /// Whether `x-modulus-hash` exchanges exist without a plugin (RabbitMQ 4.3).
    pub modulus_hash: bool,
}

// === impl Capabilities ===

impl Capabilities {
    /// Reads the server properties of `connection.start`. A broker that does not say what it is gets the least.
    pub(crate) fn read(properties: Option<&FieldTable>) -> Self {
        let text = |name: &str| match properties.and_then(|properties| properties.inner().get(name)) {
            Some(AMQPValue::LongString(text)) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
            _ => String::new(),
        };
        let (product, version) = (text("product"), text("version"));
        let since = |release| product == "RabbitMQ" && major_minor(&version) >= release;
        let (is_4, is_4_3) = (since((4, 0)), since((4, 3)));
        Self {
            product,
            version,
            delayed_retry: is_4_3,
            uncounted_nack: is_4_3,
            default_delivery_limit: is_4.then_some(20),
            modulus_hash: is_4_3,
        }
    }
}

fn major_minor(version: &str) -> (u32, u32) {
    let mut parts = version.split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(product: &str, version: &str) -> Capabilities {
        let mut properties = FieldTable::default();
        properties.insert("product".into(), AMQPValue::LongString(product.into()));
        properties.insert("version".into(), AMQPValue::LongString(version.into()));
        Capabilities::read(Some(&properties))
    }

    #[test]
    fn native_delayed_retry_comes_with_4_3() {
        assert!(!server("RabbitMQ", "4.2.9").delayed_retry);
        assert!(!server("RabbitMQ", "3.13.7").delayed_retry);
        assert!(server("RabbitMQ", "4.3.0").delayed_retry);
        assert!(server("RabbitMQ", "4.10.0-beta.1").delayed_retry);
        assert!(server("RabbitMQ", "5.0.0").delayed_retry);
    }

    #[test]
    fn a_default_delivery_limit_comes_with_4_0() {
        assert_eq!(server("RabbitMQ", "3.13.7").default_delivery_limit, None);
        assert_eq!(server("RabbitMQ", "4.0.1").default_delivery_limit, Some(20));
        assert_eq!(server("LavinMQ", "9.9.9").default_delivery_limit, None);
    }

    #[test]
    fn an_unknown_broker_gets_the_least() {
        assert!(!server("LavinMQ", "9.9.9").delayed_retry);
        assert!(!Capabilities::read(None).uncounted_nack);
        assert!(!server("RabbitMQ", "nonsense").modulus_hash);
    }
}
