//! Streams, as a client of AMQP 0-9-1 sees them.

use garenne_tests::table;
use garenne_tests::wire::{Consumer, Delivery, Draft, Queue, Wire};

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
}
