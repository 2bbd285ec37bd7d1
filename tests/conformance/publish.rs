//! `basic.publish` and returns.

use garenne_tests::table;
use garenne_tests::wire::{Confirm, Draft, Exchange, Queue, channel_error, connection_error};

use crate::behaviours;

behaviours! {
    area = "basic.publish", source = "https://www.rabbitmq.com/docs/publishers";

    /// A publish to an exchange that does not exist closes the channel with 404.
    async fn a_publish_to_a_missing_exchange_is_not_found(target: Target) {
        let mut wire = target.channel().await;
        wire.publish(1, "x", "key", "hello").await;
        let closed = wire.expect_channel_error(1).await;
        assert_eq!(closed, channel_error(404, "NOT_FOUND - no exchange 'x' in vhost '/'"));
        assert_eq!(closed.method, (60, 40));
    }

    /// A publish to an internal exchange closes the channel with 403; through another exchange it is reached.
    #[source = "https://www.rabbitmq.com/docs/exchanges"]
    async fn an_internal_exchange_is_not_for_clients(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("fanout", "inside").internal()).await;
        wire.declare_exchange(1, Exchange::new("fanout", "outside")).await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.bind_exchange(1, "outside", "", "inside").await;
        wire.bind(1, "inside", "", "q").await;
        wire.confirm_select(1).await;
        wire.publish_confirmed(1, 1, Draft::to("outside", "")).await;
        assert_eq!(wire.ready(1, "q").await, 1);
        wire.publish(1, "inside", "", "hello").await;
        let text = "ACCESS_REFUSED - cannot publish to internal exchange 'inside' in vhost '/'";
        assert_eq!(wire.expect_channel_error(1).await, channel_error(403, text));
    }

    /// `immediate` closes the connection with 540.
    #[source = "https://www.rabbitmq.com/docs/specification"]
    async fn immediate_is_not_implemented(target: Target) {
        let mut wire = target.channel().await;
        let mut draft = Draft::to_queue("q");
        draft.publish.immediate = true;
        wire.publish_draft(1, draft).await;
        let closed = wire.expect_connection_error().await;
        assert_eq!(closed, connection_error(540, "NOT_IMPLEMENTED - immediate=true"));
        assert_eq!(closed.method, (60, 40));
    }

    /// An expiration that is no number from 0 on closes the channel with 406.
    #[source = "https://www.rabbitmq.com/docs/ttl"]
    async fn the_expiration_is_a_number(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        let cases = [
            ("soon", "no_integer"),
            ("", "no_integer"),
            ("10s", "{leftover_string,\"s\"}"),
            ("-1", "{value_negative,-1}"),
            ("315360000001", "{value_too_large,315360000001}"),
        ];
        for (expiration, why) in cases {
            wire.publish_draft(1, Draft::to_queue("q").expiration(expiration)).await;
            let text = format!("PRECONDITION_FAILED - invalid expiration '{expiration}': {why}");
            assert_eq!(wire.expect_channel_error(1).await, channel_error(406, &text));
            wire.open_channel(1).await;
        }
    }

    /// A body above the broker's 16 MiB closes the channel with 406.
    #[source = "https://www.rabbitmq.com/docs/limits"]
    async fn a_body_too_large_is_refused(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("q")).await;
        wire.confirm_select(1).await;
        let body = vec![b'x'; 16 * 1024 * 1024];
        wire.publish_confirmed(1, 1, Draft::to_queue("q").body(&body)).await;
        wire.publish_draft(1, Draft::to_queue("q").body([&*body, b"x"].concat())).await;
        let text = "PRECONDITION_FAILED - message size 16777217 is larger than configured max size 16777216";
        assert_eq!(wire.expect_channel_error(1).await, channel_error(406, text));
    }

    /// A mandatory message that no queue takes comes back whole, with 312 and where it was sent.
    async fn an_unroutable_mandatory_message_comes_back(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("direct", "x")).await;
        for exchange in ["x", ""] {
            let draft = Draft::to(exchange, "nobody").mandatory().header("h", 1).body("hello");
            wire.publish_draft(1, draft.properties(|p| p.with_message_id("m".into()))).await;
            let returned = wire.expect_return(1).await;
            assert_eq!((returned.code, returned.text.as_str()), (312, "NO_ROUTE"));
            assert_eq!((returned.exchange.as_str(), returned.routing_key.as_str()), (exchange, "nobody"));
            assert_eq!((returned.headers(), &*returned.body), (table! { "h" => 1 }, &b"hello"[..]));
            assert_eq!(returned.properties.message_id(), &Some("m".into()));
        }
    }

    /// A message that no queue takes and that is not mandatory is dropped in silence.
    async fn an_unroutable_message_is_dropped(target: Target) {
        let mut wire = target.channel().await;
        wire.publish(1, "", "nobody", "hello").await;
        wire.expect_nothing(1).await;
    }

    /// A mandatory message that is routed, through the alternate exchange too, does not come back.
    #[source = "https://www.rabbitmq.com/docs/ae"]
    async fn the_alternate_exchange_counts_as_routed(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("direct", "x").with("alternate-exchange", "amq.fanout")).await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.bind(1, "amq.fanout", "", "q").await;
        wire.confirm_select(1).await;
        wire.publish_draft(1, Draft::to("x", "nobody").mandatory().body("hello")).await;
        assert_eq!(wire.expect_confirms(1, 1).await, [Confirm::Ack]);
        wire.expect_nothing(1).await;
        let got = wire.take_one(1, "q").await;
        assert_eq!((got.exchange.as_str(), got.routing_key.as_str()), ("x", "nobody"));
    }

    /// A mandatory message with keys in `CC` comes back only if none of its keys leads anywhere, without `BCC`.
    #[source = "https://www.rabbitmq.com/docs/sender-selected"]
    async fn one_routed_copy_is_enough_for_mandatory(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.confirm_select(1).await;
        let draft = |cc: &str| Draft::to_queue("nobody").mandatory().header("CC", vec![cc]).header("BCC", vec!["b"]);
        wire.publish_draft(1, draft("q")).await;
        assert_eq!(wire.expect_confirms(1, 1).await, [Confirm::Ack]);
        wire.expect_nothing(1).await;
        wire.publish_draft(1, draft("none")).await;
        let returned = wire.expect_return(1).await;
        assert_eq!(returned.headers(), table! { "CC" => vec!["none"] });
    }

    /// A message is delivered as it was published, with every property.
    async fn a_message_arrives_as_it_was_published(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("q")).await;
        wire.confirm_select(1).await;
        let headers = table! {
            "text" => "b", "int" => 1, "long" => 1_i64, "byte" => -1_i8, "short" => 2_i16, "flag" => true,
            "double" => 0.5_f64, "list" => vec!["x", "y"], "nested" => table! { "z" => 1 },
        };
        let draft = Draft::to_queue("q").headers(headers).body("hello").properties(|p| {
            p.with_content_type("text/plain".into())
                .with_content_encoding("utf-8".into())
                .with_delivery_mode(2)
                .with_priority(3)
                .with_correlation_id("c".into())
                .with_reply_to("r".into())
                .with_expiration("60000".into())
                .with_message_id("m".into())
                .with_timestamp(1_700_000_000)
                .with_type("t".into())
                .with_app_id("a".into())
                .with_cluster_id("old".into())
        });
        wire.publish_confirmed(1, 1, draft.clone()).await;
        let tag = wire.consume(1, "q").await;
        let delivery = wire.expect_delivery(1).await;
        assert_eq!((delivery.tag, delivery.redelivered, &delivery.consumer_tag), (1, false, &tag));
        assert_eq!((delivery.exchange.as_str(), delivery.routing_key.as_str()), ("", "q"));
        assert_eq!((delivery.body, delivery.properties), (draft.body, draft.properties));
    }

    /// A body larger than a frame is delivered in frames of the consumer's own limit.
    #[source = "https://www.rabbitmq.com/docs/specification"]
    async fn a_large_body_is_split_for_the_consumer(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.confirm_select(1).await;
        let body: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        wire.publish_confirmed(1, 1, Draft::to_queue("q").body(&body)).await;
        let login = garenne_tests::wire::Login::new(&target.url());
        let login = garenne_tests::wire::Login { frame_max: Some(8192), ..login };
        let mut small = garenne_tests::wire::Wire::connect_with(&target.url(), login).await;
        small.open_channel(1).await;
        assert!(small.take_one(1, "q").await.body == body);
        assert!(small.largest_frame() <= 8192, "{}", small.largest_frame());
    }

    /// The longest expiration is ten years, 315360000000 ms: one more closes the channel with 406.
    #[source = "https://www.rabbitmq.com/docs/ttl"]
    async fn the_longest_expiration(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.confirm_select(1).await;
        wire.publish_confirmed(1, 1, Draft::to_queue("q").expiration("315360000000")).await;
        assert_eq!(wire.take_one(1, "q").await.properties.expiration(), &Some("315360000000".into()));
        wire.publish_draft(1, Draft::to_queue("q").expiration("315360000001")).await;
        let text = "PRECONDITION_FAILED - invalid expiration '315360000001': {value_too_large,315360000001}";
        assert_eq!(wire.expect_channel_error(1).await, channel_error(406, text));
    }

    /// A message that a full queue rejects is not returned, mandatory or not: it was routed.
    #[source = "https://www.rabbitmq.com/docs/maxlength"]
    async fn a_rejected_message_is_not_returned(target: Target) {
        let mut wire = target.channel().await;
        let full = Queue::classic("full").with("x-max-length", 0).with("x-overflow", "reject-publish");
        wire.declare_queue(1, full).await;
        wire.confirm_select(1).await;
        wire.publish_draft(1, Draft::to_queue("full").mandatory()).await;
        assert_eq!(wire.expect_confirms(1, 1).await, [Confirm::Nack]);
        wire.expect_nothing(1).await;
    }

    /// A returned message keeps its own properties, and the keys of `CC` with them.
    #[source = "rabbit_channel.erl: basic_return"]
    async fn a_return_keeps_the_properties(target: Target) {
        let mut wire = target.channel().await;
        let draft = Draft::to_queue("nobody").mandatory().properties(|p| {
            p.with_content_type("text/plain".into()).with_delivery_mode(2).with_priority(9).with_type("t".into())
        });
        wire.publish_draft(1, draft.clone()).await;
        assert_eq!(wire.expect_return(1).await.properties, draft.properties);
    }
}
