//! Configuration as data: for code by builder methods, for files by serde. Unknown keys are refused by name.

mod address;
mod check;
mod variables;

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;

pub use self::address::{Address, ConfigError};
use crate::Retry;

/// Everything a client needs to know to connect, publish and consume.
///
/// The error of a parser may quote the line that it refuses, and with it a password: of [`toml`](https://docs.rs/toml), show
/// `error.message()` rather than the error.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// The brokers of one cluster; tried in random order. The default is `amqp://guest:guest@localhost:5672`.
    pub endpoints: Vec<Address>,
    /// The name of the service: `app_id` of its messages and start of its connection names. The default is `garenne`.
    pub service: String,
    /// How connections are opened and kept.
    pub connection: ConnectionConfig,
    /// How messages are published.
    pub publish: PublishConfig,
    /// TLS, for endpoints with the scheme `amqps`.
    pub tls: TlsConfig,
}

/// How connections are opened and kept.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ConnectionConfig {
    /// The limit for the TCP connect and, apart from it, for the AMQP handshake. The default is 10 s.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// The heartbeat asked for; the broker may lower it. The default is 10 s.
    #[serde(with = "humantime_serde")]
    pub heartbeat: Duration,
    /// The largest frame in bytes. The default is 131072; the broker may lower it.
    pub frame_max: u32,
    /// The delays between attempts to connect. The default is exponential from 100 ms to 2 s, with jitter, without limit.
    pub reconnect: Retry,
    /// The limit for declaring, cancelling and closing. The default is 10 s.
    #[serde(with = "humantime_serde")]
    pub rpc_timeout: Duration,
    /// How long a connection may be silent, apart from heartbeats, before the broker is asked for a sign of life. The default is 2 s.
    #[serde(with = "humantime_serde")]
    pub probe_after: Duration,
    /// How long the broker may take to give that sign, before the connection is given up. The default is 3 s.
    #[serde(with = "humantime_serde")]
    pub probe_timeout: Duration,
}

/// How messages are published.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PublishConfig {
    /// How many publishes may await their confirm. The default is 1000.
    pub window: usize,
    /// How many bytes of bodies may await their confirm. The default is 64 MiB.
    pub window_bytes: u64,
    /// How long a publish waits for its confirm. The default is 30 s.
    #[serde(with = "humantime_serde")]
    pub confirm_timeout: Duration,
    /// How long a publish waits while the broker blocks the connection. The default is 30 s.
    #[serde(with = "humantime_serde")]
    pub blocked_timeout: Duration,
    /// The largest body in bytes. The default is 16 MiB, RabbitMQ's own `max_message_size`.
    pub max_message_bytes: u64,
}

/// TLS: which authorities are trusted, and who we are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TlsConfig {
    /// A PEM file of authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// A PEM file with the client's certificate chain.
    pub cert_file: Option<PathBuf>,
    /// A PEM file with the client's private key.
    pub key_file: Option<PathBuf>,
    /// The name to verify instead of the endpoint's host.
    pub server_name: Option<String>,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            endpoints: vec![Address::default()],
            service: "garenne".to_owned(),
            connection: ConnectionConfig::default(),
            publish: PublishConfig::default(),
            tls: TlsConfig::default(),
        }
    }
}

impl Config {
    /// Makes the default configuration for one or more URLs, separated by commas.
    ///
    /// # Errors
    ///
    /// Fails if a URL is not an AMQP URL. The error never shows the password.
    pub fn from_url(urls: &str) -> Result<Self, ConfigError> {
        let endpoints = urls.split(',').map(|url| url.trim().parse()).collect::<Result<_, _>>()?;
        Ok(Self { endpoints, ..Self::default() })
    }

    /// Makes a configuration from environment variables; the library itself never reads the environment.
    ///
    /// | variable | setting | default |
    /// |---|---|---|
    /// | `AMQP_URL` | the endpoints, separated by commas | `amqp://guest:guest@localhost:5672` |
    /// | `GARENNE_SERVICE` | [`service`](Self::service) | `garenne` |
    /// | `GARENNE_HEARTBEAT`, `GARENNE_CONNECT_TIMEOUT` | those of [`ConnectionConfig`], such as `10s` | `10s` |
    /// | `GARENNE_WINDOW` | [`PublishConfig::window`] | `1000` |
    /// | `GARENNE_CONFIRM_TIMEOUT`, `GARENNE_BLOCKED_TIMEOUT` | those of [`PublishConfig`] | `30s` |
    /// | `GARENNE_CA_FILE`, `GARENNE_CERT_FILE`, `GARENNE_KEY_FILE`, `GARENNE_SERVER_NAME` | those of [`TlsConfig`] | none |
    ///
    /// # Errors
    ///
    /// Fails if a variable has a value that its setting cannot have, or if a variable begins with `GARENNE_` and is none of these.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), garenne_shared::ConfigError> {
    /// let config = garenne_shared::Config::from_vars(std::env::vars())?;
    /// assert!(!config.endpoints.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_vars(variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        variables::read(variables)
    }

    /// Checks that every setting has a value that can work; connecting does it too.
    ///
    /// # Errors
    ///
    /// Fails with the first setting that cannot work: its name, the rule, and the value found.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check::check(self)
    }

    /// Sets the name of the service.
    #[must_use]
    pub fn service(mut self, service: impl Into<String>) -> Self {
        self.service = service.into();
        self
    }

    /// Sets how messages are published.
    #[must_use]
    pub fn publish(mut self, publish: PublishConfig) -> Self {
        self.publish = publish;
        self
    }

    /// Sets how connections are opened and kept.
    #[must_use]
    pub fn connection(mut self, connection: ConnectionConfig) -> Self {
        self.connection = connection;
        self
    }

    /// Sets TLS.
    #[must_use]
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = tls;
        self
    }
}

impl std::str::FromStr for Config {
    type Err = ConfigError;

    fn from_str(urls: &str) -> Result<Self, ConfigError> {
        Self::from_url(urls)
    }
}

impl TryFrom<&str> for Config {
    type Error = ConfigError;

    fn try_from(urls: &str) -> Result<Self, ConfigError> {
        Self::from_url(urls)
    }
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(10),
            frame_max: 131_072,
            reconnect: Retry::exponential(Duration::from_millis(100)..=Duration::from_secs(2)).jitter(true),
            rpc_timeout: Duration::from_secs(10),
            probe_after: Duration::from_secs(2),
            probe_timeout: Duration::from_secs(3),
        }
    }
}

impl Default for PublishConfig {
    fn default() -> Self {
        Self {
            window: 1000,
            window_bytes: 64 << 20,
            confirm_timeout: Duration::from_secs(30),
            blocked_timeout: Duration::from_secs(30),
            max_message_bytes: 16 << 20,
        }
    }
}

#[cfg(test)]
mod tests;
