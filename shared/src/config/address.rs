//! The address of a broker, which never prints its password.

use std::{fmt, str::FromStr};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::{ConfigError, url};
use crate::Secret;

/// What is not encoded in the vhost of a URL: the unreserved characters (RFC 3986, section 2.3).
const VHOST: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The address of one broker: where it is, who we are, which vhost.
///
/// Parses from `amqp://user:password@host:port/vhost` (`amqps` for TLS), as in the
/// [RabbitMQ URI specification](https://www.rabbitmq.com/docs/uri-spec). What is not percent-encoded is taken as it stands, a vhost
/// `..` too. `Display` and `Debug` hide the password.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Address {
    /// Whether the connection is encrypted (`amqps`).
    pub tls: bool,
    /// The host name or the IP address, IPv6 without brackets.
    pub host: String,
    /// The port; 5672, or 5671 with TLS, unless given.
    pub port: u16,
    /// The user; `guest` unless given.
    pub user: String,
    /// The password; `guest` unless given.
    pub password: Secret,
    /// The virtual host; `/` unless given.
    pub vhost: String,
}

// === impl Address ===

impl Default for Address {
    fn default() -> Self {
        Self {
            tls: false,
            host: "localhost".to_owned(),
            port: 5672,
            user: "guest".to_owned(),
            password: Secret::new("guest"),
            vhost: "/".to_owned(),
        }
    }
}

impl FromStr for Address {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        url::parse(text)
    }
}

impl TryFrom<String> for Address {
    type Error = ConfigError;

    fn try_from(text: String) -> Result<Self, ConfigError> {
        text.parse()
    }
}

impl Address {
    /// Returns host and port, as `host:port` or `[::1]:port`.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "amqps" } else { "amqp" };
        write!(f, "{scheme}://{}/", self.authority())?;
        if self.vhost != "/" {
            write!(f, "{}", utf8_percent_encode(&self.vhost, VHOST))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self}, user `{}`, password ***)", self.user)
    }
}
