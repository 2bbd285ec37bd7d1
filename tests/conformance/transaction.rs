//! Transactions: `tx.select`, `tx.commit`, `tx.rollback`.

use garenne_tests::wire::{Draft, Queue, Wire, channel_error, confirms, queue, tx};
use garenne_tests::{SECONDS, Target, eventually};

use crate::behaviours;
use crate::steps::{KINDS, becomes, fill};

/// A channel in a transaction, with a queue of each type that keeps its messages.
async fn transaction(target: &Target) -> Wire {
    let mut wire = target.channel().await;
    for kind in KINDS {
        wire.declare_queue(1, Queue::plain(kind).with("x-queue-type", kind)).await;
    }
    wire.call(1, tx::Select {}).await;
    wire
}

behaviours! {
    area = "transactions", source = "https://www.rabbitmq.com/docs/semantics#tx";

    /// What is published in a transaction is in no queue before its commit.
    async fn publishes_wait_for_the_commit(target: Target) {
        let mut wire = transaction(&target).await;
        for kind in KINDS {
            wire.publish(1, "", kind, "in a transaction").await;
        }
        wire.expect_nothing(1).await;
        for kind in KINDS {
            assert_eq!(wire.ready(1, kind).await, 0);
        }
        wire.call(1, tx::Commit {}).await;
        for kind in KINDS {
            becomes(&mut wire, kind, 1).await;
        }
    }

    /// A rollback drops what was published, and the channel stays in a transaction.
    async fn a_rollback_drops_publishes(target: Target) {
        let mut wire = transaction(&target).await;
        wire.publish(1, "", "classic", "dropped").await;
        wire.call(1, tx::Rollback {}).await;
        wire.publish(1, "", "classic", "kept").await;
        wire.call(1, tx::Commit {}).await;
        becomes(&mut wire, "classic", 1).await;
        assert_eq!(wire.take_one(1, "classic").await.text(), "kept");
    }

    /// A mandatory message that reaches no queue comes back before `tx.commit-ok`.
    async fn a_message_comes_back_with_the_commit(target: Target) {
        let mut wire = transaction(&target).await;
        wire.publish_draft(1, Draft::to_queue("nowhere").mandatory()).await;
        wire.expect_nothing(1).await;
        wire.send(1, tx::Commit {}).await;
        assert_eq!(wire.expect_return(1).await.code, 312);
        let answer = wire.next(1).await;
        assert!(format!("{answer:?}").contains("CommitOk"), "{answer:?}");
    }

    /// What is acknowledged or refused in a transaction is settled by its commit; a rollback gives the tags back.
    async fn settlements_wait_for_the_commit(target: Target) {
        for kind in KINDS {
            let mut wire = transaction(&target).await;
            fill(&mut wire, kind, 3).await;
            becomes(&mut wire, kind, 3).await;
            for _ in 0..3 {
                wire.get(1, kind).await.expect("a message");
            }
            wire.ack_up_to(1, 2).await;
            wire.call(1, tx::Rollback {}).await;
            wire.ack(1, 1).await;
            wire.call(1, tx::Commit {}).await;
            wire.nack(1, 2, false).await;
            wire.reject(1, 3, true).await;
            wire.expect_nothing(1).await;
            assert_eq!(wire.ready(1, kind).await, 0);
            wire.call(1, tx::Commit {}).await;
            becomes(&mut wire, kind, 1).await;
            assert_eq!(wire.take_one(1, kind).await.text(), "3");
        }
    }

    /// A delivery that is acknowledged in a transaction has no tag any more: a second ack is refused with 406.
    #[source = "rabbit_channel.erl: collect_acks"]
    async fn a_second_ack_in_a_transaction_is_refused(target: Target) {
        let mut wire = transaction(&target).await;
        fill(&mut wire, "classic", 1).await;
        wire.get(1, "classic").await.expect("a message");
        wire.ack(1, 1).await;
        wire.ack(1, 1).await;
        let closed = wire.expect_channel_error(1).await;
        assert_eq!(closed, channel_error(406, "PRECONDITION_FAILED - unknown delivery tag 1"));
    }

    /// `basic.recover` leaves alone what was settled in a transaction.
    #[source = "rabbit_channel.erl: handle_method(#'basic.recover'{})"]
    async fn recover_leaves_settlements_alone(target: Target) {
        let mut wire = transaction(&target).await;
        fill(&mut wire, "classic", 3).await;
        for _ in 0..3 {
            wire.get(1, "classic").await.expect("a message");
        }
        wire.ack(1, 1).await;
        wire.call(1, garenne_tests::wire::basic::Recover { requeue: true }).await;
        becomes(&mut wire, "classic", 2).await;
        wire.call(1, tx::Commit {}).await;
        assert_eq!(wire.ready(1, "classic").await, 2);
    }

    /// A channel that is closed takes its transaction with it: nothing is published, and what was settled comes back.
    async fn a_closed_channel_rolls_back(target: Target) {
        let mut wire = transaction(&target).await;
        fill(&mut wire, "classic", 1).await;
        wire.get(1, "classic").await.expect("a message");
        wire.ack(1, 1).await;
        wire.publish(1, "", "quorum", "never").await;
        wire.close_channel(1).await;
        wire.open_channel(1).await;
        becomes(&mut wire, "classic", 1).await;
        assert!(wire.take_one(1, "classic").await.redelivered);
        assert_eq!(wire.ready(1, "quorum").await, 0);
    }

    /// A channel is in a transaction or in confirm mode, and not in both: 406.
    #[source = "rabbit_channel.erl: handle_method(#'tx.select'{})"]
    async fn transactions_and_confirms_exclude_each_other(target: Target) {
        let mut wire = target.channel().await;
        wire.call(1, tx::Select {}).await;
        wire.call(1, tx::Select {}).await;
        let closed = wire.refused(1, confirms::Select { nowait: false }).await;
        assert_eq!(closed, channel_error(406, "PRECONDITION_FAILED - cannot switch from tx to confirm mode"));
        wire.open_channel(1).await;
        wire.confirm_select(1).await;
        let closed = wire.refused(1, tx::Select {}).await;
        assert_eq!(closed, channel_error(406, "PRECONDITION_FAILED - cannot switch from confirm to tx mode"));
    }

    /// `tx.commit` and `tx.rollback` without a transaction close the channel with 406.
    #[source = "rabbit_channel.erl: handle_method(#'tx.commit'{})"]
    async fn there_is_nothing_to_end_without_a_transaction(target: Target) {
        let mut wire = target.channel().await;
        let wanted = channel_error(406, "PRECONDITION_FAILED - channel is not transactional");
        assert_eq!(wire.refused(1, tx::Commit {}).await, wanted);
        wire.open_channel(1).await;
        assert_eq!(wire.refused(1, tx::Rollback {}).await, wanted);
    }

    /// A publish that is wrong is refused at once, and not by the commit.
    #[source = "rabbit_channel.erl: handle_method(#'basic.publish'{})"]
    async fn a_wrong_publish_is_refused_at_once(target: Target) {
        let mut wire = transaction(&target).await;
        wire.publish(1, "missing", "key", "never").await;
        assert_eq!(wire.expect_channel_error(1).await.code, 404);
        wire.open_channel(1).await;
        wire.call(1, tx::Select {}).await;
        wire.publish_draft(1, Draft::to_queue("classic").expiration("x")).await;
        assert_eq!(wire.expect_channel_error(1).await.code, 406);
    }

    /// A queue that refuses a message closes the channel of the commit with 406; what others took stays.
    #[source = "rabbit_channel.erl: maybe_complete_tx"]
    async fn a_refused_message_fails_the_commit(target: Target) {
        let mut wire = target.channel().await;
        let full = Queue::classic("full").with("x-max-length", 1).with("x-overflow", "reject-publish");
        wire.declare_queue(1, full).await;
        wire.call(1, tx::Select {}).await;
        for _ in 0..3 {
            wire.publish(1, "", "full", "one fits").await;
        }
        let closed = wire.refused(1, tx::Commit {}).await;
        assert_eq!(closed, channel_error(406, "PRECONDITION_FAILED - partial tx completion"));
        wire.open_channel(1).await;
        assert_eq!(wire.ready(1, "full").await, 1);
    }

    /// Messages are routed when they are published: a queue that is unbound before the commit gets them, one that is gone closes the
    /// connection with 506.
    #[source = "rabbit_channel.erl: handle_method(#'tx.commit'{})"]
    async fn messages_are_routed_before_the_commit(target: Target) {
        let mut wire = transaction(&target).await;
        wire.bind(1, "amq.direct", "key", "classic").await;
        wire.publish(1, "amq.direct", "key", "routed").await;
        wire.unbind(1, "amq.direct", "key", "classic").await;
        wire.call(1, tx::Commit {}).await;
        becomes(&mut wire, "classic", 1).await;
        wire.publish(1, "", "classic", "lost").await;
        let mut other = target.channel().await;
        other.call(1, queue::Delete { queue: "classic".into(), ..queue::Delete::default() }).await;
        eventually(10 * SECONDS, "the queue is gone", async || {
            let mut other = target.channel().await;
            match other.try_call(1, Queue::passive("classic")).await {
                Ok(_) => Err(()),
                Err(_) => Ok(()),
            }
        })
        .await;
        let closed = wire.refused(1, tx::Commit {}).await;
        // How RabbitMQ breaks the lines of this term depends on the length of the names.
        let text = "RESOURCE_ERROR - failed to deliver message: {not_found,";
        assert!(closed.code == 506 && closed.text.starts_with(text), "{closed}");
    }
}
