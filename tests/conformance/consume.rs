//! `basic.consume` and `basic.cancel`.

use garenne_tests::wire::{
    Consumer, Draft, Event, Login, Queue, Wire, basic, channel_error, connection_error, queue,
};
use garenne_tests::{SECONDS, eventually, table};

use crate::behaviours;
use crate::steps::{bodies, fill, put, queues};

const IN_USE: &str = "ACCESS_REFUSED - queue 'c' in vhost '/' in exclusive use";

behaviours! {
    area = "consumers", source = "https://www.rabbitmq.com/docs/consumers";

    /// A consumer without a tag gets one of the broker's, `amq.ctag-..`, other every time; a tag of the client's is kept.
    async fn a_consumer_without_a_tag_gets_one(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("q")).await;
        let first = wire.consume(1, "q").await;
        let second = wire.consume(1, "q").await;
        assert!(first.starts_with("amq.ctag-"), "{first}");
        assert_ne!(first, second);
        assert_eq!(wire.consume_with(1, Consumer::new("q").tag("mine")).await, "mine");
    }

    /// A tag that a consumer of the channel has closes the connection with 530.
    #[source = "rabbit_channel.erl: handle_method(#'basic.consume'{})"]
    async fn a_tag_in_use_is_not_allowed(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("q")).await;
        wire.consume_with(1, Consumer::new("q").tag("t")).await;
        let closed = wire.refused(1, Consumer::new("q").tag("t")).await;
        assert_eq!(closed, connection_error(530, "NOT_ALLOWED - attempt to reuse consumer tag 't'"));
    }

    /// A tag belongs to its channel: another channel may use it too, and the same one after a cancel.
    async fn a_tag_belongs_to_its_channel(target: Target) {
        let mut wire = target.channel().await;
        wire.open_channel(2).await;
        wire.declare_queue(1, Queue::classic("q")).await;
        for channel in [1, 2] {
            assert_eq!(wire.consume_with(channel, Consumer::new("q").tag("t")).await, "t");
        }
        wire.cancel(1, "t").await;
        assert_eq!(wire.consume_with(1, Consumer::new("q").tag("t")).await, "t");
    }

    /// Consuming from a queue that does not exist closes the channel with 404.
    async fn consuming_a_missing_queue_is_not_found(target: Target) {
        let mut wire = target.channel().await;
        let closed = wire.refused(1, Consumer::new("q")).await;
        assert_eq!(closed, channel_error(404, "NOT_FOUND - no queue 'q' in vhost '/'"));
    }

    /// A `basic.consume` with `nowait` is not answered: deliveries come at once.
    async fn a_consume_without_waiting_is_not_answered(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("q")).await;
        fill(&mut wire, "q", 1).await;
        let mut consumer = Consumer::new("q").tag("t");
        consumer.0.nowait = true;
        wire.send(1, consumer).await;
        let Event::Content(_) = wire.next(1).await else { panic!("a delivery comes first") };
    }

    /// An exclusive consumer of a classic queue is refused with 403 if the queue has consumers.
    async fn an_exclusive_consumer_needs_a_queue_without_consumers(target: Target) {
        let mut wire = target.channel().await;
        wire.open_channel(2).await;
        wire.declare_queue(1, Queue::classic("c")).await;
        wire.consume(2, "c").await;
        let closed = wire.refused(1, Consumer::new("c").exclusive()).await;
        assert_eq!(closed, channel_error(403, IN_USE));
    }

    /// Beside an exclusive consumer of a classic queue every other is refused with 403, until it is cancelled.
    async fn nobody_consumes_beside_an_exclusive_consumer(target: Target) {
        let mut wire = target.channel().await;
        wire.open_channel(2).await;
        wire.declare_queue(1, Queue::classic("c")).await;
        let tag = wire.consume_with(1, Consumer::new("c").exclusive()).await;
        let closed = wire.refused(2, Consumer::new("c")).await;
        assert_eq!(closed, channel_error(403, IN_USE));
        wire.cancel(1, &tag).await;
        wire.open_channel(2).await;
        wire.consume(2, "c").await;
    }

    /// Quorum queues do not look at `exclusive`: other consumers are let in.
    #[source = "rabbit_quorum_queue.erl: consume"]
    async fn quorum_queues_know_no_exclusive_consumers(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.consume_with(1, Consumer::new("q").exclusive()).await;
        wire.consume(1, "q").await;
        wire.consume_with(1, Consumer::new("q").exclusive()).await;
    }

    /// With `no_ack` a message is gone with its delivery: nothing comes back when the connection is cut.
    async fn without_acks_a_message_is_gone_with_its_delivery(target: Target) {
        let mut other = target.channel().await;
        for (name, queue) in queues() {
            let mut wire = target.channel().await;
            wire.declare_queue(1, queue).await;
            fill(&mut wire, name, 2).await;
            wire.consume_with(1, Consumer::new(name).no_ack()).await;
            assert_eq!(bodies(&mut wire, 2).await, ["1", "2"]);
            wire.close().await;
            fill(&mut other, name, 1).await;
            let got = other.take_one(1, name).await;
            assert_eq!((got.text().as_str(), got.redelivered, got.message_count), ("1", false, 0));
        }
    }

    /// A cancel is answered with the tag, and what is published afterwards stays in the queue.
    async fn a_cancelled_consumer_gets_nothing_more(target: Target) {
        let mut wire = target.channel().await;
        for (name, queue) in queues() {
            wire.declare_queue(1, queue).await;
            let tag = wire.consume(1, name).await;
            let cancel = basic::Cancel { consumer_tag: tag.as_str().into(), nowait: false };
            assert_eq!(wire.call(1, cancel).await.consumer_tag.as_str(), tag);
            fill(&mut wire, name, 1).await;
            assert_eq!(wire.ready(1, name).await, 1);
            wire.expect_nothing(1).await;
        }
    }

    /// Cancelling a tag that no consumer has is answered as if it had been one.
    #[source = "rabbit_channel.erl: handle_method(#'basic.cancel'{})"]
    async fn cancelling_an_unknown_tag_is_fine(target: Target) {
        let mut wire = target.channel().await;
        let cancel = basic::Cancel { consumer_tag: "nobody".into(), nowait: false };
        assert_eq!(wire.call(1, cancel).await.consumer_tag.as_str(), "nobody");
    }

    /// Deleting a queue cancels its consumers, if the client has the capability `consumer_cancel_notify`.
    #[source = "https://www.rabbitmq.com/docs/consumer-cancel"]
    async fn a_deleted_queue_cancels_its_consumers(target: Target) {
        let mut wire = target.channel().await;
        let mut other = target.channel().await;
        for (name, queue) in queues() {
            wire.declare_queue(1, queue).await;
            wire.consume_with(1, Consumer::new(name).tag(name)).await;
            other.delete_queue(1, name).await;
            assert_eq!(wire.expect_cancel(1).await, name);
            // The tag is free again.
            wire.declare_queue(1, Queue::classic("next")).await;
            wire.consume_with(1, Consumer::new("next").tag(name)).await;
            wire.cancel(1, name).await;
        }
    }

    /// Without the capability a client is not told that its consumer is gone.
    #[source = "https://www.rabbitmq.com/docs/consumer-cancel"]
    async fn without_the_capability_nobody_is_told_of_a_cancel(target: Target) {
        let mut login = Login::new(&target.url());
        login.client_properties = table! {};
        let mut wire = Wire::connect_with(&target.url(), login).await;
        wire.open_channel(1).await;
        wire.declare_queue(1, Queue::classic("q")).await;
        wire.declare_queue(1, Queue::classic("marker")).await;
        wire.consume(1, "q").await;
        wire.consume(1, "marker").await;
        wire.delete_queue(1, "q").await;
        wire.publish(1, "", "marker", "here").await;
        let Event::Content(_) = wire.next(1).await else { panic!("only the marker is delivered") };
        wire.expect_nothing(1).await;
    }

    /// Messages go to the consumers of a queue in turn.
    async fn consumers_take_turns(target: Target) {
        for (name, queue) in queues() {
            let mut wire = target.channel().await;
            wire.declare_queue(1, queue).await;
            for tag in ["a", "b", "c"] {
                wire.consume_with(1, Consumer::new(name).tag(tag)).await;
            }
            fill(&mut wire, name, 6).await;
            let deliveries = wire.expect_deliveries(1, 6).await;
            let tags: Vec<_> = deliveries.iter().map(|delivery| delivery.consumer_tag.as_str()).collect();
            assert_eq!(tags, ["a", "b", "c", "a", "b", "c"], "{name}");
            wire.close().await;
        }
    }

    /// One consumer gets messages in the order in which they were published, with delivery tags from 1 on.
    async fn deliveries_come_in_the_order_of_publishing(target: Target) {
        for (name, queue) in queues() {
            let mut wire = target.channel().await;
            wire.declare_queue(1, queue).await;
            wire.consume(1, name).await;
            fill(&mut wire, name, 50).await;
            for number in 1..=50 {
                let delivery = wire.expect_delivery(1).await;
                assert_eq!((delivery.tag, delivery.text()), (number, number.to_string()));
                assert!(!delivery.redelivered);
            }
            wire.close().await;
        }
    }

    /// Delivery tags count from 1 on each channel, over all of its consumers and gets.
    async fn delivery_tags_count_on_each_channel(target: Target) {
        let mut wire = target.channel().await;
        wire.open_channel(2).await;
        for name in ["a", "b"] {
            wire.declare_queue(1, Queue::classic(name)).await;
            fill(&mut wire, name, 3).await;
        }
        wire.qos(1, 1).await;
        wire.consume(1, "a").await;
        assert_eq!(wire.expect_delivery(1).await.tag, 1);
        assert_eq!(wire.take_one(1, "b").await.tag, 2);
        wire.consume(1, "b").await;
        assert_eq!(wire.expect_delivery(1).await.tag, 3);
        assert_eq!(wire.take_one(2, "b").await.tag, 1);
    }

    /// The consumer of the highest priority gets every message as long as its prefetch allows; then the next one does.
    #[source = "https://www.rabbitmq.com/docs/consumer-priority"]
    async fn a_higher_priority_is_served_first(target: Target) {
        for (name, queue) in queues() {
            let mut wire = target.channel().await;
            wire.declare_queue(1, queue).await;
            wire.qos(1, 2).await;
            wire.consume_with(1, Consumer::new(name).tag("low")).await;
            wire.consume_with(1, Consumer::new(name).tag("high").with("x-priority", 10)).await;
            let mut tags = Vec::new();
            for body in ["1", "2", "3", "4"] {
                put(&mut wire, [Draft::to_queue(name).body(body)]).await;
                tags.push(wire.expect_delivery(1).await.consumer_tag);
            }
            assert_eq!(tags, ["high", "high", "low", "low"], "{name}");
            wire.close().await;
        }
    }

    /// A priority of a consumer that is no integer closes the channel with 406.
    #[source = "rabbit_amqqueue.erl: check_consumer_arguments"]
    async fn the_priority_of_a_consumer_is_an_integer(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("q")).await;
        let closed = wire.refused(1, Consumer::new("q").with("x-priority", "high")).await;
        let text = "PRECONDITION_FAILED - invalid arg 'x-priority' for queue 'q' in vhost '/': \
            \"expected integer, got longstr\"";
        assert_eq!(closed, channel_error(406, text));
    }

    /// The consumers of a queue are counted; those that are cancelled or whose channel is closed no longer.
    async fn consumers_are_counted(target: Target) {
        let mut wire = target.channel().await;
        for (name, queue) in queues() {
            wire.open_channel(2).await;
            wire.declare_queue(1, queue).await;
            let tag = wire.consume(1, name).await;
            wire.consume(2, name).await;
            for (step, expected) in [2_u32, 1, 0].into_iter().enumerate() {
                match step {
                    1 => wire.cancel(1, &tag).await,
                    2 => wire.close_channel(2).await,
                    _ => {}
                }
                eventually(60 * SECONDS, &format!("{expected} consumers of {name}"), async || {
                    let passive = Queue::passive(name);
                    match wire.declare_queue(1, passive).await.consumer_count {
                        found if found == expected => Ok(()),
                        found => Err(found),
                    }
                })
                .await;
            }
        }
    }

    /// An empty queue name in `basic.consume` means the queue declared last on the channel.
    async fn an_empty_name_consumes_the_queue_declared_last(target: Target) {
        let mut wire = target.channel().await;
        let declared = wire.declare_queue(1, Queue::plain("").exclusive()).await;
        wire.consume_with(1, Consumer::new("").no_ack()).await;
        wire.publish(1, "", declared.queue.as_str(), "hello").await;
        assert_eq!(wire.expect_delivery(1).await.text(), "hello");
        let delete = queue::Delete { queue: declared.queue, if_unused: false, if_empty: false, nowait: false };
        wire.call(1, delete).await;
        wire.expect_cancel(1).await;
    }

    /// A cancel of the broker's wants no answer: `basic.cancel-ok` for a consumer that is gone closes the connection with 541.
    #[source = "rabbit_channel.erl: cancel_consumer"]
    async fn a_cancel_of_the_brokers_wants_no_answer(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("c")).await;
        let tag = wire.consume(1, "c").await;
        wire.delete_queue(1, "c").await;
        assert_eq!(wire.expect_cancel(1).await, tag);
        wire.send(1, basic::CancelOk { consumer_tag: tag.as_str().into() }).await;
        assert_eq!(wire.expect_connection_error().await, connection_error(541, "INTERNAL_ERROR"));
    }
}
