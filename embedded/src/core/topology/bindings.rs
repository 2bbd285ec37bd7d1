//! Bindings of queues and exchanges: `rabbit_channel.erl`, `binding_action_with_checks`; `rabbit_binding.erl`.

use amq_protocol::protocol::{exchange, queue};

use super::exchanges::not_default;
use super::strip;
use crate::core::access::{Caller, Resource};
use crate::core::exchange::{Binding, Destination};
use crate::core::vhost::Vhost;
use crate::core::{AmqpError, Name};

/// How the names of queues for direct replies begin.
const REPLY_PREFIX: &str = "amq.rabbitmq.reply-to.";

/// What to do with a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Add,
    Remove,
}

impl Vhost {
    pub(crate) fn bind_queue(&mut self, caller: &Caller<'_>, method: &queue::Bind) -> Result<(), AmqpError> {
        let binding = Binding {
            destination: Destination::Queue(strip(method.queue.as_str()).into()),
            key: method.routing_key.as_str().into(),
            arguments: method.arguments.clone(),
        };
        self.bind(caller, method.exchange.as_str(), binding, Action::Add)
    }

    pub(crate) fn unbind_queue(
        &mut self,
        caller: &Caller<'_>,
        method: &queue::Unbind,
    ) -> Result<(), AmqpError> {
        let binding = Binding {
            destination: Destination::Queue(strip(method.queue.as_str()).into()),
            key: method.routing_key.as_str().into(),
            arguments: method.arguments.clone(),
        };
        self.bind(caller, method.exchange.as_str(), binding, Action::Remove)
    }

    pub(crate) fn bind_exchange(
        &mut self,
        caller: &Caller<'_>,
        method: &exchange::Bind,
    ) -> Result<(), AmqpError> {
        let binding = Binding {
            destination: Destination::Exchange(strip(method.destination.as_str()).into()),
            key: method.routing_key.as_str().into(),
            arguments: method.arguments.clone(),
        };
        self.bind(caller, method.source.as_str(), binding, Action::Add)
    }

    pub(crate) fn unbind_exchange(
        &mut self,
        caller: &Caller<'_>,
        method: &exchange::Unbind,
    ) -> Result<(), AmqpError> {
        let binding = Binding {
            destination: Destination::Exchange(strip(method.destination.as_str()).into()),
            key: method.routing_key.as_str().into(),
            arguments: method.arguments.clone(),
        };
        self.bind(caller, method.source.as_str(), binding, Action::Remove)
    }

    /// A binding needs the right to write to its destination and to read from its source.
    fn bind(
        &mut self,
        caller: &Caller<'_>,
        source: &str,
        binding: Binding,
        action: Action,
    ) -> Result<(), AmqpError> {
        let source = strip(source);
        if binding.destination.name().starts_with(REPLY_PREFIX)
            && matches!(binding.destination, Destination::Queue(_))
        {
            let text = "cannot bind or unbind to a volatile (direct reply-to) queue";
            return Err(AmqpError::access_refused(text));
        }
        let destination = match &binding.destination {
            Destination::Queue(name) => Resource::Queue(name),
            Destination::Exchange(name) => {
                not_default(name)?;
                Resource::Exchange(name)
            }
        };
        caller.write(&self.name, destination)?;
        not_default(&source)?;
        caller.read(&self.name, Resource::Exchange(&source))?;
        let is_there = match &binding.destination {
            Destination::Queue(name) => self.queues.contains_key(name),
            Destination::Exchange(name) => self.exchanges.contains_key(name),
        };
        if !self.exchanges.contains_key(&*source) {
            if action == Action::Remove {
                return Ok(());
            }
            return Err(self.not_found(Resource::Exchange(&source)));
        }
        if !is_there {
            if action == Action::Remove {
                return Ok(());
            }
            return Err(self.not_found(destination));
        }
        if let Destination::Queue(name) = &binding.destination {
            self.check_exclusive(caller, name)?;
        }
        let Some(exchange) = self.exchanges.get_mut(&*source) else { return Ok(()) };
        match action {
            Action::Add => exchange.bind(binding),
            Action::Remove => {
                let is_last = exchange.unbind(&binding) && exchange.bindings().is_empty();
                if is_last && exchange.auto_delete {
                    let name: Name = exchange.name.clone();
                    self.remove_exchange(&name);
                }
                Ok(())
            }
        }
    }
}
