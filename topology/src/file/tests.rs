use std::time::Duration;

use garenne_shared::{ExchangeName, QueueName, Retry, RoutingKey};
use proptest::{option, prelude::*};

use crate::{
    ClassicOverflow, ClassicQueue, DeadLetterStrategy, Exchange, ExchangeKind, HashBy, HeadersMatch,
    MatchValue, Overflow, ProblemKind, Queue, QueueDefinition, QuorumQueue, StreamQueue, Topology,
    binding::Source,
    queue::{DeadLetter, DeliveryLimit},
};

#[track_caller]
fn check_fails(text: &str, kind: ProblemKind, message: &str) {
    let error = Topology::from_toml(text).expect_err(text);
    assert_eq!((error.kind(), error.to_string().as_str()), (kind, message));
}

#[test]
fn an_argument_that_the_kind_does_not_have_is_named_with_the_kinds_that_have_it() {
    let unsupported = ProblemKind::UnsupportedArgument;
    check_fails(
        "[[queue]]\nname = \"log\"\nkind = \"stream\"\nmessage_ttl = \"1s\"",
        unsupported,
        "queue `log` of kind stream has the argument `message_ttl`, which only quorum and classic queues support; leave it out",
    );
    check_fails(
        "[[queue]]\nname = \"q\"\nmax_priority = 3",
        unsupported,
        "queue `q` of kind quorum has the argument `max_priority`, which only classic queues support; leave it out",
    );
    check_fails(
        "[[queue]]\nname = \"q\"\noverflow = \"reject-publish-dlx\"",
        unsupported,
        "queue `q` of kind quorum has `overflow` reject-publish-dlx, which only classic queues support; use reject-publish",
    );
    check_fails(
        "[[exchange]]\nname = \"x\"\ntype = \"topic\"\nhash_by = \"message_id\"",
        unsupported,
        "exchange `x` has the argument `hash_by`, which only the type consistent-hash supports; leave it out",
    );
}

#[test]
fn all_unsupported_arguments_come_in_one_error() {
    let text = "[[queue]]\nname = \"a\"\nkind = \"stream\"\ndead_letter = true\nexclusive = true\n[[queue]]\nname = \"b\"\nmax_age = \"1s\"";
    let error = Topology::from_toml(text).expect_err("three arguments are wrong");
    let objects: Vec<_> = error.problems().iter().map(crate::Problem::object).collect();
    assert_eq!(objects, ["a", "a", "b"]);
}

#[test]
fn unknown_keys_are_refused_by_name_and_line() {
    let error =
        Topology::from_toml("[[queue]]\nname = \"q\"\nmax_lenght = 3").expect_err("there is no such key");
    assert_eq!(error.kind(), ProblemKind::Syntax);
    let message = error.to_string();
    assert!(message.contains("line 3") && message.contains("`max_lenght`"), "{message}");
}

#[test]
fn a_binding_matches_by_key_or_by_headers() {
    let binding =
        |inside: &str| format!("[[queue]]\nname = \"q\"\nbindings = [{{ exchange = \"x\", {inside} }}]");
    for inside in [
        "headers = { a = 1 }",
        "key = \"k\", match = \"all\"",
        "match = \"any\", headers = { a = 1 }, present = [\"a\"]",
    ] {
        let error = Topology::from_toml(&binding(inside)).expect_err(inside);
        assert_eq!(
            (error.kind(), error.problems()[0].object()),
            (ProblemKind::InvalidBinding, "q"),
            "{error}"
        );
    }
}

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9._\"'\\\\ é-]{1,12}"
}

fn exchange_name() -> impl Strategy<Value = ExchangeName> {
    name().prop_map(|name| name.try_into().expect("a valid name"))
}

fn queue_name() -> impl Strategy<Value = QueueName> {
    name().prop_map(|name| name.try_into().expect("a valid name"))
}

fn key() -> impl Strategy<Value = RoutingKey> {
    "[a-z.*#]{0,8}".prop_map(|key| key.try_into().expect("a valid key"))
}

fn time() -> impl Strategy<Value = Option<Duration>> {
    option::of((0..=1_000_000_000_u64).prop_map(Duration::from_millis))
}

fn number() -> impl Strategy<Value = Option<u64>> {
    option::of(0..=i64::MAX.unsigned_abs())
}

fn value() -> impl Strategy<Value = MatchValue> {
    prop_oneof![
        any::<bool>().prop_map(MatchValue::Bool),
        any::<i64>().prop_map(MatchValue::Int),
        ".{0,8}".prop_map(MatchValue::Text)
    ]
}

fn headers() -> impl Strategy<Value = HeadersMatch> {
    let headers = prop::collection::btree_map(name(), option::of(value()), 0..4);
    (any::<bool>(), any::<bool>(), headers).prop_map(|(any, with_x, headers)| HeadersMatch {
        any,
        with_x,
        headers,
    })
}

fn sources() -> impl Strategy<Value = Vec<Source>> {
    let by_key = (exchange_name(), key()).prop_map(|(exchange, key)| Source { exchange, key, headers: None });
    let by_headers = (exchange_name(), headers()).prop_map(|(exchange, headers)| Source {
        exchange,
        key: RoutingKey::from_static(""),
        headers: Some(headers),
    });
    prop::collection::vec(prop_oneof![by_key, by_headers], 0..3)
}

fn dead_letter() -> impl Strategy<Value = Option<DeadLetter>> {
    let to =
        (exchange_name(), option::of(key())).prop_map(|(exchange, key)| DeadLetter::To { exchange, key });
    option::of(prop_oneof![Just(DeadLetter::Own), Just(DeadLetter::Without), to])
}

fn retry() -> impl Strategy<Value = Option<Retry>> {
    let time = |millis: u64| Duration::from_millis(millis);
    let policy = (0..3, 1..100_000_u64, 0..100_000_u64, option::of(1..50_u32), any::<bool>()).prop_map(
        move |(growth, min, more, attempts, jitter)| {
            let (min, max) = (time(min), time(min + more));
            let policy = match growth {
                0 => Retry::exponential(min..=max),
                1 => Retry::linear(min..=max),
                _ => Retry::fixed(min),
            };
            let policy = policy.jitter(jitter);
            attempts.map_or_else(|| policy.clone(), |attempts| policy.clone().attempts(attempts))
        },
    );
    option::of(policy)
}

fn exchange() -> impl Strategy<Value = Exchange> {
    let hash_by = prop_oneof![
        Just(HashBy::RoutingKey),
        name().prop_map(HashBy::Header),
        Just(HashBy::MessageId),
        Just(HashBy::CorrelationId),
        Just(HashBy::Timestamp)
    ];
    let kind = prop_oneof![
        Just(ExchangeKind::Direct),
        Just(ExchangeKind::Topic),
        Just(ExchangeKind::Fanout),
        Just(ExchangeKind::Headers),
        hash_by.prop_map(ExchangeKind::ConsistentHash),
        Just(ExchangeKind::ModulusHash)
    ];
    let flags = any::<[bool; 4]>();
    (exchange_name(), kind, flags, option::of(exchange_name()), sources()).prop_map(
        |(name, kind, [durable, auto_delete, internal, bound_elsewhere], alternate, sources)| Exchange {
            name,
            kind,
            durable,
            auto_delete,
            internal,
            alternate,
            bound_elsewhere,
            sources,
        },
    )
}

fn quorum() -> impl Strategy<Value = QuorumQueue> {
    let limit = prop_oneof![any::<u32>().prop_map(DeliveryLimit::Failures), Just(DeliveryLimit::Unlimited)];
    let overflow = option::of(prop_oneof![Just(Overflow::DropHead), Just(Overflow::RejectPublish)]);
    let strategy =
        option::of(prop_oneof![Just(DeadLetterStrategy::AtLeastOnce), Just(DeadLetterStrategy::AtMostOnce)]);
    let limits = (time(), time(), number(), number(), overflow, option::of(limit), any::<bool>());
    (queue_name(), limits, option::of(any::<u32>()), (retry(), dead_letter()), strategy, sources()).prop_map(
        |(name, limits, initial_group_size, (retry, dead_letter), dead_letter_strategy, sources)| {
            let (
                message_ttl,
                expires,
                max_length,
                max_length_bytes,
                overflow,
                delivery_limit,
                single_active_consumer,
            ) = limits;
            QuorumQueue {
                message_ttl,
                expires,
                max_length,
                max_length_bytes,
                overflow,
                delivery_limit,
                retry,
                single_active_consumer,
                initial_group_size,
                dead_letter,
                dead_letter_strategy,
                sources,
                ..Queue::quorum(name)
            }
        },
    )
}

fn classic() -> impl Strategy<Value = ClassicQueue> {
    let overflow = option::of(prop_oneof![
        Just(ClassicOverflow::DropHead),
        Just(ClassicOverflow::RejectPublish),
        Just(ClassicOverflow::RejectPublishDlx)
    ]);
    let limits = (time(), time(), number(), number(), overflow, option::of(any::<u8>()));
    (queue_name(), limits, any::<[bool; 3]>(), (retry(), dead_letter()), sources()).prop_map(
        |(name, limits, [exclusive, auto_delete, single_active_consumer], (retry, dead_letter), sources)| {
            let (message_ttl, expires, max_length, max_length_bytes, overflow, max_priority) = limits;
            ClassicQueue {
                exclusive,
                auto_delete,
                message_ttl,
                expires,
                max_length,
                max_length_bytes,
                overflow,
                max_priority,
                single_active_consumer,
                retry,
                dead_letter,
                sources,
                ..Queue::classic(name)
            }
        },
    )
}

fn stream() -> impl Strategy<Value = StreamQueue> {
    (queue_name(), time(), number(), number(), option::of(any::<u32>()), sources()).prop_map(
        |(name, max_age, max_length_bytes, max_segment_size_bytes, initial_group_size, sources)| {
            StreamQueue {
                max_age,
                max_length_bytes,
                max_segment_size_bytes,
                initial_group_size,
                sources,
                ..Queue::stream(name)
            }
        },
    )
}

fn topology() -> impl Strategy<Value = Topology> {
    let queue = prop_oneof![
        quorum().prop_map(QueueDefinition::from),
        classic().prop_map(QueueDefinition::from),
        stream().prop_map(QueueDefinition::from)
    ];
    let exchanges = prop::collection::vec(exchange(), 0..4);
    let queues = prop::collection::vec(queue, 0..4);
    let external = (prop::collection::vec(exchange_name(), 0..2), prop::collection::vec(queue_name(), 0..2));
    (exchanges, queues, external).prop_map(|(exchanges, queues, external)| {
        let topology = exchanges.into_iter().fold(Topology::new(), Topology::exchange);
        let topology = queues.into_iter().fold(topology, Topology::queue);
        let topology = external.0.into_iter().fold(topology, Topology::external_exchange);
        external.1.into_iter().fold(topology, Topology::external_queue)
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_as_the_same_topology(topology in topology()) {
        let text = topology.to_toml().expect("it can be written");
        let read = Topology::from_toml(&text);
        prop_assert_eq!(read.as_ref(), Ok(&topology), "{}", text);
    }
}

#[test]
fn a_byte_order_mark_and_crlf_do_not_count() {
    let topology = Topology::from_toml("\u{feff}[[queue]]\r\nname = \"billing\"\r\n").unwrap();
    assert_eq!(topology.queues().len(), 1);
}
