//! TLS through rustls: whom to trust, and who we are.

use std::{path::Path, sync::Arc};

use futures_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};
use garenne_shared::config::TlsConfig;

use crate::{Error, ErrorKind};

/// Makes the connector for a configuration; reads its files.
pub(crate) fn connector(config: &TlsConfig) -> Result<TlsConnector, Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse("TLS is not available", error))?
        .with_root_certificates(authorities(config)?);
    let client = match (&config.cert_file, &config.key_file) {
        (None, None) => builder.with_no_client_auth(),
        (Some(cert), Some(key)) => builder
            .with_client_auth_cert(certificates("cert_file", cert)?, private_key(key)?)
            .map_err(|error| refuse("`tls.cert_file` and `tls.key_file` do not fit together", error))?,
        (Some(_), None) => return Err(incomplete("cert_file", "key_file")),
        (None, Some(_)) => return Err(incomplete("key_file", "cert_file")),
    };
    Ok(TlsConnector::from(Arc::new(client)))
}

/// Returns the name that the broker's certificate must be for.
pub(crate) fn server_name(config: &TlsConfig, host: &str) -> Result<ServerName<'static>, Error> {
    let name = config.server_name.as_deref().unwrap_or(host);
    ServerName::try_from(name.to_owned()).map_err(|error| {
        refuse(&format!("`{name}` is neither a host name nor an IP address; set `tls.server_name`"), error)
    })
}

fn authorities(config: &TlsConfig) -> Result<RootCertStore, Error> {
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
        return Err(Error::new(
            ErrorKind::Config,
            "TLS needs an authority to trust, but the system has none; install ca-certificates or set `tls.ca_file`",
        ));
    }
    Ok(roots)
}

fn certificates(setting: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let unreadable =
        format!("`tls.{setting}` must be a PEM file of certificates, but {} is not", path.display());
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| refuse(&unreadable, error))?;
    if certificates.is_empty() { Err(Error::new(ErrorKind::Config, unreadable)) } else { Ok(certificates) }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| {
        refuse(
            &format!("`tls.key_file` must be a PEM file with a private key, but {} is not", path.display()),
            error,
        )
    })
}

fn incomplete(given: &str, missing: &str) -> Error {
    Error::new(
        ErrorKind::Config,
        format!("`tls.{given}` is set without `tls.{missing}`; set both or neither"),
    )
}

fn refuse(message: &str, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Config, message).with_source(source)
}

#[cfg(test)]
mod tests;
