//! A vhost: its exchanges, queues, bindings and policies, and how a message finds its queues.

use std::collections::{HashMap, HashSet};

use amq_protocol::types::FieldTable;

use super::access::Resource;
use super::exchange::{Destination, Exchange, ExchangeKind};
use super::policy::{Policies, Policy};
use super::queue::{Discard, Queue, QueueKind, Settings};
use super::{AmqpError, Message, Millis, Name, table};
use crate::inspect::BindingState;

/// The exchanges that every vhost has: <https://www.rabbitmq.com/docs/exchanges#predeclared>.
const PREDECLARED: [(&str, ExchangeKind, bool); 7] = [
    ("", ExchangeKind::Direct, false),
    ("amq.direct", ExchangeKind::Direct, false),
    ("amq.fanout", ExchangeKind::Fanout, false),
    ("amq.topic", ExchangeKind::Topic, false),
    ("amq.headers", ExchangeKind::Headers, false),
    ("amq.match", ExchangeKind::Headers, false),
    ("amq.rabbitmq.trace", ExchangeKind::Topic, true),
];

/// A vhost.
#[derive(Debug)]
pub(crate) struct Vhost {
    pub(crate) name: Name,
    pub(crate) queues: HashMap<Name, Queue>,
    pub(crate) exchanges: HashMap<Name, Exchange>,
    pub(crate) policies: Policies,
    /// The type of a queue that does not say its own.
    pub(crate) default_queue_type: QueueKind,
}

impl Vhost {
    pub(crate) fn new(name: &str) -> Self {
        let exchanges = PREDECLARED.map(|(name, kind, internal)| {
            let mut exchange = Exchange::new(name.into(), kind, FieldTable::default());
            exchange.internal = internal;
            (exchange.name.clone(), exchange)
        });
        Self {
            name: name.into(),
            queues: HashMap::new(),
            exchanges: exchanges.into(),
            policies: Policies::default(),
            default_queue_type: QueueKind::Classic,
        }
    }

    /// Fills `queues` with the queues that a message reaches, each once.
    ///
    /// `rabbit_exchange.erl`, `route1`: exchanges bound to exchanges are followed, each once; one that finds no destination at all
    /// hands the message to its alternate exchange (<https://www.rabbitmq.com/docs/ae>).
    ///
    /// # Errors
    ///
    /// Fails if there is no such exchange.
    pub(crate) fn route(
        &self,
        exchange: &str,
        message: &Message,
        queues: &mut Vec<Name>,
    ) -> Result<(), AmqpError> {
        queues.clear();
        if exchange.is_empty() {
            for key in message.keys() {
                // The names of queues are UTF-8.
                let found = std::str::from_utf8(key).ok().and_then(|key| self.queues.get_key_value(key));
                if let Some((name, _)) = found {
                    add(queues, name);
                }
            }
            return Ok(());
        }
        let first = self.exchange(exchange)?;
        let mut next = Vec::new();
        Self::route_one(first, message, queues, &mut next);
        if next.is_empty() {
            return Ok(());
        }
        let mut seen = HashSet::from([&first.name]);
        while let Some(name) = next.pop() {
            if let Some(exchange) = self.exchanges.get(name)
                && seen.insert(name)
            {
                Self::route_one(exchange, message, queues, &mut next);
            }
        }
        Ok(())
    }

    fn route_one<'v>(
        exchange: &'v Exchange,
        message: &Message,
        queues: &mut Vec<Name>,
        next: &mut Vec<&'v Name>,
    ) {
        let mut is_routed = false;
        exchange.route(message, &mut |destination| {
            is_routed = true;
            match destination {
                Destination::Queue(name) => add(queues, name),
                Destination::Exchange(name) => next.push(name),
            }
        });
        if !is_routed {
            next.extend(&exchange.alternate);
        }
    }

    /// Returns an exchange.
    pub(crate) fn exchange(&self, name: &str) -> Result<&Exchange, AmqpError> {
        self.exchanges.get(name).ok_or_else(|| self.not_found(Resource::Exchange(name)))
    }

    pub(crate) fn not_found(&self, resource: Resource<'_>) -> AmqpError {
        AmqpError::not_found(format!("no {}", resource.describe(&self.name)))
    }

    /// Removes a queue with its bindings; exchanges that delete themselves go with their last one.
    pub(crate) fn remove_queue(&mut self, name: &str) -> Option<Queue> {
        let (name, queue) = self.queues.remove_entry(name)?;
        self.unbind_everywhere(&Destination::Queue(name));
        Some(queue)
    }

    /// Removes an exchange with the bindings from and to it.
    pub(crate) fn remove_exchange(&mut self, name: &str) {
        if let Some((name, exchange)) = self.exchanges.remove_entry(name) {
            drop(exchange);
            self.unbind_everywhere(&Destination::Exchange(name));
        }
    }

    fn unbind_everywhere(&mut self, destination: &Destination) {
        let mut emptied = Vec::new();
        for exchange in self.exchanges.values_mut() {
            if exchange.unbind_destination(destination)
                && exchange.auto_delete
                && exchange.bindings().is_empty()
            {
                emptied.push(exchange.name.clone());
            }
        }
        for name in emptied {
            self.remove_exchange(&name);
        }
    }

    /// Returns the queues that are exclusive to a connection, by name.
    pub(crate) fn exclusive_queues_of(&self, connection: super::ConnectionId) -> Vec<Name> {
        let exclusive =
            self.queues.values().filter(|queue| queue.declaration.exclusive_to == Some(connection));
        let mut names: Vec<Name> = exclusive.map(|queue| queue.declaration.name.clone()).collect();
        names.sort();
        names
    }

    /// Returns the bindings but those of the default exchange.
    pub(crate) fn bindings(&self) -> impl Iterator<Item = BindingState> {
        self.exchanges.values().flat_map(move |exchange| {
            exchange.bindings().iter().map(move |binding| BindingState {
                vhost: self.name.clone(),
                source: exchange.name.clone(),
                destination: binding.destination.name().clone(),
                is_queue: matches!(binding.destination, Destination::Queue(_)),
                routing_key: binding.key.clone(),
                arguments: binding.arguments.clone(),
            })
        })
    }

    /// Sets a policy and applies it to what is there.
    pub(crate) fn set_policy(&mut self, now: Millis, policy: Policy) -> Vec<(Name, Vec<Discard>)> {
        self.policies.set(policy);
        self.apply_policies(now)
    }

    /// Removes a policy and applies what remains; `None` if there is no such policy.
    pub(crate) fn delete_policy(&mut self, now: Millis, name: &str) -> Option<Vec<(Name, Vec<Discard>)>> {
        self.policies.remove(name).then(|| self.apply_policies(now))
    }

    fn apply_policies(&mut self, now: Millis) -> Vec<(Name, Vec<Discard>)> {
        let Self { queues, exchanges, policies, .. } = self;
        for exchange in exchanges.values_mut() {
            let policy = policies.for_exchange(&exchange.name);
            exchange.policy = policy.map(|policy| policy.name.clone());
            exchange.alternate = alternate(&exchange.arguments, policy);
        }
        let mut left = Vec::new();
        for (name, queue) in queues {
            let Queue { declaration, .. } = queue;
            let policy = policies.for_queue(name, declaration.kind);
            let settings = Settings::new(
                declaration.kind,
                &declaration.arguments,
                policy.map(|policy| &policy.definition),
            );
            queue.policy = policy.map(|policy| policy.name.clone());
            if settings != queue.settings {
                let mut discards = Vec::new();
                queue.set_settings(now, settings, &mut discards);
                left.push((name.clone(), discards));
            }
        }
        left
    }
}

/// Returns the alternate exchange: the argument's, or else the policy's.
pub(super) fn alternate(arguments: &FieldTable, policy: Option<&Policy>) -> Option<Name> {
    let own = table::get_string(arguments, "alternate-exchange");
    own.or_else(|| table::get_string(&policy?.definition, "alternate-exchange")).map(Name::from)
}

/// Adds a name that is not there yet; a message reaches few queues.
fn add(queues: &mut Vec<Name>, name: &Name) {
    if !queues.iter().any(|known| std::sync::Arc::ptr_eq(known, name) || known == name) {
        queues.push(name.clone());
    }
}
