//! A client of RabbitMQ's management API: HTTP/1.0, one request a connection.

use std::fmt;
use std::io;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::SECONDS;

/// The management API of one broker, as its administrator.
#[derive(Clone)]
pub struct Management {
    host: String,
    port: u16,
    authorization: String,
}

impl Management {
    pub(crate) fn new(host: &str, port: u16, user: &str, password: &str) -> Self {
        let authorization = BASE64_STANDARD.encode(format!("{user}:{password}"));
        Self { host: host.to_owned(), port, authorization }
    }

    /// Gets `/api{path}`; `None` if there is no such object. Parts of the path that may hold a `/` go through [`encode`].
    pub async fn get(&self, path: &str) -> Option<Value> {
        let (status, body) = self.request("GET", path, None).await;
        match status {
            404 => None,
            200 => Some(body),
            _ => panic!("management API: GET {path}: status {status}: {body}"),
        }
    }

    /// Puts a body to `/api{path}`.
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
        match timeout(120 * SECONDS, self.exchange(method, path, body)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => panic!("management API at {self:?}: {method} {path}: {error}"),
            Err(_) => panic!("management API at {self:?}: {method} {path}: no answer within 120 s"),
        }
    }

    /// As [`request`](Self::request) without a body; `None` if nobody answers.
    pub(crate) async fn try_request(&self, method: &str, path: &str) -> Option<(u16, Value)> {
        timeout(120 * SECONDS, self.exchange(method, path, None)).await.ok()?.ok()
    }

    async fn exchange(&self, method: &str, path: &str, body: Option<&Value>) -> io::Result<(u16, Value)> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let Self { host, port, authorization } = self;
        let request = format!(
            "{method} /api{path} HTTP/1.0\r\nHost: {host}:{port}\r\nAuthorization: Basic {authorization}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut socket = TcpStream::connect((host.as_str(), *port)).await?;
        socket.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await?;
        parse(&answer).ok_or_else(|| io::Error::other("the answer is not HTTP"))
    }
}

impl fmt::Debug for Management {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://***@{}:{}", self.host, self.port)
    }
}

/// Encodes one segment of a path, such as the name of a vhost.
#[must_use]
pub fn encode(segment: &str) -> String {
    utf8_percent_encode(segment, NON_ALPHANUMERIC).to_string()
}

fn parse(answer: &[u8]) -> Option<(u16, Value)> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(body).unwrap_or(Value::Null)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_splits_into_status_and_json() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"a\":1}";
        assert_eq!(parse(answer), Some((200, serde_json::json!({"a": 1}))));
        assert_eq!(parse(b"HTTP/1.1 204 No Content\r\n\r\n"), Some((204, Value::Null)));
        assert_eq!(parse(b"AMQP\0\0\x09\x01"), None);
    }
}
