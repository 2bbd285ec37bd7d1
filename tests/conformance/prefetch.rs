//! `basic.qos`.

use garenne_tests::wire::{Consumer, basic};

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
}
