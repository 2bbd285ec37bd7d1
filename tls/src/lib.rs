//! TLS through rustls: whom to trust, and who we are.
//!
//! [`client_config`] reads the files that a [`TlsConfig`] names; AMQP and the management API use the same.

mod error;

use std::{path::Path, sync::Arc};

use garenne_shared::config::TlsConfig;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};

pub use self::error::TlsError;

/// Makes the client side of TLS; reads the files of the configuration.
///
/// # Errors
///
/// Fails if a file is not what its setting asks for, if only one of certificate and key is set, or if there is no authority to trust.
pub fn client_config(config: &TlsConfig) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse("TLS is not available", error))?
        .with_root_certificates(authorities(config)?);
    match (&config.cert_file, &config.key_file) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(cert), Some(key)) => builder
            .with_client_auth_cert(certificates("cert_file", cert)?, private_key(key)?)
            .map_err(|error| refuse("`tls.cert_file` and `tls.key_file` do not fit together", error)),
        (Some(_), None) => Err(incomplete("cert_file", "key_file")),
        (None, Some(_)) => Err(incomplete("key_file", "cert_file")),
    }
}

/// Returns the name that the broker's certificate must be for: `server_name`, or else the host.
///
/// # Errors
///
/// Fails if it is neither a host name nor an IP address.
pub fn server_name(config: &TlsConfig, host: &str) -> Result<ServerName<'static>, TlsError> {
    let name = config.server_name.as_deref().unwrap_or(host);
    ServerName::try_from(name.to_owned()).map_err(|error| {
        refuse(&format!("`{name}` is neither a host name nor an IP address; set `tls.server_name`"), error)
    })
}

fn authorities(config: &TlsConfig) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &config.ca_file {
        for certificate in certificates("ca_file", path)? {
            let unfit = format!("`tls.ca_file` {} holds a certificate that is no authority", path.display());
            roots.add(certificate).map_err(|error| refuse(&unfit, error))?;
        }
        return Ok(roots);
    }
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(TlsError::new(
            "TLS needs an authority to trust, but the system has none; install ca-certificates or set `tls.ca_file`",
        ));
    }
    Ok(roots)
}

fn certificates(setting: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable =
        format!("`tls.{setting}` must be a PEM file of certificates, but {} is not", path.display());
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| refuse(&unreadable, error))?;
    if certificates.is_empty() { Err(TlsError::new(unreadable)) } else { Ok(certificates) }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| {
        refuse(
            &format!("`tls.key_file` must be a PEM file with a private key, but {} is not", path.display()),
            error,
        )
    })
}

fn incomplete(given: &str, missing: &str) -> TlsError {
    TlsError::new(format!("`tls.{given}` is set without `tls.{missing}`; set both or neither"))
}

fn refuse(message: &str, source: impl std::error::Error + Send + Sync + 'static) -> TlsError {
    TlsError::new(message).with_source(source)
}

#[cfg(test)]
mod tests;
