//! Dead letters that a quorum queue keeps: what RabbitMQ does after three minutes of its own time.

use std::time::Duration;

use garenne_embedded::Broker;
use garenne_tests::wire::{Exchange, Queue, Wire};

/// `rabbit_fifo_dlx_worker.erl`, `SETTLE_TIMEOUT`.
const RETRY: Duration = Duration::from_secs(180);

#[tokio::test]
async fn a_dead_letter_that_was_refused_is_tried_again_only_where_it_was_refused() {
    let broker = Broker::start().await.expect("the embedded broker starts");
    let mut wire = Wire::connect(broker.url()).await;
    wire.open_channel(1).await;
    wire.declare_exchange(1, Exchange::new("fanout", "dlx")).await;
    let full = Queue::classic("full").with("x-max-length", 1).with("x-overflow", "reject-publish");
    for (name, queue) in [("full", full), ("end", Queue::classic("end"))] {
        wire.declare_queue(1, queue).await;
        wire.bind(1, "dlx", "", name).await;
    }
    let queue = Queue::quorum("q").with("x-dead-letter-strategy", "at-least-once");
    let queue = queue.with("x-overflow", "reject-publish").with("x-dead-letter-exchange", "dlx");
    wire.declare_queue(1, queue).await;
    for body in ["1", "2"] {
        wire.publish(1, "", "q", body).await;
        let got = wire.get(1, "q").await.expect("it is there");
        wire.reject(1, got.tag, false).await;
    }
    assert_eq!((wire.ready(1, "full").await, wire.purge(1, "end").await), (1, 2));
    assert_eq!(wire.take_one(1, "full").await.text(), "1");
    broker.advance(RETRY);
    assert_eq!(wire.take_one(1, "full").await.text(), "2");
    assert_eq!(wire.ready(1, "end").await, 0);
    broker.advance(2 * RETRY);
    assert_eq!((wire.ready(1, "full").await, wire.ready(1, "end").await), (0, 0));
}
