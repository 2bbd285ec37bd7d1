//! Policies: settings for queues and exchanges by their names. <https://www.rabbitmq.com/docs/policies>

mod definition;

use std::collections::BTreeMap;

use amq_protocol::types::FieldTable;
use regex_lite::Regex;

use super::Name;
use super::queue::QueueKind;

/// What a policy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ApplyTo {
    Queues,
    ClassicQueues,
    QuorumQueues,
    Streams,
    Exchanges,
    All,
}

impl ApplyTo {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "queues" => Self::Queues,
            "classic_queues" => Self::ClassicQueues,
            "quorum_queues" => Self::QuorumQueues,
            "streams" => Self::Streams,
            "exchanges" => Self::Exchanges,
            "all" => Self::All,
            _ => return None,
        })
    }

    #[cfg(feature = "management")]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Queues => "queues",
            Self::ClassicQueues => "classic_queues",
            Self::QuorumQueues => "quorum_queues",
            Self::Streams => "streams",
            Self::Exchanges => "exchanges",
            Self::All => "all",
        }
    }

    fn covers_queue(self, kind: QueueKind) -> bool {
        match self {
            Self::All | Self::Queues => true,
            Self::ClassicQueues => kind == QueueKind::Classic,
            Self::QuorumQueues => kind == QueueKind::Quorum,
            Self::Streams => kind == QueueKind::Stream,
            Self::Exchanges => false,
        }
    }
}

/// A policy.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub(crate) name: Name,
    pub(crate) pattern: Regex,
    pub(crate) apply_to: ApplyTo,
    pub(crate) priority: i64,
    /// Keys as in arguments, without `x-`.
    pub(crate) definition: FieldTable,
}

impl Policy {
    /// # Errors
    ///
    /// Fails if the pattern is no regular expression, or if the definition has a setting that cannot be.
    pub(crate) fn new(
        name: &str,
        pattern: &str,
        apply_to: ApplyTo,
        priority: i64,
        definition: FieldTable,
    ) -> Result<Self, String> {
        let pattern = Regex::new(pattern).map_err(|error| {
            format!("the pattern `{pattern}` of policy `{name}` is no regular expression: {error}")
        })?;
        definition::check(&definition)?;
        Ok(Self { name: name.into(), pattern, apply_to, priority, definition })
    }
}

/// The policies of a vhost. One at most applies to each object: the one of the highest priority.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    by_name: BTreeMap<Name, Policy>,
}

impl Policies {
    pub(crate) fn set(&mut self, policy: Policy) {
        self.by_name.insert(policy.name.clone(), policy);
    }

    pub(crate) fn remove(&mut self, name: &str) -> bool {
        self.by_name.remove(name).is_some()
    }

    /// Returns the policies by name.
    #[cfg(feature = "management")]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Policy> {
        self.by_name.values()
    }

    #[cfg(feature = "management")]
    pub(crate) fn get(&self, name: &str) -> Option<&Policy> {
        self.by_name.get(name)
    }

    pub(crate) fn for_queue(&self, name: &str, kind: QueueKind) -> Option<&Policy> {
        self.best(|policy| {
            policy.apply_to.covers_queue(kind)
                && policy.pattern.is_match(name)
                && definition::applies_to(&policy.definition, kind)
        })
    }

    pub(crate) fn for_exchange(&self, name: &str) -> Option<&Policy> {
        self.best(|policy| {
            matches!(policy.apply_to, ApplyTo::Exchanges | ApplyTo::All) && policy.pattern.is_match(name)
        })
    }

    fn best(&self, applies: impl Fn(&Policy) -> bool) -> Option<&Policy> {
        self.by_name.values().filter(|policy| applies(policy)).max_by_key(|policy| policy.priority)
    }
}
