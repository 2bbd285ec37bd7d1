//! Bytes and frames, as they go over the socket.

use std::collections::HashMap;
use std::io::ErrorKind;

use amq_protocol::frame::{AMQPContentHeader, AMQPFrame, WriteContext, gen_frame, parse_frame};
use amq_protocol::protocol::AMQPClass;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::wire::{Content, DEADLINE, Event, Wire};

/// What is before the payload of a frame: type, channel and length.
const HEADER: usize = 7;

/// The socket, and what of its stream makes no whole event yet.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) stream: TcpStream,
    pub(super) bytes: Vec<u8>,
    contents: HashMap<u16, (AMQPClass, Option<AMQPContentHeader>, Vec<u8>)>,
    pub(super) ended: bool,
    pub(super) largest: usize,
}

impl Socket {
    pub(super) async fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).await;
        let stream = stream.unwrap_or_else(|error| panic!("nobody listens on {address}: {error}"));
        stream.set_nodelay(true).expect("a fresh socket takes options");
        Self { stream, bytes: Vec::new(), contents: HashMap::new(), ended: false, largest: 0 }
    }

    /// Takes a protocol header off what was read: the broker does not speak the version that was asked for.
    fn header(&mut self) -> Option<[u8; 4]> {
        let header = self.bytes.strip_prefix(b"AMQP")?.first_chunk()?;
        let header = *header;
        self.bytes.drain(..8);
        Some(header)
    }

    /// Takes the next whole frame off what was read.
    fn frame(&mut self) -> Option<AMQPFrame> {
        let length = self.bytes.get(3..HEADER)?.try_into().expect("four bytes");
        let length = HEADER + u32::from_be_bytes(length) as usize + 1;
        let bytes = self.bytes.get(..length)?;
        let frame = match parse_frame(bytes) {
            Ok((_, frame)) => frame,
            Err(error) => panic!("the broker sent what is no frame: {error:?}: {bytes:?}"),
        };
        self.bytes.drain(..length);
        self.largest = self.largest.max(length);
        Some(frame)
    }

    /// Puts a frame to what it belongs to; returns the event that it completes.
    fn event(&mut self, frame: AMQPFrame) -> Option<(u16, Event)> {
        let channel = frame.channel_id();
        let event = match frame {
            AMQPFrame::ProtocolHeader(_) => unreachable!("it is taken before"),
            AMQPFrame::Heartbeat | AMQPFrame::InvalidHeartbeat(_) => Event::Heartbeat,
            AMQPFrame::Method(_, class) if has_content(&class) => {
                let before = self.contents.insert(channel, (class, None, Vec::new()));
                assert!(before.is_none(), "a method amid the content of {before:?}");
                return None;
            }
            AMQPFrame::Method(_, class) => Event::Method(class),
            AMQPFrame::Header(_, header) => {
                let content = self.contents.get_mut(&channel).expect("a content header follows its method");
                content.1 = Some(header);
                return self.whole(channel);
            }
            AMQPFrame::Body(_, bytes) => {
                let content = self.contents.get_mut(&channel).expect("a body follows its header");
                content.2.extend(bytes);
                return self.whole(channel);
            }
        };
        Some((channel, event))
    }

    /// Takes the content of a channel if all of its body is there.
    fn whole(&mut self, channel: u16) -> Option<(u16, Event)> {
        let (_, header, body) = self.contents.get(&channel)?;
        if header.as_ref()?.body_size != body.len() as u64 {
            return None;
        }
        let (method, header, body) = self.contents.remove(&channel)?;
        Some((channel, Event::Content(Box::new(Content { method, properties: header?.properties, body }))))
    }
}

fn has_content(class: &AMQPClass) -> bool {
    // basic.return, basic.deliver, basic.get-ok
    class.get_amqp_class_id() == 60 && matches!(class.get_amqp_method_id(), 50 | 60 | 71)
}

impl Wire {
    /// Sends bytes as they are.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.journal.note(format!("-> {} raw bytes", bytes.len()));
        // A broker that has already hung up is for the test to notice when it reads.
        let _ = self.socket.stream.write_all(bytes).await;
    }

    /// Sends a frame, whatever it is.
    pub async fn send_frame(&mut self, frame: &AMQPFrame) {
        self.journal.sent(frame);
        let _ = self.socket.stream.write_all(&encode(frame)).await;
    }

    /// Returns the size of the largest frame that the broker has sent.
    #[must_use]
    pub const fn largest_frame(&self) -> usize {
        self.socket.largest
    }

    /// Takes the first event, of those that have arrived and those to come, that is `wanted`.
    ///
    /// The end of the connection, and of the channel if that is what is waited on, fails the test unless it is wanted.
    pub(super) async fn take(
        &mut self,
        channel: u16,
        what: &str,
        wanted: impl Fn(u16, &Event) -> bool,
    ) -> (u16, Event) {
        let deadline = Instant::now() + DEADLINE;
        let mut seen = 0;
        // What was read along with raw frames.
        self.sort();
        loop {
            while let Some((number, event)) = self.inbox.get(seen) {
                if wanted(*number, event) {
                    return self.inbox.remove(seen).expect("it is there");
                }
                if event.closes() && (*number == 0 || *number == channel) {
                    self.fail(&format!("waited for {what}, but the broker closed: {event:?}"));
                }
                seen += 1;
            }
            if self.socket.ended {
                self.fail(&format!("waited for {what} after the end of the stream"));
            }
            match timeout_at(deadline, self.read()).await {
                Ok(()) => {}
                Err(_) => self.fail(&format!("{what}: not within {DEADLINE:?}")),
            }
        }
    }

    /// Reads what there is, at least one byte or the end of the stream, into the inbox.
    pub(super) async fn read(&mut self) {
        match self.socket.stream.read_buf(&mut self.socket.bytes).await {
            Ok(0) => self.end("end of the stream"),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => self.end("connection reset"),
            Err(error) => self.fail(&format!("the socket cannot be read: {error}")),
        }
        if let Some(header) = self.socket.header() {
            self.inbox.push_back((0, Event::Header(header)));
        }
        self.sort();
    }

    /// Makes events of the whole frames that were read.
    fn sort(&mut self) {
        while let Some(frame) = self.socket.frame() {
            self.journal.received(&frame);
            if let Some(event) = self.socket.event(frame) {
                self.inbox.push_back(event);
            }
        }
    }

    fn end(&mut self, how: &str) {
        self.journal.note(format!("<- {how}"));
        self.socket.ended = true;
        self.inbox.push_back((0, Event::Eof));
    }
}

/// Writes a frame as bytes, for a test that breaks them.
#[must_use]
pub fn encode(frame: &AMQPFrame) -> Vec<u8> {
    let written = gen_frame(frame)(WriteContext::from(Vec::new())).expect("a Vec takes any frame");
    written.into_inner().0
}
