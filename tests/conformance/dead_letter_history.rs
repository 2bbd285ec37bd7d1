//! The history of messages that die more than once, and cycles.

use garenne_tests::table;
use garenne_tests::wire::{AMQPValue, Confirm, Consumer, Draft, Exchange, Queue, Table};

use crate::behaviours;
use crate::dying::{chained, refuse};
use crate::steps::{KINDS, becomes, put};

/// Returns count, reason, queue and exchange of each death, the newest first.
fn deaths(headers: &Table) -> Vec<Table> {
    headers.tables("x-death").into_iter().map(|death| death.without("time").without("routing-keys")).collect()
}

fn death(count: i64, reason: &str, queue: &str) -> Table {
    table! { "count" => count, "reason" => reason, "queue" => queue, "exchange" => "" }
}

/// Returns reason, queue and exchange of the first or the last death.
fn told(headers: &Table, which: &str) -> [Option<String>; 3] {
    ["reason", "queue", "exchange"].map(|what| headers.text(&format!("x-{which}-death-{what}")))
}

fn this(reason: &str, queue: &str, exchange: &str) -> [Option<String>; 3] {
    [reason, queue, exchange].map(|text| Some(text.to_owned()))
}

behaviours! {
    area = "dead-letter history", source = "https://www.rabbitmq.com/docs/dlx#effects";

    /// Each pair of queue and reason has one entry in `x-death`, the newest first; `x-first-death-*` stays, `x-last-death-*` follows.
    async fn every_death_is_told_the_newest_first(target: Target) {
        let mut wire = target.channel().await;
        for kind in KINDS {
            let names = [1, 2, 3].map(|n| format!("{kind} {n}"));
            let [first, second, third] = &names;
            wire.declare_queue(1, chained(kind, first, second).with("x-message-ttl", 1)).await;
            wire.declare_queue(1, chained(kind, second, third)).await;
            wire.declare_queue(1, chained(kind, third, "end")).await;
            wire.declare_queue(1, Queue::classic("end")).await;
            wire.publish(1, "", first, "hello").await;
            refuse(&mut wire, second).await;
            let headers = refuse(&mut wire, third).await.headers();
            assert_eq!(deaths(&headers), [death(1, "rejected", second), death(1, "expired", first)]);
            assert_eq!(told(&headers, "first"), this("expired", first, ""));
            assert_eq!(told(&headers, "last"), this("rejected", second, ""));
            let headers = refuse(&mut wire, "end").await.headers();
            assert_eq!(
                deaths(&headers),
                [death(1, "rejected", third), death(1, "rejected", second), death(1, "expired", first)]
            );
            assert_eq!(told(&headers, "first"), this("expired", first, ""));
        }
    }

    /// A pair of queue and reason that comes again counts one up and comes first again, with the time and the keys of its first death.
    async fn a_pair_that_comes_again_counts(target: Target) {
        let mut wire = target.channel().await;
        for kind in KINDS {
            let [work, wait] = ["work", "wait"].map(|name| format!("{kind} {name}"));
            wire.declare_queue(1, chained(kind, &work, &wait)).await;
            wire.declare_queue(1, chained(kind, &wait, &work).with("x-message-ttl", 1)).await;
            wire.publish(1, "", &work, "hello").await;
            let mut time = None;
            for round in 0..4_i64 {
                let headers = refuse(&mut wire, &work).await.headers();
                let expected = [death(round, "expired", &wait), death(round, "rejected", &work)];
                if round == 0 {
                    assert_eq!(headers, table! {});
                    continue;
                }
                assert_eq!(deaths(&headers), expected);
                assert_eq!(told(&headers, "first"), this("rejected", &work, ""));
                assert_eq!(told(&headers, "last"), this("expired", &wait, ""));
                let rejected = &headers.tables("x-death")[1];
                assert_eq!(rejected.get("routing-keys"), table! { "k" => vec![&*work] }.get("k"));
                let now = rejected.get("time").cloned();
                assert!(time.is_none() || now == time, "{time:?} became {now:?}");
                time = now;
            }
        }
    }

    /// A message that comes back to a queue where it died, without anybody having rejected it on the way, is dropped.
    #[source = "https://www.rabbitmq.com/docs/dlx#routing"]
    async fn a_cycle_without_a_rejection_is_dropped(target: Target) {
        let mut wire = target.channel().await;
        for kind in KINDS {
            let [there, back] = ["there", "back"].map(|name| format!("{kind} {name}"));
            wire.declare_exchange(1, Exchange::new("fanout", "dlx")).await;
            // The last stop tells that the message came round: it goes there and back to the first queue.
            wire.declare_queue(1, chained(kind, &there, &back).with("x-message-ttl", 1)).await;
            let last = Queue::plain(&back).with("x-queue-type", kind).with("x-message-ttl", 1);
            wire.declare_queue(1, last.with("x-dead-letter-exchange", "dlx")).await;
            wire.declare_queue(1, Queue::classic("end")).await;
            wire.bind(1, "dlx", "", &there).await;
            wire.bind(1, "dlx", "", "end").await;
            wire.publish(1, "", &there, "hello").await;
            let headers = refuse(&mut wire, "end").await.headers();
            assert_eq!(deaths(&headers), [death(1, "expired", &back), death(1, "expired", &there)]);
            // A second round would end before this one does.
            wire.publish(1, "", &there, "marker").await;
            assert_eq!(refuse(&mut wire, "end").await.text(), "marker");
            wire.unbind(1, "dlx", "", &there).await;
        }
    }

    /// A queue that dead letters to itself drops what expires, and takes back what is rejected.
    #[source = "rabbit_dead_letter.erl: detect_cycles"]
    async fn a_queue_dead_letters_to_itself_by_rejection_only(target: Target) {
        let mut wire = target.channel().await;
        wire.open_channel(2).await;
        wire.confirm_select(2).await;
        for (number, kind) in (1..).zip(KINDS) {
            wire.declare_queue(1, chained(kind, kind, kind)).await;
            wire.publish(1, "", kind, "hello").await;
            for round in 0..3 {
                let headers = refuse(&mut wire, kind).await.headers();
                let expected = if round == 0 { vec![] } else { vec![death(round, "rejected", kind)] };
                assert_eq!(deaths(&headers), expected);
            }
            wire.expect_ready(1, kind, 1).await;
            wire.purge(1, kind).await;
            wire.publish_confirmed(2, number, Draft::to_queue(kind).expiration("0").body("gone")).await;
            wire.expect_ready(1, kind, 0).await;
            wire.publish(1, "", kind, "marker").await;
            assert_eq!(refuse(&mut wire, kind).await.text(), "marker");
        }
    }

    /// What a publisher writes into `x-death` is no history: it neither counts nor makes a cycle, and the first death replaces it.
    #[source = "https://www.rabbitmq.com/release-information"]
    async fn a_published_history_does_not_count(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("end")).await;
        for kind in KINDS {
            wire.declare_queue(1, chained(kind, kind, "end").with("x-message-ttl", 1)).await;
            let forged = death(7, "expired", "end").with("routing-keys", vec!["end"]);
            let draft = Draft::to_queue(kind).header("x-death", vec![forged]).header("k", "v");
            wire.publish_draft(1, draft).await;
            let headers = refuse(&mut wire, "end").await.headers();
            assert_eq!(deaths(&headers), [death(1, "expired", kind)]);
            assert_eq!(headers.text("k").as_deref(), Some("v"));
        }
    }

    /// The counts of a quorum queue, `x-delivery-count` and `x-acquired-count`, go on in the quorum queue where the message dies to,
    /// and are not told by a classic one.
    #[source = "rabbit_fifo_client.erl: add_delivery_count_header"]
    async fn counts_go_on_in_the_next_quorum_queue(target: Target) {
        let mut wire = target.channel().await;
        for kind in KINDS {
            let end = format!("{kind} end");
            wire.declare_queue(1, Queue::plain(&end).with("x-queue-type", kind)).await;
            let queue = format!("{kind} q");
            wire.declare_queue(1, chained("quorum", &queue, &end)).await;
            wire.publish(1, "", &queue, "hello").await;
            wire.consume_with(1, Consumer::new(&queue).tag("t")).await;
            let first = wire.expect_delivery(1).await;
            assert_eq!(first.headers(), table! {});
            wire.reject(1, first.tag, true).await;
            let second = wire.expect_delivery(1).await;
            assert_eq!(second.headers(), table! { "x-acquired-count" => 1_i64, "x-delivery-count" => 1_i64 });
            wire.reject(1, second.tag, false).await;
            wire.cancel(1, "t").await;
            let headers = refuse(&mut wire, &end).await.headers();
            assert_eq!(deaths(&headers), [death(1, "rejected", &queue)]);
            let counts = [headers.get("x-acquired-count"), headers.get("x-delivery-count")];
            let two = Some(&AMQPValue::LongLongInt(2));
            assert_eq!(counts, if kind == "quorum" { [two, two] } else { [None, None] });
        }
    }

    /// A dead letter that failed before, which is what `basic.reject` means and `basic.nack` does not, counts as redelivered where it
    /// has to wait.
    async fn what_failed_before_waits_as_redelivered(target: Target) {
        let mut wire = target.channel().await;
        for (source, end) in KINDS.into_iter().flat_map(|source| KINDS.map(|end| (source, end))) {
            let [first, last] = [format!("{source} to {end}"), format!("{end} from {source}")];
            wire.declare_queue(1, chained(source, &first, &last)).await;
            wire.declare_queue(1, Queue::plain(&last).with("x-queue-type", end)).await;
            for is_reject in [true, false] {
                put(&mut wire, [Draft::to_queue(&first)]).await;
                let got = wire.get(1, &first).await.expect("it is there");
                if is_reject {
                    wire.reject(1, got.tag, false).await;
                } else {
                    wire.nack(1, got.tag, false).await;
                }
                becomes(&mut wire, &last, 1).await;
                assert_eq!(wire.take_one(1, &last).await.redelivered, is_reject, "{last}");
            }
        }
    }

    /// With `at-least-once` a quorum queue keeps a dead message that no queue takes, and counts it against its length.
    #[source = "https://www.rabbitmq.com/docs/quorum-queues#dead-lettering"]
    async fn at_least_once_keeps_the_dead(target: Target) {
        let mut wire = target.channel().await;
        let queue = chained("quorum", "q", "end").with("x-dead-letter-strategy", "at-least-once");
        wire.declare_queue(1, queue.with("x-overflow", "reject-publish").with("x-max-length", 3)).await;
        wire.declare_queue(1, Queue::quorum("end")).await;
        wire.publish(1, "", "q", "1").await;
        refuse(&mut wire, "q").await;
        assert_eq!(refuse(&mut wire, "end").await.text(), "1");
        wire.delete_queue(1, "end").await;
        wire.open_channel(3).await;
        wire.confirm_select(3).await;
        for number in 1..=20 {
            wire.publish(3, "", "q", "2").await;
            if wire.expect_confirms_from(3, number, 1).await == [Confirm::Nack] {
                wire.expect_ready(1, "q", 0).await;
                return;
            }
            refuse(&mut wire, "q").await;
        }
        panic!("twenty dead messages leave room for more");
    }
}
