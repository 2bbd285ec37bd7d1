//! Bindings in a file.

use std::collections::BTreeMap;

use garenne_shared::{ExchangeName, RoutingKey};
use serde::{Deserialize, Serialize};

use super::is_default;
use crate::{HeadersMatch, MatchValue, Problem, ProblemKind, binding::Source};

/// A binding by key, or by headers if it says how to `match`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BindingFile {
    exchange: ExchangeName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<RoutingKey>,
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    #[serde(default, skip_serializing_if = "is_default")]
    headers: BTreeMap<String, MatchValue>,
    #[serde(default, skip_serializing_if = "is_default")]
    present: Vec<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    with_x: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    All,
    Any,
}

// === impl BindingFile ===

impl BindingFile {
    /// Reads the bindings of `object`, such as "queue `billing`".
    pub(super) fn read_all(
        bindings: Vec<Self>,
        object: &str,
        name: &str,
    ) -> Result<Vec<Source>, Vec<Problem>> {
        let mut sources = Vec::new();
        let mut problems = Vec::new();
        for binding in bindings {
            match binding.read(object) {
                Ok(source) => sources.push(source),
                Err(message) => problems.push(Problem::new(ProblemKind::InvalidBinding, name, message)),
            }
        }
        if problems.is_empty() { Ok(sources) } else { Err(problems) }
    }

    fn read(self, object: &str) -> Result<Source, String> {
        let Self { exchange, key, mode, headers, present, with_x } = self;
        let asks = !headers.is_empty() || !present.is_empty() || with_x;
        let key_or_empty = key.clone().unwrap_or_else(|| RoutingKey::from_static(""));
        let Some(mode) = mode else {
            if asks {
                let rule = format!(
                    "the binding of {object} to exchange `{exchange}` names headers but not how to match them"
                );
                return Err(format!("{rule}; add `match = \"all\"` or `match = \"any\"`"));
            }
            return Ok(Source { exchange, key: key_or_empty, headers: None });
        };
        if let Some(key) = key {
            let rule = format!(
                "the binding of {object} to exchange `{exchange}` has both the key `{key}` and headers to match"
            );
            return Err(format!("{rule}; leave one of them out"));
        }
        let mut headers: BTreeMap<_, _> =
            headers.into_iter().map(|(name, value)| (name, Some(value))).collect();
        for name in present {
            if headers.contains_key(&name) {
                let rule = format!(
                    "the binding of {object} to exchange `{exchange}` names the header `{name}` twice"
                );
                return Err(format!("{rule}; ask for its value or for its presence"));
            }
            headers.insert(name, None);
        }
        let headers = HeadersMatch { any: mode == Mode::Any, with_x, headers };
        Ok(Source { exchange, key: key_or_empty, headers: Some(headers) })
    }

    pub(super) fn write_all(sources: &[Source]) -> Vec<Self> {
        sources.iter().map(Self::write).collect()
    }

    fn write(source: &Source) -> Self {
        let exchange = source.exchange.clone();
        let Some(matching) = &source.headers else {
            let key = Some(source.key.clone());
            return Self {
                exchange,
                key,
                mode: None,
                headers: BTreeMap::new(),
                present: Vec::new(),
                with_x: false,
            };
        };
        let (mut headers, mut present) = (BTreeMap::new(), Vec::new());
        for (name, value) in &matching.headers {
            match value {
                Some(value) => drop(headers.insert(name.clone(), value.clone())),
                None => present.push(name.clone()),
            }
        }
        let mode = Some(if matching.any { Mode::Any } else { Mode::All });
        Self { exchange, key: None, mode, headers, present, with_x: matching.with_x }
    }
}
