//! `queue.declare`: properties and arguments, checked and compared.

use garenne_tests::wire::{AMQPValue, Closed, Queue, Table, channel_error};
use garenne_tests::{Target, table};

use crate::behaviours;

/// Declares a queue, twice in the same way, and then in another way, which must be refused.
async fn inequivalent(target: &Target, first: Queue, second: Queue) -> Closed {
    let mut wire = target.channel().await;
    wire.declare_queue(1, first.clone()).await;
    wire.declare_queue(1, first).await;
    wire.refused(1, second).await
}

/// Declares a queue of a type with one argument more; it must be refused with 406 and this text about the argument.
async fn refused_arguments(target: &Target, kind: &str, cases: Vec<(&str, AMQPValue, &str)>) {
    let mut wire = target.channel().await;
    for (argument, value, why) in cases {
        let arguments = table! { "x-queue-type" => kind }.with(argument, value);
        let text = format!("PRECONDITION_FAILED - invalid arg '{argument}' for queue 'q' in vhost '/'{why}");
        let closed = wire.refused(1, Queue::plain("q").arguments(arguments)).await;
        assert_eq!(closed, channel_error(406, &text));
        wire.open_channel(1).await;
    }
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

behaviours! {
    area = "queue arguments", source = "https://www.rabbitmq.com/docs/queues";

    /// An unknown queue type is refused with 406.
    async fn an_unknown_queue_type_is_refused(target: Target) {
        let mut wire = target.channel().await;
        let queue = Queue::plain("q").with("x-queue-type", "heap");
        let text = "PRECONDITION_FAILED - invalid arg 'x-queue-type' for queue 'q' in vhost '/': \
                    \"unsupported queue type 'heap'\"";
        assert_eq!(wire.refused(1, queue).await, channel_error(406, text));
        wire.open_channel(1).await;
        let queue = Queue::plain("q").with("x-queue-type", 1);
        let text = "PRECONDITION_FAILED - invalid arg 'x-queue-type' for queue 'q' in vhost '/': {unacceptable_type,signedint}";
        assert_eq!(wire.refused(1, queue).await, channel_error(406, text));
    }

    /// A quorum queue can be neither exclusive nor auto-delete nor transient: 406.
    #[source = "https://www.rabbitmq.com/docs/quorum-queues"]
    async fn a_quorum_queue_is_durable_and_shared(target: Target) {
        let mut wire = target.channel().await;
        let cases = [
            (Queue::quorum("q").auto_delete(), "auto-delete"),
            (Queue::quorum("q").exclusive(), "exclusive-owner"),
            (Queue::quorum("q").transient(), "non-durable"),
        ];
        for (queue, property) in cases {
            let text = format!("PRECONDITION_FAILED - invalid property '{property}' for queue 'q' in vhost '/'");
            assert_eq!(wire.refused(1, queue).await, channel_error(406, &text));
            wire.open_channel(1).await;
        }
    }

    /// A classic queue may be neither durable nor exclusive: 4.3 still permits that.
    #[source = "rabbit_amqqueue.erl: transient_nonexcl_queues"]
    async fn a_transient_queue_may_be_shared(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("q").transient()).await;
        target.channel().await.declare_queue(1, Queue::classic("q").transient()).await;
    }

    /// A time to live is a number from 0 on, `x-expires` from 1 on: 406.
    #[source = "https://www.rabbitmq.com/docs/ttl"]
    async fn times_are_checked(target: Target) {
        for kind in ["classic", "quorum"] {
            refused_arguments(&target, kind, vec![
                ("x-message-ttl", text("1000"), ": \"expected integer, got longstr\""),
                ("x-message-ttl", AMQPValue::LongInt(-1), ": {value_negative,-1}"),
                ("x-message-ttl", AMQPValue::LongLongInt(315_360_000_001), ": {value_too_large,315360000001}"),
                ("x-expires", AMQPValue::LongInt(0), ": {value_zero,0}"),
                ("x-expires", AMQPValue::LongInt(-1), ": {value_negative,-1}"),
                ("x-expires", AMQPValue::Boolean(true), ": \"expected integer, got bool\""),
            ])
            .await;
        }
    }

    /// Limits of length are numbers from 0 on, and the overflow is one that there is: 406.
    #[source = "https://www.rabbitmq.com/docs/maxlength"]
    async fn limits_are_checked(target: Target) {
        for kind in ["classic", "quorum"] {
            refused_arguments(&target, kind, vec![
                ("x-max-length", text("3"), ": \"expected integer, got longstr\""),
                ("x-max-length", AMQPValue::LongInt(-1), ": {value_negative,-1}"),
                ("x-max-length-bytes", AMQPValue::Double(1.0), ": \"expected integer, got double\""),
                ("x-overflow", text("spill"), ": invalid_overflow"),
                ("x-overflow", AMQPValue::LongInt(1), ": {unacceptable_type,signedint}"),
                ("x-single-active-consumer", text("true"), ": {unacceptable_type,longstr}"),
            ])
            .await;
        }
    }

    /// The highest priority of a classic queue is a number up to 255: 406.
    #[source = "https://www.rabbitmq.com/docs/priority"]
    async fn the_highest_priority_is_checked(target: Target) {
        refused_arguments(&target, "classic", vec![
            ("x-max-priority", AMQPValue::LongInt(256), ": {max_value_exceeded,256}"),
            ("x-max-priority", AMQPValue::LongInt(-1), ": {value_negative,-1}"),
            ("x-max-priority", text("5"), ": \"expected integer, got longstr\""),
        ])
        .await;
    }

    /// Each type of queue refuses arguments that mean something to other types alone: 406.
    #[source = "rabbit_amqqueue.erl: check_arguments_key"]
    async fn each_type_refuses_the_others_arguments(target: Target) {
        let one = || AMQPValue::LongInt(1);
        refused_arguments(&target, "quorum", vec![
            ("x-max-priority", one(), " of queue type rabbit_quorum_queue"),
            ("x-max-age", text("1h"), " of queue type rabbit_quorum_queue"),
        ])
        .await;
        refused_arguments(&target, "classic", vec![
            ("x-delivery-limit", one(), " of queue type rabbit_classic_queue"),
            ("x-max-age", text("1h"), " of queue type rabbit_classic_queue"),
            ("x-quorum-initial-group-size", one(), " of queue type rabbit_classic_queue"),
        ])
        .await;
        refused_arguments(&target, "stream", vec![
            ("x-message-ttl", one(), " of queue type rabbit_stream_queue"),
            ("x-expires", one(), " of queue type rabbit_stream_queue"),
            ("x-dead-letter-exchange", text("x"), " of queue type rabbit_stream_queue"),
            ("x-max-length", one(), " of queue type rabbit_stream_queue"),
        ])
        .await;
    }

    /// A dead-letter routing key needs a dead-letter exchange, and the strategy is one that there is: 406.
    #[source = "https://www.rabbitmq.com/docs/dlx"]
    async fn dead_letter_arguments_are_checked(target: Target) {
        refused_arguments(&target, "quorum", vec![
            ("x-dead-letter-routing-key", text("k"), ": routing_key_but_no_dlx_defined"),
            ("x-dead-letter-strategy", text("at-will"), ": invalid_dlx_strategy"),
        ])
        .await;
        let mut wire = target.channel().await;
        let queue = Queue::quorum("q").with("x-dead-letter-exchange", 1);
        let text = "PRECONDITION_FAILED - invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'";
        assert_eq!(wire.refused(1, queue).await, channel_error(406, text));
    }

    /// An argument that no type knows is ignored, and not compared by a second declare.
    async fn unknown_arguments_are_ignored(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q").with("x-colour", "blue")).await;
        wire.declare_queue(1, Queue::quorum("q").with("x-colour", 7)).await;
    }

    /// Another durability closes the channel with 406.
    async fn another_durability_is_inequivalent(target: Target) {
        let closed = inequivalent(&target, Queue::quorum("q"), Queue::quorum("q").transient()).await;
        let text = "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': \
                    received 'false' but current is 'true'";
        assert_eq!(closed, channel_error(406, text));
    }

    /// Another `auto-delete` closes the channel with 406.
    async fn another_auto_delete_is_inequivalent(target: Target) {
        let closed = inequivalent(&target, Queue::classic("q"), Queue::classic("q").auto_delete()).await;
        let text = "PRECONDITION_FAILED - inequivalent arg 'auto_delete' for queue 'q' in vhost '/': \
                    received 'true' but current is 'false'";
        assert_eq!(closed, channel_error(406, text));
    }

    /// Another type closes the channel with 406; no type is the vhost's default, classic.
    async fn another_type_is_inequivalent(target: Target) {
        let closed = inequivalent(&target, Queue::plain("q"), Queue::quorum("q")).await;
        let text = "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': \
                    received 'quorum' but current is 'classic'";
        assert_eq!(closed, channel_error(406, text));
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("q")).await;
    }

    /// An argument of another value, missing, or new closes the channel with 406; integers compare by value.
    async fn other_arguments_are_inequivalent(target: Target) {
        let mut wire = target.channel().await;
        let limit = |table: Table| Queue::plain("q").arguments(table);
        let first = table! { "x-queue-type" => "quorum", "x-max-length" => 5 };
        wire.declare_queue(1, limit(first.clone())).await;
        wire.declare_queue(1, limit(first.clone().with("x-max-length", 5_i64))).await;
        let text = |why: &str| {
            format!("PRECONDITION_FAILED - inequivalent arg '{why}")
        };
        let cases = [
            (
                first.clone().with("x-max-length", 6),
                text("x-max-length' for queue 'q' in vhost '/': received '6' but current is '5'"),
            ),
            (
                first.clone().without("x-max-length"),
                text("x-max-length' for queue 'q' in vhost '/': \
                      received none but current is the value '5' of type 'signedint'"),
            ),
            (
                first.with("x-message-ttl", 100),
                text("x-message-ttl' for queue 'q' in vhost '/': \
                      received the value '100' of type 'signedint' but current is none"),
            ),
        ];
        for (arguments, text) in cases {
            assert_eq!(wire.refused(1, limit(arguments)).await, channel_error(406, &text));
            wire.open_channel(1).await;
        }
    }
}
