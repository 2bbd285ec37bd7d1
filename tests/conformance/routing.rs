//! Where messages go: the types of exchanges.

use garenne_tests::table;
use garenne_tests::wire::{AMQPValue, Binding, Draft, Exchange, IntoValue, Queue, Table, channel_error};

use crate::behaviours;
use crate::router::Router;

const NOBODY: [&str; 0] = [];

behaviours! {
    area = "routing", source = "https://www.rabbitmq.com/docs/exchanges";

    /// The default exchange sends a message to the queue that its key names, without any binding.
    async fn the_default_exchange_knows_queues_by_name(target: Target) {
        let mut router = Router::new(&target, "direct", &["a", "b"]).await;
        assert_eq!(router.reached_by(Draft::to_queue("b")).await, ["b"]);
        assert_eq!(router.reached_by(Draft::to_queue("c")).await, NOBODY);
    }

    /// A direct exchange compares keys byte by byte, the empty key too.
    async fn direct_compares_keys(target: Target) {
        let mut router = Router::new(&target, "direct", &["a", "b", "c"]).await;
        router.bind("k", "a").await;
        router.bind("k", "b").await;
        router.bind("", "c").await;
        assert_eq!(router.reached("k").await, ["a", "b"]);
        assert_eq!(router.reached("K").await, NOBODY);
        assert_eq!(router.reached("k.").await, NOBODY);
        assert_eq!(router.reached("").await, ["c"]);
    }

    /// A fanout exchange ignores keys.
    async fn fanout_ignores_keys(target: Target) {
        let mut router = Router::new(&target, "fanout", &["a", "b"]).await;
        router.bind("one", "a").await;
        router.bind("two", "b").await;
        assert_eq!(router.reached("three").await, ["a", "b"]);
    }

    /// In a topic pattern `*` is one word and `#` any number of words, none too; an empty key has no words.
    #[source = "https://www.rabbitmq.com/tutorials/tutorial-five-python"]
    async fn topic_patterns_match_words(target: Target) {
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("#", &["", "a", "a.b", "a..b", "."], &[]),
            ("*", &["a"], &["", "a.b", ".", "a."]),
            ("a.*", &["a.b", "a."], &["a", "a.b.c", "b.a"]),
            ("a.#", &["a", "a.b", "a.b.c", "a."], &["b", "ab", ""]),
            ("#.a", &["a", "b.a", "c.b.a"], &["a.b", ""]),
            ("*.*", &["a.b", ".", "a."], &["a", "a.b.c"]),
            ("#.#", &["", "a", "a.b"], &[]),
            ("*.#", &["a", "a.b"], &[""]),
            ("#.*", &["a", "a.b"], &[""]),
            ("a.#.b", &["a.b", "a.x.b", "a.x.y.b"], &["a", "b", "a.b.x"]),
            ("a.*.#.c", &["a.b.c", "a.b.b.c"], &["a.c", "a.b"]),
            ("a*", &["a*"], &["a", "ab"]),
            ("", &[""], &["a", "."]),
            ("a.b", &["a.b"], &["a", "A.b", "a.b."]),
        ];
        let mut router = Router::new(&target, "topic", &["q"]).await;
        for (pattern, hits, misses) in cases {
            router.bind(pattern, "q").await;
            for key in *hits {
                assert_eq!(router.reached(key).await, ["q"], "{pattern:?} matches {key:?}");
            }
            for key in *misses {
                assert_eq!(router.reached(key).await, NOBODY, "{pattern:?} does not match {key:?}");
            }
            router.wire.unbind(1, "x", pattern, "q").await;
        }
    }

    /// Topic bindings that share words are told apart, before and after one of them is taken back.
    async fn topic_bindings_share_words(target: Target) {
        let mut router = Router::new(&target, "topic", &["a", "b", "c"]).await;
        router.bind("one.two.*", "a").await;
        router.bind("one.two.three", "b").await;
        router.bind("one.#", "c").await;
        assert_eq!(router.reached("one.two.three").await, ["a", "b", "c"]);
        router.wire.unbind(1, "x", "one.two.*", "a").await;
        assert_eq!(router.reached("one.two.three").await, ["b", "c"]);
        assert_eq!(router.reached("one.two").await, ["c"]);
    }

    /// A headers binding matches all of its headers by default, and with `x-match` `all`; headers beyond those do not matter.
    async fn headers_match_all(target: Target) {
        let mut router = Router::new(&target, "headers", &["a", "b"]).await;
        router.bind_with(table! { "one" => 1, "two" => "2" }, "a").await;
        router.bind_with(table! { "x-match" => "all", "one" => 1, "two" => "2" }, "b").await;
        let draft = |headers: Table| Draft::to("x", "").headers(headers);
        assert_eq!(router.reached_by(draft(table! { "one" => 1, "two" => "2", "three" => 3 })).await, ["a", "b"]);
        assert_eq!(router.reached_by(draft(table! { "one" => 1 })).await, NOBODY);
        assert_eq!(router.reached_by(draft(table! { "one" => 1, "two" => "3" })).await, NOBODY);
        assert_eq!(router.reached_by(Draft::to("x", "")).await, NOBODY);
    }

    /// A headers binding with `x-match` `any` matches one of its headers.
    async fn headers_match_any(target: Target) {
        let mut router = Router::new(&target, "headers", &["q"]).await;
        router.bind_with(table! { "x-match" => "any", "one" => 1, "two" => "2" }, "q").await;
        let draft = |headers: Table| Draft::to("x", "").headers(headers);
        assert_eq!(router.reached_by(draft(table! { "two" => "2" })).await, ["q"]);
        assert_eq!(router.reached_by(draft(table! { "one" => 2, "two" => "2" })).await, ["q"]);
        assert_eq!(router.reached_by(draft(table! { "one" => 2 })).await, NOBODY);
        assert_eq!(router.reached_by(draft(table! {})).await, NOBODY);
    }

    /// Headers that begin with `x-` count only with `x-match` `all-with-x` or `any-with-x`.
    async fn headers_that_begin_with_x_count_only_with_x(target: Target) {
        let mut router = Router::new(&target, "headers", &["a", "b", "c", "d"]).await;
        for (kind, queue) in [("all", "a"), ("all-with-x", "b"), ("any", "c"), ("any-with-x", "d")] {
            router.bind_with(table! { "x-match" => kind, "one" => 1, "x-two" => 2 }, queue).await;
        }
        let draft = |headers: Table| Draft::to("x", "").headers(headers);
        assert_eq!(router.reached_by(draft(table! { "one" => 1 })).await, ["a", "c", "d"]);
        assert_eq!(router.reached_by(draft(table! { "x-two" => 2 })).await, ["d"]);
        assert_eq!(router.reached_by(draft(table! { "one" => 1, "x-two" => 2 })).await, ["a", "b", "c", "d"]);
    }

    /// A headers binding without headers matches every message with `all`, and none with `any`.
    #[source = "rabbit_exchange_type_headers.erl: headers_match_all"]
    async fn a_headers_binding_without_headers_matches_everything_or_nothing(target: Target) {
        let mut router = Router::new(&target, "headers", &["a", "b"]).await;
        router.bind_with(table! {}, "a").await;
        router.bind_with(table! { "x-match" => "any" }, "b").await;
        assert_eq!(router.reached_by(Draft::to("x", "").header("one", 1)).await, ["a"]);
        assert_eq!(router.reached_by(Draft::to("x", "")).await, ["a"]);
    }

    /// A void value in a headers binding matches a header of any value.
    #[source = "rabbit_exchange_type_headers.erl: headers_match_all"]
    async fn a_void_matches_any_value(target: Target) {
        let mut router = Router::new(&target, "headers", &["q"]).await;
        router.bind_with(table! { "one" => AMQPValue::Void }, "q").await;
        assert_eq!(router.reached_by(Draft::to("x", "").header("one", "anything")).await, ["q"]);
        assert_eq!(router.reached_by(Draft::to("x", "").header("two", 1)).await, NOBODY);
    }

    /// Header values are compared by value: integers of any width are equal to each other, text is not equal to numbers.
    #[source = "rabbit_exchange_type_headers.erl: headers_match_all"]
    async fn header_values_are_compared_across_widths(target: Target) {
        let mut router = Router::new(&target, "headers", &["q"]).await;
        router.bind_with(table! { "n" => 1 }, "q").await;
        let draft = |headers: Table| Draft::to("x", "").headers(headers);
        assert_eq!(router.reached_by(draft(table! { "n" => 1_i64 })).await, ["q"]);
        assert_eq!(router.reached_by(draft(table! { "n" => 1_u8 })).await, ["q"]);
        assert_eq!(router.reached_by(draft(table! { "n" => "1" })).await, NOBODY);
        assert_eq!(router.reached_by(draft(table! { "n" => true })).await, NOBODY);
        assert_eq!(router.reached_by(draft(table! { "n" => 1.0_f64 })).await, NOBODY);
    }

    /// An unknown `x-match` closes the channel with 406.
    #[source = "rabbit_exchange_type_headers.erl: validate_binding"]
    async fn an_unknown_x_match_is_refused(target: Target) {
        let mut router = Router::new(&target, "headers", &["q"]).await;
        let binding = Binding::new("x", "", "q").arguments(table! { "x-match" => "some" });
        let text = "PRECONDITION_FAILED - Invalid x-match field value <<\"some\">>; expected all, any, all-with-x, or any-with-x";
        assert_eq!(router.wire.refused(1, binding.queue()).await, channel_error(406, text));
    }

    /// What an exchange cannot route goes to its alternate exchange, and on to that one's.
    #[source = "https://www.rabbitmq.com/docs/ae"]
    async fn the_unroutable_goes_to_the_alternate_exchange(target: Target) {
        let exchange = Exchange::new("direct", "x").with("alternate-exchange", "y");
        let mut router = Router::with(&target, exchange, &["a", "b"]).await;
        router.wire.declare_exchange(1, Exchange::new("direct", "y").with("alternate-exchange", "z")).await;
        router.wire.declare_exchange(1, Exchange::new("fanout", "z")).await;
        router.bind("k", "a").await;
        router.wire.bind(1, "z", "", "b").await;
        assert_eq!(router.reached("k").await, ["a"]);
        assert_eq!(router.reached("other").await, ["b"]);
    }

    /// An alternate exchange that does not exist takes nothing, and a message that it does not take is unroutable.
    #[source = "https://www.rabbitmq.com/docs/ae"]
    async fn a_missing_alternate_exchange_takes_nothing(target: Target) {
        let exchange = Exchange::new("direct", "x").with("alternate-exchange", "nowhere");
        let mut router = Router::with(&target, exchange, &[]).await;
        assert_eq!(router.reached_by(Draft::to("x", "k").mandatory()).await, NOBODY);
        assert_eq!(router.wire.expect_return(1).await.code, 312);
    }

    /// A message also goes where the keys in its headers `CC` and `BCC` lead; `BCC` is taken out of the message.
    #[source = "https://www.rabbitmq.com/docs/sender-selected"]
    async fn copies_go_to_the_keys_in_cc_and_bcc(target: Target) {
        let mut wire = target.channel().await;
        for queue in ["a", "b", "c"] {
            wire.declare_queue(1, Queue::quorum(queue)).await;
        }
        wire.confirm_select(1).await;
        let headers = table! { "CC" => vec!["b", "a"], "BCC" => vec!["c"], "other" => 1 };
        wire.publish_confirmed(1, 1, Draft::to_queue("a").headers(headers).body("hello")).await;
        for queue in ["a", "b", "c"] {
            let got = wire.take_one(1, queue).await;
            assert_eq!(got.headers(), table! { "CC" => vec!["b", "a"], "other" => 1 });
            assert_eq!((got.routing_key.as_str(), wire.ready(1, queue).await), ("a", 0));
        }
    }

    /// A `CC` header that is no array of text closes the channel with 406.
    #[source = "mc_amqpl.erl: message"]
    async fn cc_is_an_array(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.publish_draft(1, Draft::to_queue("q").header("CC", "b")).await;
        let text = "PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,\"CC\",longstr}";
        assert_eq!(wire.expect_channel_error(1).await, channel_error(406, text));
    }

    /// A delivery names the exchange that the message was published to, and its first key.
    #[source = "https://www.rabbitmq.com/docs/e2e"]
    async fn a_delivery_names_the_first_exchange(target: Target) {
        let mut router = Router::new(&target, "fanout", &["q"]).await;
        router.wire.declare_exchange(1, Exchange::new("topic", "y")).await;
        router.wire.bind_exchange(1, "x", "", "y").await;
        router.wire.bind(1, "y", "#", "q").await;
        router.wire.publish_confirmed(1, 1, Draft::to("x", "a.b").body("hello")).await;
        let got = router.wire.take_one(1, "q").await;
        assert_eq!((got.exchange.as_str(), got.routing_key.as_str()), ("x", "a.b"));
    }

    /// Headers of other types are compared too: booleans, bytes, arrays, tables.
    #[source = "rabbit_exchange_type_headers.erl: headers_match_all"]
    async fn headers_of_any_type_are_compared(target: Target) {
        let mut router = Router::new(&target, "headers", &["a", "b", "c"]).await;
        router.bind_with(table! { "flag" => true }, "a").await;
        router.bind_with(table! { "list" => vec![1, 2] }, "b").await;
        router.bind_with(table! { "nested" => table! { "x" => "y" } }, "c").await;
        let draft = |headers: Table| Draft::to("x", "").headers(headers);
        assert_eq!(router.reached_by(draft(table! { "flag" => true })).await, ["a"]);
        assert_eq!(router.reached_by(draft(table! { "flag" => false })).await, NOBODY);
        assert_eq!(router.reached_by(draft(table! { "list" => vec![1, 2] })).await, ["b"]);
        assert_eq!(router.reached_by(draft(table! { "list" => vec![2, 1] })).await, NOBODY);
        assert_eq!(router.reached_by(draft(table! { "nested" => table! { "x" => "y" } })).await, ["c"]);
    }

    /// Values are compared without their types: text and bytes, numbers of any width. A timestamp in a message counts in milliseconds,
    /// one in a binding in seconds, so that they never match each other.
    #[source = "mc_amqpl.erl: routing_value"]
    async fn header_values_are_compared_without_their_types(target: Target) {
        let mut router = Router::new(&target, "headers", &["q"]).await;
        let bytes = |text: &str| AMQPValue::ByteArray(text.as_bytes().into());
        let time = AMQPValue::Timestamp;
        let values = [
            1_i8.into_value(),
            1_i64.into_value(),
            1.5_f32.into_value(),
            1.5_f64.into_value(),
            "text".into_value(),
            bytes("text"),
            time(5),
            5_i64.into_value(),
            5000_i64.into_value(),
            true.into_value(),
            "true".into_value(),
            0_u8.into_value(),
            0.0_f64.into_value(),
            vec![1_i8].into_value(),
            vec![1_i64].into_value(),
            "".into_value(),
        ];
        // Of different values these alone match, by their places: those of a binding and of a message.
        let alike = [(0, 1), (1, 0), (2, 3), (3, 2), (4, 5), (5, 4), (6, 7), (8, 6)];
        for (b, bound) in values.iter().enumerate() {
            router.bind_with(table! { "k" => bound.clone() }, "q").await;
            for (h, header) in values.iter().enumerate() {
                let reached = router.reached_by(Draft::to("x", "").headers(table! { "k" => header.clone() })).await;
                let expected = (b == h && b != 6) || alike.contains(&(b, h));
                assert_eq!(!reached.is_empty(), expected, "{bound:?} is bound, {header:?} is published");
            }
            let unbind = Binding::new("x", "", "q").arguments(table! { "k" => bound.clone() });
            router.wire.call(1, unbind.unbind_queue()).await;
        }
    }
}
