//! Exchanges: each type is one file that turns a message into destinations.
//!
//! <https://www.rabbitmq.com/docs/exchanges>

mod consistent_hash;
mod direct;
mod fanout;
mod headers;
mod jump;
mod modulus_hash;
mod phash2;
mod topic;

use std::sync::Arc;

use amq_protocol::types::FieldTable;

use self::consistent_hash::ConsistentHash;
use self::direct::Direct;
use self::fanout::Fanout;
use self::headers::Headers;
use self::modulus_hash::ModulusHash;
use self::topic::Topic;
use super::{AmqpError, Message, Name};

/// Where a binding leads; exchanges sort before queues.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Destination {
    Exchange(Name),
    Queue(Name),
}

impl Destination {
    /// Returns the name of the queue or exchange.
    pub(crate) fn name(&self) -> &Name {
        let (Self::Queue(name) | Self::Exchange(name)) = self;
        name
    }
}

/// A binding of one exchange; two are the same if all three parts are.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Binding {
    pub(crate) destination: Destination,
    pub(crate) key: Name,
    pub(crate) arguments: FieldTable,
}

/// How an exchange of one type routes.
pub(super) trait Route: std::fmt::Debug + Send {
    /// Checks a binding before it is added.
    fn check(&self, _binding: &Binding) -> Result<(), AmqpError> {
        Ok(())
    }

    /// Adds a binding that was not there.
    fn add(&mut self, binding: &Arc<Binding>);

    /// Removes a binding that was there.
    fn remove(&mut self, binding: &Arc<Binding>);

    /// Calls `to` with every destination of the message, some of them perhaps several times.
    fn route<'r>(&'r self, message: &Message, to: &mut dyn FnMut(&'r Destination));
}

/// The type of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExchangeKind {
    Direct,
    Fanout,
    Topic,
    Headers,
    ConsistentHash,
    ModulusHash,
}

impl ExchangeKind {
    /// Every type.
    pub(crate) const ALL: [Self; 6] =
        [Self::Direct, Self::Fanout, Self::Topic, Self::Headers, Self::ConsistentHash, Self::ModulusHash];

    /// Returns the type of this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Returns its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
            Self::ConsistentHash => "x-consistent-hash",
            Self::ModulusHash => "x-modulus-hash",
        }
    }

    /// Checks the arguments of a new exchange.
    pub(crate) fn check(self, arguments: &FieldTable) -> Result<(), AmqpError> {
        match self {
            Self::ConsistentHash => ConsistentHash::check(arguments),
            Self::Direct | Self::Fanout | Self::Topic | Self::Headers | Self::ModulusHash => Ok(()),
        }
    }

    fn router(self, arguments: &FieldTable) -> Box<dyn Route> {
        match self {
            Self::Direct => Box::new(Direct::default()),
            Self::Fanout => Box::new(Fanout::default()),
            Self::Topic => Box::new(Topic::default()),
            Self::Headers => Box::new(Headers::default()),
            Self::ConsistentHash => Box::new(ConsistentHash::new(arguments)),
            Self::ModulusHash => Box::new(ModulusHash::default()),
        }
    }
}

/// An exchange and its bindings.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) name: Name,
    pub(crate) kind: ExchangeKind,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) internal: bool,
    pub(crate) arguments: FieldTable,
    /// Takes what no binding of this one takes: from the arguments, or else from a policy.
    pub(crate) alternate: Option<Name>,
    /// The policy that applies to it.
    pub(crate) policy: Option<Name>,
    bindings: Vec<Arc<Binding>>,
    router: Box<dyn Route>,
}

impl Exchange {
    pub(crate) fn new(name: Name, kind: ExchangeKind, arguments: FieldTable) -> Self {
        let router = kind.router(&arguments);
        Self {
            name,
            kind,
            durable: true,
            auto_delete: false,
            internal: false,
            arguments,
            alternate: None,
            policy: None,
            bindings: Vec::new(),
            router,
        }
    }

    /// Adds a binding; nothing happens if it is there already.
    pub(crate) fn bind(&mut self, binding: Binding) -> Result<(), AmqpError> {
        self.router.check(&binding)?;
        if !self.bindings.iter().any(|known| **known == binding) {
            let binding = Arc::new(binding);
            self.router.add(&binding);
            self.bindings.push(binding);
        }
        Ok(())
    }

    /// Removes a binding; returns whether it was there.
    pub(crate) fn unbind(&mut self, binding: &Binding) -> bool {
        let Some(index) = self.bindings.iter().position(|known| **known == *binding) else { return false };
        let known = self.bindings.remove(index);
        self.router.remove(&known);
        true
    }

    /// Removes every binding to a destination that is gone; returns whether there was one.
    pub(crate) fn unbind_destination(&mut self, destination: &Destination) -> bool {
        let gone: Vec<_> =
            self.bindings.extract_if(.., |binding| binding.destination == *destination).collect();
        gone.iter().for_each(|binding| self.router.remove(binding));
        !gone.is_empty()
    }

    /// Returns the bindings in the order in which they were made.
    pub(crate) fn bindings(&self) -> &[Arc<Binding>] {
        &self.bindings
    }

    /// Calls `to` with every destination of the message, some of them perhaps several times.
    pub(crate) fn route<'r>(&'r self, message: &Message, to: &mut dyn FnMut(&'r Destination)) {
        self.router.route(message, to);
    }
}
