//! A raw AMQP 0-9-1 client for the conformance suite: it hides nothing and repairs nothing.
//!
//! A test sees every method, code and order that the broker sends, and may send what no client library would.
//! Whatever is waited for is waited for [`DEADLINE`] long; then the test fails with the frames that went over the wire last.

mod confirm;
mod consume;
mod draft;
mod event;
mod expect;
mod handshake;
mod journal;
mod method;
pub mod raw;
mod socket;
mod table;
mod topology;

use std::collections::VecDeque;
use std::panic::Location;
use std::time::Duration;

pub use amq_protocol::frame::{AMQPContentHeader, AMQPFrame};
pub use amq_protocol::protocol::{
    AMQPClass, BasicProperties, access, basic, channel, confirm as confirms, connection, exchange, queue, tx,
};
pub use amq_protocol::types::{AMQPValue, FieldTable};

pub use self::confirm::Confirm;
pub use self::consume::Consumer;
pub use self::draft::Draft;
pub use self::event::{
    Closed, Content, Delivery, Event, Got, Returned, Scope, channel_error, connection_error,
};
pub use self::handshake::{HEADER, Login};
use self::journal::Journal;
pub use self::method::{Call, Method};
use self::socket::Socket;
pub use self::socket::encode;
pub use self::table::{IntoValue, Table};
pub use self::topology::{Binding, Exchange, Queue};

/// How long anything is waited for.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// One connection, as its socket sees it.
#[derive(Debug)]
pub struct Wire {
    socket: Socket,
    journal: Journal,
    /// What has arrived and was not taken yet, with its channel, in the order of arrival.
    inbox: VecDeque<(u16, Event)>,
    /// The line of the test that waits.
    caller: &'static Location<'static>,
    /// Longer bodies are split. What the broker proposed, unless the test asked for less.
    frame_max: u32,
    vhost: String,
}

// === impl Wire ===

impl Wire {
    /// Sends a method and waits for nothing.
    pub async fn send(&mut self, channel: u16, method: impl Method) {
        self.send_frame(&AMQPFrame::Method(channel, method.class())).await;
    }

    /// Sends a method and returns the broker's answer. What else arrives before it stays for later.
    ///
    /// A closed channel or connection fails the test: see [`try_call`](Self::try_call) and [`refused`](Self::refused).
    #[track_caller]
    pub fn call<C: Call>(&mut self, channel: u16, method: C) -> impl Future<Output = C::Answer> {
        self.here();
        self.request(channel, method)
    }

    /// Sends a method and returns the broker's answer, or how it closed the channel or the connection.
    #[track_caller]
    pub fn try_call<C: Call>(
        &mut self,
        channel: u16,
        method: C,
    ) -> impl Future<Output = Result<C::Answer, Closed>> {
        self.here();
        self.ask(channel, method)
    }

    /// Opens a channel.
    #[track_caller]
    pub fn open_channel(&mut self, number: u16) -> impl Future<Output = ()> {
        self.here();
        async move {
            self.request(number, channel::Open {}).await;
        }
    }

    /// Closes a channel in an orderly way.
    #[track_caller]
    pub fn close_channel(&mut self, number: u16) -> impl Future<Output = ()> {
        self.here();
        async move {
            let close =
                channel::Close { reply_code: 200, reply_text: "bye".into(), ..channel::Close::default() };
            self.request(number, close).await;
        }
    }

    /// Closes the connection in an orderly way.
    #[track_caller]
    pub fn close(mut self) -> impl Future<Output = ()> {
        self.here();
        async move {
            let close = connection::Close {
                reply_code: 200,
                reply_text: "bye".into(),
                ..connection::Close::default()
            };
            self.request(0, close).await;
        }
    }

    /// Cuts the connection without a word.
    pub fn cut(self) {}

    /// Remembers the line of the test, for the message of a failure.
    #[track_caller]
    fn here(&mut self) {
        self.caller = Location::caller();
    }

    async fn request<C: Call>(&mut self, channel: u16, method: C) -> C::Answer {
        let name = std::any::type_name::<C>();
        match self.ask(channel, method).await {
            Ok(answer) => answer,
            Err(closed) => self.fail(&format!("{name} was answered with {closed}")),
        }
    }

    async fn ask<C: Call>(&mut self, channel: u16, method: C) -> Result<C::Answer, Closed> {
        let what = format!("the answer to {}", std::any::type_name::<C>());
        self.send(channel, method).await;
        let wanted = |number: u16, event: &Event| match event {
            Event::Method(class) if number == channel => C::is_answer(class) || event.closes(),
            _ => event.closes() && number == 0,
        };
        let (number, event) = self.take(channel, &what, wanted).await;
        match event {
            Event::Method(class) if C::is_answer(&class) => {
                Ok(C::answer(class).expect("is_answer says that it is one"))
            }
            event => Err(self.closed(number, event).await),
        }
    }
}
