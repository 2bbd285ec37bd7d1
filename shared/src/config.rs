//! Configuration as data: for code by builder methods, for files by serde. Unknown keys are refused by name.

mod address;
mod check;
mod connection;
mod error;
mod file;
mod publish;
mod tls;
mod url;
mod variables;

use std::ffi::OsString;

use serde::{Deserialize, Deserializer};

use self::file::File;
pub use self::{
    address::Address, connection::ConnectionConfig, error::ConfigError, publish::PublishConfig,
    tls::TlsConfig,
};

/// Everything a client needs to know to connect, publish and consume.
///
/// From a file and variables it comes by [`load`](Self::load). Where you parse a file yourself, mind that the error of a parser may
/// quote the line that it refuses, and with it a password: of [`toml`](https://docs.rs/toml), show `error.message()`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// The brokers of one cluster; tried in random order. The default is `amqp://guest:guest@localhost:5672`.
    ///
    /// In a file a list of URLs, or one text with commas between them.
    #[serde(deserialize_with = "endpoints")]
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
        Ok(Self { endpoints: url::parse_list(urls)?, ..Self::default() })
    }

    /// Makes a configuration from environment variables; the library itself never reads the environment.
    ///
    /// | variable | setting | default |
    /// |---|---|---|
    /// | `AMQP_URL` | the endpoints, separated by commas | `amqp://guest:guest@localhost:5672` |
    /// | `GARENNE_SERVICE` | [`service`](Self::service) | `garenne` |
    /// | `GARENNE_HEARTBEAT`, `GARENNE_CONNECT_TIMEOUT` | those of [`ConnectionConfig`], such as `10s` | `10s` |
    /// | `GARENNE_WAIT` | [`ConnectionConfig::wait`] | `0s` |
    /// | `GARENNE_WINDOW` | [`PublishConfig::window`] | `1000` |
    /// | `GARENNE_CONFIRM_TIMEOUT`, `GARENNE_BLOCKED_TIMEOUT` | those of [`PublishConfig`] | `30s` |
    /// | `GARENNE_CA_FILE`, `GARENNE_CERT_FILE`, `GARENNE_KEY_FILE`, `GARENNE_SERVER_NAME` | those of [`TlsConfig`] | none |
    ///
    /// Variables that an orchestrator sets for a service of such a name, such as `GARENNE_SERVICE_HOST` and
    /// `GARENNE_PORT_5672_TCP`, do not count.
    ///
    /// # Errors
    ///
    /// Fails if a variable has a value that its setting cannot have or that is not Unicode, or if a variable begins with `GARENNE_`
    /// and is none of these.
    ///
    /// # Examples
    ///
    /// Take `vars_os`: the standard library's `vars` panics where any variable of the process is not Unicode.
    ///
    /// ```
    /// # fn main() -> Result<(), garenne_shared::ConfigError> {
    /// let config = garenne_shared::Config::from_vars(std::env::vars_os())?;
    /// assert!(!config.endpoints.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_vars<N, V>(variables: impl IntoIterator<Item = (N, V)>) -> Result<Self, ConfigError>
    where
        N: Into<OsString>,
        V: Into<OsString>,
    {
        Self::load("", "", variables)
    }

    /// Makes a configuration from the text of a TOML file, and from environment variables, which override it.
    ///
    /// The caller reads both: `file` is the file's name, for errors. The variables are those of [`from_vars`](Self::from_vars).
    ///
    /// # Errors
    ///
    /// As [`from_vars`](Self::from_vars); and if the text is no TOML, or has a key that is not known or a value that its setting
    /// cannot have: with file, line and key. No error shows a password.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use garenne_shared::Config;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let file = "billing.toml";
    /// let config = Config::load(file, &std::fs::read_to_string(file)?, std::env::vars_os())?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn load<N, V>(
        file: &str,
        text: &str,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, ConfigError>
    where
        N: Into<OsString>,
        V: Into<OsString>,
    {
        let file = File::new(file, text);
        let mut config = file.read()?;
        let origins = variables::set(&mut config, variables)?;
        config.validate().map_err(|error| match error {
            ConfigError::Setting { setting, rule, found } => match origins.of(&setting) {
                Some(variable) => ConfigError::Setting { setting: variable.to_owned(), rule, found },
                None => file.locate(&setting, &rule, &found).unwrap_or(ConfigError::Setting {
                    setting,
                    rule,
                    found,
                }),
            },
            error => error,
        })?;
        Ok(config)
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

/// Reads a list of URLs, or one text with commas between them.
fn endpoints<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Address>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a URL or a list of URLs")]
    enum Endpoints {
        One(String),
        Many(Vec<String>),
    }
    let parsed = match Endpoints::deserialize(deserializer)? {
        Endpoints::One(urls) => url::parse_list(&urls),
        Endpoints::Many(urls) => urls.iter().map(|url| url::parse(url)).collect(),
    };
    parsed.map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests;
