//! Exclusive and auto-delete queues, `queue.delete` and `queue.purge`.

use garenne_tests::wire::{Queue, basic, channel_error, connection_error, queue};
use garenne_tests::{SECONDS, eventually};

use crate::behaviours;

fn delete(name: &str) -> queue::Delete {
    queue::Delete { queue: name.into(), ..queue::Delete::default() }
}

behaviours! {
    area = "life of a queue", source = "https://www.rabbitmq.com/docs/queues";

    /// An exclusive queue is locked for every other connection, whatever it asks: 405.
    async fn an_exclusive_queue_is_locked_for_others(target: Target) {
        let mut owner = target.channel().await;
        owner.declare_queue(1, Queue::classic("q").exclusive()).await;
        let mut other = target.channel().await;
        let locked = "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q' in vhost '/'. \
                      It could be originally declared on another connection";
        for method in [Queue::passive("q"), Queue::classic("q").exclusive(), Queue::classic("q")] {
            let closed = other.refused(1, method).await;
            assert_eq!(closed.code, 405);
            assert!(closed.text.starts_with(locked), "{closed}");
            other.open_channel(1).await;
        }
        assert_eq!(other.refused(1, delete("q")).await.code, 405);
        other.open_channel(1).await;
        assert_eq!(other.refused(1, queue::Purge { queue: "q".into(), nowait: false }).await.code, 405);
        other.open_channel(1).await;
        assert_eq!(other.refused(1, basic::Get { queue: "q".into(), no_ack: true }).await.code, 405);
        other.open_channel(1).await;
        let consume = basic::Consume { queue: "q".into(), ..basic::Consume::default() };
        assert_eq!(other.refused(1, consume).await.code, 405);
        other.open_channel(1).await;
        let bind = garenne_tests::wire::Binding::new("amq.direct", "k", "q").queue();
        assert_eq!(other.refused(1, bind).await.code, 405);
    }

    /// Anyone may publish to an exclusive queue.
    async fn an_exclusive_queue_takes_messages_from_others(target: Target) {
        let mut owner = target.channel().await;
        owner.declare_queue(1, Queue::classic("q").exclusive()).await;
        let mut other = target.channel().await;
        other.confirm_select(1).await;
        other.publish(1, "", "q", "hello").await;
        other.expect_confirms(1, 1).await;
        assert_eq!(owner.take_one(1, "q").await.text(), "hello");
    }

    /// An exclusive queue is gone when its connection is: another one may declare the name at once.
    async fn an_exclusive_queue_goes_with_its_connection(target: Target) {
        let mut owner = target.channel().await;
        owner.declare_queue(1, Queue::classic("q").exclusive()).await;
        owner.close().await;
        let mut other = target.channel().await;
        other.declare_queue(1, Queue::classic("q").exclusive()).await;
    }

    /// An exclusive queue outlives the channel on which it was declared.
    async fn an_exclusive_queue_outlives_its_channel(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("q").exclusive()).await;
        wire.close_channel(1).await;
        wire.open_channel(2).await;
        wire.declare_queue(2, Queue::passive("q")).await;
    }

    /// A shared queue declared again as exclusive is refused as if it were locked: 405.
    #[source = "rabbit_amqqueue.erl: check_exclusive_access"]
    async fn exclusivity_is_compared_too(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("q")).await;
        assert_eq!(wire.refused(1, Queue::classic("q").exclusive()).await.code, 405);
    }

    /// An auto-delete queue goes with its last consumer, but not before it had one.
    async fn an_auto_delete_queue_goes_with_its_last_consumer(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("q").auto_delete()).await;
        let first = wire.consume(1, "q").await;
        let second = wire.consume(1, "q").await;
        wire.cancel(1, &first).await;
        wire.declare_queue(1, Queue::passive("q")).await;
        wire.cancel(1, &second).await;
        eventually(60 * SECONDS, "the queue is gone", async || {
            match wire.try_call(1, Queue::passive("q")).await {
                Err(closed) => {
                    wire.open_channel(1).await;
                    if closed.code == 404 { Ok(()) } else { Err(closed.to_string()) }
                }
                Ok(_) => Err("it is there".to_owned()),
            }
        })
        .await;
    }

    /// Deleting a queue tells how many ready messages went with it; deleting a missing queue succeeds with 0.
    async fn deleting_a_queue_tells_its_messages(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.confirm_select(1).await;
        wire.publish(1, "", "q", "one").await;
        wire.publish(1, "", "q", "two").await;
        wire.expect_confirms(1, 2).await;
        assert_eq!(wire.delete_queue(1, "q").await, 2);
        assert_eq!(wire.delete_queue(1, "q").await, 0);
    }

    /// A classic queue with consumers is not deleted with `if-unused`, one with messages not with `if-empty`: 406.
    async fn a_classic_queue_in_use_is_not_deleted(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("q")).await;
        wire.confirm_select(1).await;
        wire.publish(1, "", "q", "hello").await;
        wire.expect_confirms(1, 1).await;
        let if_empty = queue::Delete { if_empty: true, ..delete("q") };
        let text = "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty";
        assert_eq!(wire.refused(1, if_empty.clone()).await, channel_error(406, text));
        wire.open_channel(1).await;
        wire.purge(1, "q").await;
        let tag = wire.consume(1, "q").await;
        let if_unused = queue::Delete { if_unused: true, ..delete("q") };
        let text = "PRECONDITION_FAILED - queue 'q' in vhost '/' in use";
        assert_eq!(wire.refused(1, if_unused).await, channel_error(406, text));
        wire.open_channel(1).await;
        let _ = tag;
        wire.call(1, if_empty).await;
    }

    /// Quorum queues know neither `if-unused` nor `if-empty`: 540, which ends the connection.
    #[source = "rabbit_quorum_queue.erl: delete"]
    async fn a_quorum_queue_is_deleted_without_conditions(target: Target) {
        for (condition, unused) in [("if-unused", true), ("if-empty", false)] {
            let mut wire = target.channel().await;
            wire.declare_queue(1, Queue::quorum("q")).await;
            let delete = queue::Delete { if_unused: unused, if_empty: !unused, ..delete("q") };
            let text = format!(
                "NOT_IMPLEMENTED - cannot delete queue 'q' in vhost '/'. \
                 queue.delete operations with {condition} flag set are not supported by quorum queues"
            );
            assert_eq!(wire.refused(1, delete).await, connection_error(540, &text));
        }
    }

    /// A purge removes the ready messages and tells how many; those that are unacknowledged stay.
    async fn a_purge_removes_what_is_ready(target: Target) {
        for queue in [Queue::classic("c"), Queue::quorum("q")] {
            let mut wire = target.channel().await;
            let name = queue.0.queue.to_string();
            wire.declare_queue(1, queue).await;
            wire.confirm_select(1).await;
            for body in ["one", "two", "three"] {
                wire.publish(1, "", &name, body).await;
            }
            wire.expect_confirms(1, 3).await;
            let got = wire.get(1, &name).await.expect("a message");
            assert_eq!((got.text(), got.message_count), ("one".to_owned(), 2));
            assert_eq!(wire.purge(1, &name).await, 2);
            wire.nack(1, got.tag, true).await;
            assert_eq!(wire.take_one(1, &name).await.text(), "one");
        }
    }

    /// Purging a queue that does not exist closes the channel with 404.
    async fn purging_a_missing_queue_is_not_found(target: Target) {
        let mut wire = target.channel().await;
        let closed = wire.refused(1, queue::Purge { queue: "q".into(), nowait: false }).await;
        assert_eq!(closed, channel_error(404, "NOT_FOUND - no queue 'q' in vhost '/'"));
    }

    /// Deletes and purges with `nowait` are done and not answered.
    async fn a_delete_without_waiting_is_not_answered(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.confirm_select(1).await;
        wire.publish(1, "", "q", "hello").await;
        wire.expect_confirms(1, 1).await;
        wire.send(1, queue::Purge { queue: "q".into(), nowait: true }).await;
        wire.expect_nothing(1).await;
        assert_eq!(wire.ready(1, "q").await, 0);
        wire.send(1, queue::Delete { nowait: true, ..delete("q") }).await;
        wire.expect_nothing(1).await;
        assert_eq!(wire.refused(1, Queue::passive("q")).await.code, 404);
    }

    /// An auto-delete queue goes with the channel or the connection of its last consumer.
    async fn an_auto_delete_queue_goes_with_its_consumers_channel(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("q").auto_delete()).await;
        wire.open_channel(2).await;
        wire.consume(2, "q").await;
        wire.close_channel(2).await;
        eventually(60 * SECONDS, "the queue is gone", async || {
            match wire.try_call(1, Queue::passive("q")).await {
                Err(closed) => {
                    wire.open_channel(1).await;
                    if closed.code == 404 { Ok(()) } else { Err(closed.to_string()) }
                }
                Ok(_) => Err("it is there".to_owned()),
            }
        })
        .await;
    }
}
