//! What the fixture changes over the management API; `garenne-management`, which reads it, never writes.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use garenne_management::{Management, ManagementError};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request};
use hyper_util::client::legacy::{Client, Error, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::time::timeout;

use crate::{SECONDS, runtime};

/// The management API of one broker, as its administrator, to change things with.
#[derive(Clone)]
pub struct Admin {
    client: Client<HttpConnector, Full<Bytes>>,
    /// `host:port`.
    authority: String,
    authorization: String,
}

impl Admin {
    pub(crate) fn new(host: &str, port: u16, user: &str, password: &str) -> Self {
        let authorization = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
        // Nothing is kept: a test may have killed the broker behind a connection, and a change must not be sent twice.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        Self { client, authority: format!("{host}:{port}"), authorization }
    }

    /// Puts a body to `/api{path}`. Parts of the path that may hold a `/` go through [`encode`].
    pub async fn put(&self, path: &str, body: &Value) {
        let (status, answer) = self.request("PUT", path, Some(body)).await;
        assert!((200..300).contains(&status), "management API: PUT {path}: status {status}: {answer}");
    }

    /// Posts a body to `/api{path}` and returns the answer.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.request("POST", path, Some(body)).await;
        assert!((200..300).contains(&status), "management API: POST {path}: status {status}: {answer}");
        answer
    }

    /// Deletes `/api{path}`; returns whether there was such an object.
    pub async fn delete(&self, path: &str) -> bool {
        let (status, answer) = self.request("DELETE", path, None).await;
        assert!(
            (200..300).contains(&status) || status == 404,
            "management API: DELETE {path}: status {status}: {answer}"
        );
        status != 404
    }

    /// Sends a request and returns the status and the body, `Null` if it is not JSON. Panics if nobody answers within 120 s.
    pub async fn request(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let (admin, method, path) = (self.clone(), method.to_owned(), path.to_owned());
        let body = body.map(Value::to_string).unwrap_or_default();
        runtime::run(async move {
            match timeout(120 * SECONDS, admin.exchange(&method, &path, body)).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(error)) => panic!("management API at {admin:?}: {method} {path}: {error:?}"),
                Err(_) => panic!("management API at {admin:?}: {method} {path}: no answer within 120 s"),
            }
        })
        .await
    }

    /// As [`delete`](Self::delete), on the runtime of the caller; it does not matter what comes of it.
    pub(crate) async fn try_delete(&self, path: &str) {
        // A test may have stopped its broker: then there is nothing to delete.
        let _ = timeout(120 * SECONDS, self.exchange("DELETE", path, String::new())).await;
    }

    async fn exchange(&self, method: &str, path: &str, body: String) -> Result<(u16, Value), Error> {
        let Self { authority, authorization, .. } = self;
        let request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).expect("a method of HTTP"))
            .uri(format!("http://{authority}/api{path}"))
            .header(AUTHORIZATION, authorization)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(body))
            .expect("the path is encoded");
        let answer = self.client.request(request).await?;
        let status = answer.status().as_u16();
        let body =
            answer.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://***@{}", self.authority)
    }
}

/// Reads the management API on the fixture's runtime: the connections that it keeps must outlive the runtime of a test.
pub(crate) async fn read<T: Send + 'static, R>(
    management: &Management,
    read: impl FnOnce(Management) -> R,
) -> Result<T, ManagementError>
where
    R: Future<Output = Result<T, ManagementError>> + Send + 'static,
{
    runtime::run(read(management.clone())).await
}

/// Encodes one segment of a path, such as the name of a vhost.
#[must_use]
pub fn encode(segment: &str) -> String {
    utf8_percent_encode(segment, NON_ALPHANUMERIC).to_string()
}
