//! HTTPS, with a certificate made for the test.

use std::{convert::Infallible, path::Path, sync::Arc};

use futures_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, pem::PemObject as _},
    },
};
use garenne_shared::config::TlsConfig;
use hyper::{Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::compat::{FuturesAsyncReadCompatExt as _, TokioAsyncReadCompatExt as _};

use crate::{Management, ManagementConfig, ManagementError, ManagementErrorKind};

/// Reads the policies of a server with a certificate for `broker.test`; `ca` is the file with its authority.
async fn read(tls: impl FnOnce(&Path) -> TlsConfig) -> Result<usize, ManagementError> {
    let made = rcgen::generate_simple_self_signed(["broker.test".to_owned()]).unwrap();
    let files = tempfile::tempdir().unwrap();
    let ca = files.path().join("ca.pem");
    std::fs::write(&ca, made.cert.pem()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
    let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not trust the server ends the handshake.
            let Ok(stream) = TlsAcceptor::from(Arc::new(server.clone())).accept(stream.compat()).await else {
                continue;
            };
            let service = service_fn(async |_: hyper::Request<Incoming>| {
                Ok::<_, Infallible>(Response::new("[]".to_owned()))
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream.compat()), service).await;
        }
    });
    let config =
        ManagementConfig { https: true, host: "127.0.0.1".to_owned(), ..ManagementConfig::default() };
    let management = Management::new(config.port(port).tls(tls(&ca)))?;
    management.policies("/").await.map(|policies| policies.len())
}

#[tokio::test]
async fn a_server_of_the_given_authority_and_name_is_trusted() {
    assert_eq!(read(|ca| TlsConfig::new().ca_file(ca).server_name("broker.test")).await.unwrap(), 0);
}

#[tokio::test]
async fn a_server_of_another_name_is_refused() {
    let error = read(|ca| TlsConfig::new().ca_file(ca)).await.unwrap_err();
    assert_eq!(error.kind(), ManagementErrorKind::Unreachable);
    let causes = format!("{error:?}");
    assert!(causes.contains("certificate"), "{causes}");
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named() {
    let error = read(|ca| TlsConfig::new().ca_file(ca.with_file_name("none.pem"))).await.unwrap_err();
    assert_eq!(error.kind(), ManagementErrorKind::Config);
    assert!(error.to_string().contains("none.pem"), "{error}");
}
