//! Writes frames. The methods of the hot path are written by hand: the codec names each bit on the heap.

use amq_protocol::frame::WriteContext;
use amq_protocol::protocol::AMQPClass;
use amq_protocol::protocol::basic::{AMQPMethod, AMQPProperties, gen_properties};
use amq_protocol::protocol::gen_class;

use super::frame::{BODY, FRAME_END, HEADER, HEADER_SIZE, HEARTBEAT, METHOD};
use crate::core::ChannelId;

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
        AMQPMethod::Deliver(deliver) => frame(out, METHOD, channel, |out| {
            id(out, 60);
            short_string(out, deliver.consumer_tag.as_str());
            out.extend_from_slice(&deliver.delivery_tag.to_be_bytes());
            out.push(deliver.redelivered.into());
            short_string(out, deliver.exchange.as_str());
            short_string(out, deliver.routing_key.as_str());
        }),
        AMQPMethod::Ack(ack) => frame(out, METHOD, channel, |out| {
            id(out, 80);
            out.extend_from_slice(&ack.delivery_tag.to_be_bytes());
            out.push(ack.multiple.into());
        }),
        other => generic(out, channel, &AMQPClass::Basic(other.clone())),
    }
}

/// Writes the frame of a content header.
pub(crate) fn header(
    out: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
    channel: ChannelId,
    body_size: u64,
    properties: &AMQPProperties,
) {
    frame(out, HEADER, channel, |out| {
        out.extend_from_slice(&60_u16.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&body_size.to_be_bytes());
        if properties.bitmask() == 0 {
            out.extend_from_slice(&[0, 0]);
            return;
        }
        scratch.clear();
        let context = WriteContext::from(std::mem::take(scratch));
        let written = gen_properties(properties)(context).expect("a vector takes any bytes");
        out.extend_from_slice(&written.write);
        *scratch = written.write;
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

fn short_string(out: &mut Vec<u8>, text: &str) {
    out.push(u8::try_from(text.len()).expect("a short string has at most 255 bytes"));
    out.extend_from_slice(text.as_bytes());
}
