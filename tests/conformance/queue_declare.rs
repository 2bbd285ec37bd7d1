//! `queue.declare`: names and counts.

use garenne_tests::wire::{Queue, channel_error};
use garenne_tests::{SECONDS, eventually};

use crate::behaviours;

behaviours! {
    area = "queue.declare", source = "https://www.rabbitmq.com/docs/queues";

    /// A passive declare of a queue that does not exist closes the channel with 404; the channel can be opened again.
    async fn a_missing_queue_is_not_found(target: Target) {
        let mut wire = target.channel().await;
        let missing = channel_error(404, "NOT_FOUND - no queue 'q' in vhost '/'");
        assert_eq!(wire.refused(1, Queue::passive("q")).await, missing);
        wire.open_channel(1).await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        assert_eq!(wire.declare_queue(1, Queue::passive("q")).await.message_count, 0);
    }

    /// A declare of a queue that exists tells its ready messages and consumers; the unacknowledged do not count.
    async fn a_declare_counts_messages_and_consumers(target: Target) {
        for kind in [Queue::classic("c"), Queue::quorum("q")] {
            let mut wire = target.channel().await;
            let name = kind.0.queue.to_string();
            let declared = wire.declare_queue(1, kind.clone()).await;
            assert_eq!((declared.queue.as_str(), declared.message_count, declared.consumer_count), (&*name, 0, 0));
            wire.confirm_select(1).await;
            for _ in 0..3 {
                wire.publish(1, "", &name, "hello").await;
            }
            wire.expect_confirms(1, 3).await;
            wire.qos(1, 1).await;
            wire.consume(1, &name).await;
            wire.expect_delivery(1).await;
            eventually(60 * SECONDS, "two ready messages and a consumer", async || {
                let declared = wire.declare_queue(1, kind.clone()).await;
                let counts = (declared.message_count, declared.consumer_count);
                if counts == (2, 1) { Ok(()) } else { Err(counts) }
            })
            .await;
        }
    }

    /// A queue without a name gets one of the broker's, `amq.gen-..`, other every time.
    async fn a_queue_without_a_name_gets_one(target: Target) {
        let mut wire = target.channel().await;
        let first = wire.declare_queue(1, Queue::classic("").exclusive()).await.queue.to_string();
        let second = wire.declare_queue(1, Queue::classic("").exclusive()).await.queue.to_string();
        assert!(first.starts_with("amq.gen-"), "{first}");
        assert_ne!(first, second);
        wire.declare_queue(1, Queue::passive(&first)).await;
    }

    /// Quorum queues and streams need a name: 406.
    #[source = "https://www.rabbitmq.com/docs/quorum-queues"]
    async fn quorum_queues_need_a_name(target: Target) {
        let mut wire = target.channel().await;
        let text = "PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_quorum_queue";
        assert_eq!(wire.refused(1, Queue::quorum("")).await, channel_error(406, text));
        wire.open_channel(1).await;
        let text = "PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_stream_queue";
        assert_eq!(wire.refused(1, Queue::stream("")).await, channel_error(406, text));
    }

    /// An empty queue name in a method means the queue declared last on the channel.
    async fn an_empty_name_is_the_last_queue_declared(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("a")).await;
        wire.declare_queue(1, Queue::quorum("b")).await;
        wire.confirm_select(1).await;
        wire.publish(1, "", "b", "hello").await;
        wire.expect_confirms(1, 1).await;
        assert_eq!(wire.take_one(1, "").await.text(), "hello");
        assert_eq!(wire.purge(1, "").await, 0);
        wire.delete_queue(1, "").await;
        assert_eq!(wire.refused(1, Queue::passive("b")).await.code, 404);
    }

    /// A name that begins with `amq.` is refused with 403, even if a queue of the broker's has it.
    async fn reserved_queue_names_are_refused(target: Target) {
        let mut wire = target.channel().await;
        let text = "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'";
        assert_eq!(wire.refused(1, Queue::quorum("amq.mine")).await, channel_error(403, text));
        wire.open_channel(1).await;
        let name = wire.declare_queue(1, Queue::classic("").exclusive()).await.queue.to_string();
        assert_eq!(wire.refused(1, Queue::classic(&name).exclusive()).await.code, 403);
    }

    /// Declares with `nowait` are not answered, and errors close the channel all the same.
    async fn a_declare_without_waiting_is_not_answered(target: Target) {
        let mut wire = target.channel().await;
        let mut queue = Queue::quorum("q");
        queue.0.nowait = true;
        wire.send(1, queue.clone()).await;
        wire.expect_nothing(1).await;
        wire.declare_queue(1, Queue::passive("q")).await;
        let mut other = queue.with("x-max-length", 5);
        other.0.nowait = true;
        wire.send(1, other).await;
        assert_eq!(wire.expect_channel_error(1).await.code, 406);
    }

    /// An empty queue type makes a queue of the default type, classic, but is not equivalent to saying so: 406.
    #[source = "rabbit_amqqueue.erl: maybe_inject_default_queue_type_shortcut_into_args"]
    async fn an_empty_queue_type_is_the_default_and_not_the_same(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::plain("q").with("x-queue-type", "")).await;
        wire.declare_queue(1, Queue::plain("q").with("x-queue-type", "")).await;
        let text = "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': \
                    received 'classic' but current is ''";
        assert_eq!(wire.refused(1, Queue::classic("q")).await, channel_error(406, text));
        wire.open_channel(1).await;
        assert_eq!(wire.refused(1, Queue::plain("q")).await, channel_error(406, text));
    }

    /// Line feeds and carriage returns are taken out of the name of a queue.
    #[source = "rabbit_channel.erl: strip_cr_lf"]
    async fn line_ends_are_taken_out_of_queue_names(target: Target) {
        let mut wire = target.channel().await;
        assert_eq!(wire.declare_queue(1, Queue::quorum("a\r\nb")).await.queue.as_str(), "ab");
        wire.declare_queue(1, Queue::passive("ab")).await;
    }

    /// A queue's name may be 255 bytes long, and the text of an error is cut to 255 characters.
    #[source = "rabbit_binary_generator.erl: amqp_exception_explanation"]
    async fn names_are_long_and_texts_are_cut(target: Target) {
        let mut wire = target.channel().await;
        let name = "n".repeat(255);
        wire.declare_queue(1, Queue::classic(&name)).await;
        wire.delete_queue(1, &name).await;
        let closed = wire.refused(1, Queue::passive(&name)).await;
        assert_eq!(closed.code, 404);
        assert!(closed.text.starts_with("NOT_FOUND - no queue 'nnnnnnnn"), "{closed}");
        assert!(closed.text.len() <= 255, "{closed}");
    }
}
