//! What the connected broker can do, read once from its server properties.

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
    /// Whether `x-modulus-hash` exchanges exist without a plugin (RabbitMQ 4.3).
    pub modulus_hash: bool,
}
