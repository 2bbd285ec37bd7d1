//! Bytes that are no text where a client library would want some: what RabbitMQ passes on.

use garenne_tests::wire::raw::{headers, long, short, table};
use garenne_tests::wire::{Login, Queue, Wire, channel_error, connection_error};
use garenne_tests::{SECONDS, Target, eventually};

use crate::behaviours;
use crate::steps::{KINDS, becomes};

/// No encoding knows it.
const BAD: &[u8] = b"\xff.\xfe\xe9b";

/// The flags of the properties that are short strings, and RabbitMQ does not look into.
const TEXTS: [u16; 8] = [0x8000, 0x4000, 0x0400, 0x0200, 0x0080, 0x0020, 0x0008, 0x0004];

/// Returns properties of which one is a short string.
fn text(flag: u16, bytes: &[u8]) -> Vec<u8> {
    [flag.to_be_bytes().as_slice(), &short(bytes)].concat()
}

fn queue(name: &str, kind: &str) -> Queue {
    Queue::plain(name).with("x-queue-type", kind)
}

/// A queue whose dead letters go to another one.
fn dying(queue: Queue, to: &str) -> Queue {
    queue.with("x-dead-letter-exchange", "").with("x-dead-letter-routing-key", to)
}

fn long_string(bytes: &[u8]) -> Vec<u8> {
    [b"S".as_slice(), &long(bytes)].concat()
}

/// Tables or arrays within each other.
fn nested(depth: usize, kind: u8) -> Vec<u8> {
    let key: &[u8] = if kind == b'F' { b"\x01\xff" } else { b"" };
    // The innermost first; each of the others is written before it.
    let mut sizes = vec![key.len() + 1];
    for _ in 1..depth {
        sizes.push(sizes[sizes.len() - 1] + key.len() + 5);
    }
    let mut bytes = Vec::new();
    for size in sizes.into_iter().rev() {
        bytes.push(kind);
        bytes.extend(u32::try_from(size).expect("small").to_be_bytes());
        bytes.extend(key);
    }
    bytes.push(b'V');
    bytes
}

/// Publishes to a queue and returns the properties of what is delivered.
async fn passed_on(wire: &mut Wire, number: u64, queue: &str, properties: &[u8]) -> Vec<u8> {
    wire.publish_raw(1, (b"", queue.as_bytes()), false, properties, b"body").await;
    wire.expect_confirms_from(1, number, 1).await;
    let got = wire.get_raw(1, queue).await;
    assert_eq!(got.body, b"body");
    wire.ack(1, got.tag()).await;
    got.properties
}

/// A channel in confirm mode, and queues of these names and types.
async fn channel(target: &Target, queues: &[(&str, &str)]) -> Wire {
    let mut wire = target.channel().await;
    for (name, kind) in queues {
        wire.declare_queue(1, queue(name, kind)).await;
    }
    wire.confirm_select(1).await;
    wire
}

/// Publishes what must close the channel, and returns how.
async fn refused(target: &Target, exchange: &[u8], properties: &[u8]) -> garenne_tests::wire::Closed {
    let mut wire = target.channel().await;
    wire.publish_raw(1, (exchange, b"key"), false, properties, b"body").await;
    wire.expect_channel_error(1).await
}

/// Publishes what must close the connection, and returns how.
async fn broken(target: &Target, exchange: &[u8], properties: &[u8]) -> garenne_tests::wire::Closed {
    let mut wire = target.channel().await;
    wire.publish_raw(1, (exchange, b"key"), false, properties, b"body").await;
    wire.expect_connection_error().await
}

behaviours! {
    area = "foreign bytes", source = "rabbit_binary_parser.erl: parse_table";

    /// Properties that are short strings may hold any bytes, which are delivered as they are.
    #[source = "rabbit_framing_amqp_0_9_1.erl: decode_properties"]
    async fn properties_may_hold_any_bytes(target: Target) {
        let mut wire = channel(&target, &KINDS.map(|kind| (kind, kind))).await;
        let mut number = 0;
        for kind in KINDS {
            for flag in TEXTS {
                number += 1;
                let properties = text(flag, BAD);
                assert_eq!(passed_on(&mut wire, number, kind, &properties).await, properties, "{flag:#x}");
            }
        }
    }

    /// Names and texts in headers may hold any bytes, at any depth.
    async fn headers_may_hold_any_bytes(target: Target) {
        let mut wire = channel(&target, &KINDS.map(|kind| (kind, kind))).await;
        let inner = [b"F".as_slice(), &long(&table(&[(b"\xfe", long_string(BAD)), (b"a", b"V".to_vec())]))].concat();
        let array = [b"A".as_slice(), &long(&[inner.clone(), long_string(b"\x80")].concat())].concat();
        let properties = headers(&[(b"a", array), (b"b", [b"x".as_slice(), &long(BAD)].concat()), (BAD, inner)]);
        for (number, kind) in (1..).zip(KINDS) {
            assert_eq!(passed_on(&mut wire, number, kind, &properties).await, properties, "{kind}");
        }
    }

    /// Headers are delivered sorted by name, and of two with one name the first stays; tables within them stay as they are.
    #[source = "rabbit_misc.erl: sort_field_table"]
    async fn headers_are_sorted(target: Target) {
        let mut wire = channel(&target, &KINDS.map(|kind| (kind, kind))).await;
        let inner = [b"F".as_slice(), &long(&table(&[(b"z", b"V".to_vec()), (b"a", b"V".to_vec()), (b"z", b"V".to_vec())]))];
        let inner = inner.concat();
        let sent = headers(&[(b"z", inner.clone()), (b"\xff", b"V".to_vec()), (b"a", b"b\x01".to_vec()), (b"a", b"b\x02".to_vec())]);
        let kept = headers(&[(b"a", b"b\x01".to_vec()), (b"z", inner), (b"\xff", b"V".to_vec())]);
        for (number, kind) in (1..).zip(KINDS) {
            assert_eq!(passed_on(&mut wire, number, kind, &sent).await, kept, "{kind}");
        }
    }

    /// Every type of value but one is delivered as it was written: `L` comes out as `l`, and true as 1.
    #[source = "rabbit_binary_generator.erl: table_field_to_binary"]
    async fn types_are_passed_on(target: Target) {
        let mut wire = channel(&target, &[("q", "quorum")]).await;
        let mut number = 0;
        for (kind, size) in [
            (b't', 1), (b'b', 1), (b'B', 1), (b's', 2), (b'u', 2), (b'I', 4), (b'i', 4), (b'l', 8), (b'L', 8),
            (b'f', 4), (b'd', 8), (b'D', 5), (b'T', 8), (b'V', 0),
        ] {
            number += 1;
            let value = [vec![kind], vec![0xF1; size]].concat();
            let wanted = match kind {
                b't' => b"t\x01".to_vec(),
                b'L' => [vec![b'l'], vec![0xF1; 8]].concat(),
                _ => value.clone(),
            };
            let found = passed_on(&mut wire, number, "q", &headers(&[(b"k", value)])).await;
            assert_eq!(found, headers(&[(b"k", wanted)]), "{}", char::from(kind));
        }
    }

    /// A type of value that RabbitMQ does not know, and a float that is no number, close the connection with 541.
    async fn unknown_types_are_an_internal_error(target: Target) {
        let nan = [b"d".as_slice(), &f64::NAN.to_be_bytes()].concat();
        let infinite = [b"f".as_slice(), &f32::INFINITY.to_be_bytes()].concat();
        for value in [b"U\0\0".to_vec(), b"c\0".to_vec(), b"N".to_vec(), nan, infinite] {
            let closed = broken(&target, b"", &headers(&[(b"k", value)])).await;
            assert_eq!(closed, connection_error(541, "INTERNAL_ERROR"));
        }
    }

    /// Headers may be nested as deep as a frame allows.
    async fn headers_may_be_nested_deep(target: Target) {
        let mut wire = channel(&target, &KINDS.map(|kind| (kind, kind))).await;
        let mut number = 0;
        for (queue, kind) in KINDS.into_iter().zip(*b"FA") {
            for depth in [101, 15_000] {
                number += 1;
                let properties = headers(&[(b"k", nested(depth, kind))]);
                assert!(passed_on(&mut wire, number, queue, &properties).await == properties, "{depth} deep");
            }
        }
    }

    /// A content header is delivered in one frame, however small the frames are that the consumer asked for.
    #[source = "rabbit_binary_generator.erl: build_content_frames"]
    async fn a_content_header_may_exceed_frame_max(target: Target) {
        let mut wire = channel(&target, &[("q", "quorum")]).await;
        let properties = headers(&[(b"k", long_string(&[7; 50_000]))]);
        wire.publish_raw(1, (b"", b"q"), false, &properties, &[8; 20_000]).await;
        wire.expect_confirms(1, 1).await;
        let login = Login { frame_max: Some(8192), ..Login::new(&target.url()) };
        let mut small = Wire::connect_with(&target.url(), login).await;
        small.open_channel(1).await;
        let got = small.get_raw(1, "q").await;
        assert_eq!((got.properties.len(), got.body.len()), (properties.len(), 20_000));
        assert_eq!(small.largest_frame(), 12 + properties.len() + 8);
    }

    /// A content header beyond the negotiated frame-max is refused when it is published: 501.
    #[source = "rabbit_reader.erl: handle_input"]
    async fn a_published_header_keeps_to_frame_max(target: Target) {
        let properties = |size| headers(&[(b"k", long_string(&vec![7; size]))]);
        let overhead = properties(0).len() + 12;
        let mut wire = channel(&target, &[("q", "quorum")]).await;
        passed_on(&mut wire, 1, "q", &properties(131_072 - overhead)).await;
        let closed = broken(&target, b"", &properties(131_073 - overhead)).await;
        assert_eq!(closed.code, 501);
        assert!(closed.text.contains("{frame_too_large,131073,131064}"), "{closed}");
    }

    /// What dead-lettering adds to headers may make them larger than any frame, and they are delivered.
    #[source = "https://www.rabbitmq.com/docs/dlx"]
    async fn dead_letters_outgrow_frames(target: Target) {
        let mut wire = channel(&target, &[("dead", "quorum")]).await;
        wire.declare_queue(1, dying(Queue::quorum("q"), "dead")).await;
        let headers = headers(&[(b"k", long_string(&[7; 131_000]))]);
        wire.publish_raw(1, (b"", b"q"), false, &headers, b"body").await;
        wire.expect_confirms(1, 1).await;
        let got = wire.get_raw(1, "q").await;
        wire.reject(1, got.tag(), false).await;
        becomes(&mut wire, "dead", 1).await;
        let dead = wire.get_raw(1, "dead").await;
        assert!(dead.properties.len() > 131_072, "{}", dead.properties.len());
    }

    /// A routing key may hold any bytes: an unroutable one comes back with its message, and others are matched byte by byte.
    #[source = "rabbit_channel.erl: handle_method(#'basic.publish'{})"]
    async fn routing_keys_may_hold_any_bytes(target: Target) {
        let mut wire = channel(&target, &[("q", "classic")]).await;
        wire.publish_raw(1, (b"", BAD), true, &[0, 0], b"body").await;
        let back = wire.expect_raw(1).await;
        assert_eq!((back.method, back.body.as_slice()), (50, &b"body"[..]));
        assert_eq!(back.fields, [&b"\x01\x38\x08NO_ROUTE\0"[..], &short(BAD)].concat());
        wire.expect_confirms(1, 1).await;
        wire.bind(1, "amq.topic", "*.#", "q").await;
        wire.publish_raw(1, (b"amq.topic", BAD), true, &[0, 0], b"body").await;
        wire.expect_confirms_from(1, 2, 1).await;
        let got = wire.get_raw(1, "q").await;
        assert_eq!(&got.fields[9..], [&short(b"amq.topic")[..], &short(BAD), &[0; 4]].concat());
    }

    /// The keys of `CC` and `BCC` may hold any bytes.
    #[source = "https://www.rabbitmq.com/docs/sender-selected"]
    async fn further_keys_may_hold_any_bytes(target: Target) {
        let mut wire = channel(&target, &[("q", "classic")]).await;
        let keys = |keys: &[&[u8]]| {
            let keys: Vec<u8> = keys.iter().flat_map(|key| long_string(key)).collect();
            [b"A".as_slice(), &long(&keys)].concat()
        };
        let sent = headers(&[(b"BCC", keys(&[b"\xfe"])), (b"CC", keys(&[BAD, b"q"]))]);
        let found = passed_on(&mut wire, 1, "q", &sent).await;
        assert_eq!(found, headers(&[(b"CC", keys(&[BAD, b"q"]))]));
    }

    /// A dead letter keeps every byte, and its history tells the routing key's.
    #[source = "https://www.rabbitmq.com/docs/dlx"]
    async fn dead_letters_keep_every_byte(target: Target) {
        for kind in KINDS {
            let (source, dead) = (format!("{kind}-source"), format!("{kind}-dead"));
            let mut wire = channel(&target, &[(&dead, kind)]).await;
            wire.declare_queue(1, dying(queue(&source, kind), &dead)).await;
            wire.bind(1, "amq.fanout", "", &source).await;
            let properties = [&[0x24, 0][..], &long(&table(&[(b"a", b"t\x01".to_vec()), (BAD, long_string(BAD))])), &short(BAD)];
            wire.publish_raw(1, (b"amq.fanout", BAD), false, &properties.concat(), b"body").await;
            wire.expect_confirms(1, 1).await;
            wire.unbind(1, "amq.fanout", "", &source).await;
            let got = wire.get_raw(1, &source).await;
            wire.reject(1, got.tag(), false).await;
            becomes(&mut wire, &dead, 1).await;
            let mut found = wire.get_raw(1, &dead).await.properties;
            // The time of death.
            let time = found.windows(6).position(|bytes| bytes == b"\x04timeT").expect("it tells the time") + 6;
            found[time..time + 8].fill(0);
            let history = table(&[
                (b"count", b"l\0\0\0\0\0\0\0\x01".to_vec()),
                (b"reason", long_string(b"rejected")),
                (b"queue", long_string(source.as_bytes())),
                (b"time", b"T\0\0\0\0\0\0\0\0".to_vec()),
                (b"exchange", long_string(b"amq.fanout")),
                (b"routing-keys", [b"A".as_slice(), &long(&long_string(BAD))].concat()),
            ]);
            let history = [b"A".as_slice(), &long(&[b"F".as_slice(), &long(&history)].concat())].concat();
            let mut wanted: Vec<(&[u8], Vec<u8>)> = vec![(b"a", b"t\x01".to_vec())];
            if kind == "quorum" {
                wanted.push((b"x-acquired-count", b"l\0\0\0\0\0\0\0\x01".to_vec()));
            }
            wanted.push((b"x-death", history));
            if kind == "quorum" {
                wanted.push((b"x-delivery-count", b"l\0\0\0\0\0\0\0\x01".to_vec()));
            }
            for (key, value) in [
                (b"x-first-death-exchange".as_slice(), "amq.fanout"),
                (b"x-first-death-queue", &source),
                (b"x-first-death-reason", "rejected"),
                (b"x-last-death-exchange", "amq.fanout"),
                (b"x-last-death-queue", &source),
                (b"x-last-death-reason", "rejected"),
            ] {
                wanted.push((key, long_string(value.as_bytes())));
            }
            wanted.push((BAD, long_string(BAD)));
            let wanted = [&[0x24, 0][..], &long(&table(&wanted)), &short(BAD)].concat();
            assert_eq!(found.escape_ascii().to_string(), wanted.escape_ascii().to_string(), "{kind}");
        }
    }

    /// A time to live that is no number and a foreign user are refused with 406, and what is not UTF-8 is told as Latin-1.
    #[source = "rabbit_channel.erl: handle_method(#'basic.publish'{})"]
    async fn foreign_bytes_in_errors_are_told_as_latin_1(target: Target) {
        let closed = refused(&target, b"", &text(0x0100, b"\xff5")).await;
        assert_eq!(closed, channel_error(406, "PRECONDITION_FAILED - invalid expiration 'ÿ5': no_integer"));
        let closed = refused(&target, b"", &text(0x0100, b"5\xff")).await;
        let told = "PRECONDITION_FAILED - invalid expiration '5ÿ': {leftover_string,\"ÿ\"}";
        assert_eq!(closed, channel_error(406, told));
        let closed = refused(&target, b"", &text(0x0010, BAD)).await;
        let told = "PRECONDITION_FAILED - user_id property set to 'ÿ.þéb' but authenticated user was '";
        assert!(closed.code == 406 && closed.text.starts_with(told), "{closed}");
        let closed = refused(&target, BAD, &[0, 0]).await;
        assert_eq!(closed, channel_error(404, "NOT_FOUND - no exchange 'ÿ.þéb' in vhost '/'"));
    }

    /// A text of at most 255 characters that takes more bytes cannot be told: the channel crashes, and the connection is closed with 541.
    #[source = "rabbit_binary_generator.erl: shortstr_size"]
    async fn an_error_text_of_too_many_bytes_ends_the_connection(target: Target) {
        let closed = broken(&target, "é".repeat(120).as_bytes(), &[0, 0]).await;
        assert_eq!(closed, connection_error(541, "INTERNAL_ERROR"));
        let closed = broken(&target, &[0xFF; 120], &[0, 0]).await;
        assert_eq!(closed, connection_error(541, "INTERNAL_ERROR"));
        // Here the long character is cut off.
        let mut wire = target.channel().await;
        let name = format!("{}é", "a".repeat(252));
        let closed = wire.refused(1, Queue::passive(&name)).await;
        assert!(closed.code == 404 && closed.text.ends_with("aaa..."), "{closed}");
    }

    /// An error of a connection whose text takes more than 255 bytes ends the stream without a word.
    #[source = "rabbit_reader.erl: handle_exception"]
    async fn an_error_text_of_too_many_bytes_ends_the_stream(target: Target) {
        let login = Login { vhost: "é".repeat(127), ..Login::new(&target.url()) };
        let mut wire = Wire::dial(&target.url()).await;
        wire.start().await;
        wire.log_in(&login).await;
        wire.send(0, garenne_tests::wire::connection::Open { virtual_host: login.vhost.as_str().into() }).await;
        wire.expect_eof().await;
    }

    /// Names of arguments may hold any bytes, and a headers exchange matches them.
    async fn names_of_arguments_may_hold_any_bytes(target: Target) {
        let mut wire = channel(&target, &[("q", "classic")]).await;
        let arguments = long(&table(&[(BAD, long_string(BAD))]));
        let fields = [&[0, 0][..], &short(b"q"), &short(b"amq.headers"), &short(b""), &[1], &arguments].concat();
        wire.send_raw_method(1, (50, 20), &fields).await;
        for (number, value) in [(1, b"other".as_slice()), (2, BAD)] {
            wire.publish_raw(1, (b"amq.headers", b""), false, &headers(&[(BAD, long_string(value))]), value).await;
            wire.expect_confirms_from(1, number, 1).await;
        }
        assert_eq!(wire.get_raw(1, "q").await.body, BAD);
        let fields = [&[0, 0][..], &short(b"b"), &[0], &arguments].concat();
        wire.send_raw_method(1, (50, 10), &fields).await;
        eventually(10 * SECONDS, "the queue is there", async || {
            let mut other = target.channel().await;
            other.try_call(1, Queue::passive("b")).await.map(drop)
        })
        .await;
    }

    /// Names, tags and keys of every other method must be UTF-8: 501.
    #[source = "rabbit_binary_parser.erl: assert_utf8"]
    async fn names_of_other_methods_are_text(target: Target) {
        let bind = [&[0, 0][..], &short(b"q"), &short(b"amq.topic"), &short(BAD), &[0], &[0; 4]].concat();
        let consume = [&[0, 0][..], &short(b"q"), &short(BAD), &[0], &[0; 4]].concat();
        let cancel = [short(BAD), vec![0]].concat();
        let get = [&[0, 0][..], &short(BAD), &[0]].concat();
        let declare = [&[0, 0][..], &short(BAD), &short(b"direct"), &[0], &[0; 4]].concat();
        for (method, fields) in
            [((50, 20), bind), ((60, 20), consume), ((60, 30), cancel), ((60, 70), get), ((40, 10), declare)]
        {
            let mut wire = channel(&target, &[("q", "classic")]).await;
            wire.send_raw_method(1, method, &fields).await;
            let closed = wire.expect_connection_error().await;
            assert_eq!(closed, connection_error(501, "FRAME_ERROR - Malformed UTF-8 in shortstr"), "{method:?}");
        }
    }
}
