//! Turns bytes into methods of clients that know a few names and mean no good.

use amq_protocol::frame::{AMQPContentHeader, AMQPFrame, WriteContext, gen_frame};
use amq_protocol::protocol::basic::{self, AMQPProperties};
use amq_protocol::protocol::{AMQPClass, channel, confirm, exchange, queue};
use amq_protocol::types::{AMQPValue, FieldTable};

use super::{Bench, Bytes};

const QUEUES: [&str; 8] = ["a", "b", "c", "q1", "q2", "s", "", "amq.rabbitmq.reply-to"];
const EXCHANGES: [&str; 10] =
    ["", "x", "y", "amq.direct", "amq.fanout", "amq.topic", "amq.headers", "missing", "h", "amq.match"];
const KINDS: [&str; 7] =
    ["direct", "fanout", "topic", "headers", "x-consistent-hash", "x-modulus-hash", "x-none"];
const KEYS: [&str; 9] = ["a", "b", "c", "a.b", "a.*", "#", "*.#", "1", ""];
const TAGS: [&str; 4] = ["t1", "t2", "t3", ""];
const TEXTS: [&str; 16] = [
    "classic",
    "quorum",
    "stream",
    "drop-head",
    "reject-publish",
    "reject-publish-dlx",
    "at-least-once",
    "a",
    "x",
    "first",
    "last",
    "next",
    "all",
    "any-with-x",
    "failed",
    "1h",
];
const NUMBERS: [i64; 10] = [0, 1, 2, 5, 10, 100, 255, -1, i64::MAX, i64::MIN];
/// Arguments with numbers, with texts, and with what each of those expects.
const NUMERIC: [&str; 14] = [
    "x-message-ttl",
    "x-expires",
    "x-max-length",
    "x-max-length-bytes",
    "x-delivery-limit",
    "x-max-priority",
    "x-delayed-retry-min",
    "x-delayed-retry-max",
    "x-consumer-timeout",
    "x-stream-offset",
    "x-priority",
    "a",
    "b",
    "x-single-active-consumer",
];
const TEXTUAL: [(&str, &[&str]); 12] = [
    ("x-queue-type", &["classic", "quorum", "stream", "quorum"]),
    ("x-overflow", &["drop-head", "reject-publish", "reject-publish-dlx"]),
    ("x-dead-letter-exchange", &["", "x", "y", "amq.fanout", "missing"]),
    ("x-dead-letter-routing-key", &KEYS),
    ("x-dead-letter-strategy", &["at-least-once", "at-most-once"]),
    ("x-delayed-retry-type", &["failed", "returned", "all", "disabled"]),
    ("x-max-age", &["1s", "1h", "x"]),
    ("x-stream-offset", &["first", "last", "next", "1h"]),
    ("x-match", &["all", "any", "all-with-x", "any-with-x"]),
    ("alternate-exchange", &["x", "y", "amq.fanout", "missing"]),
    ("hash-header", &["a", "b"]),
    ("a", &TEXTS),
];

/// Plays a few connections against each other: each byte or few make a method, a step of the clock or the end of a connection.
pub fn methods(input: &[u8]) {
    let mut bytes = Bytes { bytes: input };
    let mut bench = Bench::new();
    let mut clients = vec![bench.connect(true), bench.connect(true)];
    while !bytes.is_empty() {
        let client = usize::from(bytes.byte()) % clients.len();
        let peer = clients[client];
        match bytes.byte() % 32 {
            0 => bench.advance(u64::from(bytes.byte())),
            1 => bench.advance(u64::from(bytes.byte()) * 60_000),
            2 => {
                bench.engine.lost(bench.now, peer);
                clients[client] = bench.connect(true);
            }
            3 | 4 => bench.drain(peer),
            what => {
                let mut out = Vec::new();
                let channel = u16::from(bytes.byte() % 3) + 1;
                if what != 5 {
                    prepare(bench.engine.channel(peer, channel), channel, &mut out);
                }
                command(&mut bytes, channel, &mut out);
                let used = bench.receive(peer, &out);
                if used < out.len() {
                    // It does not read its answers; now it does.
                    bench.drain(peer);
                    bench.receive(peer, &out[used..]);
                }
                if !bench.engine.is_open(peer) {
                    bench.engine.lost(bench.now, peer);
                    clients[client] = bench.connect(true);
                }
            }
        }
    }
    bench.check_books();
    for peer in clients {
        bench.drain(peer);
        bench.engine.lost(bench.now, peer);
    }
    bench.check();
    bench.check_books();
}

/// Opens a channel that is not open, as clients do; nearly every command needs it.
fn prepare(is_open: Option<bool>, channel: u16, out: &mut Vec<u8>) {
    if is_open == Some(false) {
        send(out, channel, AMQPClass::Channel(channel::AMQPMethod::CloseOk(channel::CloseOk {})));
    }
    if is_open != Some(true) {
        send(out, channel, AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {})));
    }
}

fn command(bytes: &mut Bytes<'_>, channel: u16, out: &mut Vec<u8>) {
    match bytes.byte() % 30 {
        6..=8 => send(out, channel, settle(bytes)),
        9..=12 => send(out, channel, consuming(bytes)),
        13..=17 => send(out, channel, queues(bytes)),
        18..=20 => send(out, channel, exchanges(bytes)),
        21 => send(out, channel, AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {}))),
        22 | 23 => send(out, channel, close()),
        24 => send(out, channel, AMQPClass::Channel(channel::AMQPMethod::CloseOk(channel::CloseOk {}))),
        25 => send(
            out,
            channel,
            AMQPClass::Channel(channel::AMQPMethod::Flow(channel::Flow { active: bytes.flag() })),
        ),
        26..=27 => {
            let select = confirm::Select { nowait: bytes.flag() };
            send(out, channel, AMQPClass::Confirm(confirm::AMQPMethod::Select(select)));
        }
        _ => publish(bytes, channel, out),
    }
}

fn close() -> AMQPClass {
    let close = channel::Close { reply_code: 200, reply_text: "".into(), class_id: 0, method_id: 0 };
    AMQPClass::Channel(channel::AMQPMethod::Close(close))
}

fn publish(bytes: &mut Bytes<'_>, channel: u16, out: &mut Vec<u8>) {
    let publish = basic::Publish {
        exchange: bytes.pick(&EXCHANGES).into(),
        routing_key: bytes.pick(&[KEYS.as_slice(), &QUEUES].concat()).into(),
        mandatory: bytes.flag(),
        immediate: false,
    };
    send(out, channel, AMQPClass::Basic(basic::AMQPMethod::Publish(publish)));
    let mut properties = AMQPProperties::default();
    let what = bytes.byte();
    if what & 1 != 0 {
        properties = properties.with_headers(table(bytes));
    }
    if what & 2 != 0 {
        properties =
            properties.with_expiration(bytes.pick(&["0", "1", "100", "60000", "-1", "x", ""]).into());
    }
    if what & 4 != 0 {
        properties = properties.with_priority(bytes.byte());
    }
    if what & 8 != 0 {
        properties = properties.with_reply_to(bytes.pick(&QUEUES).into());
    }
    if what & 16 != 0 {
        properties = properties.with_delivery_mode(bytes.byte());
    }
    let body = vec![b'b'; usize::from(what >> 5) * usize::from(bytes.byte()) * 40];
    let header = AMQPContentHeader { class_id: 60, body_size: body.len() as u64, properties };
    frame(out, &AMQPFrame::Header(channel, header));
    if !body.is_empty() {
        frame(out, &AMQPFrame::Body(channel, body));
    }
}

fn settle(bytes: &mut Bytes<'_>) -> AMQPClass {
    let delivery_tag = u64::from(bytes.byte() % 16);
    let bits = bytes.byte();
    let (multiple, requeue) = (bits & 4 != 0, bits & 8 != 0);
    AMQPClass::Basic(match bits % 4 {
        0 | 1 => basic::AMQPMethod::Ack(basic::Ack { delivery_tag, multiple }),
        2 => basic::AMQPMethod::Nack(basic::Nack { delivery_tag, multiple, requeue }),
        _ => basic::AMQPMethod::Reject(basic::Reject { delivery_tag, requeue }),
    })
}

fn consuming(bytes: &mut Bytes<'_>) -> AMQPClass {
    AMQPClass::Basic(match bytes.byte() % 8 {
        0..=2 => basic::AMQPMethod::Consume(basic::Consume {
            queue: bytes.pick(&QUEUES).into(),
            consumer_tag: bytes.pick(&TAGS).into(),
            no_local: bytes.flag(),
            no_ack: bytes.flag(),
            exclusive: bytes.byte() % 8 == 1,
            nowait: bytes.flag(),
            arguments: table(bytes),
        }),
        3 => basic::AMQPMethod::Cancel(basic::Cancel {
            consumer_tag: bytes.pick(&TAGS).into(),
            nowait: bytes.flag(),
        }),
        4 => basic::AMQPMethod::Qos(basic::Qos {
            prefetch_count: u16::from(bytes.byte() % 4),
            global: bytes.byte() % 16 == 1,
        }),
        5 => basic::AMQPMethod::Recover(basic::Recover { requeue: bytes.flag() }),
        _ => basic::AMQPMethod::Get(basic::Get { queue: bytes.pick(&QUEUES).into(), no_ack: bytes.flag() }),
    })
}

fn queues(bytes: &mut Bytes<'_>) -> AMQPClass {
    let queue = bytes.pick(&QUEUES).into();
    AMQPClass::Queue(match bytes.byte() % 8 {
        0..=3 => {
            let bits = bytes.byte();
            queue::AMQPMethod::Declare(queue::Declare {
                queue,
                passive: bits & 1 != 0 && bits & 2 != 0,
                durable: bits & 4 == 0,
                exclusive: bits & 24 == 24,
                auto_delete: bits & 96 == 96,
                nowait: bits & 128 != 0,
                arguments: table(bytes),
            })
        }
        4 => queue::AMQPMethod::Delete(queue::Delete {
            queue,
            if_unused: bytes.flag(),
            if_empty: bytes.flag(),
            nowait: bytes.flag(),
        }),
        5 => queue::AMQPMethod::Purge(queue::Purge { queue, nowait: bytes.flag() }),
        6 => queue::AMQPMethod::Unbind(queue::Unbind {
            queue,
            exchange: bytes.pick(&EXCHANGES).into(),
            routing_key: bytes.pick(&KEYS).into(),
            arguments: table(bytes),
        }),
        _ => queue::AMQPMethod::Bind(queue::Bind {
            queue,
            exchange: bytes.pick(&EXCHANGES).into(),
            routing_key: bytes.pick(&KEYS).into(),
            nowait: bytes.flag(),
            arguments: table(bytes),
        }),
    })
}

fn exchanges(bytes: &mut Bytes<'_>) -> AMQPClass {
    let name = bytes.pick(&EXCHANGES).into();
    AMQPClass::Exchange(match bytes.byte() % 8 {
        0..=2 => {
            let bits = bytes.byte();
            exchange::AMQPMethod::Declare(exchange::Declare {
                exchange: name,
                kind: bytes.pick(&KINDS).into(),
                passive: bits & 1 != 0 && bits & 2 != 0,
                durable: bits & 4 == 0,
                auto_delete: bits & 24 == 24,
                internal: bits & 96 == 96,
                nowait: bits & 128 != 0,
                arguments: table(bytes),
            })
        }
        3 => exchange::AMQPMethod::Delete(exchange::Delete {
            exchange: name,
            if_unused: bytes.flag(),
            nowait: bytes.flag(),
        }),
        4 => exchange::AMQPMethod::Unbind(exchange::Unbind {
            destination: name,
            source: bytes.pick(&EXCHANGES).into(),
            routing_key: bytes.pick(&KEYS).into(),
            nowait: bytes.flag(),
            arguments: table(bytes),
        }),
        _ => exchange::AMQPMethod::Bind(exchange::Bind {
            destination: name,
            source: bytes.pick(&EXCHANGES).into(),
            routing_key: bytes.pick(&KEYS).into(),
            nowait: bytes.flag(),
            arguments: table(bytes),
        }),
    })
}

fn table(bytes: &mut Bytes<'_>) -> FieldTable {
    let mut table = FieldTable::default();
    let count = bytes.byte();
    for _ in 0..if count < 96 { 0 } else { count % 5 } {
        let kind = bytes.byte();
        let (key, value) = match kind % 16 {
            0..=7 => {
                let (key, values) = bytes.pick(&TEXTUAL);
                (key, AMQPValue::LongString(bytes.pick(values).into()))
            }
            8..=12 => (bytes.pick(&NUMERIC), AMQPValue::LongLongInt(bytes.pick(&NUMBERS))),
            13 => ("x-single-active-consumer", AMQPValue::Boolean(bytes.flag())),
            14 => {
                let keys = vec![
                    AMQPValue::LongString(bytes.pick(&KEYS).into()),
                    AMQPValue::LongString(bytes.pick(&QUEUES).into()),
                ];
                (bytes.pick(&["CC", "BCC"]), AMQPValue::FieldArray(keys.into()))
            }
            _ => (bytes.pick(&NUMERIC), value(bytes, 0)),
        };
        table.insert(key.into(), value);
    }
    table
}

fn value(bytes: &mut Bytes<'_>, depth: u8) -> AMQPValue {
    match bytes.byte() % 16 {
        0..=6 => AMQPValue::LongString(bytes.pick(&TEXTS).into()),
        7..=9 => AMQPValue::LongLongInt(bytes.pick(&NUMBERS)),
        10 => AMQPValue::LongInt(i32::from(bytes.byte())),
        11 => AMQPValue::Boolean(bytes.flag()),
        12 => AMQPValue::Double(f64::from(bytes.byte()) - 1.5),
        13 => AMQPValue::Timestamp(u64::from(bytes.byte())),
        14 if depth < 3 => {
            let values: Vec<_> = (0..bytes.byte() % 4).map(|_| value(bytes, depth + 1)).collect();
            AMQPValue::FieldArray(values.into())
        }
        15 if depth < 3 => AMQPValue::FieldTable(table(bytes)),
        _ => AMQPValue::Void,
    }
}

fn send(out: &mut Vec<u8>, channel: u16, method: AMQPClass) {
    frame(out, &AMQPFrame::Method(channel, method));
}

fn frame(out: &mut Vec<u8>, frame: &AMQPFrame) {
    let context = WriteContext::from(std::mem::take(out));
    *out = gen_frame(frame)(context).expect("a vector takes any bytes").write;
}
