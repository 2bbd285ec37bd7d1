//! Waiting for what the broker sends of its own accord, and for nothing.

use amq_protocol::protocol::{channel, connection, exchange};

use crate::eventually;
use crate::wire::{AMQPClass, Closed, DEADLINE, Event, Method, Scope, Wire};

impl Wire {
    /// Returns the next event on a channel, whatever it is.
    #[track_caller]
    pub fn next(&mut self, channel: u16) -> impl Future<Output = Event> {
        self.here();
        async move {
            let wanted = |number, event: &Event| number == channel && *event != Event::Heartbeat;
            self.take(channel, &format!("anything on channel {channel}"), wanted).await.1
        }
    }

    /// Returns the next event on a channel, and leaves it there.
    #[track_caller]
    pub fn peek(&mut self, channel: u16) -> impl Future<Output = Event> {
        self.here();
        async move {
            let wanted = |number, event: &Event| number == channel && *event != Event::Heartbeat;
            let event = self.take(channel, &format!("anything on channel {channel}"), wanted).await.1;
            self.inbox.push_front((channel, event.clone()));
            event
        }
    }

    /// Returns the next event on whichever channel, with its channel.
    #[track_caller]
    pub fn next_any(&mut self) -> impl Future<Output = (u16, Event)> {
        self.here();
        async move { self.take(0, "anything", |_, _| true).await }
    }

    /// Tells whether anything on a channel has arrived and was not taken.
    #[must_use]
    pub fn has_more(&self, channel: u16) -> bool {
        self.inbox.iter().any(|(number, _)| *number == channel)
    }

    /// Waits for a heartbeat.
    #[track_caller]
    pub fn expect_heartbeat(&mut self) -> impl Future<Output = ()> {
        self.here();
        async move {
            self.take(0, "a heartbeat", |_, event| *event == Event::Heartbeat).await;
        }
    }

    /// Sends a method that the broker refuses by closing the channel or the connection, and answers `close-ok`.
    ///
    /// The error of a channel must blame that method; that of a connection may blame none.
    #[track_caller]
    pub fn refused(&mut self, channel: u16, method: impl Method) -> impl Future<Output = Closed> {
        self.here();
        let name = name_of(&method);
        let class = method.class();
        async move {
            let blamed = (class.get_amqp_class_id(), class.get_amqp_method_id());
            self.send(channel, class).await;
            let closed = self.closing(channel, Some(blamed), &format!("the refusal of {name}")).await;
            let nobody = closed.scope == Scope::Connection && closed.method == (0, 0);
            if closed.method != blamed && !nobody {
                self.fail(&format!("{closed} blames {:?}, not {name}", closed.method));
            }
            closed
        }
    }

    /// Waits for the broker to close a channel, and answers `channel.close-ok`.
    #[track_caller]
    pub fn expect_channel_error(&mut self, channel: u16) -> impl Future<Output = Closed> {
        self.here();
        async move {
            let closed = self.closing(channel, None, &format!("the end of channel {channel}")).await;
            if closed.scope != Scope::Channel {
                self.fail(&format!("an error of channel {channel} was expected, found {closed}"));
            }
            closed
        }
    }

    /// Waits for the broker to close the connection, answers `connection.close-ok`, and waits for the end of the stream.
    #[track_caller]
    pub fn expect_connection_error(&mut self) -> impl Future<Output = Closed> {
        self.here();
        async move {
            let closed = self.closing(0, None, "the end of the connection").await;
            if closed.code != 0 {
                self.take(0, "the end of the stream", |_, event| *event == Event::Eof).await;
            }
            closed
        }
    }

    /// Waits for the end of the stream; anything else that is there fails the test.
    #[track_caller]
    pub fn expect_eof(&mut self) -> impl Future<Output = ()> {
        self.here();
        async move {
            match self.take(0, "the end of the stream", |_, _| true).await {
                (_, Event::Eof) => {}
                (channel, event) => self.fail(&format!(
                    "only the end of the stream was expected, found on channel {channel}: {event:?}"
                )),
            }
        }
    }

    /// Checks that nothing waits on a channel: after a round trip on it, nothing has come that was not taken.
    ///
    /// What a queue sends on its own time may come later still: prove its absence by a later message that does arrive.
    #[track_caller]
    pub fn expect_nothing(&mut self, channel: u16) -> impl Future<Output = ()> {
        self.here();
        async move {
            let passive = || exchange::Declare {
                exchange: "amq.direct".into(),
                passive: true,
                ..exchange::Declare::default()
            };
            for _ in 0..2 {
                self.request(channel, passive()).await;
            }
            let left = self.inbox.iter().find(|(number, _)| *number == channel);
            if let Some((_, event)) = left {
                self.fail(&format!("nothing was expected on channel {channel}, found {event:?}"));
            }
        }
    }

    /// Waits until so many messages are ready in a queue.
    #[track_caller]
    pub fn expect_ready(&mut self, channel: u16, queue: &str, ready: u32) -> impl Future<Output = ()> {
        self.here();
        async move {
            let what = format!("{queue} has {ready} ready messages");
            eventually(DEADLINE, &what, async || match self.ready(channel, queue).await {
                found if found == ready => Ok(()),
                found => Err(found),
            })
            .await;
        }
    }

    /// Waits for the end of a channel or the connection; an answer to `method` instead fails the test.
    async fn closing(&mut self, channel: u16, method: Option<(u16, u16)>, what: &str) -> Closed {
        let wanted = |number: u16, event: &Event| match event {
            Event::Method(class) if number == channel => {
                let accepted = method.is_some_and(|(id, method)| {
                    (class.get_amqp_class_id(), class.get_amqp_method_id()) == (id, method + 1)
                });
                accepted || event.closes()
            }
            _ => event.closes() && number == 0,
        };
        let (number, event) = self.take(channel, what, wanted).await;
        if !event.closes() {
            self.fail(&format!("{what}: it was accepted: {event:?}"));
        }
        self.closed(number, event).await
    }

    /// Answers the end of a channel or the connection, and tells what it was.
    pub(super) async fn closed(&mut self, channel: u16, event: Event) -> Closed {
        match event {
            Event::Method(AMQPClass::Channel(channel::AMQPMethod::Close(close))) => {
                self.send(channel, channel::CloseOk {}).await;
                Closed {
                    scope: Scope::Channel,
                    code: close.reply_code,
                    text: self.neutral(close.reply_text.as_str()),
                    method: (close.class_id, close.method_id),
                }
            }
            Event::Method(AMQPClass::Connection(connection::AMQPMethod::Close(close))) => {
                self.send(0, connection::CloseOk {}).await;
                Closed {
                    scope: Scope::Connection,
                    code: close.reply_code,
                    text: self.neutral(close.reply_text.as_str()),
                    method: (close.class_id, close.method_id),
                }
            }
            _ => Closed {
                scope: Scope::Connection,
                code: 0,
                text: "the stream ended without a word".to_owned(),
                method: (0, 0),
            },
        }
    }

    /// Takes the random names of a test out of a text: see [`Closed`].
    pub(super) fn neutral(&self, text: &str) -> String {
        if self.vhost == "/" {
            return text.to_owned();
        }
        text.replace(&format!("-{}", self.vhost), "")
            .replace(&format!("user '{}'", self.vhost), "user 'guest'")
            .replace(&self.vhost, "/")
    }
}

/// Returns the name of a method; its fields may hold a password.
fn name_of<M>(_: &M) -> &'static str {
    std::any::type_name::<M>()
}
