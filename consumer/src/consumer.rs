//! What to consume from one queue, and how.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use garenne_shared::{Message, MessageType, NameError, QueueName, Retry};
use garenne_topology::{DeadLetters, QueueContract};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Context, Failure, Handler, KillSwitch, Layer, Route,
    dispatch::Dispatch,
    endpoint::{Endpoint, Raw},
    pace::Rate,
    route::HandledBy as _,
};

/// The most runs of a handler that follow the first one at once.
const IMMEDIATE_MAX: u32 = 10;

/// What to consume from one queue, and how. A [`Service`](crate::Service) runs it.
#[must_use = "a consumer does nothing until a service runs it"]
pub struct Consumer {
    pub(crate) queue: QueueName,
    pub(crate) contract: Option<QueueContract>,
    pub(crate) concurrency: usize,
    pub(crate) prefetch: Option<u16>,
    pub(crate) timeout: Duration,
    pub(crate) retry: Retry,
    pub(crate) dead_letter_queue: Option<QueueName>,
    pub(crate) delivery_limit: DeliveryLimit,
    pub(crate) broker_dead_letters: Option<bool>,
    pub(crate) unknown_types: UnknownTypes,
    pub(crate) dispatch: Dispatch,
    pub(crate) layers: Vec<Arc<dyn Layer>>,
    pub(crate) routes: HashMap<MessageType, Route>,
    pub(crate) immediate_retries: u32,
    pub(crate) kill_switch: Option<KillSwitch>,
    pub(crate) rate: Option<Rate>,
    pub(crate) fallback: Option<Box<dyn Endpoint>>,
}

/// What becomes of a message whose type no handler is registered for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnknownTypes {
    /// It goes to the dead-letter queue. The default.
    #[default]
    DeadLetter,
    /// It is acknowledged and forgotten, for a queue that receives more types than this service cares about.
    Ignore,
}

/// What was said about the delivery limit of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeliveryLimit {
    Unsaid,
    None,
    Some(u32),
}

// === impl Consumer ===

impl Consumer {
    /// Consumes from a queue that the topology defines: 16 handlers at once, each for at most 30 s, unless set.
    ///
    /// Kind, delivery limit, dead letters and retry policy are known from the definition, not assumed. The service compares it with the broker when it
    /// starts, and fails if the queue exists with other arguments or its dead-letter queue does not exist.
    ///
    /// # Examples
    ///
    /// ```
    /// use garenne_consumer::Consumer;
    /// use garenne_topology::{Queue, Topology};
    ///
    /// let billing = Queue::quorum("billing").bind("orders", "order.placed.*").dead_letter();
    /// let consumer = Consumer::of(&billing);
    /// let topology = Topology::new().queue(billing);
    /// # let _ = (consumer, topology);
    /// ```
    pub fn of(queue: impl Into<QueueContract>) -> Self {
        let contract = queue.into();
        let mut consumer = Self::new(contract.queue().clone());
        if let DeadLetters::Own(queue) = &contract.dead_letters {
            consumer.dead_letter_queue = Some(queue.clone());
        }
        if let Some(policy) = &contract.retry {
            consumer.retry = policy.clone();
        }
        consumer.contract = Some(contract);
        consumer
    }

    /// Consumes from a queue that somebody else declares: 16 handlers at once, each for at most 30 s, unless set.
    ///
    /// What is not said here is assumed as each method tells, and logged at the start. Use [`of`](Self::of) for a queue of your own topology.
    pub fn new(queue: impl Into<QueueName>) -> Self {
        Self {
            queue: queue.into(),
            contract: None,
            concurrency: 16,
            prefetch: None,
            timeout: Duration::from_secs(30),
            retry: Retry::exponential(Duration::from_millis(100)..=Duration::from_secs(5)).jitter(true),
            dead_letter_queue: None,
            delivery_limit: DeliveryLimit::Unsaid,
            broker_dead_letters: None,
            unknown_types: UnknownTypes::default(),
            dispatch: Dispatch::default(),
            layers: Vec::new(),
            routes: HashMap::new(),
            immediate_retries: 0,
            kill_switch: None,
            rate: None,
            fallback: None,
        }
    }

    /// Handles messages of type `M` with a handler; may be called once for each type.
    ///
    /// Where one value handles several types, [`route`](Self::route) says which is meant.
    ///
    /// If it is the only one, it also handles messages that carry no type.
    ///
    /// # Panics
    ///
    /// Panics if a handler of the type was added before: a wiring mistake.
    #[track_caller]
    pub fn handle<M: Message + DeserializeOwned, H: Handler<M>>(self, handler: H) -> Self {
        self.route(M::handled_by(handler))
    }

    /// Handles messages of type `M` with a handler that returns a reply; may be called once for each type.
    ///
    /// The reply is published to the `reply_to` queue of the message, with its correlation id or, without one, its message id, and
    /// confirmed before the message is acknowledged. A message without `reply_to` gets none. A requester that is gone loses the reply:
    /// that is no failure of the handler.
    ///
    /// # Panics
    ///
    /// Panics if a handler of the type was added before: a wiring mistake.
    #[track_caller]
    pub fn respond<M, R, H>(self, handler: H) -> Self
    where
        M: Message + DeserializeOwned,
        R: Message + Serialize,
        H: Handler<M, R>,
    {
        self.route(M::answered_by(handler))
    }

    /// Handles the messages of one type as the route says, such as `OrderPlaced::handled_by(handler)`.
    ///
    /// # Panics
    ///
    /// Panics if a handler of the type was added before: a wiring mistake.
    #[track_caller]
    pub fn route(mut self, route: Route) -> Self {
        let message_type = route.message_type.clone();
        let twice = self.routes.insert(message_type.clone(), route);
        assert!(twice.is_none(), "the consumer of `{}` has two handlers of `{message_type}`", self.queue);
        self
    }

    /// Handles whatever no other handler takes, undecoded: for gateways and tools. [`Context::incoming`] has the body.
    pub fn handle_raw<F, Fut>(mut self, handler: F) -> Self
    where
        F: Fn(Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        self.fallback = Some(Box::new(Raw(handler)));
        self
    }

    /// Sets how many handlers run at once, at least 1. The default is 16. With 1, messages are handled in order.
    pub fn concurrency(mut self, concurrency: usize) -> Self {
        self.concurrency = concurrency.max(1);
        self
    }

    /// Sets how many deliveries the broker may have outstanding, at least 1.
    ///
    /// The default is twice the concurrency, at least 100: enough to keep one fast consumer busy
    /// (<https://www.rabbitmq.com/docs/confirms#channel-qos-prefetch-throughput>).
    pub fn prefetch(mut self, prefetch: u16) -> Self {
        self.prefetch = Some(prefetch.max(1));
        self
    }

    /// Sets how long a handler may take. The default is 30 s.
    ///
    /// The broker has a limit of its own, 30 minutes by default, counted from the delivery: prefetch times this, divided by the
    /// concurrency, must stay below it (<https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout>). A handler that outlives it
    /// goes on; a warning and the health of the client name it. Its attempt counts as failed; if it succeeds, the message is acknowledged
    /// when it comes again, provided that it has an id.
    ///
    /// A handler that blocks its thread cannot be stopped: after 1 s a warning and the health of the client name it.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how a failed delivery is tried again, where the topology does not say (`retry` of the queue).
    ///
    /// The default is exponential from 100 ms to 5 s, with jitter. The delivery is held for the delay and takes a place of the prefetch
    /// meanwhile; a delay longer than [`HOLD_MAX`](crate::HOLD_MAX) is cut to it. A policy in the topology does without: what fails waits in
    /// the broker.
    ///
    /// The last attempt is the policy's (`attempts`) or the one that the [delivery limit](Self::delivery_limit) allows, whichever comes
    /// first; its failure goes to the dead-letter queue.
    ///
    /// # Panics
    ///
    /// Panics if the queue's contract has a policy: a wiring mistake, for there is one policy a queue.
    #[track_caller]
    pub fn retry(mut self, policy: Retry) -> Self {
        let said = self.contract.as_ref().is_some_and(|contract| contract.retry.is_some());
        assert!(
            !said,
            "queue `{}` has a retry policy in its topology; leave out `Consumer::retry`",
            self.queue
        );
        self.retry = policy;
        self
    }

    /// Sets how often a failed attempt is repeated at once, in this process, before the message waits for its [retry](Self::retry). The
    /// default is 0, and the most is 10.
    ///
    /// It is for what passes in a moment, such as a deadlock in a database. The pauses double from 10 ms to 1 s; the message takes a place of the
    /// concurrency meanwhile. All of it is one [attempt](Context::attempt); [`Context::run`] counts within. Only a failure that asks for a
    /// [plain retry](crate::Decision::Retry) is repeated, not a timeout, and not once the service stops or the delivery has gone stale.
    ///
    /// The broker's consumer timeout counts all of it: the timeout of the handler as many times more.
    pub fn immediate_retries(mut self, retries: u32) -> Self {
        self.immediate_retries = retries.min(IMMEDIATE_MAX);
        self
    }

    /// Pauses the consumer while too many of its messages fail. The default is never.
    pub fn kill_switch(mut self, switch: KillSwitch) -> Self {
        self.kill_switch = Some(switch);
        self
    }

    /// Limits how many messages begin in a time, evenly: at least 1, such as `(10, Duration::from_secs(1))`. The default is no limit.
    ///
    /// It holds for this consumer alone: several processes that read the queue have a limit each. What waits takes a place of the prefetch, so
    /// a low rate needs a low [`prefetch`](Self::prefetch), lest messages wait longer than the broker's consumer timeout. The health
    /// of the client has a notice while messages wait.
    pub fn rate_limit(mut self, count: u32, per: Duration) -> Self {
        self.rate = Rate::new(count, per);
        self
    }

    /// Sets the queue that messages go to when a handler gives up. The default is the queue's name and `.dlq`.
    pub fn dead_letter_queue(mut self, queue: impl Into<QueueName>) -> Self {
        self.dead_letter_queue = Some(queue.into());
        self
    }

    /// Says what delivery limit the queue has (`x-delivery-limit`, or the policy's), or that it has none.
    ///
    /// The broker takes a message away whose deliveries failed more often, without a word to the consumer; so the attempt after `limit`
    /// failures is the last, and a failure of that goes to the dead-letter queue with its error.
    ///
    /// The default is what the client declared ([`Client::apply`](garenne_transport::Client::apply)), else the broker's default: 20 from
    /// RabbitMQ 4.0 on, none before. Say it here if the queue is declared by others or a policy sets another limit. If the limit is in
    /// fact lower, the broker dead-letters by itself: such a message has `x-last-death-reason` `delivery_limit` and none of the error
    /// headers, as has one that killed its consumer.
    pub fn delivery_limit(mut self, limit: impl Into<Option<u32>>) -> Self {
        self.delivery_limit = limit.into().map_or(DeliveryLimit::None, DeliveryLimit::Some);
        self
    }

    /// Says whether the broker dead-letters what is rejected from the queue (`x-dead-letter-exchange`, or the policy's).
    ///
    /// A message whose copy can never be published, because it is too large for instance, is rejected then; otherwise it is kept, because
    /// a reject could lose it. The default is what the client declared, else `false`.
    pub fn broker_dead_letters(mut self, dead_letters: bool) -> Self {
        self.broker_dead_letters = Some(dead_letters);
        self
    }

    /// Sets what becomes of messages whose type no handler is registered for. The default is [`UnknownTypes::DeadLetter`].
    pub fn unknown_types(mut self, policy: UnknownTypes) -> Self {
        self.unknown_types = policy;
        self
    }

    /// Adds a layer inside those added before.
    pub fn layer(mut self, layer: impl Layer) -> Self {
        self.layers.push(Arc::new(layer));
        self
    }

    pub(crate) fn effective_prefetch(&self) -> u16 {
        self.prefetch
            .unwrap_or_else(|| u16::try_from(self.concurrency.saturating_mul(2)).unwrap_or(u16::MAX).max(100))
    }

    /// Returns the name of the dead-letter queue as it is, or as it is assumed.
    pub(crate) fn dead_letter_queue_name(&self) -> Result<QueueName, NameError> {
        match &self.dead_letter_queue {
            Some(queue) => Ok(queue.clone()),
            None => QueueName::try_from(format!("{}.dlq", self.queue)),
        }
    }

    /// Finds who handles a message of this type.
    pub(crate) fn endpoint(&self, message_type: Option<&MessageType>) -> Option<&dyn Endpoint> {
        self.find(message_type).map(|route| &*route.endpoint).or(self.fallback.as_deref())
    }

    /// Returns how a message of this type is tried again.
    pub(crate) fn policy(&self, message_type: Option<&MessageType>) -> &Retry {
        self.find(message_type).and_then(|route| route.retry.as_ref()).unwrap_or(&self.retry)
    }

    fn find(&self, message_type: Option<&MessageType>) -> Option<&Route> {
        match message_type {
            Some(message_type) => self.routes.get(message_type),
            None if self.routes.len() == 1 => self.routes.values().next(),
            None => None,
        }
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("queue", &self.queue)
            .field("concurrency", &self.concurrency)
            .field("types", &self.routes.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
