//! Why reading failed.

use std::{fmt, time::Duration};

use garenne_tls::TlsError;
use hyper::StatusCode;
use serde::Deserialize;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// No more of a broker's own words is shown.
const REASON_MAX_CHARS: usize = 300;

/// Why reading failed: the object, the URL without its credentials, the status and the remedy.
pub struct ManagementError {
    kind: ManagementErrorKind,
    message: String,
    status: Option<u16>,
    source: Option<BoxError>,
}

/// The cause of a [`ManagementError`], for matching.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManagementErrorKind {
    /// The configuration is wrong: the URL, the deadline or TLS. Nobody was asked.
    Config,
    /// The API cannot address an object of this name. Nobody was asked.
    Unaddressable,
    /// Nobody answers there, or the connection was lost.
    Unreachable,
    /// The answer did not come within the deadline.
    TimedOut,
    /// The user is unknown, has the wrong password, lacks a tag, or may not see the vhost (status 401 or 403).
    AccessRefused,
    /// There is no such object (status 404).
    NotFound,
    /// The API refused the request for another reason (another status from 300 to 499).
    Refused,
    /// The broker failed (status 500 and above).
    Failed,
    /// The answer is not one of RabbitMQ's management API.
    Unexpected,
    /// The list changed again and again while it was read.
    Changing,
}

/// What was read, and where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// Such as ``queues of vhost `orders` ``.
    pub(crate) object: &'a str,
    pub(crate) url: &'a str,
}

/// The body of a refusal.
#[derive(Debug, Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    error: Option<serde_json::Value>,
    #[serde(default)]
    reason: Option<serde_json::Value>,
}

// === impl ManagementError ===

impl ManagementError {
    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self { kind: ManagementErrorKind::Config, message: message.into(), status: None, source: None }
    }

    pub(crate) fn unaddressable(name: &str) -> Self {
        Self {
            kind: ManagementErrorKind::Unaddressable,
            message: format!(
                "the management API cannot address `{name}`: an empty name, `.` and `..` mean something else in a URL; give the \
                 object another name"
            ),
            status: None,
            source: None,
        }
    }

    pub(crate) fn unreachable(asked: Asked<'_>, source: impl Into<BoxError>) -> Self {
        let remedy =
            "check host and port (usually 15672), and that the plugin `rabbitmq_management` is enabled";
        let error = Self::reading(ManagementErrorKind::Unreachable, asked, &format!("no answer; {remedy}"));
        Self { source: Some(source.into()), ..error }
    }

    pub(crate) fn timed_out(asked: Asked<'_>, after: Duration) -> Self {
        let why = format!("no answer within {after:?}; allow more with `ManagementConfig::timeout`");
        Self::reading(ManagementErrorKind::TimedOut, asked, &why)
    }

    /// Makes the error of an answer with another status than 200.
    pub(crate) fn status(asked: Asked<'_>, status: StatusCode, body: &[u8]) -> Self {
        let code = status.as_u16();
        let kind = match code {
            401 | 403 => ManagementErrorKind::AccessRefused,
            404 => ManagementErrorKind::NotFound,
            500.. => ManagementErrorKind::Failed,
            _ => ManagementErrorKind::Refused,
        };
        let remedy = match kind {
            ManagementErrorKind::AccessRefused => {
                "; check user and password, that the user has a tag, such as `monitoring`, and access to the vhost"
            }
            ManagementErrorKind::NotFound => {
                "; check the name, and whether the API has a path in front of `/api`"
            }
            ManagementErrorKind::Failed => "; the broker's log says more",
            _ => "",
        };
        let error = Self::reading(kind, asked, &format!("status {code}{}{remedy}", reason(body)));
        Self { status: Some(code), ..error }
    }

    pub(crate) fn unexpected(asked: Asked<'_>, source: impl Into<BoxError>) -> Self {
        let why = "the answer is not one of RabbitMQ's management API; check what listens there";
        let error = Self::reading(ManagementErrorKind::Unexpected, asked, why);
        Self { source: Some(source.into()), ..error }
    }

    pub(crate) fn changing(asked: Asked<'_>, times: usize) -> Self {
        let why = format!("the list changed while its pages were read, {times} times in a row; try again");
        Self::reading(ManagementErrorKind::Changing, asked, &why)
    }

    fn reading(kind: ManagementErrorKind, Asked { object, url }: Asked<'_>, why: &str) -> Self {
        Self { kind, message: format!("cannot read {object} at {url}: {why}"), status: None, source: None }
    }

    /// Returns the cause, for matching.
    #[must_use]
    pub const fn kind(&self) -> ManagementErrorKind {
        self.kind
    }

    /// Returns the status of the answer, if there was one other than 200.
    #[must_use]
    pub const fn status_code(&self) -> Option<u16> {
        self.status
    }

    /// Returns `true` if the same call may succeed later without a change of anything.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self.kind,
            ManagementErrorKind::Unreachable
                | ManagementErrorKind::TimedOut
                | ManagementErrorKind::Failed
                | ManagementErrorKind::Changing
        )
    }
}

impl fmt::Display for ManagementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Shows the causes too: it is what a `main` that returns the error prints.
impl fmt::Debug for ManagementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        garenne_shared::Chain(self).fmt(f)
    }
}

impl std::error::Error for ManagementError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<TlsError> for ManagementError {
    fn from(error: TlsError) -> Self {
        let (message, source) = error.into_parts();
        Self { source, ..Self::config(message) }
    }
}

/// Lets [`connect`](crate::Management::connect) accept a ready configuration.
impl From<std::convert::Infallible> for ManagementError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

/// Returns the broker's own words in brackets; what is no JSON comes from somebody else and is not shown.
fn reason(body: &[u8]) -> String {
    let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
    let words = [refusal.error, refusal.reason].into_iter().flatten();
    let words: Vec<String> =
        words.map(|word| word.as_str().map_or_else(|| word.to_string(), str::to_owned)).collect();
    if words.is_empty() {
        return String::new();
    }
    let shown: String = words.join(": ").escape_debug().take(REASON_MAX_CHARS).collect();
    format!(" ({shown})")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked<'_> =
        Asked { object: "queues of vhost `orders`", url: "http://h:15672/api/queues/orders" };

    #[track_caller]
    fn check(status: u16, body: &str, kind: ManagementErrorKind, expected: &str) {
        let error = ManagementError::status(ASKED, StatusCode::from_u16(status).unwrap(), body.as_bytes());
        assert_eq!((error.kind(), error.status_code()), (kind, Some(status)));
        assert_eq!(
            error.to_string(),
            format!("cannot read queues of vhost `orders` at {}: {expected}", ASKED.url)
        );
    }

    #[test]
    fn an_error_names_object_url_status_and_remedy() {
        check(
            401,
            r#"{"error":"not_authorized","reason":"Login failed"}"#,
            ManagementErrorKind::AccessRefused,
            "status 401 (not_authorized: Login failed); check user and password, that the user has a tag, such as \
             `monitoring`, and access to the vhost",
        );
        check(
            404,
            "<html>",
            ManagementErrorKind::NotFound,
            "status 404; check the name, and whether the API has a path in front of `/api`",
        );
        check(
            500,
            r#"{"reason":"a\nb"}"#,
            ManagementErrorKind::Failed,
            r"status 500 (a\nb); the broker's log says more",
        );
        check(302, "", ManagementErrorKind::Refused, "status 302");
    }

    #[test]
    fn a_long_reason_is_cut() {
        let body = format!(r#"{{"reason":"{}"}}"#, "x".repeat(10_000));
        assert!(
            ManagementError::status(ASKED, StatusCode::BAD_REQUEST, body.as_bytes()).to_string().len() < 500
        );
    }

    #[test]
    fn what_may_pass_is_transient() {
        assert!(ManagementError::timed_out(ASKED, Duration::from_secs(10)).is_transient());
        assert!(!ManagementError::unaddressable("..").is_transient());
    }
}
