//! Writes frames. The methods of the hot path are written by hand: the codec names each bit on the heap.

use amq_protocol::frame::WriteContext;
use amq_protocol::protocol::AMQPClass;
use amq_protocol::protocol::basic::AMQPMethod;
use amq_protocol::protocol::gen_class;

use super::frame::{BODY, FRAME_END, HEADER, HEADER_SIZE, HEARTBEAT, METHOD};
use crate::core::properties::Properties;
use crate::core::{Carrier, ChannelId, Message};

/// A heartbeat.
pub(crate) const HEARTBEAT_FRAME: [u8; 8] = [HEARTBEAT, 0, 0, 0, 0, 0, 0, FRAME_END];

/// Writes the frame of a method.
pub(crate) fn method(out: &mut Vec<u8>, channel: ChannelId, method: &AMQPClass) {
    if let AMQPClass::Basic(method) = method {
        return basic(out, channel, method);
    }
    generic(out, channel, method);
}

/// Writes the frame of a method of the class `basic`.
pub(crate) fn basic(out: &mut Vec<u8>, channel: ChannelId, method: &AMQPMethod) {
    match method {
        AMQPMethod::Ack(ack) => frame(out, METHOD, channel, |out| {
            id(out, 80);
            out.extend_from_slice(&ack.delivery_tag.to_be_bytes());
            out.push(ack.multiple.into());
        }),
        other => generic(out, channel, &AMQPClass::Basic(other.clone())),
    }
}

/// Writes the frame of a method that carries a message.
pub(crate) fn carrier(out: &mut Vec<u8>, channel: ChannelId, carrier: &Carrier, message: &Message) {
    let address = |out: &mut Vec<u8>| {
        short_string(out, message.exchange.as_bytes());
        short_string(out, &message.routing_key);
    };
    frame(out, METHOD, channel, |out| match carrier {
        Carrier::Deliver { consumer_tag, delivery_tag, redelivered } => {
            id(out, 60);
            short_string(out, consumer_tag.as_bytes());
            out.extend_from_slice(&delivery_tag.to_be_bytes());
            out.push((*redelivered).into());
            address(out);
        }
        Carrier::GetOk { delivery_tag, redelivered, message_count } => {
            id(out, 71);
            out.extend_from_slice(&delivery_tag.to_be_bytes());
            out.push((*redelivered).into());
            address(out);
            out.extend_from_slice(&message_count.to_be_bytes());
        }
        Carrier::Return { reply_code, reply_text } => {
            id(out, 50);
            out.extend_from_slice(&reply_code.to_be_bytes());
            short_string(out, reply_text.as_bytes());
            address(out);
        }
    });
}

/// Writes the frame of a content header: one, however large it is (`rabbit_binary_generator.erl`, `build_content_frames`).
pub(crate) fn header(out: &mut Vec<u8>, channel: ChannelId, body_size: u64, properties: &Properties) {
    frame(out, HEADER, channel, |out| {
        out.extend_from_slice(&60_u16.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&body_size.to_be_bytes());
        out.extend_from_slice(properties.encoded());
    });
}

/// Begins the frame of a part of a body; the part follows.
pub(crate) fn body_start(out: &mut Vec<u8>, channel: ChannelId, size: usize) {
    out.push(BODY);
    out.extend_from_slice(&channel.to_be_bytes());
    out.extend_from_slice(&frame_size(size));
}

/// Ends the frame of a part of a body.
pub(crate) fn body_end(out: &mut Vec<u8>) {
    out.push(FRAME_END);
}

fn generic(out: &mut Vec<u8>, channel: ChannelId, method: &AMQPClass) {
    let context = WriteContext::from(Vec::new());
    let written = gen_class(method)(context).expect("a vector takes any bytes");
    frame(out, METHOD, channel, |out| out.extend_from_slice(&written.write));
}

fn frame(out: &mut Vec<u8>, kind: u8, channel: ChannelId, payload: impl FnOnce(&mut Vec<u8>)) {
    let [c0, c1] = channel.to_be_bytes();
    out.extend_from_slice(&[kind, c0, c1, 0, 0, 0, 0]);
    let start = out.len();
    payload(out);
    let size = frame_size(out.len() - start);
    out[start - HEADER_SIZE + 3..start].copy_from_slice(&size);
    out.push(FRAME_END);
}

fn frame_size(size: usize) -> [u8; 4] {
    u32::try_from(size).expect("frames are far smaller than 4 GiB").to_be_bytes()
}

fn id(out: &mut Vec<u8>, method: u8) {
    out.extend_from_slice(&[0, 60, 0, method]);
}

fn short_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(u8::try_from(text.len()).expect("a short string has at most 255 bytes"));
    out.extend_from_slice(text);
}
