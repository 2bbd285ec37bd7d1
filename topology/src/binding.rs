//! Where a queue or an exchange gets its messages from.

use std::collections::BTreeMap;

use garenne_shared::{ExchangeName, HeaderValue, Headers, RoutingKey};
use serde::{Deserialize, Serialize};

/// One binding, seen from its destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) exchange: ExchangeName,
    pub(crate) key: RoutingKey,
    pub(crate) headers: Option<HeadersMatch>,
}

/// Which headers a message must have to pass a binding to a headers exchange.
///
/// ```
/// use garenne_topology::{Exchange, HeadersMatch, Queue, Topology};
///
/// let pdfs = HeadersMatch::all().header("format", "pdf").header("pages", 1).present("tenant");
/// let topology = Topology::new()
///     .exchange(Exchange::headers("documents"))
///     .queue(Queue::quorum("printer").bind_headers("documents", pdfs).dead_letter());
/// assert!(topology.validate().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadersMatch {
    pub(crate) any: bool,
    pub(crate) with_x: bool,
    /// `None` asks only for presence.
    pub(crate) headers: BTreeMap<String, Option<MatchValue>>,
}

/// A value that a header is compared with. Floats are not offered: the broker compares exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MatchValue {
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// Text.
    Text(String),
}

// === impl Source ===

impl Source {
    pub(crate) fn arguments(&self) -> Headers {
        self.headers.as_ref().map(HeadersMatch::arguments).unwrap_or_default()
    }
}

// === impl HeadersMatch ===

impl HeadersMatch {
    /// Asks for all of the headers that are added.
    #[must_use]
    pub const fn all() -> Self {
        Self { any: false, with_x: false, headers: BTreeMap::new() }
    }

    /// Asks for at least one of the headers that are added.
    #[must_use]
    pub const fn any() -> Self {
        Self { any: true, with_x: false, headers: BTreeMap::new() }
    }

    /// Adds a header and the value it must have.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<MatchValue>) -> Self {
        self.headers.insert(name.into(), Some(value.into()));
        self
    }

    /// Adds a header that must be present, with whatever value.
    #[must_use]
    pub fn present(mut self, name: impl Into<String>) -> Self {
        self.headers.insert(name.into(), None);
        self
    }

    /// Compares headers whose name starts with `x-` as well, which the broker otherwise ignores (`all-with-x`, `any-with-x`).
    #[must_use]
    pub const fn with_x(mut self) -> Self {
        self.with_x = true;
        self
    }

    fn arguments(&self) -> Headers {
        let mode = match (self.any, self.with_x) {
            (false, false) => "all",
            (false, true) => "all-with-x",
            (true, false) => "any",
            (true, true) => "any-with-x",
        };
        let mut arguments = Headers::new();
        for (name, value) in &self.headers {
            arguments.insert(name, value.clone().map_or(HeaderValue::Null, HeaderValue::from));
        }
        arguments.insert("x-match", mode);
        arguments
    }
}

// === impl MatchValue ===

impl From<bool> for MatchValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i32> for MatchValue {
    fn from(value: i32) -> Self {
        Self::Int(value.into())
    }
}

impl From<i64> for MatchValue {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for MatchValue {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for MatchValue {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<MatchValue> for HeaderValue {
    fn from(value: MatchValue) -> Self {
        match value {
            MatchValue::Bool(value) => value.into(),
            MatchValue::Int(value) => value.into(),
            MatchValue::Text(value) => value.into(),
        }
    }
}
