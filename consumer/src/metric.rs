//! Every metric of this crate, by name. The facade is `metrics`; without an exporter they cost next to nothing.

use std::time::Instant;

use garenne_shared::QueueName;
use metrics::{Counter, Gauge, Histogram};

/// The metrics of one consumer, looked up once.
///
/// | name | kind | labels |
/// |---|---|---|
/// | `garenne_handled_total` | counter | `queue`, `outcome`: `ok`, `retry`, `dead_letter` |
/// | `garenne_handler_seconds` | histogram | `queue` |
/// | `garenne_handlers_running` | gauge | `queue` |
pub(crate) struct Metrics {
    ok: Counter,
    retry: Counter,
    dead_letter: Counter,
    seconds: Histogram,
    running: Gauge,
}

/// A handler that runs.
pub(crate) struct Running<'a> {
    metrics: &'a Metrics,
    since: Instant,
}

// === impl Metrics ===

impl Metrics {
    pub(crate) fn new(queue: &QueueName) -> Self {
        let queue = queue.to_string();
        let handled = |outcome| metrics::counter!("garenne_handled_total", "queue" => queue.clone(), "outcome" => outcome);
        Self {
            ok: handled("ok"),
            retry: handled("retry"),
            dead_letter: handled("dead_letter"),
            seconds: metrics::histogram!("garenne_handler_seconds", "queue" => queue.clone()),
            running: metrics::gauge!("garenne_handlers_running", "queue" => queue.clone()),
        }
    }

    pub(crate) fn ok(&self) {
        self.ok.increment(1);
    }

    pub(crate) fn retry(&self) {
        self.retry.increment(1);
    }

    pub(crate) fn dead_letter(&self) {
        self.dead_letter.increment(1);
    }

    /// Notes that a handler begins; dropping the result notes its end.
    pub(crate) fn begin(&self) -> Running<'_> {
        self.running.increment(1.0);
        Running { metrics: self, since: Instant::now() }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.metrics.running.decrement(1.0);
        self.metrics.seconds.record(self.since.elapsed());
    }
}
