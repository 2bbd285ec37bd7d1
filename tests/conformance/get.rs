//! `basic.get`.

use garenne_tests::wire::{Queue, basic, channel_error, connection_error};

use crate::behaviours;
use crate::steps::{becomes, fill, queues};

behaviours! {
    area = "basic.get", source = "https://www.rabbitmq.com/docs/consumers";

    /// A get takes the first message, and tells how many are ready behind it.
    async fn a_get_tells_how_many_are_left(target: Target) {
        let mut wire = target.channel().await;
        for (name, queue) in queues() {
            wire.declare_queue(1, queue).await;
            fill(&mut wire, name, 3).await;
            for (body, left) in [("1", 2), ("2", 1), ("3", 0)] {
                let got = wire.get(1, name).await.expect("three are there");
                assert_eq!((got.text().as_str(), got.message_count), (body, left), "{name}");
                assert_eq!((got.exchange.as_str(), got.routing_key.as_str()), ("", name));
            }
        }
    }

    /// A get from an empty queue is answered with `basic.get-empty`, and so is one from a queue whose messages are all unacknowledged.
    async fn an_empty_queue_has_nothing_to_get(target: Target) {
        let mut wire = target.channel().await;
        for (name, queue) in queues() {
            wire.declare_queue(1, queue).await;
            assert!(wire.get(1, name).await.is_none());
            fill(&mut wire, name, 1).await;
            assert!(wire.get(1, name).await.is_some());
            assert!(wire.get(1, name).await.is_none());
        }
    }

    /// A get from a queue that does not exist closes the channel with 404.
    async fn getting_from_a_missing_queue_is_not_found(target: Target) {
        let mut wire = target.channel().await;
        let get = basic::Get { queue: "q".into(), no_ack: false };
        let closed = wire.try_get(1, get).await.expect_err("there is no queue");
        assert_eq!(closed, channel_error(404, "NOT_FOUND - no queue 'q' in vhost '/'"));
        assert_eq!(closed.method, (60, 70));
    }

    /// With `no_ack` a message is gone with the get; without, it comes back when the channel closes.
    async fn a_get_without_ack_is_for_good(target: Target) {
        let mut wire = target.channel().await;
        for (name, queue) in queues() {
            wire.open_channel(2).await;
            wire.declare_queue(1, queue).await;
            fill(&mut wire, name, 2).await;
            wire.take_one(2, name).await;
            wire.get(2, name).await.expect("one is left");
            wire.close_channel(2).await;
            becomes(&mut wire, name, 1).await;
            let got = wire.take_one(1, name).await;
            assert_eq!((got.text().as_str(), got.redelivered), ("2", true), "{name}");
        }
    }

    /// A get does not count against a prefetch, and consumers do not keep it from the messages that are ready.
    async fn a_get_needs_no_prefetch(target: Target) {
        for (name, queue) in queues() {
            let mut wire = target.channel().await;
            wire.declare_queue(1, queue).await;
            fill(&mut wire, name, 3).await;
            wire.qos(1, 1).await;
            wire.consume(1, name).await;
            assert_eq!(wire.expect_delivery(1).await.text(), "1");
            assert_eq!(wire.take_one(1, name).await.text(), "2");
            assert_eq!(wire.take_one(1, name).await.text(), "3");
            wire.close().await;
        }
    }

    /// A quorum queue with a single active consumer closes the channel of a get with 405.
    #[source = "rabbit_quorum_queue.erl: dequeue"]
    async fn a_single_active_consumer_of_a_quorum_queue_forbids_gets(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q").with("x-single-active-consumer", true)).await;
        wire.consume(1, "q").await;
        let get = basic::Get { queue: "q".into(), no_ack: true };
        let closed = wire.try_get(1, get).await.expect_err("it is refused");
        let text = "RESOURCE_LOCKED - cannot obtain access to locked queue 'q' in vhost '/'. basic.get operations \
            are not supported by <<\"quorum\">> queues with single active consumer";
        assert_eq!(closed, channel_error(405, text));
    }

    /// A classic queue with a single active consumer lets others get.
    async fn a_single_active_consumer_of_a_classic_queue_permits_gets(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("c").with("x-single-active-consumer", true)).await;
        wire.qos(1, 1).await;
        wire.consume(1, "c").await;
        fill(&mut wire, "c", 2).await;
        wire.expect_delivery(1).await;
        assert_eq!(wire.take_one(1, "c").await.text(), "2");
    }

    /// A stream cannot be read by gets: 540, which ends the connection.
    #[source = "rabbit_stream_queue.erl: dequeue"]
    async fn a_stream_forbids_gets(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::stream("s")).await;
        let get = basic::Get { queue: "s".into(), no_ack: false };
        let closed = wire.try_get(1, get).await.expect_err("it is refused");
        let text = "NOT_IMPLEMENTED - basic.get not supported by stream queues queue 's' in vhost '/'";
        assert_eq!(closed, connection_error(540, text));
    }
}
