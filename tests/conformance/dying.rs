//! Steps that behaviours about dead letters take.

use garenne_tests::wire::{Consumer, Delivery, Queue, Wire};

/// Returns a queue of a type whose dead letters go to another by the default exchange.
pub(crate) fn chained(kind: &str, name: &str, next: &str) -> Queue {
    let queue = Queue::plain(name).with("x-queue-type", kind);
    queue.with("x-dead-letter-exchange", "").with("x-dead-letter-routing-key", next)
}

/// Waits for the next message of a queue and takes it for acknowledgement.
pub(crate) async fn receive(wire: &mut Wire, queue: &str) -> Delivery {
    let tag = wire.consume(1, queue).await;
    let delivery = wire.expect_delivery(1).await;
    wire.cancel(1, &tag).await;
    delivery
}

/// Waits for the next message of a queue and refuses it.
pub(crate) async fn refuse(wire: &mut Wire, queue: &str) -> Delivery {
    let delivery = receive(wire, queue).await;
    wire.reject(1, delivery.tag, false).await;
    delivery
}

/// Waits for the next message of a queue and takes it for good.
pub(crate) async fn take(wire: &mut Wire, queue: &str) -> Delivery {
    let tag = wire.consume_with(1, Consumer::new(queue).no_ack()).await;
    let delivery = wire.expect_delivery(1).await;
    wire.cancel(1, &tag).await;
    delivery
}
