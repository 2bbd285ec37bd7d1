//! What a vhost holds. Names are text: a broker may hold objects whose names Garenne does not take.

mod activity;
mod broker;
mod objects;
mod queue;

use garenne_topology::QueueKind;

pub use self::{
    activity::{ObservedChannel, ObservedConnection, ObservedConsumer},
    broker::{Alarm, Listener, ObservedBroker, ObservedNode},
    objects::{ObservedBinding, ObservedDestination, ObservedExchange, ObservedPolicy},
    queue::ObservedQueue,
};
use crate::form;

/// What one vhost of a broker holds.
///
/// It is read in several requests: what changes meanwhile may be in one part and not in another.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Observed {
    /// The broker.
    pub broker: ObservedBroker,
    /// The vhost.
    pub vhost: ObservedVhost,
    /// Its exchanges, the predeclared ones among them; the default exchange has the name `""`.
    pub exchanges: Vec<ObservedExchange>,
    /// Its queues.
    pub queues: Vec<ObservedQueue>,
    /// Its bindings, without those of the default exchange, which every queue has.
    pub bindings: Vec<ObservedBinding>,
    /// Its policies. Operator policies are not among them; [`ObservedQueue::effective_policy`] has what follows from both.
    pub policies: Vec<ObservedPolicy>,
}

/// A vhost.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObservedVhost {
    /// Its name.
    pub name: String,
    /// The kind of a queue that is declared without one; `None` if it is not known or none of Garenne's.
    pub default_queue_kind: Option<QueueKind>,
}

// === impl Observed ===

impl Observed {
    /// Returns the exchange of this name.
    #[must_use]
    pub fn exchange(&self, name: &str) -> Option<&ObservedExchange> {
        self.exchanges.iter().find(|exchange| exchange.name == name)
    }

    /// Returns the queue of this name.
    #[must_use]
    pub fn queue(&self, name: &str) -> Option<&ObservedQueue> {
        self.queues.iter().find(|queue| queue.name == name)
    }
}

// === impl ObservedVhost ===

impl From<form::Vhost> for ObservedVhost {
    fn from(form: form::Vhost) -> Self {
        let default_queue_kind = form.default_queue_type.as_deref().and_then(queue::kind);
        Self { name: form.name, default_queue_kind }
    }
}
