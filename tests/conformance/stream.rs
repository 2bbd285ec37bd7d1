//! Streams, as a client of AMQP 0-9-1 sees them.

use garenne_tests::table;
use garenne_tests::wire::{AMQPValue, Consumer, Delivery, Draft, Queue, Wire, basic, queue};

use crate::behaviours;

/// Declares the stream `s` with messages `0`, `1`, ..
async fn fill(wire: &mut Wire, count: u64) {
    wire.declare_queue(1, Queue::stream("s")).await;
    wire.confirm_select(1).await;
    for number in 0..count {
        wire.publish_confirmed(1, number + 1, Draft::to_queue("s").body(number.to_string())).await;
    }
    wire.qos(1, 100).await;
}

behaviours! {
    area = "streams", source = "https://www.rabbitmq.com/docs/streams";

    /// A consumer reads from where `x-stream-offset` says, and each message tells its offset.
    async fn a_consumer_starts_at_its_offset(target: Target) {
        let mut wire = target.channel().await;
        fill(&mut wire, 5).await;
        for (consumer, first) in [
            (Consumer::new("s").with("x-stream-offset", "first"), 0_i64),
            (Consumer::new("s").with("x-stream-offset", 3_i64), 3),
        ] {
            let tag = wire.consume_with(1, consumer).await;
            let count = usize::try_from(5 - first).expect("it is small");
            for (offset, delivery) in (first..).zip(wire.expect_deliveries(1, count).await) {
                assert_eq!(delivery.text(), offset.to_string());
                assert_eq!(delivery.headers(), table! { "x-stream-offset" => offset });
                wire.ack(1, delivery.tag).await;
            }
            wire.cancel(1, &tag).await;
        }
    }

    /// Without an offset a consumer gets what is published after it came.
    async fn without_an_offset_only_new_messages_come(target: Target) {
        let mut wire = target.channel().await;
        fill(&mut wire, 3).await;
        wire.consume(1, "s").await;
        wire.publish_confirmed(1, 4, Draft::to_queue("s").body("new")).await;
        assert_eq!(wire.expect_delivery(1).await.text(), "new");
    }

    /// Reading takes nothing away: every consumer reads the same.
    async fn every_consumer_reads_the_same(target: Target) {
        let mut wire = target.channel().await;
        fill(&mut wire, 3).await;
        for _ in 0..2 {
            let tag = wire.consume_with(1, Consumer::new("s").with("x-stream-offset", "first")).await;
            let deliveries = wire.expect_deliveries(1, 3).await;
            let bodies: Vec<_> = deliveries.iter().map(Delivery::text).collect();
            assert_eq!(bodies, ["0", "1", "2"]);
            wire.ack_up_to(1, deliveries[2].tag).await;
            wire.cancel(1, &tag).await;
        }
    }

    /// A stream keeps messages as AMQP 1.0 has them: tables and arrays stay only in headers with `x-`, bytes become text, and a message without
    /// a delivery mode is transient.
    #[source = "mc_amqpl.erl: convert_to"]
    async fn a_stream_converts_headers(target: Target) {
        let mut wire = target.channel().await;
        fill(&mut wire, 0).await;
        wire.consume_with(1, Consumer::new("s").with("x-stream-offset", "first")).await;
        let inner = || AMQPValue::FieldTable(table! { "k" => 1 }.into());
        let draft = Draft::to_queue("s").header("plain", inner()).header("x-own", inner()).header("n", 1);
        let draft = draft.header("bytes", AMQPValue::ByteArray(b"text".to_vec().into()));
        wire.publish_draft(1, draft.header("x-exchange", "e")).await;
        let delivery = wire.expect_delivery(1).await;
        let kept = table! { "bytes" => "text", "n" => 1, "x-own" => inner(), "x-stream-offset" => 0_i64 };
        assert_eq!(delivery.headers(), kept);
        assert_eq!(*delivery.properties.delivery_mode(), Some(1));
    }

    /// A declare of a stream tells no consumers.
    #[source = "rabbit_stream_queue.erl: stat"]
    async fn a_stream_counts_no_consumers(target: Target) {
        let mut wire = target.channel().await;
        fill(&mut wire, 0).await;
        wire.consume(1, "s").await;
        assert_eq!(wire.declare_queue(1, Queue::passive("s")).await.consumer_count, 0);
    }

    /// A stream is deleted with `if-unused` and `if-empty` too, tells no count and cancels its consumers.
    #[source = "rabbit_stream_queue.erl: delete"]
    async fn a_stream_is_deleted_without_conditions(target: Target) {
        let mut wire = target.channel().await;
        fill(&mut wire, 3).await;
        let tag = wire.consume(1, "s").await;
        let delete = queue::Delete { queue: "s".into(), if_unused: true, if_empty: true, nowait: false };
        assert_eq!(wire.call(1, delete).await.message_count, 0);
        assert_eq!(wire.expect_cancel(1).await, tag);
    }

    /// Nothing of a stream comes back: neither by a nack, nor by `basic.recover`, nor by the end of a channel; the next reader begins anew.
    async fn nothing_comes_back_to_a_stream(target: Target) {
        let mut wire = target.channel().await;
        fill(&mut wire, 2).await;
        for channel in [2, 3] {
            wire.open_channel(channel).await;
            wire.qos(channel, 9).await;
            wire.consume_with(channel, Consumer::new("s").with("x-stream-offset", "first")).await;
            let read = wire.expect_deliveries(channel, 2).await;
            assert!(read.iter().all(|delivery| !delivery.redelivered));
            wire.nack(channel, 1, true).await;
            wire.call(channel, basic::Recover { requeue: true }).await;
            wire.expect_nothing(channel).await;
            wire.close_channel(channel).await;
        }
    }
}
