//! Acknowledging, refusing, requeueing.

use garenne_tests::wire::{Consumer, Queue, Wire, basic, channel_error, connection_error};

use crate::behaviours;
use crate::steps::{becomes, bodies, drain, fill, queues};

/// Fills a queue with four messages, gets three, gives back the third and then the first, and returns what the queue serves then.
async fn requeue_two_of_four(wire: &mut Wire, queue: &str) -> Vec<(String, bool)> {
    fill(wire, queue, 4).await;
    for _ in 0..3 {
        wire.get(1, queue).await.expect("four are there");
    }
    wire.nack(1, 3, true).await;
    wire.nack(1, 1, true).await;
    becomes(wire, queue, 3).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let got = wire.take_one(1, queue).await;
        seen.push((got.text(), got.redelivered));
    }
    seen
}

behaviours! {
    area = "settling", source = "https://www.rabbitmq.com/docs/confirms";

    /// An acknowledged message is gone; an unacknowledged one is not ready, and neither counts in a declare.
    async fn an_acknowledged_message_is_gone(target: Target) {
        for (name, queue) in queues() {
            let mut wire = target.channel().await;
            wire.declare_queue(1, queue).await;
            fill(&mut wire, name, 2).await;
            let got = wire.get(1, name).await.expect("two are there");
            becomes(&mut wire, name, 1).await;
            wire.ack(1, got.tag).await;
            wire.close_channel(1).await;
            wire.open_channel(1).await;
            assert_eq!(drain(&mut wire, name, 1).await, ["2"]);
        }
    }

    /// An ack with `multiple` acknowledges every delivery up to its tag, and none behind it.
    async fn a_multiple_ack_takes_all_before_it(target: Target) {
        for (name, queue) in queues() {
            let mut wire = target.channel().await;
            wire.declare_queue(1, queue).await;
            fill(&mut wire, name, 4).await;
            wire.consume(1, name).await;
            bodies(&mut wire, 4).await;
            wire.ack_up_to(1, 3).await;
            wire.close().await;
            assert_eq!(drain(&mut target.channel().await, name, 1).await, ["4"]);
        }
    }

    /// An ack of tag 0 with `multiple` acknowledges everything outstanding on the channel; nothing outstanding is fine.
    async fn tag_zero_means_everything_outstanding(target: Target) {
        let mut wire = target.channel().await;
        for (name, queue) in queues() {
            wire.declare_queue(1, queue).await;
            fill(&mut wire, name, 2).await;
            wire.consume_with(1, Consumer::new(name).tag(name)).await;
        }
        wire.expect_deliveries(1, 4).await;
        wire.ack_up_to(1, 0).await;
        wire.ack_up_to(1, 0).await;
        wire.expect_nothing(1).await;
        wire.close().await;
        let mut wire = target.channel().await;
        for (name, _) in queues() {
            fill(&mut wire, name, 1).await;
            let got = wire.take_one(1, name).await;
            assert_eq!((got.redelivered, got.message_count), (false, 0), "{name}");
        }
    }

    /// An ack of tag 0 without `multiple` closes the channel with 406, as any tag that is not outstanding does.
    async fn an_unknown_tag_is_refused(target: Target) {
        let mut wire = target.channel().await;
        for tag in [0, 1, 77] {
            wire.ack(1, tag).await;
            let closed = wire.expect_channel_error(1).await;
            let text = format!("PRECONDITION_FAILED - unknown delivery tag {tag}");
            assert_eq!(closed, channel_error(406, &text));
            assert_eq!(closed.method, (60, 80));
            wire.open_channel(1).await;
        }
    }

    /// An unknown tag in `basic.nack` and `basic.reject` closes the channel with 406, and so does `multiple` with one.
    async fn refusing_an_unknown_tag_is_refused(target: Target) {
        let mut wire = target.channel().await;
        wire.nack(1, 5, true).await;
        let closed = wire.expect_channel_error(1).await;
        assert_eq!(closed, channel_error(406, "PRECONDITION_FAILED - unknown delivery tag 5"));
        assert_eq!(closed.method, (60, 120));
        wire.open_channel(1).await;
        wire.reject(1, 5, true).await;
        let closed = wire.expect_channel_error(1).await;
        assert_eq!(closed, channel_error(406, "PRECONDITION_FAILED - unknown delivery tag 5"));
        assert_eq!(closed.method, (60, 90));
        wire.open_channel(1).await;
        wire.ack_up_to(1, 5).await;
        let closed = wire.expect_channel_error(1).await;
        assert_eq!(closed, channel_error(406, "PRECONDITION_FAILED - unknown delivery tag 5"));
    }

    /// A second ack of a delivery closes the channel with 406, and so does an ack of what was delivered with `no_ack`.
    async fn a_second_ack_is_refused(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("q")).await;
        fill(&mut wire, "q", 2).await;
        let got = wire.get(1, "q").await.expect("two are there");
        wire.ack(1, got.tag).await;
        wire.ack(1, got.tag).await;
        let closed = wire.expect_channel_error(1).await;
        assert_eq!(closed, channel_error(406, "PRECONDITION_FAILED - unknown delivery tag 1"));
        wire.open_channel(1).await;
        let got = wire.take_one(1, "q").await;
        wire.ack(1, got.tag).await;
        let closed = wire.expect_channel_error(1).await;
        assert_eq!(closed, channel_error(406, "PRECONDITION_FAILED - unknown delivery tag 1"));
    }

    /// A delivery cannot be acknowledged on another channel: 406.
    async fn a_delivery_belongs_to_its_channel(target: Target) {
        let mut wire = target.channel().await;
        wire.open_channel(2).await;
        wire.declare_queue(1, Queue::classic("q")).await;
        fill(&mut wire, "q", 1).await;
        let got = wire.get(1, "q").await.expect("it is there");
        wire.ack(2, got.tag).await;
        let closed = wire.expect_channel_error(2).await;
        assert_eq!(closed, channel_error(406, "PRECONDITION_FAILED - unknown delivery tag 1"));
    }

    /// A message that a classic queue takes back goes to its old position, marked as redelivered.
    async fn a_classic_queue_requeues_at_the_old_position(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("c")).await;
        let seen = requeue_two_of_four(&mut wire, "c").await;
        let expected = [("1", true), ("3", true), ("4", false)];
        assert_eq!(seen, expected.map(|(body, redelivered)| (body.to_owned(), redelivered)));
    }

    /// A message that a quorum queue takes back is served before those that are there, in the order in which they came back.
    async fn a_quorum_queue_requeues_what_came_back(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q").with("x-delivery-limit", -1)).await;
        let seen = requeue_two_of_four(&mut wire, "q").await;
        let expected = [("3", true), ("1", true), ("4", false)];
        assert_eq!(seen, expected.map(|(body, redelivered)| (body.to_owned(), redelivered)));
    }

    /// A reject with `requeue` brings the message back marked as redelivered, to the same consumer too.
    async fn a_rejected_message_comes_back(target: Target) {
        for (name, queue) in queues() {
            let mut wire = target.channel().await;
            wire.declare_queue(1, queue).await;
            fill(&mut wire, name, 1).await;
            wire.consume(1, name).await;
            let first = wire.expect_delivery(1).await;
            wire.reject(1, first.tag, true).await;
            let second = wire.expect_delivery(1).await;
            assert_eq!((second.tag, second.redelivered, second.text().as_str()), (2, true, "1"), "{name}");
            wire.close().await;
        }
    }

    /// A reject or nack without `requeue` drops the message where there is no dead-letter exchange.
    async fn without_a_dead_letter_exchange_the_refused_is_dropped(target: Target) {
        for (name, queue) in queues() {
            let mut wire = target.channel().await;
            wire.declare_queue(1, queue).await;
            fill(&mut wire, name, 3).await;
            wire.consume(1, name).await;
            bodies(&mut wire, 3).await;
            wire.reject(1, 1, false).await;
            wire.nack(1, 2, false).await;
            wire.close().await;
            assert_eq!(drain(&mut target.channel().await, name, 1).await, ["3"], "{name}");
        }
    }

    /// A nack with `multiple` refuses every delivery up to its tag.
    #[source = "https://www.rabbitmq.com/docs/nack"]
    async fn a_multiple_nack_takes_all_before_it(target: Target) {
        for (name, queue) in queues() {
            let mut wire = target.channel().await;
            wire.declare_queue(1, queue).await;
            fill(&mut wire, name, 4).await;
            for _ in 0..4 {
                wire.get(1, name).await.expect("four are there");
            }
            wire.send(1, basic::Nack { delivery_tag: 3, multiple: true, requeue: true }).await;
            assert_eq!(drain(&mut wire, name, 3).await, ["1", "2", "3"], "{name}");
            wire.send(1, basic::Nack { delivery_tag: 0, multiple: true, requeue: false }).await;
            wire.close().await;
            let mut wire = target.channel().await;
            fill(&mut wire, name, 1).await;
            assert_eq!(drain(&mut wire, name, 1).await, ["1"], "{name}");
        }
    }

    /// What is unacknowledged when its channel closes comes back in its order, marked as redelivered.
    async fn the_unacknowledged_come_back_when_their_channel_closes(target: Target) {
        for (name, queue) in queues() {
            let mut wire = target.channel().await;
            wire.declare_queue(1, queue).await;
            fill(&mut wire, name, 3).await;
            wire.open_channel(2).await;
            wire.qos(2, 2).await;
            wire.consume(2, name).await;
            wire.expect_deliveries(2, 2).await;
            wire.close_channel(2).await;
            becomes(&mut wire, name, 3).await;
            wire.consume(1, name).await;
            let back = wire.expect_deliveries(1, 3).await;
            let seen: Vec<_> = back.iter().map(|delivery| (delivery.text(), delivery.redelivered)).collect();
            let expected = [("1", true), ("2", true), ("3", false)];
            assert_eq!(seen, expected.map(|(body, redelivered)| (body.to_owned(), redelivered)), "{name}");
            wire.close().await;
        }
    }

    /// What is unacknowledged when its connection is cut comes back in its order, marked as redelivered.
    async fn the_unacknowledged_come_back_when_their_connection_is_cut(target: Target) {
        let mut other = target.channel().await;
        for (name, queue) in queues() {
            let mut wire = target.channel().await;
            wire.declare_queue(1, queue).await;
            fill(&mut wire, name, 3).await;
            wire.consume(1, name).await;
            bodies(&mut wire, 3).await;
            wire.cut();
            becomes(&mut other, name, 3).await;
            for body in ["1", "2", "3"] {
                let got = other.take_one(1, name).await;
                assert_eq!((got.text().as_str(), got.redelivered), (body, true), "{name}");
            }
        }
    }

    /// What a cancelled consumer has not acknowledged stays with its channel, which may acknowledge it still.
    #[source = "https://www.rabbitmq.com/docs/consumers"]
    async fn a_cancel_leaves_the_unacknowledged_with_the_channel(target: Target) {
        for (name, queue) in queues() {
            let mut wire = target.channel().await;
            wire.declare_queue(1, queue).await;
            fill(&mut wire, name, 2).await;
            let tag = wire.consume(1, name).await;
            bodies(&mut wire, 2).await;
            wire.cancel(1, &tag).await;
            assert_eq!(wire.ready(1, name).await, 0, "{name}");
            wire.ack(1, 1).await;
            wire.close().await;
            assert_eq!(drain(&mut target.channel().await, name, 1).await, ["2"], "{name}");
        }
    }

    /// `basic.recover` with `requeue` brings back everything outstanding on the channel, in its order.
    #[source = "rabbit_channel.erl: handle_method(#'basic.recover'{})"]
    async fn recover_brings_everything_back(target: Target) {
        for (name, queue) in queues() {
            let mut wire = target.channel().await;
            wire.declare_queue(1, queue).await;
            fill(&mut wire, name, 3).await;
            for _ in 0..3 {
                wire.get(1, name).await.expect("three are there");
            }
            wire.call(1, basic::Recover { requeue: true }).await;
            assert_eq!(drain(&mut wire, name, 3).await, ["1", "2", "3"], "{name}");
        }
    }

    /// `basic.recover` without `requeue` closes the connection with 540.
    #[source = "rabbit_channel.erl: handle_method(#'basic.recover'{})"]
    async fn recover_without_requeue_is_not_implemented(target: Target) {
        let mut wire = target.channel().await;
        let closed = wire.refused(1, basic::Recover { requeue: false }).await;
        assert_eq!(closed, connection_error(540, "NOT_IMPLEMENTED - requeue=false"));
    }
}
