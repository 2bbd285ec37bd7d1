//! Declaring, binding, deleting.

use amq_protocol::protocol::{exchange, queue};

use crate::wire::{AMQPClass, Call, Method, Table, Wire};

/// A `queue.declare`: durable, unless it says otherwise.
#[derive(Debug, Clone)]
pub struct Queue(pub queue::Declare);

impl Queue {
    /// A quorum queue.
    #[must_use]
    pub fn quorum(name: &str) -> Self {
        Self::plain(name).with("x-queue-type", "quorum")
    }

    /// A classic queue, said by its argument.
    #[must_use]
    pub fn classic(name: &str) -> Self {
        Self::plain(name).with("x-queue-type", "classic")
    }

    /// A stream.
    #[must_use]
    pub fn stream(name: &str) -> Self {
        Self::plain(name).with("x-queue-type", "stream")
    }

    /// A durable queue without arguments.
    #[must_use]
    pub fn plain(name: &str) -> Self {
        Self(queue::Declare { queue: name.into(), durable: true, ..queue::Declare::default() })
    }

    /// Asks for a queue that is there.
    #[must_use]
    pub fn passive(name: &str) -> Self {
        Self(queue::Declare { queue: name.into(), passive: true, ..queue::Declare::default() })
    }

    /// Adds an argument.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl crate::wire::IntoValue) -> Self {
        self.0.arguments = Table(self.0.arguments).with(key, value).into();
        self
    }

    /// Replaces the arguments.
    #[must_use]
    pub fn arguments(mut self, arguments: Table) -> Self {
        self.0.arguments = arguments.into();
        self
    }

    /// Gives the queue to this connection alone.
    #[must_use]
    pub fn exclusive(mut self) -> Self {
        self.0.exclusive = true;
        self
    }

    /// Deletes the queue with its last consumer.
    #[must_use]
    pub fn auto_delete(mut self) -> Self {
        self.0.auto_delete = true;
        self
    }

    /// Does not let the queue survive the broker.
    #[must_use]
    pub fn transient(mut self) -> Self {
        self.0.durable = false;
        self
    }
}

/// An `exchange.declare`: durable, unless it says otherwise.
#[derive(Debug, Clone)]
pub struct Exchange(pub exchange::Declare);

impl Exchange {
    /// An exchange of a type: `direct`, `fanout`, `topic`, `headers`, `x-consistent-hash`, `x-modulus-hash`.
    #[must_use]
    pub fn new(kind: &str, name: &str) -> Self {
        Self(exchange::Declare {
            exchange: name.into(),
            kind: kind.into(),
            durable: true,
            ..exchange::Declare::default()
        })
    }

    /// Asks for an exchange that is there.
    #[must_use]
    pub fn passive(name: &str) -> Self {
        Self(exchange::Declare { exchange: name.into(), passive: true, ..exchange::Declare::default() })
    }

    /// Adds an argument.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl crate::wire::IntoValue) -> Self {
        self.0.arguments = Table(self.0.arguments).with(key, value).into();
        self
    }

    /// Deletes the exchange with its last binding.
    #[must_use]
    pub fn auto_delete(mut self) -> Self {
        self.0.auto_delete = true;
        self
    }

    /// Lets only other exchanges publish to it.
    #[must_use]
    pub fn internal(mut self) -> Self {
        self.0.internal = true;
        self
    }

    /// Does not let the exchange survive the broker.
    #[must_use]
    pub fn transient(mut self) -> Self {
        self.0.durable = false;
        self
    }
}

/// A binding of a queue or an exchange to a source exchange.
#[expect(missing_docs, reason = "named as the fields of the methods")]
#[derive(Debug, Clone)]
pub struct Binding {
    pub destination: String,
    pub source: String,
    pub routing_key: String,
    pub arguments: Table,
}

impl Binding {
    /// A binding without arguments.
    #[must_use]
    pub fn new(source: &str, routing_key: &str, destination: &str) -> Self {
        Self {
            destination: destination.to_owned(),
            source: source.to_owned(),
            routing_key: routing_key.to_owned(),
            arguments: Table::default(),
        }
    }

    /// Replaces the arguments.
    #[must_use]
    pub fn arguments(mut self, arguments: Table) -> Self {
        self.arguments = arguments;
        self
    }

    /// Returns `queue.bind`.
    #[must_use]
    pub fn queue(self) -> queue::Bind {
        queue::Bind {
            queue: self.destination.into(),
            exchange: self.source.into(),
            routing_key: self.routing_key.into(),
            nowait: false,
            arguments: self.arguments.into(),
        }
    }

    /// Returns `queue.unbind`.
    #[must_use]
    pub fn unbind_queue(self) -> queue::Unbind {
        queue::Unbind {
            queue: self.destination.into(),
            exchange: self.source.into(),
            routing_key: self.routing_key.into(),
            arguments: self.arguments.into(),
        }
    }

    /// Returns `exchange.bind`.
    #[must_use]
    pub fn exchange(self) -> exchange::Bind {
        exchange::Bind {
            destination: self.destination.into(),
            source: self.source.into(),
            routing_key: self.routing_key.into(),
            nowait: false,
            arguments: self.arguments.into(),
        }
    }

    /// Returns `exchange.unbind`.
    #[must_use]
    pub fn unbind_exchange(self) -> exchange::Unbind {
        exchange::Unbind {
            destination: self.destination.into(),
            source: self.source.into(),
            routing_key: self.routing_key.into(),
            nowait: false,
            arguments: self.arguments.into(),
        }
    }
}

macro_rules! declaration {
    ($($type:ident $module:ident)+) => {$(
        impl Method for $type {
            fn class(self) -> AMQPClass {
                self.0.class()
            }
        }

        impl Call for $type {
            type Answer = $module::DeclareOk;

            fn answer(class: AMQPClass) -> Option<Self::Answer> {
                $module::Declare::answer(class)
            }

            fn is_answer(class: &AMQPClass) -> bool {
                $module::Declare::is_answer(class)
            }
        }
    )+};
}

declaration!(Queue queue Exchange exchange);

impl Wire {
    /// Declares a queue.
    #[track_caller]
    pub fn declare_queue(&mut self, channel: u16, queue: Queue) -> impl Future<Output = queue::DeclareOk> {
        self.here();
        self.request(channel, queue)
    }

    /// Declares an exchange.
    #[track_caller]
    pub fn declare_exchange(&mut self, channel: u16, exchange: Exchange) -> impl Future<Output = ()> {
        self.here();
        async move {
            self.request(channel, exchange).await;
        }
    }

    /// Binds a queue.
    #[track_caller]
    pub fn bind(
        &mut self,
        channel: u16,
        exchange: &str,
        routing_key: &str,
        queue: &str,
    ) -> impl Future<Output = ()> {
        self.bind_with(channel, Binding::new(exchange, routing_key, queue))
    }

    /// Binds a queue, with arguments.
    #[track_caller]
    pub fn bind_with(&mut self, channel: u16, binding: Binding) -> impl Future<Output = ()> {
        self.here();
        async move {
            self.request(channel, binding.queue()).await;
        }
    }

    /// Takes a binding of a queue back.
    #[track_caller]
    pub fn unbind(
        &mut self,
        channel: u16,
        exchange: &str,
        routing_key: &str,
        queue: &str,
    ) -> impl Future<Output = ()> {
        self.here();
        let unbind = Binding::new(exchange, routing_key, queue).unbind_queue();
        async move {
            self.request(channel, unbind).await;
        }
    }

    /// Binds an exchange to another.
    #[track_caller]
    pub fn bind_exchange(
        &mut self,
        channel: u16,
        source: &str,
        routing_key: &str,
        destination: &str,
    ) -> impl Future<Output = ()> {
        self.here();
        let bind = Binding::new(source, routing_key, destination).exchange();
        async move {
            self.request(channel, bind).await;
        }
    }

    /// Returns how many messages are ready in a queue.
    #[track_caller]
    pub fn ready(&mut self, channel: u16, queue: &str) -> impl Future<Output = u32> {
        self.here();
        let passive = Queue::passive(queue);
        async move { self.request(channel, passive).await.message_count }
    }

    /// Removes what is ready in a queue and returns how many messages that were.
    #[track_caller]
    pub fn purge(&mut self, channel: u16, queue: &str) -> impl Future<Output = u32> {
        self.here();
        let purge = queue::Purge { queue: queue.into(), nowait: false };
        async move { self.request(channel, purge).await.message_count }
    }

    /// Deletes a queue and returns how many messages were ready in it.
    #[track_caller]
    pub fn delete_queue(&mut self, channel: u16, queue: &str) -> impl Future<Output = u32> {
        self.here();
        let delete = queue::Delete { queue: queue.into(), ..queue::Delete::default() };
        async move { self.request(channel, delete).await.message_count }
    }

    /// Deletes an exchange.
    #[track_caller]
    pub fn delete_exchange(&mut self, channel: u16, exchange: &str) -> impl Future<Output = ()> {
        self.here();
        let delete = exchange::Delete { exchange: exchange.into(), ..exchange::Delete::default() };
        async move {
            self.request(channel, delete).await;
        }
    }
}
