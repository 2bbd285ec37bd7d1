//! An exchange with queues, to see which of them a message reaches.

use garenne_tests::Target;
use garenne_tests::wire::{Binding, Draft, Exchange, Queue, Table, Wire};

/// The exchange `x` on channel 1, which confirms.
pub(crate) struct Router {
    pub(crate) wire: Wire,
    queues: Vec<&'static str>,
    published: u64,
}

impl Router {
    /// Declares the exchange `x` of a type and queues that are not bound yet.
    pub(crate) async fn new(target: &Target, kind: &str, queues: &[&'static str]) -> Self {
        Self::with(target, Exchange::new(kind, "x"), queues).await
    }

    /// As [`new`](Self::new), with an exchange that has arguments.
    pub(crate) async fn with(target: &Target, exchange: Exchange, queues: &[&'static str]) -> Self {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, exchange).await;
        for queue in queues {
            wire.declare_queue(1, Queue::classic(queue)).await;
        }
        wire.confirm_select(1).await;
        Self { wire, queues: queues.to_vec(), published: 0 }
    }

    /// Binds a queue to `x`.
    pub(crate) async fn bind(&mut self, key: &str, queue: &str) {
        self.wire.bind(1, "x", key, queue).await;
    }

    /// Binds a queue to `x` with arguments.
    pub(crate) async fn bind_with(&mut self, arguments: Table, queue: &str) {
        self.wire.bind_with(1, Binding::new("x", "", queue).arguments(arguments)).await;
    }

    /// Publishes to `x` with a key and returns the queues that got a copy, once for each copy.
    pub(crate) async fn reached(&mut self, key: &str) -> Vec<&'static str> {
        self.reached_by(Draft::to("x", key)).await
    }

    /// Publishes and returns the queues that got a copy, once for each copy.
    pub(crate) async fn reached_by(&mut self, draft: Draft) -> Vec<&'static str> {
        self.published += 1;
        self.wire.publish_confirmed(1, self.published, draft).await;
        let mut reached = Vec::new();
        for queue in self.queues.clone() {
            let copies = self.wire.purge(1, queue).await as usize;
            reached.extend(std::iter::repeat_n(queue, copies));
        }
        reached
    }
}
