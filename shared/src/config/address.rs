//! The address of a broker, and its URL, which never prints its password.

use std::{fmt, str::FromStr};

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use url::Url;

use crate::Secret;

/// The address of one broker: where it is, who we are, which vhost.
///
/// Parses from `amqp://user:password@host:port/vhost` (`amqps` for TLS), as in the
/// [RabbitMQ URI specification](https://www.rabbitmq.com/docs/uri-spec). `Display` and `Debug` hide the password.
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

/// Why a configuration was refused. It never shows a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The text is not an AMQP URL.
    #[error("`{shown}` is not an AMQP URL ({reason}); write `amqp://user:password@host:5672/vhost`")]
    Url {
        /// The text without its credentials.
        shown: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A setting has a value that it cannot have.
    #[error("setting `{setting}` must be {rule}, but is `{found}`")]
    Setting {
        /// The setting's name.
        setting: String,
        /// What it must be.
        rule: String,
        /// What was found.
        found: String,
    },
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
        let refuse =
            |reason: &str| ConfigError::Url { shown: without_credentials(text), reason: reason.to_owned() };
        let url = Url::parse(text).map_err(|error| refuse(&error.to_string()))?;
        let tls = match url.scheme() {
            "amqp" => false,
            "amqps" => true,
            // Not shown: of a URL that was cut in two, the scheme may be a piece of the password.
            _ => return Err(refuse("its scheme is neither `amqp` nor `amqps`")),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| refuse("it has no host"))?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("parameters are not supported; set them in the configuration"));
        }
        let decode = |part: &str| {
            percent_decode_str(part)
                .decode_utf8()
                .map(std::borrow::Cow::into_owned)
                .map_err(|_| refuse("it is not UTF-8"))
        };
        let default = Self::default();
        let vhost = match url.path().strip_prefix('/') {
            None | Some("") => default.vhost,
            Some(path) if path.contains('/') => return Err(refuse("a `/` in the vhost must be written %2F")),
            Some(path) => decode(path)?,
        };
        Ok(Self {
            tls,
            host: decode(host.trim_start_matches('[').trim_end_matches(']'))?,
            port: url.port().unwrap_or(if tls { 5671 } else { 5672 }),
            user: if url.username().is_empty() { default.user } else { decode(url.username())? },
            password: match url.password() {
                Some(password) => Secret::new(decode(password)?),
                None => default.password,
            },
            vhost,
        })
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
        let vhost = if self.vhost == "/" { "" } else { &self.vhost };
        write!(f, "{scheme}://{}/{vhost}", self.authority())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self}, user `{}`, password ***)", self.user)
    }
}

/// Shows a text that is no address, without what may be a password: that stands before the last `@`, or, in a URL that someone
/// cut short, behind the first colon of its authority, or in parameters.
fn without_credentials(text: &str) -> String {
    if let Some((_, rest)) = text.rsplit_once('@') {
        let shown = rest.split(['?', '#']).next().unwrap_or_default();
        return format!("***@{shown}");
    }
    let authority = text.find("://").map_or(0, |at| at + 3);
    match text[authority..].find([':', '?', '#']) {
        Some(at) => format!("{}***", &text[..=authority + at]),
        None => text.to_owned(),
    }
}
