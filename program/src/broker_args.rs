//! How a program is told its broker.

use std::{path::PathBuf, time::Duration};

use garenne_shared::{
    Config, ConfigError, Secret,
    config::{ConnectionConfig, TlsConfig},
};

/// How a program is told its broker; for `#[command(flatten)]`.
#[derive(Debug, Clone, clap::Args)]
pub struct BrokerArgs {
    /// The broker: `amqp://user:password@host:port/vhost`, `amqps` for TLS; several of one cluster separated by commas.
    #[arg(long, env = "AMQP_URL", hide_env_values = true, default_value = "amqp://localhost", value_parser = secret)]
    url: Secret,

    /// A PEM file of authorities to trust instead of the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// A PEM file with the client's certificate chain.
    #[arg(long, value_name = "FILE", requires = "key_file")]
    cert_file: Option<PathBuf>,

    /// A PEM file with the client's private key.
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    key_file: Option<PathBuf>,

    /// How long to wait for a broker that is not up yet, such as `90s`.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    wait: Duration,

    /// Fail at once if no broker can be reached.
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,
}

impl BrokerArgs {
    /// Makes the configuration of a service with this name.
    ///
    /// # Errors
    ///
    /// Fails if the URL or another argument is wrong; the error never shows its password.
    pub fn config(&self, service: &str) -> Result<Config, ConfigError> {
        let mut tls = TlsConfig::new();
        tls.ca_file.clone_from(&self.ca_file);
        tls.cert_file.clone_from(&self.cert_file);
        tls.key_file.clone_from(&self.key_file);
        let connection = ConnectionConfig::new().wait(if self.no_wait { Duration::ZERO } else { self.wait });
        let config = Config::from_url(self.url.expose())?.service(service).connection(connection).tls(tls);
        config.validate()?;
        Ok(config)
    }
}

/// Reads an argument that may hold a password; it cannot fail, and so shows nothing.
///
/// # Errors
///
/// None.
#[must_use = "it is the argument"]
pub fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}
