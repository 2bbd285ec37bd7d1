//! Opening a connection, whole or step by step.

use std::collections::VecDeque;
use std::panic::Location;

use amq_protocol::protocol::connection;
use percent_encoding::percent_decode_str;
use url::Url;

use crate::table;
use crate::wire::socket::Socket;
use crate::wire::{AMQPClass, Event, Journal, Table, Wire};

/// The protocol header of AMQP 0-9-1.
pub const HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";

/// What a client says during the handshake.
#[derive(Clone)]
pub struct Login {
    /// `PLAIN`, `AMQPLAIN`, or what a broker does not know.
    pub mechanism: String,
    /// What goes with the mechanism; it holds the password.
    pub response: Vec<u8>,
    /// Among them the capabilities.
    pub client_properties: Table,
    /// `None`: what the broker proposes.
    pub channel_max: Option<u16>,
    /// `None`: what the broker proposes.
    pub frame_max: Option<u32>,
    /// In seconds; 0: none.
    pub heartbeat: u16,
    /// The vhost to open.
    pub vhost: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to vhost {:?} with {:?}", self.mechanism, self.vhost, self.client_properties)
    }
}

impl Login {
    /// Returns the login of a URL by `PLAIN`, with every capability, the broker's limits and no heartbeat.
    #[must_use]
    pub fn new(url: &str) -> Self {
        let url = parse(url);
        let vhost = url.path().strip_prefix('/').map_or_else(|| "/".to_owned(), decode);
        Self {
            mechanism: "PLAIN".to_owned(),
            response: format!("\0{}\0{}", decode(url.username()), decode(url.password().unwrap_or_default()))
                .into_bytes(),
            client_properties: table! { "capabilities" => Self::capabilities() },
            channel_max: None,
            frame_max: None,
            heartbeat: 0,
            vhost: if vhost.is_empty() { "/".to_owned() } else { vhost },
        }
    }

    /// Returns every capability that RabbitMQ looks for in a client.
    #[must_use]
    pub fn capabilities() -> Table {
        table! {
            "authentication_failure_close" => true,
            "basic.nack" => true,
            "connection.blocked" => true,
            "consumer_cancel_notify" => true,
            "exchange_exchange_bindings" => true,
            "publisher_confirms" => true,
        }
    }
}

fn parse(url: &str) -> Url {
    Url::parse(url).unwrap_or_else(|error| panic!("not a URL of AMQP: {error}"))
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

impl Wire {
    /// Opens a connection: the whole handshake, with every capability.
    #[track_caller]
    pub fn connect(url: &str) -> impl Future<Output = Self> {
        Self::connect_with(url, Login::new(url))
    }

    /// Opens a connection with a login of one's own.
    #[track_caller]
    pub fn connect_with(url: &str, login: Login) -> impl Future<Output = Self> {
        let dial = Self::dial(url);
        async move {
            let mut wire = dial.await;
            wire.start().await;
            wire.log_in(&login).await;
            wire.open(&login).await;
            wire
        }
    }

    /// Opens the socket and sends nothing.
    #[track_caller]
    pub fn dial(url: &str) -> impl Future<Output = Self> {
        let caller = Location::caller();
        let vhost = Login::new(url).vhost;
        let url = parse(url);
        async move {
            let address = format!("{}:{}", url.host_str().unwrap_or("127.0.0.1"), url.port().unwrap_or(5672));
            Self {
                socket: Socket::connect(&address).await,
                journal: Journal::default(),
                inbox: VecDeque::new(),
                caller,
                frame_max: 131_072,
                vhost,
            }
        }
    }

    /// Sends the protocol header and returns the broker's `connection.start`.
    #[track_caller]
    pub fn start(&mut self) -> impl Future<Output = connection::Start> {
        self.here();
        async move {
            self.send_bytes(HEADER).await;
            let start = |_, event: &Event| {
                matches!(event, Event::Method(AMQPClass::Connection(connection::AMQPMethod::Start(_))))
            };
            match self.take(0, "connection.start", start).await.1 {
                Event::Method(AMQPClass::Connection(connection::AMQPMethod::Start(start))) => start,
                _ => unreachable!("only that is taken"),
            }
        }
    }

    /// Sends `connection.start-ok` and returns what follows: mostly `connection.tune`, or the end.
    #[track_caller]
    pub fn authenticate(&mut self, login: &Login) -> impl Future<Output = Event> {
        self.here();
        async move {
            self.send(0, login.start_ok()).await;
            self.take(0, "the answer to connection.start-ok", |_, _| true).await.1
        }
    }

    /// Authenticates and answers the broker's `connection.tune`, which is returned.
    #[track_caller]
    pub fn log_in(&mut self, login: &Login) -> impl Future<Output = connection::Tune> {
        self.here();
        async move {
            let tune = self.request(0, login.start_ok()).await;
            let tune_ok = connection::TuneOk {
                channel_max: login.channel_max.unwrap_or(tune.channel_max),
                frame_max: login.frame_max.unwrap_or(tune.frame_max),
                heartbeat: login.heartbeat,
            };
            // 0 is no limit of the client's: the broker's holds.
            self.frame_max = if tune_ok.frame_max == 0 { tune.frame_max } else { tune_ok.frame_max };
            self.send(0, tune_ok).await;
            tune
        }
    }

    /// Opens the vhost of a login.
    #[track_caller]
    pub fn open(&mut self, login: &Login) -> impl Future<Output = ()> {
        self.here();
        let open = connection::Open { virtual_host: login.vhost.as_str().into() };
        async move {
            self.request(0, open).await;
        }
    }
}

impl Login {
    /// Returns the method that a client sends.
    #[must_use]
    pub fn start_ok(&self) -> connection::StartOk {
        connection::StartOk {
            client_properties: self.client_properties.clone().into(),
            mechanism: self.mechanism.as_str().into(),
            response: self.response.clone().into(),
            locale: "en_US".into(),
        }
    }
}
