//! Where consumers of a stream begin, and what they may not ask for.

use std::time::{SystemTime, UNIX_EPOCH};

use garenne_tests::table;
use garenne_tests::wire::{
    AMQPValue, Consumer, Delivery, Draft, IntoValue, Queue, Wire, basic, channel_error,
};
use garenne_tests::wire::{Scope, connection_error, queue};

use crate::behaviours;

/// Declares the stream `s` with messages `0`, `1`, ..
async fn fill(wire: &mut Wire, count: u64) {
    wire.declare_queue(1, Queue::stream("s")).await;
    wire.confirm_select(1).await;
    append(wire, 0..count).await;
    wire.qos(1, 100).await;
}

/// Appends messages with these numbers, which are their offsets too.
async fn append(wire: &mut Wire, numbers: std::ops::Range<u64>) {
    for number in numbers {
        wire.publish_confirmed(1, number + 1, Draft::to_queue("s").body(number.to_string())).await;
    }
}

fn from(offset: impl IntoValue) -> Consumer {
    Consumer::new("s").with("x-stream-offset", offset)
}

/// A time as many hours before now.
fn hours_ago(hours: i64) -> AMQPValue {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    AMQPValue::Timestamp(now.saturating_add_signed(-hours * 3600))
}

/// Consumes and returns the next bodies.
async fn read(wire: &mut Wire, consumer: Consumer, count: usize) -> Vec<String> {
    let tag = wire.consume_with(1, consumer).await;
    let deliveries = wire.expect_deliveries(1, count).await;
    let bodies = deliveries.iter().map(Delivery::text).collect();
    if let Some(last) = deliveries.last() {
        wire.ack_up_to(1, last.tag).await;
    }
    wire.cancel(1, &tag).await;
    bodies
}

behaviours! {
    area = "stream offsets", source = "https://www.rabbitmq.com/docs/streams#consuming";

    /// `last` begins with the last chunk, which is the last message if they came one by one.
    async fn last_begins_with_the_last_chunk(target: Target) {
        let mut wire = target.channel().await;
        fill(&mut wire, 3).await;
        assert_eq!(read(&mut wire, from("last"), 1).await, ["2"]);
    }

    /// `next` begins with what comes after.
    async fn next_begins_with_what_comes_after(target: Target) {
        let mut wire = target.channel().await;
        fill(&mut wire, 3).await;
        wire.consume_with(1, from("next")).await;
        append(&mut wire, 3..4).await;
        assert_eq!(wire.expect_delivery(1).await.text(), "3");
    }

    /// A timestamp begins with what came at that time or later, one before the stream with the first message.
    async fn a_timestamp_begins_at_its_time(target: Target) {
        let mut wire = target.channel().await;
        fill(&mut wire, 2).await;
        assert_eq!(read(&mut wire, from(hours_ago(1)), 2).await, ["0", "1"]);
        wire.consume_with(1, from(hours_ago(-1))).await;
        append(&mut wire, 2..3).await;
        assert_eq!(wire.expect_delivery(1).await.text(), "2");
    }

    /// An interval such as `1h` begins that long ago.
    async fn an_interval_begins_that_long_ago(target: Target) {
        let mut wire = target.channel().await;
        fill(&mut wire, 2).await;
        for interval in ["1h", "7D", "30s"] {
            assert_eq!(read(&mut wire, from(interval), 2).await, ["0", "1"], "{interval}");
        }
    }

    /// An offset beyond the end waits: messages before it are not delivered.
    async fn an_offset_beyond_the_end_waits(target: Target) {
        let mut wire = target.channel().await;
        fill(&mut wire, 2).await;
        wire.consume_with(1, from(4_i64)).await;
        append(&mut wire, 2..6).await;
        assert_eq!(wire.expect_delivery(1).await.text(), "4");
        assert_eq!(wire.expect_delivery(1).await.text(), "5");
    }

    /// An offset that is no offset closes the channel with 406.
    async fn an_offset_is_one_of_its_kinds(target: Target) {
        for wrong in ["yesterday", "1x", ""] {
            let mut wire = target.channel().await;
            fill(&mut wire, 0).await;
            let closed = wire.refused(1, from(wrong)).await;
            assert_eq!((closed.code, closed.scope), (406, Scope::Channel), "{wrong:?}: {closed:?}");
        }
    }

    /// A consumer needs a prefetch: without one the channel is closed with 406.
    async fn a_stream_needs_a_prefetch(target: Target) {
        let mut wire = target.channel().await;
        fill(&mut wire, 1).await;
        wire.qos(1, 0).await;
        let closed = wire.refused(1, from("first")).await;
        let text = "PRECONDITION_FAILED - consumer prefetch count is not set for stream queue 's' in vhost '/'";
        assert_eq!(closed, channel_error(406, text));
    }

    /// A consumer must acknowledge: `no_ack` closes the connection with 540.
    async fn a_stream_needs_acknowledgements(target: Target) {
        let mut wire = target.channel().await;
        fill(&mut wire, 1).await;
        let closed = wire.refused(1, from("first").no_ack()).await;
        let text = "NOT_IMPLEMENTED - automatic acknowledgement not supported by stream queue 's' in vhost '/'";
        assert_eq!(closed, connection_error(540, text));
    }

    /// `basic.get` closes the connection with 540.
    async fn a_stream_knows_no_get(target: Target) {
        let mut wire = target.channel().await;
        fill(&mut wire, 1).await;
        let get = basic::Get { queue: "s".into(), no_ack: true };
        let closed = wire.refused(1, get).await;
        let text = "NOT_IMPLEMENTED - basic.get not supported by stream queues queue 's' in vhost '/'";
        assert_eq!(closed, connection_error(540, text));
    }

    /// A stream cannot be purged: the connection is closed with 540.
    async fn a_stream_is_not_purged(target: Target) {
        let mut wire = target.channel().await;
        fill(&mut wire, 1).await;
        let closed = wire.refused(1, queue::Purge { queue: "s".into(), nowait: false }).await;
        assert_eq!(closed.code, 540, "{closed:?}");
    }

    /// A prefetch bounds how far a consumer is ahead of its acknowledgements.
    async fn a_prefetch_bounds_the_reading(target: Target) {
        let mut wire = target.channel().await;
        fill(&mut wire, 5).await;
        wire.qos(1, 2).await;
        wire.consume_with(1, from("first")).await;
        let read = wire.expect_deliveries(1, 2).await;
        wire.expect_nothing(1).await;
        wire.ack(1, read[0].tag).await;
        let next = wire.expect_delivery(1).await;
        assert_eq!((next.text().as_str(), next.headers()), ("2", table! { "x-stream-offset" => 2_i64 }));
        assert!(!next.redelivered);
    }

    /// A negative acknowledgement of a stream's message does not bring it back: it gives room for the next, as an ack does.
    async fn nothing_is_requeued(target: Target) {
        let mut wire = target.channel().await;
        fill(&mut wire, 3).await;
        wire.qos(1, 1).await;
        wire.consume_with(1, from("first")).await;
        let first = wire.expect_delivery(1).await;
        wire.nack(1, first.tag, true).await;
        let second = wire.expect_delivery(1).await;
        wire.reject(1, second.tag, false).await;
        let bodies = [first.text(), second.text(), wire.expect_delivery(1).await.text()];
        assert_eq!(bodies, ["0", "1", "2"]);
    }
}
