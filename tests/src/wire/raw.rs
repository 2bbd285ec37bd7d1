//! Messages as bytes: what no client library would write, and what it could not read.

use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::wire::{DEADLINE, Wire};

/// A message as it came: nothing in it need be text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    /// The number of the method in the class `basic`.
    pub method: u8,
    /// The fields of the method.
    pub fields: Vec<u8>,
    /// The properties: flags and fields.
    pub properties: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
}

impl Raw {
    /// Returns the delivery tag of a `basic.get-ok`.
    #[must_use]
    pub fn tag(&self) -> u64 {
        u64::from_be_bytes(*self.fields.first_chunk().expect("a get-ok begins with its tag"))
    }
}

/// Returns a short string: its length and its bytes.
#[must_use]
pub fn short(bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).expect("a short string has at most 255 bytes");
    [&[length], bytes].concat()
}

/// Returns a long string, a table or an array: its length and its bytes.
#[must_use]
pub fn long(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("far less than 4 GiB");
    [&length.to_be_bytes(), bytes].concat()
}

/// Returns the inside of a table of keys and values; each value begins with its type octet.
#[must_use]
pub fn table(entries: &[(&[u8], Vec<u8>)]) -> Vec<u8> {
    entries.iter().flat_map(|(key, value)| [short(key), value.clone()].concat()).collect()
}

/// Returns the properties of headers only.
#[must_use]
pub fn headers(entries: &[(&[u8], Vec<u8>)]) -> Vec<u8> {
    [vec![0x20, 0], long(&table(entries))].concat()
}

/// Returns a frame.
#[must_use]
pub fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    [&[kind], channel.to_be_bytes().as_slice(), &long(payload), &[206]].concat()
}

impl Wire {
    /// Sends a method as class, number and fields.
    pub async fn send_raw_method(&mut self, channel: u16, (class, method): (u16, u16), fields: &[u8]) {
        let payload = [class.to_be_bytes().as_slice(), &method.to_be_bytes(), fields].concat();
        self.send_bytes(&frame(1, channel, &payload)).await;
    }

    /// Publishes a message whose exchange, routing key and properties are any bytes.
    pub async fn publish_raw(
        &mut self,
        channel: u16,
        (exchange, key): (&[u8], &[u8]),
        is_mandatory: bool,
        properties: &[u8],
        body: &[u8],
    ) {
        let fields = [&[0, 0], short(exchange).as_slice(), &short(key), &[u8::from(is_mandatory)]].concat();
        self.send_raw_method(channel, (60, 40), &fields).await;
        let size = (body.len() as u64).to_be_bytes();
        self.send_bytes(&frame(2, channel, &[&[0, 60, 0, 0], size.as_slice(), properties].concat())).await;
        if !body.is_empty() {
            self.send_bytes(&frame(3, channel, body)).await;
        }
    }

    /// Takes one message off a queue as it is, to be acknowledged, and fails the test if there is none.
    #[track_caller]
    pub fn get_raw(&mut self, channel: u16, queue: &str) -> impl Future<Output = Raw> {
        self.here();
        let fields = [&[0, 0], short(queue.as_bytes()).as_slice(), &[0]].concat();
        async move {
            self.send_raw_method(channel, (60, 70), &fields).await;
            let raw = self.raw(channel).await;
            if raw.method != 71 {
                self.fail(&format!("basic.get was answered with {raw:?}"));
            }
            raw
        }
    }

    /// Waits for a message: `basic.deliver`, `basic.get-ok` or `basic.return`. It must be the next thing on the connection.
    #[track_caller]
    pub fn expect_raw(&mut self, channel: u16) -> impl Future<Output = Raw> {
        self.here();
        self.raw(channel)
    }

    async fn raw(&mut self, channel: u16) -> Raw {
        let method = self.raw_frame(1, channel).await;
        let [0, 60, 0, number, fields @ ..] = &method[..] else {
            self.fail(&format!("a method with content was expected, found {}", method.escape_ascii()))
        };
        let (number, fields) = (*number, fields.to_vec());
        if !matches!(number, 50 | 60 | 71) {
            return Raw { method: number, fields, properties: Vec::new(), body: Vec::new() };
        }
        let header = self.raw_frame(2, channel).await;
        let Some((_, [a, b, c, d, e, f, g, h, properties @ ..])) = header.split_at_checked(4) else {
            self.fail("the content header is too short")
        };
        let size = u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
        let mut body = Vec::new();
        while (body.len() as u64) < size {
            body.extend(self.raw_frame(3, channel).await);
        }
        Raw { method: number, fields, properties: properties.to_vec(), body }
    }

    /// Reads the next frame, which must be of this type and on this channel, and returns its payload.
    async fn raw_frame(&mut self, kind: u8, channel: u16) -> Vec<u8> {
        loop {
            let bytes = &self.socket.bytes;
            let length = bytes.get(3..7).map(|size| u32::from_be_bytes(size.try_into().expect("four bytes")));
            let length = length.map(|size| size as usize + 8).filter(|length| *length <= bytes.len());
            let Some(length) = length else {
                match timeout(DEADLINE, self.socket.stream.read_buf(&mut self.socket.bytes)).await {
                    Ok(Ok(1..)) => continue,
                    other => self.fail(&format!("a frame of type {kind} was expected: {other:?}")),
                }
            };
            self.socket.largest = self.socket.largest.max(length);
            let frame: Vec<u8> = self.socket.bytes.drain(..length).collect();
            self.journal.note(format!("<- {length} bytes, raw"));
            if frame[0] == 8 {
                continue;
            }
            if frame[0] != kind || frame[1..3] != channel.to_be_bytes() {
                self.fail(&format!("a frame of type {kind} was expected, found {}", frame.escape_ascii()));
            }
            return frame[7..length - 1].to_vec();
        }
    }
}
