//! Where the management API is, and who asks.

use std::{fmt, str::FromStr, time::Duration};

use garenne_shared::{
    Secret,
    config::{Address, TlsConfig},
};
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use crate::ManagementError;

/// Where the management API is, and who asks.
///
/// Parses from `http://user:password@host:15672` (`https` for TLS), with a path in front of `/api` if the broker has one
/// (`management.path_prefix`). In user and password, write `@`, `:`, `/` and `%` percent-encoded. A URL without a port has the port of
/// its scheme, 80 or 443. `Display` and `Debug` hide the password.
///
/// ```
/// use std::time::Duration;
/// use garenne_management::ManagementConfig;
///
/// let config: ManagementConfig = "http://reader:p%40ss@broker:15672".parse()?;
/// assert_eq!((config.user.as_str(), config.password.expose()), ("reader", "p@ss"));
/// assert_eq!(config.timeout(Duration::from_secs(2)).to_string(), "http://broker:15672");
/// # Ok::<(), garenne_management::ManagementError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ManagementConfig {
    /// Whether the connection is encrypted (`https`).
    pub https: bool,
    /// The host name or the IP address, IPv6 without brackets. The default is `localhost`.
    pub host: String,
    /// The port. The default is 15672.
    pub port: u16,
    /// What stands in front of `/api`, such as `/rabbitmq`; empty by default.
    pub prefix: String,
    /// The user; `guest` by default.
    pub user: String,
    /// The password; `guest` by default.
    pub password: Secret,
    /// How long a request may take, connecting and the whole answer included. The default is 10 s.
    pub timeout: Duration,
    /// TLS, with `https`.
    pub tls: TlsConfig,
}

// === impl ManagementConfig ===

impl Default for ManagementConfig {
    fn default() -> Self {
        Self {
            https: false,
            host: "localhost".to_owned(),
            port: 15672,
            prefix: String::new(),
            user: "guest".to_owned(),
            password: Secret::new("guest"),
            timeout: Duration::from_secs(10),
            tls: TlsConfig::new(),
        }
    }
}

impl ManagementConfig {
    /// Makes the configuration for the management API beside this broker: the same host and user, on the usual port, which is 15672, or
    /// 15671 with TLS.
    #[must_use]
    pub fn beside(broker: &Address) -> Self {
        Self {
            https: broker.tls,
            host: broker.host.clone(),
            port: if broker.tls { 15671 } else { 15672 },
            user: broker.user.clone(),
            password: broker.password.clone(),
            ..Self::default()
        }
    }

    /// Makes the configuration of a URL.
    ///
    /// # Errors
    ///
    /// Fails if it is no URL of this kind. The error never shows the password.
    pub fn from_url(url: &str) -> Result<Self, ManagementError> {
        take_apart(url).map_err(|why| {
            ManagementError::config(format!(
                "the URL of a management API is `http://user:password@host:15672`, and this one is not: {why}"
            ))
        })
    }

    /// Sets the port.
    #[must_use]
    pub const fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Sets user and password.
    #[must_use]
    pub fn login(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.user = user.into();
        self.password = Secret::new(password);
        self
    }

    /// Sets how long a request may take.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets TLS.
    #[must_use]
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = tls;
        self
    }
}

impl FromStr for ManagementConfig {
    type Err = ManagementError;

    fn from_str(url: &str) -> Result<Self, ManagementError> {
        Self::from_url(url)
    }
}

impl TryFrom<&str> for ManagementConfig {
    type Error = ManagementError;

    fn try_from(url: &str) -> Result<Self, ManagementError> {
        Self::from_url(url)
    }
}

impl fmt::Display for ManagementConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, prefix, .. } = self;
        let scheme = if self.https { "https" } else { "http" };
        if host.contains(':') {
            return write!(f, "{scheme}://[{host}]:{port}{prefix}");
        }
        write!(f, "{scheme}://{host}:{port}{prefix}")
    }
}

impl fmt::Debug for ManagementConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ManagementConfig({self}, user `{}`, password ***)", self.user)
    }
}

/// Says why not without showing any part of the text: what is taken for the host may be a piece of the password.
fn take_apart(text: &str) -> Result<ManagementConfig, String> {
    let url = Url::parse(text.trim()).map_err(|error| error.to_string())?;
    let https = match url.scheme() {
        "http" => false,
        "https" => true,
        _ => return Err("it does not begin with `http://` or `https://`".to_owned()),
    };
    if url.query().is_some() || url.fragment().is_some() {
        return Err("it has a `?` or a `#`; in a password write them as %3F and %23".to_owned());
    }
    let host = match url.host().ok_or("it has no host")? {
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    let default = ManagementConfig::default();
    Ok(ManagementConfig {
        https,
        host,
        port: url.port_or_known_default().unwrap_or(default.port),
        prefix: url.path().trim_end_matches('/').trim_end_matches("/api").to_owned(),
        user: if url.username().is_empty() { default.user } else { decode(url.username())? },
        password: match url.password() {
            Some(password) => Secret::new(decode(password)?),
            None => default.password,
        },
        ..ManagementConfig::default()
    })
}

fn decode(text: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(String::from).map_err(|_| "user or password is not UTF-8 once it is decoded".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, shown: &str, user: &str, password: &str) {
        let config = ManagementConfig::from_url(url).unwrap();
        assert_eq!(config.to_string(), shown);
        assert_eq!((config.user.as_str(), config.password.expose()), (user, password));
    }

    #[test]
    fn a_url_tells_place_and_login() {
        check("http://localhost:15672", "http://localhost:15672", "guest", "guest");
        check("http://u:p%2F%40@h:15672/", "http://h:15672", "u", "p/@");
        check("https://u:p@h:15671/api/", "https://h:15671", "u", "p");
        check("https://h/rabbit/api", "https://h:443/rabbit", "guest", "guest");
        check("http://[::1]:80", "http://[::1]:80", "guest", "guest");
    }

    #[test]
    fn no_part_of_a_wrong_url_is_shown() {
        for url in
            ["amqp://u:s3cr3t-1@h", "http://u:s3cr3t-1@h?x", "u:s3cr3t-1@h", "http://u:s3cr3t-1@", "s3cr3t-1"]
        {
            let error = ManagementConfig::from_url(url).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error}");
        }
    }

    #[test]
    fn the_password_is_hidden_everywhere() {
        let config = ManagementConfig::from_url("http://u:s3cr3t-1@h:1").unwrap();
        assert_eq!(format!("{config:?}"), "ManagementConfig(http://h:1, user `u`, password ***)");
        assert!(!format!("{config} {config:#?}").contains("s3cr3t"));
    }

    #[test]
    fn a_broker_has_its_management_api_beside_it() {
        let config = |url: &str| ManagementConfig::beside(&url.parse().unwrap());
        assert_eq!(config("amqp://u:p@h:5673/v").to_string(), "http://h:15672");
        assert_eq!(config("amqps://u:p@h").to_string(), "https://h:15671");
        assert_eq!(config("amqp://u:p@h").user, "u");
    }
}
