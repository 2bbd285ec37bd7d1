//! Exchanges in a file.

use garenne_shared::ExchangeName;
use serde::{Deserialize, Serialize};

use super::{binding::BindingFile, is_default};
use crate::{Exchange, ExchangeKind, HashBy, Problem, ProblemKind};

/// An exchange with its bindings to other exchanges.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExchangeFile {
    name: ExchangeName,
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hash_by: Option<HashBy>,
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    durable: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    auto_delete: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    internal: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alternate: Option<ExchangeName>,
    #[serde(default, skip_serializing_if = "is_default")]
    bound_elsewhere: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    bindings: Vec<BindingFile>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Direct,
    Topic,
    Fanout,
    Headers,
    ConsistentHash,
    ModulusHash,
}

// === impl ExchangeFile ===

impl ExchangeFile {
    pub(super) fn read(self) -> Result<Exchange, Vec<Problem>> {
        let name = self.name;
        if self.kind != Kind::ConsistentHash && self.hash_by.is_some() {
            let message = format!(
                "exchange `{name}` has the argument `hash_by`, which only the type consistent-hash supports; leave it out"
            );
            return Err(vec![Problem::new(ProblemKind::UnsupportedArgument, name.as_str(), message)]);
        }
        let kind = match self.kind {
            Kind::Direct => ExchangeKind::Direct,
            Kind::Topic => ExchangeKind::Topic,
            Kind::Fanout => ExchangeKind::Fanout,
            Kind::Headers => ExchangeKind::Headers,
            Kind::ConsistentHash => ExchangeKind::ConsistentHash(self.hash_by.unwrap_or_default()),
            Kind::ModulusHash => ExchangeKind::ModulusHash,
        };
        let sources = BindingFile::read_all(self.bindings, &format!("exchange `{name}`"), name.as_str())?;
        Ok(Exchange {
            name,
            kind,
            durable: self.durable,
            auto_delete: self.auto_delete,
            internal: self.internal,
            alternate: self.alternate,
            bound_elsewhere: self.bound_elsewhere,
            sources,
        })
    }

    pub(super) fn write(exchange: &Exchange) -> Self {
        let (kind, hash_by) = match &exchange.kind {
            ExchangeKind::Direct => (Kind::Direct, None),
            ExchangeKind::Topic => (Kind::Topic, None),
            ExchangeKind::Fanout => (Kind::Fanout, None),
            ExchangeKind::Headers => (Kind::Headers, None),
            ExchangeKind::ConsistentHash(by) => (Kind::ConsistentHash, Some(by.clone())),
            ExchangeKind::ModulusHash => (Kind::ModulusHash, None),
        };
        Self {
            name: exchange.name.clone(),
            kind,
            hash_by,
            durable: exchange.durable,
            auto_delete: exchange.auto_delete,
            internal: exchange.internal,
            alternate: exchange.alternate.clone(),
            bound_elsewhere: exchange.bound_elsewhere,
            bindings: BindingFile::write_all(&exchange.sources),
        }
    }
}

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
const fn is_yes(value: &bool) -> bool {
    *value
}
