//! The beginning of a connection, up to `connection.open-ok`: `rabbit_reader.erl`, `handle_method0`.

use amq_protocol::protocol::AMQPClass;
use amq_protocol::protocol::connection::{AMQPMethod, Open, OpenOk, Start, StartOk, Tune, TuneOk};
use amq_protocol::types::{AMQPValue, FieldTable};

use super::fault::Fault;
use super::frame::{FRAME_MIN_SIZE, Frame, Part};
use super::limits::Limits;
use super::login;
use super::method::read_method0;
use super::session::Session;
use crate::core::{AmqpError, Core, Millis, Name, Opening, client_name};

/// How long a connection may take to open; RabbitMQ's `handshake_timeout`.
pub(crate) const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// The header of AMQP 0-9-1.
pub(crate) const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\0\0\x09\x01";
/// The header of AMQP 1.0 with SASL, which RabbitMQ names to those who speak something else.
const SASL_HEADER: [u8; 8] = *b"AMQP\x03\x01\0\0";

/// Answers the first eight bytes: the handshake begins, or the header of a protocol to speak instead.
///
/// `rabbit_reader.erl`, `version_negotiation`.
pub(crate) fn negotiate(header: [u8; 8]) -> Result<AMQPClass, [u8; 8]> {
    match header {
        // The second is the header of AMQP 0-9, which is near enough.
        PROTOCOL_HEADER | [b'A', b'M', b'Q', b'P', 1, 1, 0, 9] => Ok(method(AMQPMethod::Start(Start {
            version_major: 0,
            version_minor: 9,
            server_properties: server_properties(),
            mechanisms: login::MECHANISMS.into(),
            locales: "en_US".into(),
        }))),
        [b'A', b'M', b'Q', b'P', 0, 0, minor, _] if minor >= 9 => Err(PROTOCOL_HEADER),
        // RabbitMQ speaks AMQP 1.0; this broker does not.
        SASL_HEADER => Err(PROTOCOL_HEADER),
        _ => Err(SASL_HEADER),
    }
}

/// A connection that is not open yet.
#[derive(Debug)]
pub(crate) struct Handshake {
    name: String,
    limits: Limits,
    state: State,
}

#[derive(Debug)]
enum State {
    Starting,
    Tuning { user: Name, client_properties: FieldTable },
    Opening { user: Name, client_properties: FieldTable, tuned: TuneOk },
}

/// What a frame of the handshake leads to.
#[derive(Debug)]
pub(crate) enum Step {
    /// Nothing to say.
    Quiet,
    /// A method to send.
    Send(AMQPClass),
    /// The method to send, and the connection is open.
    Open(AMQPClass, Session),
}

// === impl Handshake ===

impl Handshake {
    /// Waits for `connection.start-ok`. The name is both ends of the connection.
    pub(crate) fn new(name: String, limits: Limits) -> Self {
        Self { name, limits, state: State::Starting }
    }

    /// Returns how large a frame may be now.
    pub(crate) fn frame_max(&self) -> u32 {
        match &self.state {
            State::Opening { tuned, .. } => tuned.frame_max,
            State::Starting | State::Tuning { .. } => FRAME_MIN_SIZE,
        }
    }

    /// Returns what the client calls itself, once it has told.
    pub(crate) fn client_name(&self) -> Option<&str> {
        match &self.state {
            State::Starting => None,
            State::Tuning { client_properties, .. } | State::Opening { client_properties, .. } => {
                client_name(client_properties)
            }
        }
    }

    /// Returns whether the client may be told what it did wrong.
    ///
    /// `rabbit_reader.erl`, `handle_exception`: not before it has authenticated itself and tuned the connection.
    pub(crate) fn is_trusted(&self) -> bool {
        matches!(self.state, State::Opening { .. })
    }

    /// Takes the next frame.
    pub(crate) fn frame(&mut self, now: Millis, frame: &Frame<'_>, core: &mut Core) -> Result<Step, Fault> {
        if frame.channel != 0 {
            return Err(frame.unexpected());
        }
        let (class, id, fields) = match frame.part()? {
            Part::Method(class, id, fields) => (class, id, fields),
            Part::Heartbeat => return Ok(Step::Quiet),
            Part::Header { .. } | Part::Body(_) => return Err(frame.unexpected()),
        };
        let read = read_method0(class, id, fields)?;
        match (&mut self.state, read) {
            (State::Starting, AMQPClass::Connection(AMQPMethod::StartOk(start_ok))) => {
                self.start_ok(start_ok, core)
            }
            (State::Tuning { user, client_properties }, AMQPClass::Connection(AMQPMethod::TuneOk(tuned))) => {
                self.limits.check(tuned.frame_max, tuned.channel_max).map_err(|error| {
                    tracing::debug!(connection = %self.name, %error, "connection refused");
                    Fault::Drop
                })?;
                let (user, client_properties) = (user.clone(), std::mem::take(client_properties));
                self.state = State::Opening { user, client_properties, tuned };
                Ok(Step::Quiet)
            }
            (
                State::Opening { user, client_properties, tuned },
                AMQPClass::Connection(AMQPMethod::Open(open)),
            ) => {
                let opening = Opening {
                    user: user.clone(),
                    vhost: vhost(&open),
                    name: self.name.clone(),
                    client_properties: std::mem::take(client_properties),
                    tuned: tuned.clone(),
                    at: now,
                };
                let connection = core.connect(opening).map_err(|error| Fault::Close(error, (10, 40)))?;
                Ok(Step::Open(method(AMQPMethod::OpenOk(OpenOk {})), Session::new(connection, tuned)))
            }
            (state, _) => {
                let state = match state {
                    State::Starting => "starting",
                    State::Tuning { .. } => "tuning",
                    State::Opening { .. } => "opening",
                };
                let text = format!("unexpected method in connection state {state}");
                Err(Fault::Close(AmqpError::channel_error(text), (class, id)))
            }
        }
    }

    fn start_ok(&mut self, start_ok: StartOk, core: &Core) -> Result<Step, Fault> {
        let StartOk { client_properties, mechanism, response, .. } = start_ok;
        // Unknown mechanisms and responses that cannot be read are met with silence.
        let (user, password) = login::read(mechanism.as_str(), response.as_bytes()).ok_or(Fault::Drop)?;
        let user = std::str::from_utf8(&user).ok().and_then(|user| core.authenticate(user, &password));
        let Some(user) = user else {
            tracing::debug!(connection = %self.name, "login refused");
            return Err(login::refuse(mechanism.as_str(), has_capability(&client_properties)));
        };
        self.state = State::Tuning { user, client_properties };
        let Limits { channel_max, frame_max, heartbeat } = self.limits;
        Ok(Step::Send(method(AMQPMethod::Tune(Tune { channel_max, frame_max, heartbeat }))))
    }
}

fn method(method: AMQPMethod) -> AMQPClass {
    AMQPClass::Connection(method)
}

fn vhost(open: &Open) -> Name {
    open.virtual_host.as_str().into()
}

/// Whether the client wants to be told that its login was refused: <https://www.rabbitmq.com/docs/auth-notification>.
fn has_capability(client_properties: &FieldTable) -> bool {
    match client_properties.inner().get("capabilities") {
        Some(AMQPValue::FieldTable(table)) => {
            table.inner().get("authentication_failure_close") == Some(&AMQPValue::Boolean(true))
        }
        _ => false,
    }
}

/// The version that is told to clients and tools: the one whose behaviour this broker has.
pub(crate) const RABBITMQ_VERSION: &str = "4.3.6";

/// What clients decide upon: they must take the paths for RabbitMQ 4.3. `rabbit_reader.erl`, `server_properties`.
fn server_properties() -> FieldTable {
    let mut capabilities = FieldTable::default();
    for capability in [
        "publisher_confirms",
        "exchange_exchange_bindings",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        "consumer_priorities",
        "authentication_failure_close",
        "per_consumer_qos",
        "direct_reply_to",
    ] {
        capabilities.insert(capability.into(), true.into());
    }
    let mut properties = FieldTable::default();
    properties.insert("capabilities".into(), capabilities.into());
    for (key, value) in [
        ("cluster_name", "garenne-embedded"),
        (
            "information",
            "The embedded broker of Garenne, for development and tests. It keeps everything in memory.",
        ),
        ("platform", "garenne-embedded"),
        ("product", "RabbitMQ"),
        ("version", RABBITMQ_VERSION),
    ] {
        properties.insert(key.into(), AMQPValue::LongString(value.into()));
    }
    properties
}
