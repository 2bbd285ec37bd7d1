//! Limits of length and of time where they meet consumers, requeues and priorities.

use garenne_tests::wire::{Confirm, Consumer, Delivery, Draft, Exchange, Queue, Table, Wire, basic};

use crate::behaviours;
use crate::steps::{KINDS, becomes, drain, put};

/// Returns a queue of a type, named for it, whose dead letters go to the queue `end`.
fn source(kind: &str) -> Queue {
    let queue = Queue::plain(kind).with("x-queue-type", kind).with("x-dead-letter-exchange", "");
    queue.with("x-dead-letter-routing-key", "end")
}

/// Waits for the next message in `end` and returns its body and how it died.
async fn dead(wire: &mut Wire) -> (String, String) {
    becomes(wire, "end", 1).await;
    let got = wire.take_one(1, "end").await;
    (got.text(), reason(&got.headers()))
}

fn reason(headers: &Table) -> String {
    headers.text("x-last-death-reason").unwrap_or_default()
}

fn as_told(body: &str, reason: &str) -> (String, String) {
    (body.to_owned(), reason.to_owned())
}

behaviours! {
    area = "limits and dead letters", source = "https://www.rabbitmq.com/docs/maxlength";

    /// A message that is itself too long for the bytes of a classic queue dies at once, with all that was there before it.
    async fn a_message_longer_than_its_queue_dies(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("end")).await;
        wire.declare_queue(1, source("classic").with("x-max-length-bytes", 10)).await;
        put(&mut wire, ["short", "much too long for it", "fits"].map(|body| Draft::to_queue("classic").body(body))).await;
        assert_eq!(drain(&mut wire, "end", 2).await, ["short", "much too long for it"]);
        assert_eq!(drain(&mut wire, "classic", 1).await, ["fits"]);
    }

    /// With `reject-publish-dlx` the bytes count as the length does: what does not fit is refused and dies.
    #[source = "https://www.rabbitmq.com/docs/maxlength#overflow-behaviour"]
    async fn bytes_refuse_and_dead_letter_too(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("end")).await;
        let queue = source("classic").with("x-max-length-bytes", 10).with("x-overflow", "reject-publish-dlx");
        wire.declare_queue(1, queue).await;
        wire.confirm_select(1).await;
        for (number, (body, verdict)) in
            (1..).zip([("12345678", Confirm::Ack), ("123", Confirm::Nack), ("12", Confirm::Ack), ("", Confirm::Ack)])
        {
            wire.publish(1, "", "classic", body).await;
            assert_eq!(wire.expect_confirms_from(1, number, 1).await, [verdict], "{body}");
        }
        assert_eq!(dead(&mut wire).await, as_told("123", "maxlen"));
        becomes(&mut wire, "classic", 3).await;
    }

    /// A classic queue of length 0 that refuses does so even if a consumer waits.
    #[source = "rabbit_amqqueue_process.erl: maybe_deliver_or_enqueue"]
    async fn a_refusing_queue_of_length_zero_refuses_everything(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("end")).await;
        wire.declare_queue(1, source("classic").with("x-max-length", 0).with("x-overflow", "reject-publish-dlx")).await;
        wire.consume(1, "classic").await;
        wire.confirm_select(1).await;
        wire.publish(1, "", "classic", "refused").await;
        assert_eq!(wire.expect_confirms(1, 1).await, [Confirm::Nack]);
        assert_eq!(dead(&mut wire).await, as_told("refused", "maxlen"));
    }

    /// What comes back to a queue that is full by now makes its head die, which is the message that came back.
    async fn a_requeue_makes_the_head_die(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("end")).await;
        for kind in KINDS {
            wire.declare_queue(1, source(kind).with("x-max-length", 2)).await;
            put(&mut wire, ["1"].map(|body| Draft::to_queue(kind).body(body))).await;
            let got = wire.get(1, kind).await.expect("it is there");
            put(&mut wire, ["2", "3"].map(|body| Draft::to_queue(kind).body(body))).await;
            wire.nack(1, got.tag, true).await;
            assert_eq!(dead(&mut wire).await, as_told("1", "maxlen"));
            assert_eq!(drain(&mut wire, kind, 2).await, ["2", "3"]);
        }
    }

    /// A queue that refuses publishes takes back more than its length.
    #[source = "https://www.rabbitmq.com/docs/maxlength#overflow-behaviour"]
    async fn a_refusing_queue_takes_everything_back(target: Target) {
        let mut wire = target.channel().await;
        for kind in KINDS {
            wire.declare_queue(1, source(kind).with("x-max-length", 2).with("x-overflow", "reject-publish")).await;
            put(&mut wire, ["1", "2"].map(|body| Draft::to_queue(kind).body(body))).await;
            let mut tags = Vec::new();
            for _ in 0..2 {
                tags.push(wire.get(1, kind).await.expect("it is there").tag);
            }
            put(&mut wire, ["3", "4"].map(|body| Draft::to_queue(kind).body(body))).await;
            for tag in tags {
                wire.nack(1, tag, true).await;
            }
            assert_eq!(drain(&mut wire, kind, 4).await, ["1", "2", "3", "4"]);
        }
    }

    /// With a time to live of 0 what a consumer gives back is too late: it expires.
    #[source = "https://www.rabbitmq.com/docs/ttl"]
    async fn what_comes_back_too_late_expires(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("end")).await;
        for kind in KINDS {
            wire.declare_queue(1, source(kind).with("x-message-ttl", 0)).await;
            wire.qos(1, 1).await;
            let tag = wire.consume(1, kind).await;
            wire.publish(1, "", kind, "late").await;
            let delivery = wire.expect_delivery(1).await;
            wire.cancel(1, &tag).await;
            wire.reject(1, delivery.tag, true).await;
            assert_eq!(dead(&mut wire).await, as_told("late", "expired"));
        }
    }

    /// A message that expired while its consumer had it and is then refused counts as refused.
    #[source = "https://www.rabbitmq.com/docs/ttl"]
    async fn what_is_refused_too_late_is_refused(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("end")).await;
        for kind in KINDS {
            wire.declare_queue(1, source(kind)).await;
            let tag = wire.consume(1, kind).await;
            wire.publish_draft(1, Draft::to_queue(kind).expiration("0").body("late")).await;
            let delivery = wire.expect_delivery(1).await;
            wire.cancel(1, &tag).await;
            wire.reject(1, delivery.tag, false).await;
            becomes(&mut wire, "end", 1).await;
            let headers = wire.take_one(1, "end").await.headers();
            let death = &headers.tables("x-death")[0];
            assert_eq!((death.text("reason").as_deref(), death.text("original-expiration").as_deref()), (Some("rejected"), Some("0")));
        }
    }

    /// Messages that expire together die in the order of their queue.
    #[source = "https://www.rabbitmq.com/docs/ttl"]
    async fn messages_expire_in_their_order(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("end")).await;
        for kind in KINDS {
            wire.declare_queue(1, source(kind).with("x-message-ttl", 50)).await;
            put(&mut wire, (1..=20).map(|number: u32| Draft::to_queue(kind).body(number.to_string()))).await;
            let expected: Vec<_> = (1..=20).map(|number| number.to_string()).collect();
            assert_eq!(drain(&mut wire, "end", 20).await, expected);
        }
    }

    /// What expired behind a message that lives on dies when that one goes, before anybody asks for it.
    #[source = "https://www.rabbitmq.com/docs/ttl#per-message-ttl-caveats"]
    async fn what_expired_behind_the_head_dies_with_its_turn(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("end")).await;
        for kind in KINDS {
            wire.declare_queue(1, source(kind)).await;
            let drafts = [(None, "head"), (Some("1"), "1"), (Some("2"), "2"), (None, "tail"), (Some("1"), "3")];
            put(&mut wire, drafts.map(|(expiration, body)| {
                let draft = Draft::to_queue(kind).body(body);
                expiration.map_or(draft.clone(), |expiration| draft.expiration(expiration))
            })).await;
            assert_eq!(wire.take_one(1, kind).await.text(), "head");
            assert_eq!(drain(&mut wire, "end", 2).await, ["1", "2"]);
            let got = wire.get(1, kind).await.expect("it is there");
            wire.reject(1, got.tag, false).await;
            let mut dead = drain(&mut wire, "end", 2).await;
            dead.sort();
            assert_eq!(dead, ["3", "tail"]);
            wire.expect_ready(1, kind, 0).await;
        }
    }

    /// A dead letter keeps its priority: a queue with priorities puts it ahead of others.
    #[source = "https://www.rabbitmq.com/docs/priority"]
    async fn a_dead_letter_keeps_its_priority(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("c").with("x-max-priority", 9)).await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        for end in ["c", "q"] {
            wire.bind(1, "amq.fanout", "", end).await;
        }
        for kind in KINDS {
            wire.declare_queue(1, Queue::plain(kind).with("x-queue-type", kind).with("x-dead-letter-exchange", "amq.fanout")).await;
            let drafts = [(1, "low"), (9, "high"), (5, "middle")];
            put(&mut wire, drafts.map(|(priority, body)| Draft::to_queue(kind).priority(priority).body(body))).await;
            let tag = wire.consume(1, kind).await;
            let last = wire.expect_deliveries(1, 3).await.iter().map(|delivery| delivery.tag).max();
            wire.cancel(1, &tag).await;
            wire.send(1, basic::Nack { delivery_tag: last.expect("three came"), multiple: true, requeue: false }).await;
            for end in ["c", "q"] {
                assert_eq!(drain(&mut wire, end, 3).await, ["high", "middle", "low"], "{kind} to {end}");
            }
        }
    }

    /// The end of a channel is a failure of what it holds: over the delivery limit that dies, in the order of its delivery.
    #[source = "https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling"]
    async fn a_channel_that_ends_may_be_one_failure_too_many(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("end")).await;
        wire.declare_queue(1, source("quorum").with("x-delivery-limit", 0)).await;
        put(&mut wire, ["1", "2", "3"].map(|body| Draft::to_queue("quorum").body(body))).await;
        wire.open_channel(2).await;
        wire.qos(2, 2).await;
        wire.consume(2, "quorum").await;
        wire.expect_deliveries(2, 2).await;
        wire.close_channel(2).await;
        assert_eq!(drain(&mut wire, "end", 2).await, ["1", "2"]);
        assert_eq!(drain(&mut wire, "quorum", 1).await, ["3"]);
    }

    /// The end of a channel, or of its connection, puts back what it holds, and no dead letter comes of it without a limit.
    #[source = "https://www.rabbitmq.com/docs/dlx"]
    async fn a_connection_that_ends_kills_nothing(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("end")).await;
        for kind in KINDS {
            wire.declare_queue(1, source(kind)).await;
            put(&mut wire, ["1", "2"].map(|body| Draft::to_queue(kind).body(body))).await;
            let mut other = target.channel().await;
            other.consume(1, kind).await;
            other.expect_deliveries(1, 2).await;
            other.close().await;
            assert_eq!(drain(&mut wire, kind, 2).await, ["1", "2"]);
            assert_eq!(wire.ready(1, "end").await, 0);
        }
    }

    /// A full queue whose consumers take what comes loses nothing: what is delivered does not count.
    async fn a_consumer_keeps_a_queue_short(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("fanout", "x")).await;
        wire.declare_queue(1, Queue::classic("end")).await;
        for kind in KINDS {
            wire.declare_queue(1, source(kind).with("x-max-length", 1)).await;
            wire.bind(1, "x", "", kind).await;
            wire.open_channel(2).await;
            wire.qos(2, 3).await;
            wire.consume_with(2, Consumer::new(kind)).await;
            put(&mut wire, ["1", "2", "3", "4", "5"].map(|body| Draft::to("x", "").body(body))).await;
            let taken: Vec<_> = wire.expect_deliveries(2, 3).await.iter().map(Delivery::text).collect();
            assert_eq!(taken, ["1", "2", "3"]);
            assert_eq!(dead(&mut wire).await, as_told("4", "maxlen"));
            assert_eq!(wire.ready(1, kind).await, 1);
            wire.unbind(1, "x", "", kind).await;
            wire.close_channel(2).await;
            // Four are there again, where one may be.
            assert_eq!(drain(&mut wire, "end", 3).await, ["1", "2", "3"]);
        }
    }
}
