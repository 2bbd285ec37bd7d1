//! TLS: which authorities are trusted, and who we are.

use std::path::PathBuf;

use serde::Deserialize;

/// TLS: which authorities are trusted, and who we are.
///
/// ```
/// use garenne_shared::config::TlsConfig;
///
/// let tls = TlsConfig::new().ca_file("ca.pem").certificate("client.pem", "client.key");
/// assert!(tls.key_file.is_some());
/// ```
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

// === impl TlsConfig ===

impl TlsConfig {
    /// Makes the defaults: the system's authorities, no certificate of our own, the endpoint's host as the name.
    #[must_use]
    pub const fn new() -> Self {
        Self { ca_file: None, cert_file: None, key_file: None, server_name: None }
    }

    /// Trusts the authorities in this PEM file instead of the system's.
    #[must_use]
    pub fn ca_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(file.into());
        self
    }

    /// Shows the broker this certificate chain; both files are PEM.
    #[must_use]
    pub fn certificate(mut self, cert_file: impl Into<PathBuf>, key_file: impl Into<PathBuf>) -> Self {
        self.cert_file = Some(cert_file.into());
        self.key_file = Some(key_file.into());
        self
    }

    /// Verifies this name instead of the endpoint's host.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }
}
