//! Consuming, getting, settling.

use amq_protocol::protocol::basic;

use crate::wire::{
    AMQPClass, Call, Closed, Content, Delivery, Event, Got, IntoValue, Method, Returned, Table, Wire,
};

/// A `basic.consume` with manual acknowledgement, unless it says otherwise.
#[derive(Debug, Clone)]
pub struct Consumer(pub basic::Consume);

impl Consumer {
    /// A consumer whose tag the broker chooses.
    #[must_use]
    pub fn new(queue: &str) -> Self {
        Self(basic::Consume { queue: queue.into(), ..basic::Consume::default() })
    }

    /// Sets the consumer's tag.
    #[must_use]
    pub fn tag(mut self, tag: &str) -> Self {
        self.0.consumer_tag = tag.into();
        self
    }

    /// Takes every delivery for acknowledged.
    #[must_use]
    pub fn no_ack(mut self) -> Self {
        self.0.no_ack = true;
        self
    }

    /// Asks for the queue alone.
    #[must_use]
    pub fn exclusive(mut self) -> Self {
        self.0.exclusive = true;
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl IntoValue) -> Self {
        self.0.arguments = Table(self.0.arguments).with(key, value).into();
        self
    }
}

impl Method for Consumer {
    fn class(self) -> AMQPClass {
        self.0.class()
    }
}

impl Call for Consumer {
    type Answer = basic::ConsumeOk;

    fn answer(class: AMQPClass) -> Option<Self::Answer> {
        basic::Consume::answer(class)
    }

    fn is_answer(class: &AMQPClass) -> bool {
        basic::Consume::is_answer(class)
    }
}

impl Wire {
    /// Starts a consumer with manual acknowledgement and returns its tag.
    #[track_caller]
    pub fn consume(&mut self, channel: u16, queue: &str) -> impl Future<Output = String> {
        self.consume_with(channel, Consumer::new(queue))
    }

    /// Starts a consumer and returns its tag.
    #[track_caller]
    pub fn consume_with(&mut self, channel: u16, consumer: Consumer) -> impl Future<Output = String> {
        self.here();
        async move { self.request(channel, consumer).await.consumer_tag.to_string() }
    }

    /// Ends a consumer.
    #[track_caller]
    pub fn cancel(&mut self, channel: u16, tag: &str) -> impl Future<Output = ()> {
        self.here();
        let cancel = basic::Cancel { consumer_tag: tag.into(), nowait: false };
        async move {
            self.request(channel, cancel).await;
        }
    }

    /// Limits the unacknowledged deliveries of each consumer to come on a channel; 0: no limit.
    #[track_caller]
    pub fn qos(&mut self, channel: u16, prefetch: u16) -> impl Future<Output = ()> {
        self.here();
        async move {
            self.request(channel, basic::Qos { prefetch_count: prefetch, global: false }).await;
        }
    }

    /// Takes one message off a queue, to be acknowledged; `None` if there is none.
    #[track_caller]
    pub fn get(&mut self, channel: u16, queue: &str) -> impl Future<Output = Option<Got>> {
        self.get_with(channel, basic::Get { queue: queue.into(), no_ack: false })
    }

    /// Takes one message off a queue for good, and fails the test if there is none.
    #[track_caller]
    pub fn take_one(&mut self, channel: u16, queue: &str) -> impl Future<Output = Got> {
        let get = self.get_with(channel, basic::Get { queue: queue.into(), no_ack: true });
        let why = format!("a message was expected in {queue:?}");
        async move { get.await.expect(&why) }
    }

    /// Sends `basic.get`.
    #[track_caller]
    pub fn get_with(&mut self, channel: u16, get: basic::Get) -> impl Future<Output = Option<Got>> {
        let got = self.try_get(channel, get);
        async move { got.await.unwrap_or_else(|closed| panic!("basic.get was answered with {closed}")) }
    }

    /// Sends `basic.get` and returns the message, if there is one.
    ///
    /// # Errors
    ///
    /// If the broker closes the channel or the connection: how.
    #[track_caller]
    pub fn try_get(
        &mut self,
        channel: u16,
        get: basic::Get,
    ) -> impl Future<Output = Result<Option<Got>, Closed>> {
        self.here();
        async move {
            self.send(channel, get).await;
            let wanted = |number: u16, event: &Event| {
                (number == channel && is_basic(event, &[71, 72]))
                    || (event.closes() && (number == channel || number == 0))
            };
            match self.take(channel, "basic.get-ok or basic.get-empty", wanted).await {
                (_, Event::Content(content)) => Ok(Some(got(*content))),
                (number, event) if event.closes() => Err(self.closed(number, event).await),
                _ => Ok(None),
            }
        }
    }

    /// Acknowledges one delivery.
    pub async fn ack(&mut self, channel: u16, tag: u64) {
        self.send(channel, basic::Ack { delivery_tag: tag, multiple: false }).await;
    }

    /// Acknowledges every delivery up to this one.
    pub async fn ack_up_to(&mut self, channel: u16, tag: u64) {
        self.send(channel, basic::Ack { delivery_tag: tag, multiple: true }).await;
    }

    /// Refuses one delivery by `basic.nack`.
    pub async fn nack(&mut self, channel: u16, tag: u64, requeue: bool) {
        self.send(channel, basic::Nack { delivery_tag: tag, multiple: false, requeue }).await;
    }

    /// Refuses one delivery by `basic.reject`.
    pub async fn reject(&mut self, channel: u16, tag: u64, requeue: bool) {
        self.send(channel, basic::Reject { delivery_tag: tag, requeue }).await;
    }

    /// Waits for the next delivery on a channel.
    #[track_caller]
    pub fn expect_delivery(&mut self, channel: u16) -> impl Future<Output = Delivery> {
        self.here();
        async move { self.delivery(channel).await }
    }

    /// Waits for so many deliveries on a channel.
    #[track_caller]
    pub fn expect_deliveries(&mut self, channel: u16, count: usize) -> impl Future<Output = Vec<Delivery>> {
        self.here();
        async move {
            let mut deliveries = Vec::with_capacity(count);
            while deliveries.len() < count {
                deliveries.push(self.delivery(channel).await);
            }
            deliveries
        }
    }

    /// Waits for the broker to end a consumer, and returns its tag.
    #[track_caller]
    pub fn expect_cancel(&mut self, channel: u16) -> impl Future<Output = String> {
        self.here();
        async move {
            let wanted = |number, event: &Event| number == channel && is_basic(event, &[30]);
            match self.take(channel, "basic.cancel", wanted).await.1 {
                Event::Method(AMQPClass::Basic(basic::AMQPMethod::Cancel(cancel))) => {
                    cancel.consumer_tag.to_string()
                }
                _ => unreachable!("only that is taken"),
            }
        }
    }

    /// Waits for a message to come back.
    #[track_caller]
    pub fn expect_return(&mut self, channel: u16) -> impl Future<Output = Returned> {
        self.here();
        async move {
            let wanted = |number, event: &Event| number == channel && is_basic(event, &[50]);
            match self.take(channel, "basic.return", wanted).await.1 {
                Event::Content(content) => returned(*content),
                _ => unreachable!("only that is taken"),
            }
        }
    }

    async fn delivery(&mut self, channel: u16) -> Delivery {
        let wanted = |number, event: &Event| number == channel && is_basic(event, &[60]);
        match self.take(channel, &format!("a delivery on channel {channel}"), wanted).await.1 {
            Event::Content(content) => delivered(*content),
            _ => unreachable!("only that is taken"),
        }
    }
}

/// Tells whether this is one of these methods of the class `basic`.
fn is_basic(event: &Event, methods: &[u16]) -> bool {
    let class = match event {
        Event::Method(class) => class,
        Event::Content(content) => &content.method,
        Event::Header(_) | Event::Heartbeat | Event::Eof => return false,
    };
    class.get_amqp_class_id() == 60 && methods.contains(&class.get_amqp_method_id())
}

fn delivered(content: Content) -> Delivery {
    let Content { method: AMQPClass::Basic(basic::AMQPMethod::Deliver(deliver)), properties, body } = content
    else {
        unreachable!("the caller took a delivery")
    };
    Delivery {
        tag: deliver.delivery_tag,
        redelivered: deliver.redelivered,
        exchange: deliver.exchange.to_string(),
        routing_key: deliver.routing_key.to_string(),
        consumer_tag: deliver.consumer_tag.to_string(),
        properties,
        body,
    }
}

fn got(content: Content) -> Got {
    let Content { method: AMQPClass::Basic(basic::AMQPMethod::GetOk(get)), properties, body } = content
    else {
        unreachable!("the caller took a get-ok")
    };
    Got {
        tag: get.delivery_tag,
        redelivered: get.redelivered,
        exchange: get.exchange.to_string(),
        routing_key: get.routing_key.to_string(),
        message_count: get.message_count,
        properties,
        body,
    }
}

fn returned(content: Content) -> Returned {
    let Content { method: AMQPClass::Basic(basic::AMQPMethod::Return(back)), properties, body } = content
    else {
        unreachable!("the caller took a return")
    };
    Returned {
        code: back.reply_code,
        text: back.reply_text.to_string(),
        exchange: back.exchange.to_string(),
        routing_key: back.routing_key.to_string(),
        properties,
        body,
    }
}
