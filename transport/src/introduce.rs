//! Asks a broker what it is.
//!
//! lapin drops the server properties of `connection.start`, and they are the only place where a broker says what it is. So
//! the first connect of a client is preceded by a short one of our own: it goes through the handshake up to the tuning, opens the
//! vhost and closes, because a broker logs a warning for every peer that leaves half-way.

use std::io;

use amq_protocol::{
    frame::{AMQPFrame, ProtocolVersion, WriteContext, gen_frame, parse_frame},
    protocol::{
        AMQPClass,
        connection::{AMQPMethod, Close, Open, StartOk, TuneOk},
    },
    types::FieldTable,
};
use futures_util::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use garenne_shared::config::Address;

/// The most bytes of one frame that are accepted before tuning (RabbitMQ sends less than 1 KiB).
const FRAME_MAX: usize = 128 << 10;

/// Goes through a handshake and returns the server properties; `None` if the broker refused us on the way.
///
/// The refusal itself is not reported: the connect that follows meets it as well.
pub(crate) async fn server_properties<S>(stream: &mut S, endpoint: &Address) -> io::Result<Option<FieldTable>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut wire = Wire { stream, read: Vec::new() };
    wire.send(AMQPFrame::ProtocolHeader(ProtocolVersion::amqp_0_9_1())).await?;
    let AMQPMethod::Start(start) = wire.receive().await? else { return Ok(None) };
    let credentials = format!("\0{}\0{}", endpoint.user, endpoint.password.expose());
    wire.method(AMQPMethod::StartOk(StartOk {
        client_properties: client_properties(),
        mechanism: "PLAIN".into(),
        response: credentials.into(),
        locale: "en_US".into(),
    }))
    .await?;
    let AMQPMethod::Tune(tune) = wire.receive().await? else { return Ok(None) };
    let answer = TuneOk { channel_max: tune.channel_max, frame_max: tune.frame_max, heartbeat: 0 };
    wire.method(AMQPMethod::TuneOk(answer)).await?;
    let Ok(vhost) = lapin::types::ShortString::try_new(endpoint.vhost.as_str()) else { return Ok(None) };
    wire.method(AMQPMethod::Open(Open { virtual_host: vhost })).await?;
    let AMQPMethod::OpenOk(_) = wire.receive().await? else { return Ok(None) };
    let close = Close { reply_code: 200, reply_text: "introduced".into(), class_id: 0, method_id: 0 };
    wire.method(AMQPMethod::Close(close)).await?;
    wire.receive().await?;
    Ok(Some(start.server_properties))
}

/// Says that refused credentials are to be answered, not met with silence.
fn client_properties() -> FieldTable {
    let mut capabilities = FieldTable::default();
    capabilities.insert("authentication_failure_close".into(), true.into());
    let mut properties = FieldTable::default();
    properties.insert("capabilities".into(), capabilities.into());
    properties.insert("product".into(), lapin::types::AMQPValue::LongString("Garenne".into()));
    properties
}

struct Wire<'a, S> {
    stream: &'a mut S,
    read: Vec<u8>,
}

// === impl Wire ===

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<'_, S> {
    async fn method(&mut self, method: AMQPMethod) -> io::Result<()> {
        self.send(AMQPFrame::Method(0, AMQPClass::Connection(method))).await
    }

    async fn send(&mut self, frame: AMQPFrame) -> io::Result<()> {
        let bytes = gen_frame(&frame)(WriteContext::from(Vec::new())).map_err(io::Error::other)?.write;
        self.stream.write_all(&bytes).await?;
        self.stream.flush().await
    }

    /// Receives the next method of the connection class.
    async fn receive(&mut self) -> io::Result<AMQPMethod> {
        loop {
            let parsed = match parse_frame(self.read.as_slice()) {
                Ok((rest, frame)) => Some((self.read.len() - rest.len(), frame)),
                Err(error) if error.is_incomplete() => None,
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error.to_string())),
            };
            match parsed {
                Some((used, AMQPFrame::Method(0, AMQPClass::Connection(method)))) => {
                    self.read.drain(..used);
                    return Ok(method);
                }
                Some((used, AMQPFrame::Heartbeat)) => {
                    self.read.drain(..used);
                }
                Some(_) => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "not a method of the handshake"));
                }
                None => self.fill().await?,
            }
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        let mut chunk = [0; 4096];
        let read = self.stream.read(&mut chunk).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read.extend_from_slice(&chunk[..read]);
        if self.read.len() > FRAME_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame of the handshake is too large"));
        }
        Ok(())
    }
}
