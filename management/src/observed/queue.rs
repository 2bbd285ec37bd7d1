//! Queues.

use garenne_shared::{Headers, NameError};
use garenne_topology::{QueueDeclaration, QueueKind};

use crate::form;

/// A queue.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ObservedQueue {
    /// Its name.
    pub name: String,
    /// Its kind; `None` for a kind that Garenne does not declare, such as those of plugins.
    pub kind: Option<QueueKind>,
    /// Its kind as the broker names it; empty where it is not known.
    pub kind_name: String,
    /// Whether it survives a restart.
    pub durable: bool,
    /// Whether it belongs to one connection alone.
    pub exclusive: bool,
    /// Whether it goes with its last consumer.
    pub auto_delete: bool,
    /// Its arguments as declared, `x-queue-type` among them if it was given.
    pub arguments: Headers,
    /// The policy that applies to it.
    pub policy: Option<String>,
    /// The operator policy that applies to it.
    pub operator_policy: Option<String>,
    /// What follows from both policies, with the keys of a policy, such as `delivery-limit`.
    pub effective_policy: Headers,
    /// Its state as the broker names it, such as `running`, `idle` or `down`.
    pub state: Option<String>,
    /// The messages in it, whatever they wait for; `None` while the broker has no count yet. So are the counts below.
    pub messages: Option<u64>,
    /// The messages that can be delivered.
    pub ready: Option<u64>,
    /// The messages that are delivered and not acknowledged.
    pub unacked: Option<u64>,
    /// The dead letters that a quorum queue holds until their queue has confirmed them.
    pub held: Option<u64>,
    /// The consumers.
    pub consumers: Option<u64>,
    /// The node of its leader, if it is replicated.
    pub leader: Option<String>,
    /// The nodes of its members that are up, if it is replicated.
    pub online: Vec<String>,
}

// === impl ObservedQueue ===

impl ObservedQueue {
    /// Returns the declaration that made it.
    ///
    /// # Errors
    ///
    /// Fails if Garenne does not take its name.
    pub fn declaration(&self) -> Result<QueueDeclaration, NameError> {
        Ok(QueueDeclaration {
            name: self.name.parse()?,
            durable: self.durable,
            exclusive: self.exclusive,
            auto_delete: self.auto_delete,
            arguments: self.arguments.clone(),
        })
    }
}

impl From<form::Queue> for ObservedQueue {
    fn from(form: form::Queue) -> Self {
        Self {
            name: form.name,
            kind: kind(&form.kind),
            kind_name: form.kind,
            durable: form.durable,
            exclusive: form.exclusive,
            auto_delete: form.auto_delete,
            arguments: form.arguments,
            policy: form.policy.filter(|name| !name.is_empty()),
            operator_policy: form.operator_policy.filter(|name| !name.is_empty()),
            effective_policy: form.effective_policy_definition,
            state: form.state,
            messages: form.messages,
            ready: form.messages_ready,
            unacked: form.messages_unacknowledged,
            held: form.messages_dlx,
            consumers: form.consumers,
            leader: form.leader,
            online: form.online,
        }
    }
}

/// Returns the kind that the broker calls so.
pub(super) fn kind(name: &str) -> Option<QueueKind> {
    [QueueKind::Quorum, QueueKind::Classic, QueueKind::Stream].into_iter().find(|kind| kind.as_str() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn read(json: &str) -> ObservedQueue {
        serde_json::from_str::<form::Queue>(json).unwrap().into()
    }

    #[test]
    fn a_queue_is_read_with_its_counts_and_its_policy() {
        let queue = read(
            r#"{"name":"work","vhost":"/","type":"quorum","durable":true,"exclusive":false,"auto_delete":false,
                "arguments":{"x-queue-type":"quorum","x-delivery-limit":-1},"policy":"limits","operator_policy":null,
                "effective_policy_definition":{"delivery-limit":5},"state":"running","messages":7,"messages_ready":4,
                "messages_unacknowledged":2,"messages_dlx":1,"consumers":3,"leader":"rabbit@a","online":["rabbit@a"]}"#,
        );
        assert_eq!((queue.kind, queue.policy.as_deref()), (Some(QueueKind::Quorum), Some("limits")));
        assert_eq!(queue.effective_policy.int("delivery-limit"), Some(5));
        assert_eq!((queue.messages, queue.ready, queue.unacked), (Some(7), Some(4), Some(2)));
        assert_eq!((queue.held, queue.consumers), (Some(1), Some(3)));
        let declared = queue.declaration().unwrap();
        assert_eq!((declared.name.as_str(), declared.durable), ("work", true));
        assert_eq!(declared.arguments.int("x-delivery-limit"), Some(-1));
    }

    #[test]
    fn what_a_broker_leaves_out_is_not_made_up() {
        let queue = read(r#"{"name":"down","arguments":[],"policy":""}"#);
        assert_eq!((queue.kind, queue.ready, queue.consumers, queue.policy), (None, None, None, None));
        assert!(queue.arguments.is_empty());
        let queue = read(r#"{"name":"m","type":"rabbit_mqtt_qos0_queue","arguments":{}}"#);
        assert_eq!((queue.kind, queue.kind_name.as_str()), (None, "rabbit_mqtt_qos0_queue"));
    }

    #[test]
    fn a_name_that_garenne_does_not_take_is_read_and_is_no_declaration() {
        let queue = read(r#"{"name":"a\tb","type":"classic"}"#);
        assert_eq!(queue.name, "a\tb");
        assert!(queue.declaration().is_err());
    }
}
