//! The client side against a TLS server of the test's own, with certificates made for it.

use std::path::PathBuf;

use futures_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{
        ServerConfig,
        server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    },
};
use futures_util::io::{AsyncReadExt as _, AsyncWriteExt as _};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use tempfile::TempDir;

use super::*;

/// An authority, and the files of whoever it vouches for.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    files: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, files }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Makes a certificate for a name and writes it and its key.
    fn vouch(&self, name: &str, purpose: ExtendedKeyUsagePurpose) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (cert_file, key_file) = (self.file(&format!("{name}.pem")), self.file(&format!("{name}.key")));
        std::fs::write(&cert_file, certificate.pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        (cert_file, key_file)
    }

    fn trust(&self) -> TlsConfig {
        let mut config = TlsConfig::default();
        config.ca_file = Some(self.file("ca.pem"));
        config
    }
}

/// Connects to a server with a certificate for `broker.test`, which asks for a client certificate if `verifier` is given.
async fn connect(
    authority: &Authority,
    client: &TlsConfig,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
) -> std::io::Result<Vec<u8>> {
    let (cert, key) = authority.vouch("broker.test", ExtendedKeyUsagePurpose::ServerAuth);
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let server = builder
        .with_single_cert(certificates("cert_file", &cert).unwrap(), private_key(&key).unwrap())
        .unwrap();
    let (near, far) = tokio::io::duplex(64 << 10);
    let (near, far) = (compat(near), compat(far));
    let serve = async {
        let mut stream = TlsAcceptor::from(Arc::new(server)).accept(far).await?;
        stream.write_all(b"AMQP").await?;
        stream.close().await
    };
    let ask = async {
        let name = server_name(client, "broker.test").unwrap();
        let mut stream =
            TlsConnector::from(Arc::new(client_config(client).unwrap())).connect(name, near).await?;
        let mut answer = vec![0; 4];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    };
    let (_, answer) = tokio::join!(serve, ask);
    answer
}

fn compat(stream: tokio::io::DuplexStream) -> tokio_util::compat::Compat<tokio::io::DuplexStream> {
    tokio_util::compat::TokioAsyncReadCompatExt::compat(stream)
}

#[tokio::test]
async fn a_broker_of_the_given_authority_is_trusted() {
    let authority = Authority::new();
    assert_eq!(connect(&authority, &authority.trust(), None).await.unwrap(), b"AMQP");
}

#[tokio::test]
async fn a_broker_of_another_authority_is_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    assert!(connect(&authority, &other.trust(), None).await.is_err());
}

#[tokio::test]
async fn the_name_of_the_certificate_is_verified_and_may_be_given() {
    let authority = Authority::new();
    let mut config = authority.trust();
    config.server_name = Some("another.test".to_owned());
    assert!(connect(&authority, &config, None).await.is_err());
    config.server_name = Some("broker.test".to_owned());
    connect(&authority, &config, None).await.unwrap();
}

#[tokio::test]
async fn a_client_certificate_is_presented() {
    let authority = Authority::new();
    let verifier = || {
        let roots = Arc::new(authorities(&authority.trust()).unwrap());
        let provider = Arc::new(ring::default_provider());
        WebPkiClientVerifier::builder_with_provider(roots, provider).build().unwrap()
    };
    let mut config = authority.trust();
    assert!(connect(&authority, &config, Some(verifier())).await.is_err(), "none was presented");
    let (cert, key) = authority.vouch("client.test", ExtendedKeyUsagePurpose::ClientAuth);
    (config.cert_file, config.key_file) = (Some(cert), Some(key));
    connect(&authority, &config, Some(verifier())).await.unwrap();
}

#[test]
fn files_that_are_not_what_they_should_be_are_named() {
    let authority = Authority::new();
    let mut config = TlsConfig::default();
    config.ca_file = Some(authority.file("missing.pem"));
    let error = client_config(&config).err().unwrap();
    assert!(error.to_string().contains("missing.pem"), "{error}");
    std::fs::write(authority.file("empty.pem"), "no certificate").unwrap();
    config.ca_file = Some(authority.file("empty.pem"));
    let error = client_config(&config).err().unwrap();
    assert!(error.to_string().contains("empty.pem"), "{error}");
    config = authority.trust();
    config.cert_file = Some(authority.file("ca.pem"));
    let error = client_config(&config).err().unwrap();
    assert!(error.to_string().contains("key_file"), "{error}");
}
