//! Publisher confirms.

use garenne_tests::wire::{Confirm, Draft, Event, Exchange, Queue, confirms};

use crate::behaviours;

const REFUSING: [(&str, &str); 2] = [("c", "classic"), ("q", "quorum")];

behaviours! {
    area = "confirms", source = "https://www.rabbitmq.com/docs/confirms";

    /// Publishes are numbered from 1 on each channel, from `confirm.select` on.
    async fn confirms_count_from_one_on_each_channel(target: Target) {
        let mut wire = target.channel().await;
        wire.open_channel(2).await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.publish(1, "", "q", "not counted").await;
        for channel in [1, 2] {
            wire.confirm_select(channel).await;
            for _ in 0..3 {
                wire.publish(channel, "", "q", "hello").await;
            }
            assert_eq!(wire.expect_confirms(channel, 3).await, [Confirm::Ack; 3]);
        }
    }

    /// A second `confirm.select` is answered and does not start the count anew.
    async fn a_second_select_changes_nothing(target: Target) {
        let mut wire = target.channel().await;
        wire.confirm_select(1).await;
        wire.publish(1, "", "nobody", "hello").await;
        wire.expect_confirms(1, 1).await;
        wire.confirm_select(1).await;
        wire.publish(1, "", "nobody", "hello").await;
        wire.expect_confirms_from(1, 2, 1).await;
    }

    /// `confirm.select` with `nowait` is not answered.
    async fn a_select_without_waiting_is_not_answered(target: Target) {
        let mut wire = target.channel().await;
        wire.send(1, confirms::Select { nowait: true }).await;
        wire.expect_nothing(1).await;
        wire.publish(1, "", "nobody", "hello").await;
        wire.expect_confirms(1, 1).await;
    }

    /// Every one of many publishes in a row is confirmed once, alone or with `multiple`.
    async fn every_publish_is_confirmed_once(target: Target) {
        let mut wire = target.channel().await;
        for queue in [Queue::classic("c"), Queue::quorum("q")] {
            wire.declare_queue(1, queue.clone()).await;
            wire.bind(1, "amq.fanout", "", queue.0.queue.as_str()).await;
        }
        wire.confirm_select(1).await;
        for n in 0..500 {
            let (exchange, key) = [("amq.fanout", ""), ("", "q"), ("", "c"), ("", "nobody")][n % 4];
            wire.publish(1, exchange, key, "hello").await;
        }
        assert_eq!(wire.expect_confirms(1, 500).await, [Confirm::Ack; 500]);
        wire.expect_nothing(1).await;
        assert_eq!((wire.ready(1, "c").await, wire.ready(1, "q").await), (250, 250));
    }

    /// An unroutable publish is confirmed with an ack, after its return if it is mandatory.
    async fn a_return_comes_before_its_confirm(target: Target) {
        let mut wire = target.channel().await;
        wire.confirm_select(1).await;
        for _ in 0..3 {
            wire.publish_draft(1, Draft::to_queue("nobody").mandatory().body("hello")).await;
        }
        let mut returned = 0_u64;
        let mut confirmed = 0_u64;
        while confirmed < 3 {
            match wire.next(1).await {
                Event::Content(_) => returned += 1,
                Event::Method(class) => {
                    use garenne_tests::wire::{AMQPClass, basic};
                    let AMQPClass::Basic(basic::AMQPMethod::Ack(ack)) = class else {
                        panic!("an ack was expected, found {class:?}")
                    };
                    assert!(returned >= ack.delivery_tag, "ack {} after {returned} returns", ack.delivery_tag);
                    confirmed = ack.delivery_tag;
                }
                other => panic!("a return or an ack was expected, found {other:?}"),
            }
        }
        assert_eq!(returned, 3);
    }

    /// A queue that is full and rejects publishes has them confirmed with a nack.
    #[source = "https://www.rabbitmq.com/docs/maxlength"]
    async fn a_rejected_publish_is_nacked(target: Target) {
        for (name, kind) in REFUSING {
            let mut wire = target.channel().await;
            let queue = Queue::plain(name).with("x-queue-type", kind);
            wire.declare_queue(1, queue.with("x-max-length", 1).with("x-overflow", "reject-publish")).await;
            wire.confirm_select(1).await;
            let mut verdicts = Vec::new();
            for number in 1..=4 {
                wire.publish(1, "", name, &number.to_string()).await;
                verdicts.extend(wire.expect_confirms_from(1, number, 1).await);
            }
            assert_eq!(verdicts[0], Confirm::Ack, "{kind}");
            assert_eq!(verdicts[3], Confirm::Nack, "{kind}");
            assert_eq!(wire.take_one(1, name).await.text(), "1", "{kind}");
        }
    }

    /// One queue that rejects a message makes its confirm a nack, though another queue has it.
    #[source = "rabbit_confirms.erl: reject"]
    async fn one_rejection_of_several_is_a_nack(target: Target) {
        let mut wire = target.channel().await;
        let full = Queue::classic("full").with("x-max-length", 0).with("x-overflow", "reject-publish");
        wire.declare_queue(1, full).await;
        wire.declare_queue(1, Queue::classic("free")).await;
        wire.bind(1, "amq.fanout", "", "full").await;
        wire.bind(1, "amq.fanout", "", "free").await;
        wire.confirm_select(1).await;
        wire.publish(1, "amq.fanout", "", "hello").await;
        assert_eq!(wire.expect_confirms(1, 1).await, [Confirm::Nack]);
        assert_eq!(wire.take_one(1, "free").await.text(), "hello");
        wire.expect_nothing(1).await;
    }

    /// A message that a full queue drops at its head is confirmed with an ack all the same.
    #[source = "https://www.rabbitmq.com/docs/maxlength"]
    async fn a_dropped_message_is_acked(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q").with("x-max-length", 1)).await;
        wire.confirm_select(1).await;
        wire.publish(1, "", "q", "one").await;
        wire.publish(1, "", "q", "two").await;
        assert_eq!(wire.expect_confirms(1, 2).await, [Confirm::Ack; 2]);
        assert_eq!(wire.take_one(1, "q").await.text(), "two");
    }

    /// A publish to a queue that is gone by now is confirmed as unroutable.
    async fn a_publish_after_the_queue_is_gone_is_unroutable(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.confirm_select(1).await;
        wire.publish_confirmed(1, 1, Draft::to_queue("q")).await;
        wire.delete_queue(1, "q").await;
        wire.publish_draft(1, Draft::to_queue("q").mandatory()).await;
        assert_eq!(wire.expect_return(1).await.code, 312);
        assert_eq!(wire.expect_confirms_from(1, 2, 1).await, [Confirm::Ack]);
    }

    /// An error of the channel that a publish causes leaves that publish without a confirm.
    async fn a_publish_that_closes_the_channel_has_no_confirm(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("fanout", "x")).await;
        wire.confirm_select(1).await;
        wire.publish_confirmed(1, 1, Draft::to("x", "")).await;
        wire.publish(1, "nowhere", "", "hello").await;
        assert_eq!(wire.expect_channel_error(1).await.code, 404);
        wire.open_channel(1).await;
        wire.expect_nothing(1).await;
    }
}
