//! `queue.declare`, `queue.delete` and `queue.purge`: `rabbit_channel.erl` and `rabbit_amqqueue.erl`.

use amq_protocol::protocol::queue::{Declare, Delete, Purge};
use amq_protocol::types::{AMQPValue, FieldTable};

use super::arguments::{self, DEAD_LETTER_EXCHANGE};
use super::{assert_equal, assert_same_argument, check_name, strip};
use crate::core::access::{Caller, Resource};
use crate::core::queue::{Declaration, Queue, QueueKind, Settings};
use crate::core::vhost::Vhost;
use crate::core::{AmqpError, Entry, Millis, Name, erlang, table};

/// What `queue.declare-ok` says.
#[derive(Debug)]
pub(crate) struct Declared {
    pub(crate) name: Name,
    pub(crate) messages: u32,
    pub(crate) consumers: u32,
}

impl Vhost {
    pub(crate) fn declare_queue(
        &mut self,
        now: Millis,
        caller: &Caller<'_>,
        method: &Declare,
    ) -> Result<Declared, AmqpError> {
        let name = strip(method.queue.as_str());
        if method.passive {
            caller.any(&self.name, Resource::Queue(&name))?;
            if !self.queues.contains_key(&*name) {
                return Err(self.not_found(Resource::Queue(&name)));
            }
            self.check_exclusive(caller, &name)?;
            self.touch_declared(now, &name);
            return self.declared(&name);
        }
        let method = &self.with_default_type(method);
        let name = self.name_for(name, method)?;
        caller.configure(&self.name, Resource::Queue(&name))?;
        if let Some(queue) = self.queues.get(&*name) {
            self.assert_equivalent(caller, queue, method)?;
            self.touch_declared(now, &name);
            return self.declared(&name);
        }
        self.check_dead_letter_exchange(caller, &name, &method.arguments)?;
        let what = Resource::Queue(&name).describe(&self.name);
        let kind = arguments::check(&what, &method.arguments)?;
        check_properties(&what, kind, method)?;
        arguments::check_late(kind, &method.arguments)?;
        let declaration = Declaration {
            name: name.as_str().into(),
            kind,
            durable: method.durable && !method.exclusive,
            exclusive_to: method.exclusive.then_some(caller.connection),
            auto_delete: method.auto_delete,
            arguments: method.arguments.clone(),
        };
        let policy = self.policies.for_queue(&name, kind);
        let settings = Settings::new(kind, &method.arguments, policy.map(|policy| &policy.definition));
        let mut queue = Queue::new(now, declaration, settings);
        queue.policy = policy.map(|policy| policy.name.clone());
        let key = queue.declaration.name.clone();
        self.queues.insert(key, queue);
        self.declared(&name)
    }

    /// A declare renews the lease of `x-expires`, a passive one too: <https://www.rabbitmq.com/docs/ttl#queue-ttl>. That of a quorum queue is not
    /// renewed: `rabbit_fifo.erl`.
    fn touch_declared(&mut self, now: Millis, name: &str) {
        if let Some(queue) = self.queues.get_mut(name)
            && queue.declaration.kind != QueueKind::Quorum
        {
            queue.touch(now);
        }
    }

    /// A queue that does not say its type gets the vhost's, unless that one cannot be: `rabbit_amqqueue.erl`, `augment_declare_args`.
    fn with_default_type(&self, method: &Declare) -> Declare {
        let mut method = method.clone();
        let is_plain = method.durable && !method.exclusive && !method.auto_delete;
        if !method.arguments.contains_key("x-queue-type") {
            let kind = if is_plain { self.default_queue_type } else { QueueKind::Classic };
            let value = AMQPValue::LongString(kind.as_str().as_bytes().into());
            method.arguments.insert("x-queue-type".into(), value);
        }
        method
    }

    fn name_for(&self, name: String, method: &Declare) -> Result<String, AmqpError> {
        if !name.is_empty() {
            check_name("queue", &name)?;
            return Ok(name);
        }
        match table::get_string(&method.arguments, "x-queue-type") {
            None | Some("classic" | "") => loop {
                let name = format!("amq.gen-{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
                if !self.queues.contains_key(&*name) {
                    return Ok(name);
                }
            },
            Some(kind) if QueueKind::from_name(kind).is_none() => {
                Err(AmqpError::precondition_failed(format!("unknown queue type '{kind}'")))
            }
            Some(kind) => Err(AmqpError::precondition_failed(format!(
                "Cannot declare a server-named queue for type rabbit_{kind}_queue"
            ))),
        }
    }

    /// A dead-letter exchange needs the right to read here and to write there: <https://www.rabbitmq.com/docs/dlx>.
    fn check_dead_letter_exchange(
        &self,
        caller: &Caller<'_>,
        name: &str,
        arguments: &FieldTable,
    ) -> Result<(), AmqpError> {
        match arguments.inner().get(DEAD_LETTER_EXCHANGE) {
            None => Ok(()),
            Some(AMQPValue::LongString(exchange)) => {
                caller.read(&self.name, Resource::Queue(name))?;
                caller.write(&self.name, Resource::Exchange(&exchange.to_string()))
            }
            Some(other) => Err(AmqpError::precondition_failed(format!(
                "invalid type '{}' for arg '{DEAD_LETTER_EXCHANGE}' in {}",
                erlang::type_name(other),
                Resource::Queue(name).describe(&self.name)
            ))),
        }
    }

    fn declared(&self, name: &str) -> Result<Declared, AmqpError> {
        let queue = self.queues.get(name).ok_or_else(|| self.not_found(Resource::Queue(name)))?;
        Ok(Declared {
            name: queue.declaration.name.clone(),
            messages: u32::try_from(queue.counts().ready).unwrap_or(u32::MAX),
            consumers: u32::try_from(queue.declared_consumers()).unwrap_or(u32::MAX),
        })
    }

    fn assert_equivalent(
        &self,
        caller: &Caller<'_>,
        queue: &Queue,
        method: &Declare,
    ) -> Result<(), AmqpError> {
        let Declaration { name, durable, exclusive_to, auto_delete, .. } = &queue.declaration;
        let (resource, flag) = (Resource::Queue(name), |flag: bool| if flag { "'true'" } else { "'false'" });
        // An exclusive queue is only ever declared again by its owner, and as exclusive.
        if *exclusive_to != method.exclusive.then_some(caller.connection) {
            return Err(self.locked(name));
        }
        let is_durable = method.durable && !method.exclusive;
        assert_equal(&self.name, resource, "durable", (flag(*durable), flag(is_durable)))?;
        assert_equal(&self.name, resource, "auto_delete", (flag(*auto_delete), flag(method.auto_delete)))?;
        for key in arguments::allowed(queue.declaration.kind) {
            let both = (&queue.declaration.arguments, &method.arguments);
            assert_same_argument(&self.name, resource, key, both)?;
        }
        Ok(())
    }

    /// Checks that a queue is there and not exclusive to another connection.
    pub(crate) fn accessible_queue(&self, caller: &Caller<'_>, name: &str) -> Result<(), AmqpError> {
        if !self.queues.contains_key(name) {
            return Err(self.not_found(Resource::Queue(name)));
        }
        self.check_exclusive(caller, name)
    }

    /// Checks that a queue is not exclusive to another connection: <https://www.rabbitmq.com/docs/queues#exclusive-queues>.
    pub(super) fn check_exclusive(&self, caller: &Caller<'_>, name: &str) -> Result<(), AmqpError> {
        let owner = self.queues.get(name).and_then(|queue| queue.declaration.exclusive_to);
        if owner.is_none_or(|owner| owner == caller.connection) { Ok(()) } else { Err(self.locked(name)) }
    }

    fn locked(&self, name: &str) -> AmqpError {
        AmqpError::resource_locked(format!(
            "cannot obtain exclusive access to locked {}. It could be originally declared on another connection or the \
             exclusive property value does not match that of the original declaration.",
            Resource::Queue(name).describe(&self.name)
        ))
    }

    /// Deletes a queue and returns it; `None` if there is none, which is no error.
    pub(crate) fn delete_queue(
        &mut self,
        caller: &Caller<'_>,
        method: &Delete,
    ) -> Result<Option<Queue>, AmqpError> {
        let name = strip(method.queue.as_str());
        caller.configure(&self.name, Resource::Queue(&name))?;
        let Some(queue) = self.queues.get(&*name) else { return Ok(None) };
        self.check_exclusive(caller, &name)?;
        let what = Resource::Queue(&name).describe(&self.name);
        if method.if_unused || method.if_empty {
            // A stream does not look at the flags: `rabbit_stream_queue.erl`, `delete`.
            if queue.is_stream() {
                return Ok(self.remove_queue(&name));
            }
            if queue.declaration.kind == QueueKind::Quorum {
                let flag = if method.if_unused { "if-unused" } else { "if-empty" };
                return Err(AmqpError::not_implemented(format!(
                    "cannot delete {what}. queue.delete operations with {flag} flag set are not supported by quorum queues"
                )));
            }
            if method.if_unused && queue.consumer_count() > 0 {
                return Err(AmqpError::precondition_failed(format!("{what} in use")));
            }
            if method.if_empty && queue.counts().ready > 0 {
                return Err(AmqpError::precondition_failed(format!("{what} not empty")));
            }
        }
        Ok(self.remove_queue(&name))
    }

    /// Takes everything that is ready out of a queue.
    pub(crate) fn purge_queue(
        &mut self,
        now: Millis,
        caller: &Caller<'_>,
        method: &Purge,
    ) -> Result<Vec<Entry>, AmqpError> {
        let name = strip(method.queue.as_str());
        caller.read(&self.name, Resource::Queue(&name))?;
        self.accessible_queue(caller, &name)?;
        let what = Resource::Queue(&name).describe(&self.name);
        let Some(queue) = self.queues.get_mut(&*name) else { return Ok(Vec::new()) };
        if queue.is_stream() {
            let text = format!("queue.purge not supported by stream queues {what}");
            return Err(AmqpError::not_implemented(text));
        }
        Ok(queue.purge(now))
    }
}

/// What the replicated types cannot be: `rabbit_queue_type_util.erl`.
fn check_properties(what: &str, kind: QueueKind, method: &Declare) -> Result<(), AmqpError> {
    if kind == QueueKind::Classic {
        return Ok(());
    }
    let wrong = if method.auto_delete {
        "auto-delete"
    } else if method.exclusive {
        "exclusive-owner"
    } else if !method.durable {
        "non-durable"
    } else {
        return Ok(());
    };
    Err(AmqpError::precondition_failed(format!("invalid property '{wrong}' for {what}")))
}
