//! The exchanges that hash: consistent and modulus. Each message goes to the queue that Erlang's hash of its key chooses.

use garenne_tests::table;
use garenne_tests::wire::{Binding, Draft, Exchange, channel_error};

use crate::behaviours;
use crate::router::Router;

const NOBODY: [&str; 0] = [];

behaviours! {
    area = "hash exchanges", source = "https://www.rabbitmq.com/docs/exchanges";

    /// A consistent-hash exchange sends each message to one queue, and messages with one key always to the same.
    #[source = "https://www.rabbitmq.com/docs/exchanges"]
    async fn consistent_hash_sends_a_key_to_one_queue(target: Target) {
        let mut router = Router::new(&target, "x-consistent-hash", &["a", "b", "c"]).await;
        for queue in ["a", "b", "c"] {
            router.bind("1", queue).await;
        }
        let mut places = String::new();
        for key in 0..24 {
            let first = router.reached(&key.to_string()).await;
            assert_eq!(first.len(), 1);
            assert_eq!(router.reached(&key.to_string()).await, first);
            places.push_str(first[0]);
        }
        assert_eq!(places, "bcccaaacbaccbcbaacccbacc");
    }

    /// A consistent-hash exchange with `hash-header` looks at that header instead of the key.
    #[source = "rabbit_exchange_type_consistent_hash.erl: hash"]
    async fn consistent_hash_may_look_at_a_header(target: Target) {
        let exchange = Exchange::new("x-consistent-hash", "x").with("hash-header", "h");
        let mut router = Router::with(&target, exchange, &["a", "b"]).await;
        router.bind("1", "a").await;
        router.bind("1", "b").await;
        let mut used = std::collections::BTreeSet::new();
        for value in 0..20 {
            let draft = |key: &str| Draft::to("x", key).header("h", value.to_string());
            let first = router.reached_by(draft("one")).await;
            assert_eq!(router.reached_by(draft("two")).await, first);
            used.extend(first);
        }
        assert_eq!(used.len(), 2);
    }

    /// The weight of a binding to a consistent-hash exchange is a number: anything else closes the channel with 406.
    #[source = "rabbit_exchange_type_consistent_hash.erl: validate_binding"]
    async fn a_consistent_hash_weight_is_a_number(target: Target) {
        let mut router = Router::new(&target, "x-consistent-hash", &["q"]).await;
        let closed = router.wire.refused(1, Binding::new("x", "heavy", "q").queue()).await;
        let text = "PRECONDITION_FAILED - The binding key must be an integer: <<\"heavy\">>";
        assert_eq!(closed, channel_error(406, text));
    }

    /// A modulus-hash exchange sends each message to one queue, and messages with one key always to the same.
    #[source = "rabbit_exchange_type_modulus_hash.erl: route"]
    async fn modulus_hash_sends_a_key_to_one_queue(target: Target) {
        let mut router = Router::new(&target, "x-modulus-hash", &["a", "b", "c"]).await;
        for queue in ["a", "b", "c"] {
            router.bind("", queue).await;
        }
        let mut places = String::new();
        for key in 0..12 {
            let first = router.reached(&key.to_string()).await;
            assert_eq!(first.len(), 1);
            places.push_str(first[0]);
        }
        assert_eq!(places, "bbbcabcabbcc");
    }

    /// A modulus-hash exchange counts a queue as often as it is bound.
    #[source = "rabbit_exchange_type_modulus_hash.erl: route"]
    async fn modulus_hash_counts_every_binding(target: Target) {
        let mut router = Router::new(&target, "x-modulus-hash", &["a", "b"]).await;
        for (key, queue) in [("1", "a"), ("2", "a"), ("3", "a"), ("1", "b")] {
            router.bind(key, queue).await;
        }
        router.bind_with(table! { "n" => 1 }, "b").await;
        let mut places = String::new();
        for key in 0..16 {
            places.push_str(router.reached(&key.to_string()).await[0]);
        }
        assert_eq!(places, "bbaaabaabbaababa");
        router.wire.unbind(1, "x", "2", "a").await;
        places.clear();
        for key in 0..16 {
            places.push_str(router.reached(&key.to_string()).await[0]);
        }
        assert_eq!(places, "aaabbbaaaaaabbab");
        assert_eq!(router.reached("").await, ["a"]);
    }

    /// A second binding of a queue to a consistent-hash exchange counts for nothing, whatever its weight.
    #[source = "rabbit_exchange_type_consistent_hash.erl: chx_hash_ring_update_fun"]
    async fn consistent_hash_knows_a_queue_once(target: Target) {
        let mut router = Router::new(&target, "x-consistent-hash", &["a", "b", "c"]).await;
        for (weight, queue) in [("2", "a"), ("3", "b"), ("50", "a"), ("1", "c")] {
            router.bind(weight, queue).await;
        }
        let mut places = String::new();
        for key in 0..24 {
            places.push_str(router.reached(&key.to_string()).await[0]);
        }
        assert_eq!(places, "bbcbaabbaabbabbcabbbaabb");
        router.wire.unbind(1, "x", "3", "b").await;
        places.clear();
        for key in 0..24 {
            places.push_str(router.reached(&key.to_string()).await[0]);
        }
        assert_eq!(places, "acccaaacaaccacaaacccaacc");
    }

    /// A consistent-hash exchange hashes a property if told so: `message_id`, `correlation_id` or `timestamp`.
    #[source = "rabbit_exchange_type_consistent_hash.erl: value_to_hash"]
    async fn consistent_hash_may_look_at_a_property(target: Target) {
        let exchange = Exchange::new("x-consistent-hash", "x").with("hash-property", "message_id");
        let mut router = Router::with(&target, exchange, &["a", "b", "c"]).await;
        for queue in ["a", "b", "c"] {
            router.bind("1", queue).await;
        }
        let mut places = String::new();
        for value in 0..12 {
            let draft = Draft::to("x", "same").properties(|p| p.with_message_id(value.to_string().into()));
            places.push_str(router.reached_by(draft).await[0]);
        }
        places.push_str(router.reached("without").await[0]);
        assert_eq!(places, "bcccaaacbaccb");
    }

    /// A consistent-hash exchange takes integers, text, booleans and nothing in a header, each with a hash of its own.
    #[source = "rabbit_exchange_type_consistent_hash.erl: jump_consistent_hash"]
    async fn consistent_hash_takes_any_header(target: Target) {
        let exchange = Exchange::new("x-consistent-hash", "x").with("hash-header", "h");
        let mut router = Router::with(&target, exchange, &["a", "b", "c", "d", "e"]).await;
        for queue in ["a", "b", "c", "d", "e"] {
            router.bind("2", queue).await;
        }
        let mut places = String::new();
        for number in [0, 1, 2, 7, 100, -1] {
            places.push_str(router.reached_by(Draft::to("x", "").header("h", number)).await[0]);
        }
        places.push_str(router.reached_by(Draft::to("x", "").header("h", "text")).await[0]);
        places.push_str(router.reached_by(Draft::to("x", "").header("h", true)).await[0]);
        places.push_str(router.reached_by(Draft::to("x", "").header("h", 0.5_f64)).await[0]);
        places.push_str(router.reached_by(Draft::to("x", "")).await[0]);
        assert_eq!(places, "cbeecdeaea");
    }

    /// A consistent-hash exchange cannot hash a header and a property, or a property that it does not know: 406.
    #[source = "rabbit_exchange_type_consistent_hash.erl: validate"]
    async fn consistent_hash_checks_its_arguments(target: Target) {
        let mut wire = target.channel().await;
        let exchange = || Exchange::new("x-consistent-hash", "x");
        let both = exchange().with("hash-header", "h").with("hash-property", "message_id");
        let text = "PRECONDITION_FAILED - hash-header and hash-property are mutually exclusive";
        assert_eq!(wire.refused(1, both).await, channel_error(406, text));
        wire.open_channel(1).await;
        let unknown = exchange().with("hash-property", "app_id");
        let text = "PRECONDITION_FAILED - Unsupported property: app_id";
        assert_eq!(wire.refused(1, unknown).await, channel_error(406, text));
    }

    /// The weight of a binding to a consistent-hash exchange is from 1 to 10000: 406.
    #[source = "rabbit_exchange_type_consistent_hash.erl: validate_binding"]
    async fn a_consistent_hash_weight_has_bounds(target: Target) {
        let mut router = Router::new(&target, "x-consistent-hash", &["q"]).await;
        let cases =
            [("0", "The binding key must be greater than 0"), ("10001", "The binding key must not exceed 10000")];
        for (weight, why) in cases {
            let closed = router.wire.refused(1, Binding::new("x", weight, "q").queue()).await;
            assert_eq!(closed, channel_error(406, &format!("PRECONDITION_FAILED - {why}")));
            router.wire.open_channel(1).await;
        }
    }

    /// A hash exchange without bindings routes nothing.
    async fn hash_exchanges_without_bindings_route_nothing(target: Target) {
        for kind in ["x-consistent-hash", "x-modulus-hash"] {
            let mut router = Router::with(&target, Exchange::new(kind, kind), &[]).await;
            assert_eq!(router.reached_by(Draft::to(kind, "k").mandatory()).await, NOBODY);
            assert_eq!(router.wire.expect_return(1).await.code, 312);
        }
    }
}
