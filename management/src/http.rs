//! HTTP: one request, its deadline, and what came of it.
//!
//! By hyper, and not by a client for this API. The one there is (`rabbitmq_http_client`) brings a global allocator into every
//! program that links it, leaves out fields that a topology is compared by (`internal` of an exchange, ready messages), and goes
//! through a URL library that resolves names such as `..` away.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::{
    Request, StatusCode,
    body::Incoming,
    header::{ACCEPT, AUTHORIZATION, HeaderValue},
};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::{ManagementConfig, ManagementError, error::Asked, path::Path};

/// No answer is larger: a hundred thousand bindings take a tenth of it.
const MAX_BODY_BYTES: usize = 256 << 20;
/// Connections that nobody uses are closed before RabbitMQ does it, after 60 s.
const IDLE: Duration = Duration::from_secs(30);

type Body = Empty<Bytes>;

/// The API of one broker.
pub(crate) struct Api {
    client: Scheme,
    /// Scheme, host, port and prefix.
    base: String,
    authorization: HeaderValue,
    timeout: Duration,
}

enum Scheme {
    Http(Client<HttpConnector, Body>),
    Https(Client<HttpsConnector<HttpConnector>, Body>),
}

impl Api {
    /// Sets the client up; nobody is asked.
    pub(crate) fn new(config: &ManagementConfig) -> Result<Self, ManagementError> {
        let ManagementConfig { user, password, timeout, .. } = config;
        if timeout.is_zero() {
            return Err(ManagementError::config(
                "`timeout` must be more than zero, but it is 0 s; the default is 10 s",
            ));
        }
        if user.contains(':') {
            // RFC 7617, section 2.
            return Err(ManagementError::config(format!(
                "HTTP knows no user with a `:` in its name, but it is `{user}`"
            )));
        }
        let login = BASE64_STANDARD.encode(format!("{user}:{}", password.expose()));
        let mut authorization = HeaderValue::try_from(format!("Basic {login}"))
            .map_err(|_| ManagementError::config("user and password cannot be sent in a header"))?;
        authorization.set_sensitive(true);
        Ok(Self { client: Scheme::new(config)?, base: config.to_string(), authorization, timeout: *timeout })
    }

    /// Returns scheme, host, port and prefix.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Gets an object.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        object: &str,
        path: &Path,
    ) -> Result<T, ManagementError> {
        let (status, body) = self.send(object, path).await?;
        if status == StatusCode::OK {
            self.read(object, path, &body)
        } else {
            Err(self.refusal(object, path, status, &body))
        }
    }

    /// Gets an object; `None` if there is none of this name.
    pub(crate) async fn find<T: DeserializeOwned>(
        &self,
        object: &str,
        path: &Path,
    ) -> Result<Option<T>, ManagementError> {
        match self.send(object, path).await? {
            (StatusCode::OK, body) => self.read(object, path, &body).map(Some),
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (status, body) => Err(self.refusal(object, path, status, &body)),
        }
    }

    /// Sends a request and takes the whole answer, within the deadline.
    pub(crate) async fn send(
        &self,
        object: &str,
        path: &Path,
    ) -> Result<(StatusCode, Bytes), ManagementError> {
        let url = self.url(path);
        let asked = Asked { object, url: &url };
        match timeout(self.timeout, self.exchange(asked)).await {
            Ok(answer) => answer,
            Err(_) => Err(ManagementError::timed_out(asked, self.timeout)),
        }
    }

    async fn exchange(&self, asked: Asked<'_>) -> Result<(StatusCode, Bytes), ManagementError> {
        let request = Request::get(asked.url)
            .header(AUTHORIZATION, self.authorization.clone())
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .body(Body::new())
            .map_err(|error| ManagementError::config(format!("{} is no URL: {error}", asked.url)))?;
        let sent = match self.client.request(request.clone()).await {
            // A kept connection may be closed just when it is used again. At most one is kept, so the next one is new.
            Err(error) if !error.is_connect() => self.client.request(request).await,
            sent => sent,
        };
        let (head, body) = sent.map_err(|error| ManagementError::unreachable(asked, error))?.into_parts();
        let body = Limited::new(body, MAX_BODY_BYTES).collect().await;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => ManagementError::unexpected(asked, error),
            false => ManagementError::unreachable(asked, error),
        })?;
        Ok((head.status, body.to_bytes()))
    }

    /// Reads the body of an answer.
    pub(crate) fn read<T: DeserializeOwned>(
        &self,
        object: &str,
        path: &Path,
        body: &[u8],
    ) -> Result<T, ManagementError> {
        let url = self.url(path);
        serde_json::from_slice(body)
            .map_err(|error| ManagementError::unexpected(Asked { object, url: &url }, error))
    }

    /// Makes the error of an answer with this status.
    pub(crate) fn refusal(
        &self,
        object: &str,
        path: &Path,
        status: StatusCode,
        body: &[u8],
    ) -> ManagementError {
        ManagementError::status(Asked { object, url: &self.url(path) }, status, body)
    }

    /// Returns the URL of a path: it shows no login.
    pub(crate) fn url(&self, path: &Path) -> String {
        format!("{}{path}", self.base)
    }
}

impl Scheme {
    fn new(config: &ManagementConfig) -> Result<Self, ManagementError> {
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).pool_max_idle_per_host(1);
        if !config.https {
            return Ok(Self::Http(builder.build(HttpConnector::new())));
        }
        let name = garenne_tls::server_name(&config.tls, &config.host)?;
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(garenne_tls::client_config(&config.tls)?)
            .https_only()
            .with_server_name_resolver(FixedServerNameResolver::new(name))
            .enable_http1()
            .build();
        Ok(Self::Https(builder.build(connector)))
    }

    async fn request(&self, request: Request<Body>) -> Result<hyper::Response<Incoming>, legacy::Error> {
        match self {
            Self::Http(client) => client.request(request).await,
            Self::Https(client) => client.request(request).await,
        }
    }
}

#[cfg(test)]
mod tests;
