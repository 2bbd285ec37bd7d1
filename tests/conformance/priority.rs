//! Priorities of messages.

use garenne_tests::wire::{Consumer, Delivery, Draft, Queue, Wire};

use crate::behaviours;

/// Publishes messages with these priorities, whose bodies tell their number and priority.
async fn publish(wire: &mut Wire, queue: &str, priorities: &[Option<u8>]) {
    for (number, priority) in priorities.iter().enumerate() {
        let draft = Draft::to_queue(queue);
        let draft = match priority {
            Some(priority) => draft.priority(*priority).body(format!("{number}: {priority}")),
            None => draft.body(format!("{number}: none")),
        };
        wire.publish_draft(1, draft).await;
    }
    wire.expect_ready(1, queue, u32::try_from(priorities.len()).expect("there are few")).await;
}

/// Takes so many messages by one consumer, and returns the bodies.
async fn take(wire: &mut Wire, queue: &str, count: usize) -> Vec<String> {
    let tag = wire.consume_with(1, Consumer::new(queue).no_ack()).await;
    let bodies = wire.expect_deliveries(1, count).await.iter().map(Delivery::text).collect();
    wire.cancel(1, &tag).await;
    bodies
}

behaviours! {
    area = "priorities", source = "https://www.rabbitmq.com/docs/priority";

    /// A classic queue with `x-max-priority` delivers higher priorities first, and equal ones in the order of publishing.
    async fn higher_priorities_come_first(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("q").with("x-max-priority", 5)).await;
        publish(&mut wire, "q", &[Some(1), Some(5), Some(3), Some(5), Some(1), Some(0)]).await;
        let bodies = take(&mut wire, "q", 6).await;
        assert_eq!(bodies, ["1: 5", "3: 5", "2: 3", "0: 1", "4: 1", "5: 0"]);
    }

    /// In such a queue no priority is 0, and one above the highest is the highest.
    async fn priorities_are_cut_to_the_range(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("q").with("x-max-priority", 5)).await;
        publish(&mut wire, "q", &[None, Some(0), Some(1), Some(5), Some(255), Some(6)]).await;
        let bodies = take(&mut wire, "q", 6).await;
        assert_eq!(bodies, ["3: 5", "4: 255", "5: 6", "2: 1", "0: none", "1: 0"]);
    }

    /// The property arrives as it was published, above the range too.
    async fn the_property_is_kept(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("classic").with("x-max-priority", 5)).await;
        wire.declare_queue(1, Queue::quorum("quorum")).await;
        for queue in ["classic", "quorum"] {
            publish(&mut wire, queue, &[Some(200)]).await;
            assert_eq!(wire.take_one(1, queue).await.properties.priority(), &Some(200));
        }
    }

    /// A classic queue without `x-max-priority` knows no priorities.
    async fn a_plain_classic_queue_has_no_priorities(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("q")).await;
        publish(&mut wire, "q", &[Some(1), Some(9), None]).await;
        assert_eq!(take(&mut wire, "q", 3).await, ["0: 1", "1: 9", "2: none"]);
    }

    /// A quorum queue knows 32 priorities from 0 to 31; no priority is 4, and one above 31 is 31.
    #[source = "https://www.rabbitmq.com/docs/quorum-queues#priorities"]
    async fn a_quorum_queue_has_priorities(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        publish(&mut wire, "q", &[Some(3), None, Some(4), Some(5), Some(31), Some(255), Some(30), Some(0)]).await;
        let bodies = take(&mut wire, "q", 8).await;
        assert_eq!(bodies, ["4: 31", "5: 255", "6: 30", "3: 5", "1: none", "2: 4", "0: 3", "7: 0"]);
    }

    /// A classic queue puts back what comes back by its priority, in its old place.
    async fn a_requeued_message_keeps_its_priority(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("q").with("x-max-priority", 5)).await;
        publish(&mut wire, "q", &[Some(1), Some(1), Some(3)]).await;
        let tag = wire.consume(1, "q").await;
        let deliveries = wire.expect_deliveries(1, 3).await;
        wire.cancel(1, &tag).await;
        wire.publish_draft(1, Draft::to_queue("q").priority(1).body("3: 1")).await;
        wire.publish_draft(1, Draft::to_queue("q").priority(2).body("4: 2")).await;
        for delivery in deliveries.iter().rev() {
            wire.nack(1, delivery.tag, true).await;
        }
        wire.expect_ready(1, "q", 5).await;
        assert_eq!(take(&mut wire, "q", 5).await, ["2: 3", "4: 2", "0: 1", "1: 1", "3: 1"]);
    }

    /// A quorum queue delivers what came back before anything of a higher priority.
    #[source = "rabbit_fifo.erl: take_next_msg"]
    async fn what_came_back_is_before_every_priority(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        publish(&mut wire, "q", &[Some(0)]).await;
        let got = wire.get(1, "q").await.expect("it is there");
        wire.nack(1, got.tag, true).await;
        wire.publish_draft(1, Draft::to_queue("q").priority(31).body("1: 31")).await;
        wire.expect_ready(1, "q", 2).await;
        assert_eq!(take(&mut wire, "q", 2).await, ["0: 0", "1: 31"]);
    }

    /// In a classic queue an expired message stays behind one of a higher priority until that one is gone, but is never delivered.
    #[source = "https://www.rabbitmq.com/docs/priority#interaction-with-other-features"]
    async fn a_lower_priority_expires_behind_a_higher_one(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("q").with("x-max-priority", 5)).await;
        wire.declare_queue(1, Queue::classic("clock").with("x-message-ttl", 200)).await;
        wire.publish_draft(1, Draft::to_queue("q").priority(5).body("high")).await;
        wire.publish_draft(1, Draft::to_queue("q").priority(1).expiration("1").body("low")).await;
        wire.publish_draft(1, Draft::to_queue("q").priority(0).body("lowest")).await;
        wire.confirm_select(1).await;
        wire.publish_confirmed(1, 1, Draft::to_queue("clock")).await;
        wire.expect_ready(1, "clock", 0).await;
        assert_eq!(wire.ready(1, "q").await, 3);
        assert_eq!(take(&mut wire, "q", 2).await, ["high", "lowest"]);
    }

    /// In a quorum queue messages expire at the head of each priority.
    #[source = "rabbit_fifo.erl: timer_effect"]
    async fn a_quorum_queue_expires_by_priority(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.publish_draft(1, Draft::to_queue("q").priority(5).body("high")).await;
        wire.publish_draft(1, Draft::to_queue("q").priority(1).expiration("1").body("low")).await;
        wire.publish_draft(1, Draft::to_queue("q").priority(0).body("lowest")).await;
        wire.expect_ready(1, "q", 2).await;
        assert_eq!(take(&mut wire, "q", 2).await, ["high", "lowest"]);
    }
}
