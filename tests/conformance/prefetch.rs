//! `basic.qos`.

use garenne_tests::wire::{Consumer, Queue, basic, connection_error};

use crate::behaviours;
use crate::steps::{becomes, bodies, fill, queues};

behaviours! {
    area = "prefetch", source = "https://www.rabbitmq.com/docs/consumer-prefetch";

    /// A consumer has no more unacknowledged deliveries than its prefetch; each ack lets one more come.
    async fn a_prefetch_limits_the_unacknowledged(target: Target) {
        for (name, queue) in queues() {
            let mut wire = target.channel().await;
            wire.declare_queue(1, queue).await;
            fill(&mut wire, name, 5).await;
            wire.qos(1, 2).await;
            wire.consume(1, name).await;
            assert_eq!(bodies(&mut wire, 2).await, ["1", "2"]);
            becomes(&mut wire, name, 3).await;
            wire.ack(1, 2).await;
            assert_eq!(bodies(&mut wire, 1).await, ["3"]);
            becomes(&mut wire, name, 2).await;
            wire.ack_up_to(1, 0).await;
            assert_eq!(bodies(&mut wire, 2).await, ["4", "5"]);
            wire.close().await;
        }
    }

    /// A prefetch of 0, which is the default, is no limit.
    async fn no_prefetch_is_no_limit(target: Target) {
        for (name, queue) in queues() {
            let mut wire = target.channel().await;
            wire.declare_queue(1, queue).await;
            fill(&mut wire, name, 300).await;
            wire.qos(1, 1).await;
            wire.qos(1, 0).await;
            wire.consume(1, name).await;
            assert_eq!(bodies(&mut wire, 300).await.len(), 300);
            wire.close().await;
        }
    }

    /// Each consumer of a channel has the prefetch for itself.
    async fn each_consumer_has_a_prefetch_of_its_own(target: Target) {
        for (name, queue) in queues() {
            let mut wire = target.channel().await;
            wire.declare_queue(1, queue).await;
            fill(&mut wire, name, 5).await;
            wire.qos(1, 2).await;
            wire.consume(1, name).await;
            wire.consume(1, name).await;
            bodies(&mut wire, 4).await;
            assert_eq!(wire.ready(1, name).await, 1, "{name}");
            wire.close().await;
        }
    }

    /// A prefetch that is changed holds for consumers to come, and not for those that are there.
    async fn a_changed_prefetch_is_for_consumers_to_come(target: Target) {
        for (name, queue) in queues() {
            let mut wire = target.channel().await;
            wire.declare_queue(1, queue).await;
            wire.qos(1, 1).await;
            wire.consume_with(1, Consumer::new(name).tag("one")).await;
            wire.qos(1, 3).await;
            wire.consume_with(1, Consumer::new(name).tag("three")).await;
            fill(&mut wire, name, 5).await;
            let mut tags: Vec<_> =
                wire.expect_deliveries(1, 4).await.into_iter().map(|delivery| delivery.consumer_tag).collect();
            tags.sort();
            assert_eq!(tags, ["one", "three", "three", "three"]);
            becomes(&mut wire, name, 1).await;
            wire.close().await;
        }
    }

    /// With `no_ack` the prefetch does not matter.
    async fn without_acks_the_prefetch_does_not_matter(target: Target) {
        for (name, queue) in queues() {
            let mut wire = target.channel().await;
            wire.declare_queue(1, queue).await;
            fill(&mut wire, name, 5).await;
            wire.qos(1, 1).await;
            wire.consume_with(1, Consumer::new(name).no_ack()).await;
            bodies(&mut wire, 5).await;
            wire.close().await;
        }
    }

    /// A nack or reject frees the prefetch as an ack does.
    async fn a_refusal_frees_the_prefetch(target: Target) {
        for (name, queue) in queues() {
            let mut wire = target.channel().await;
            wire.declare_queue(1, queue).await;
            fill(&mut wire, name, 3).await;
            wire.qos(1, 1).await;
            wire.consume(1, name).await;
            for (tag, body) in [(1, "1"), (2, "2"), (3, "3")] {
                let delivery = wire.expect_delivery(1).await;
                assert_eq!((delivery.tag, delivery.text().as_str()), (tag, body), "{name}");
                wire.nack(1, tag, false).await;
            }
            wire.close().await;
        }
    }

    /// A prefetch with `global` is one for each consumer all the same: 4.3 knows no shared one.
    #[source = "rabbit_channel.erl: handle_method(#'basic.qos'{})"]
    async fn a_global_prefetch_is_one_for_each_consumer(target: Target) {
        for (name, queue) in queues() {
            let mut wire = target.channel().await;
            wire.declare_queue(1, queue).await;
            fill(&mut wire, name, 5).await;
            wire.call(1, basic::Qos { prefetch_count: 2, global: true }).await;
            wire.consume(1, name).await;
            wire.consume(1, name).await;
            bodies(&mut wire, 4).await;
            assert_eq!(wire.ready(1, name).await, 1, "{name}");
            wire.close().await;
        }
    }

    /// A prefetch in bytes closes the connection with 540.
    #[source = "rabbit_channel.erl: handle_method(#'basic.qos'{})"]
    async fn a_prefetch_has_no_size(target: Target) {
        let mut wire = target.channel().await;
        // The client's codec leaves the size out: a method frame on channel 1 with class, method, size 9, count 1, `global`.
        wire.send_bytes(&[1, 0, 1, 0, 0, 0, 11, 0, 60, 0, 10, 0, 0, 0, 9, 0, 1, 0, 206]).await;
        let closed = wire.expect_connection_error().await;
        assert_eq!(closed, connection_error(540, "NOT_IMPLEMENTED - prefetch_size!=0 (9)"));
    }

    /// On a classic queue a consumer that takes the tag of a cancelled one has its whole prefetch, whatever that one holds, and one more with
    /// each of those deliveries that is settled.
    #[source = "rabbit_limiter.erl: ack_from_queue"]
    async fn a_classic_queue_gives_a_tag_that_is_used_again_its_whole_prefetch(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("c")).await;
        fill(&mut wire, "c", 9).await;
        wire.qos(1, 2).await;
        wire.consume_with(1, Consumer::new("c").tag("t")).await;
        bodies(&mut wire, 2).await;
        wire.cancel(1, "t").await;
        wire.consume_with(1, Consumer::new("c").tag("t")).await;
        assert_eq!(bodies(&mut wire, 2).await, ["3", "4"]);
        becomes(&mut wire, "c", 5).await;
        for (settled, next) in [(1, "5"), (3, "6")] {
            wire.ack(1, settled).await;
            assert_eq!(bodies(&mut wire, 1).await, [next]);
        }
        becomes(&mut wire, "c", 3).await;
    }

    /// To a quorum queue a consumer that takes the tag of a cancelled one is that one, and holds its deliveries: each that is settled gives it
    /// one more, up to its prefetch.
    #[source = "rabbit_fifo.erl: merge_consumer"]
    async fn a_quorum_queue_knows_a_tag_that_is_used_again(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        fill(&mut wire, "q", 9).await;
        wire.qos(1, 3).await;
        wire.consume_with(1, Consumer::new("q").tag("t")).await;
        bodies(&mut wire, 3).await;
        wire.cancel(1, "t").await;
        wire.qos(1, 1).await;
        wire.consume_with(1, Consumer::new("q").tag("t")).await;
        becomes(&mut wire, "q", 6).await;
        wire.expect_nothing(1).await;
        for (settled, next) in [(1, "4"), (2, "5")] {
            wire.ack(1, settled).await;
            assert_eq!(bodies(&mut wire, 1).await, [next]);
        }
        becomes(&mut wire, "q", 4).await;
    }
}
