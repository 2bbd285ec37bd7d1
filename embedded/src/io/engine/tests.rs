//! What RabbitMQ 4.3.6 answered to the same bytes.

use amq_protocol::frame::{AMQPFrame, parse_frame};
use amq_protocol::protocol::{channel, connection};

use super::*;
use crate::io::frame::METHOD;
use crate::io::testing::{bench_core, frame, long, method, short};

/// What a client was sent, as short as it can be told.
#[derive(Debug, PartialEq)]
enum Seen {
    /// Bytes that are no frame.
    Raw(Vec<u8>),
    /// A method: channel, class, number.
    Method(u16, u16, u16),
    /// `channel.close` or `connection.close`: channel, code, text, class and method.
    Close(u16, u16, String, (u16, u16)),
    /// The broker hangs up.
    End,
}

fn close(channel: u16, code: u16, text: &str, id: (u16, u16)) -> Seen {
    Seen::Close(channel, code, text.to_owned(), id)
}

fn talk(input: &[u8]) -> Vec<Seen> {
    let mut engine = Engine::new(bench_core(), Limits::default());
    let (id, _) = engine.accept();
    engine.receive(Millis(0), id, "test", input);
    let mut output = VecDeque::new();
    let status = engine.poll(id, &mut output).expect("the peer is there");
    let bytes = Vec::from(output).concat();
    let mut rest = bytes.as_slice();
    let mut seen = Vec::new();
    while !rest.is_empty() {
        if rest.starts_with(b"AMQP") {
            seen.push(Seen::Raw(rest.to_vec()));
            break;
        }
        let (left, frame) = parse_frame(rest).expect("the broker sends frames");
        rest = left;
        let AMQPFrame::Method(channel, method) = frame else { panic!("{frame:?}") };
        seen.push(match method {
            AMQPClass::Connection(AMQPMethod::Close(connection::Close {
                reply_code,
                reply_text,
                class_id,
                method_id,
            }))
            | AMQPClass::Channel(channel::AMQPMethod::Close(channel::Close {
                reply_code,
                reply_text,
                class_id,
                method_id,
            })) => close(channel, reply_code, reply_text.as_str(), (class_id, method_id)),
            other => Seen::Method(channel, other.get_amqp_class_id(), other.get_amqp_method_id()),
        });
    }
    if status.end.is_some() {
        seen.push(Seen::End);
    }
    seen
}

/// Sends frames after the protocol header; returns what comes after `connection.start`.
fn greet(frames: &[Vec<u8>]) -> Vec<Seen> {
    let mut seen = talk(&[PROTOCOL_HEADER.as_slice(), &frames.concat()].concat());
    assert_eq!(seen.remove(0), Seen::Method(0, 10, 10));
    seen
}

/// Sends frames on an open connection with an open channel 1; returns what comes after.
fn open(frames: &[Vec<u8>]) -> Vec<Seen> {
    open_with(2047, frames)
}

fn open_with(channel_max: u16, frames: &[Vec<u8>]) -> Vec<Seen> {
    let mut all = vec![
        start_ok("PLAIN", b"\0guest\0guest"),
        tune_ok(channel_max, 131_072),
        open_vhost("/"),
        open_channel(1),
    ];
    all.extend_from_slice(frames);
    let mut seen = greet(&all);
    let rest = seen.split_off(3);
    assert_eq!(seen, [Seen::Method(0, 10, 30), Seen::Method(0, 10, 41), Seen::Method(1, 20, 11)]);
    rest
}

fn start_ok(mechanism: &str, response: &[u8]) -> Vec<u8> {
    let told = long(
        &[
            short("capabilities"),
            b"F".to_vec(),
            long(&[short("authentication_failure_close"), b"t\x01".to_vec()].concat()),
        ]
        .concat(),
    );
    method(0, 10, 11, &[told, short(mechanism), long(response), short("en_US")])
}

fn tune_ok(channel_max: u16, frame_max: u32) -> Vec<u8> {
    method(0, 10, 31, &[channel_max.to_be_bytes().to_vec(), frame_max.to_be_bytes().to_vec(), vec![0, 0]])
}

fn open_vhost(vhost: &str) -> Vec<u8> {
    method(0, 10, 40, &[short(vhost), vec![0, 0]])
}

fn open_channel(channel: u16) -> Vec<u8> {
    method(channel, 20, 10, &[short("")])
}

fn close_method(channel: u16) -> Vec<u8> {
    let class = if channel == 0 { (10, 50) } else { (20, 40) };
    method(channel, class.0, class.1, &[vec![0, 200], short(""), vec![0; 4]])
}

fn passive(channel: u16) -> Vec<u8> {
    method(channel, 50, 10, &[vec![0, 0], short("missing"), vec![1], long(b"")])
}

const UNKNOWN_QUEUE: &str = "NOT_FOUND - no queue 'missing' in vhost '/'";

#[test]
fn other_protocols_are_named_the_right_one() {
    for (header, answer) in [
        (b"AMQP\0\0\x09\x02", PROTOCOL_HEADER),
        (b"AMQP\0\0\x0a\0", PROTOCOL_HEADER),
        (b"AMQP\x01\x01\x08\0", *b"AMQP\x03\x01\0\0"),
        (b"AMQP\0\x01\0\0", *b"AMQP\x03\x01\0\0"),
        (b"GET / HT", *b"AMQP\x03\x01\0\0"),
        (b"XXXXXXXX", *b"AMQP\x03\x01\0\0"),
    ] {
        assert_eq!(talk(header), [Seen::Raw(answer.to_vec()), Seen::End]);
    }
    assert_eq!(talk(b"AMQP"), []);
}

#[test]
fn refused_logins_are_told_to_those_who_can_be_told() {
    let text = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.";
    assert_eq!(greet(&[start_ok("PLAIN", b"\0guest\0wrong")]), [close(0, 403, text, (0, 0))]);
    let mute = method(0, 10, 11, &[long(b""), short("PLAIN"), long(b"\0guest\0wrong"), short("en_US")]);
    assert_eq!(greet(&[mute]), [Seen::End]);
    for (mechanism, response) in [("PLAIN", "guest"), ("EXTERNAL", ""), ("AMQPLAIN", "xxxx")] {
        assert_eq!(greet(&[start_ok(mechanism, response.as_bytes())]), [Seen::End], "{mechanism}");
    }
}

#[test]
fn the_tuning_keeps_to_the_offer() {
    for (channel_max, frame_max) in [(3000, 131_072), (0, 131_072), (2047, 4096), (2047, 0), (2047, 200_000)]
    {
        let frames = [start_ok("PLAIN", b"\0guest\0guest"), tune_ok(channel_max, frame_max), open_vhost("/")];
        assert_eq!(greet(&frames), [Seen::Method(0, 10, 30), Seen::End], "{channel_max}, {frame_max}");
    }
}

#[test]
fn an_unknown_vhost_is_not_found() {
    let frames = [start_ok("PLAIN", b"\0guest\0guest"), tune_ok(2047, 131_072), open_vhost("nope")];
    let told = close(0, 530, "NOT_ALLOWED - vhost nope not found", (10, 40));
    assert_eq!(greet(&frames), [Seen::Method(0, 10, 30), told]);
}

#[test]
fn a_handshake_out_of_order_ends_silently() {
    assert_eq!(greet(&[open_vhost("/")]), [Seen::End]);
    assert_eq!(greet(&[open_channel(1)]), [Seen::End]);
    assert_eq!(greet(&[frame(METHOD, 0, &[b'x'; 9000])]), [Seen::End]);
    assert_eq!(
        greet(&[start_ok("PLAIN", b"\0guest\0guest"), close_method(0)]),
        [Seen::Method(0, 10, 30), Seen::End]
    );
}

#[test]
fn methods_out_of_place_close_the_connection() {
    for (bytes, code, text, id) in [
        (open_channel(0), 504, "CHANNEL_ERROR - unexpected method in connection state running", (20, 10)),
        (open_vhost("/"), 504, "CHANNEL_ERROR - unexpected method in connection state running", (10, 40)),
        (
            method(0, 10, 51, &[]),
            504,
            "CHANNEL_ERROR - unexpected method in connection state running",
            (10, 51),
        ),
        (open_channel(1), 504, "CHANNEL_ERROR - second 'channel.open' seen", (20, 10)),
        (method(7, 60, 10, &[vec![0; 7]]), 504, "CHANNEL_ERROR - expected 'channel.open'", (60, 10)),
        (close_method(7), 504, "CHANNEL_ERROR - expected 'channel.open'", (20, 40)),
        (method(7, 20, 41, &[]), 504, "CHANNEL_ERROR - expected 'channel.open'", (20, 41)),
        (method(1, 20, 41, &[]), 503, "COMMAND_INVALID - unimplemented method", (20, 41)),
        (method(1, 60, 11, &[]), 503, "COMMAND_INVALID - unimplemented method", (60, 11)),
        (method(1, 20, 21, &[vec![0]]), 503, "COMMAND_INVALID - unimplemented method", (20, 21)),
        (close_connection_on(1), 503, "COMMAND_INVALID - unimplemented method", (10, 50)),
        (frame(5, 0, b""), 501, "FRAME_ERROR - type 5, all octets = <<>>: unknown_frame", (0, 0)),
        (frame(8, 1, b""), 505, "UNEXPECTED_FRAME - type 8, all octets = <<>>", (0, 0)),
        (method(1, 60, 10, &[vec![0; 8]]), 501, "FRAME_ERROR - cannot decode <<0,0,0,0,0,0,0,0>>", (60, 10)),
        (method(0, 10, 50, &[vec![0]]), 541, "INTERNAL_ERROR", (0, 0)),
        (
            method(1, 50, 10, &[vec![0, 0, 1, 255, 0], long(b"")]),
            501,
            "FRAME_ERROR - Malformed UTF-8 in shortstr",
            (0, 0),
        ),
    ] {
        assert_eq!(open(&[bytes]), [close(0, code, text, id)]);
    }
}

fn close_connection_on(channel: u16) -> Vec<u8> {
    method(channel, 10, 50, &[vec![0, 200], short(""), vec![0; 4]])
}

#[test]
fn what_crashes_the_reader_of_rabbitmq_hangs_up() {
    assert_eq!(open(&[method(1, 60, 99, &[])]), [Seen::End]);
    assert_eq!(open(&[method(0, 99, 99, &[])]), [Seen::End]);
    let broken = method(1, 50, 10, &[vec![0, 0], short("q"), vec![0], long(b"\x01aZ")]);
    assert_eq!(open(&[broken]), [Seen::End]);
}

#[test]
fn a_closed_channel_is_deaf_until_it_is_closed_on_both_sides() {
    let not_found = || close(1, 404, UNKNOWN_QUEUE, (50, 10));
    assert_eq!(open(&[passive(1), passive(1)]), [not_found()]);
    let reopened = [passive(1), passive(1), method(1, 20, 41, &[]), open_channel(1), passive(1)];
    assert_eq!(open(&reopened), [not_found(), Seen::Method(1, 20, 11), not_found()]);
    let crossed = [passive(1), close_method(1), method(1, 20, 41, &[]), open_channel(1)];
    assert_eq!(open(&crossed), [not_found(), Seen::Method(1, 20, 41), Seen::Method(1, 20, 11)]);
    let text = "UNEXPECTED_FRAME - expected method frame, got non method frame instead";
    assert_eq!(open(&[passive(1), frame(3, 1, b"a")]), [not_found(), close(0, 505, text, (0, 0))]);
}

#[test]
fn channels_count_until_both_sides_closed_them() {
    let text = |opened| {
        format!(
            "NOT_ALLOWED - number of channels opened ({opened}) has reached the negotiated channel_max ({opened})"
        )
    };
    assert_eq!(open_with(1, &[open_channel(5)]), [close(0, 530, &text(1), (0, 0))]);
    let frames = [passive(1), open_channel(2)];
    assert_eq!(
        open_with(1, &frames),
        [close(1, 404, UNKNOWN_QUEUE, (50, 10)), close(0, 530, &text(1), (0, 0))]
    );
    let frames = [close_method(1), open_channel(2000)];
    assert_eq!(open_with(1, &frames), [Seen::Method(1, 20, 41), Seen::Method(2000, 20, 11)]);
}

#[test]
fn a_closed_connection_answers_only_its_end() {
    let ok = || Seen::Method(0, 10, 51);
    assert_eq!(open(&[close_method(0), open_channel(2), close_method(0)]), [ok(), ok()]);
    assert_eq!(open(&[close_method(0), method(0, 10, 51, &[])]), [ok(), Seen::End]);
    let text = "CHANNEL_ERROR - second 'channel.open' seen";
    let frames = [open_channel(1), passive(1), method(0, 10, 51, &[])];
    assert_eq!(open(&frames), [close(0, 504, text, (20, 10)), Seen::End]);
}

#[test]
fn frames_out_of_step_are_told_and_nothing_more_is_read() {
    let text = "FRAME_ERROR - type 1, all octets = <<>>: {frame_too_large,200000,131064}";
    let frames = [b"\x01\0\x01\0\x03\x0d\x40".to_vec(), method(0, 10, 51, &[])];
    assert_eq!(open(&frames), [close(0, 501, text, (0, 0))]);
}

#[test]
fn secrets_can_be_updated() {
    let update = method(0, 10, 70, &[long(b"guest"), short("because")]);
    assert_eq!(open(&[update]), [Seen::Method(0, 10, 71)]);
}

#[test]
fn a_turn_ends_when_it_has_filled_enough_queues() {
    let mut engine = Engine::new(bench_core(), Limits::default());
    let (id, _) = engine.accept();
    let mut setup = vec![
        PROTOCOL_HEADER.to_vec(),
        start_ok("PLAIN", b"\0guest\0guest"),
        tune_ok(2047, 131_072),
        open_vhost("/"),
        open_channel(1),
    ];
    for queue in 0..1500 {
        let queue = queue.to_string();
        setup.push(method(1, 50, 10, &[vec![0, 0], short(&queue), vec![16], long(b"")]));
        setup.push(method(
            1,
            50,
            20,
            &[vec![0, 0], short(&queue), short("amq.fanout"), short(""), vec![1], long(b"")],
        ));
    }
    let setup = setup.concat();
    assert_eq!(engine.receive(Millis(0), id, "test", &setup), setup.len());
    let publish = [
        method(1, 60, 40, &[vec![0, 0], short("amq.fanout"), short(""), vec![0]]),
        frame(2, 1, &[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ]
    .concat();
    let flood = publish.repeat(100);
    let mut turns = 0;
    let mut used = 0;
    while used < flood.len() {
        used += engine.receive(Millis(0), id, "test", &flood[used..]);
        let status = engine.poll(id, &mut VecDeque::new()).expect("the peer is there");
        assert_eq!(status.has_more, used < flood.len());
        turns += 1;
    }
    // Two publishes a turn.
    assert_eq!(turns, 50);
}
