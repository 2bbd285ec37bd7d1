//! Every metric of this crate, by name. The facade is `metrics`; without an exporter they cost next to nothing.

use std::time::{Duration, Instant};

use garenne_shared::QueueName;
use metrics::{Counter, Gauge, Histogram};

/// The metrics of one consumer, looked up once; `garenne_transport::METRICS` describes them.
pub(crate) struct Metrics {
    ok: Counter,
    retry: Counter,
    dead_letter: Counter,
    seconds: Histogram,
    running: Gauge,
    blocked: Counter,
    stale: Counter,
    kept: Gauge,
    queue: String,
}

/// A handler that runs.
pub(crate) struct Running<'a> {
    metrics: &'a Metrics,
    since: Instant,
}

/// A consumer that pauses.
pub(crate) struct Paused(Gauge);

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
            blocked: metrics::counter!("garenne_handlers_blocked_total", "queue" => queue.clone()),
            stale: metrics::counter!("garenne_deliveries_stale_total", "queue" => queue.clone()),
            kept: metrics::gauge!("garenne_dead_letters_kept", "queue" => queue.clone()),
            queue,
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

    pub(crate) fn blocked(&self) {
        self.blocked.increment(1);
    }

    pub(crate) fn stale(&self) {
        self.stale.increment(1);
    }

    pub(crate) const fn kept(&self) -> &Gauge {
        &self.kept
    }

    /// Counts a failed message by the place it waits in. It is rarer than messages, so it is looked up each time.
    pub(crate) fn waits(&self, place: &'static str) {
        metrics::counter!("garenne_retries_total", "queue" => self.queue.clone(), "waits_in" => place)
            .increment(1);
    }

    /// Counts a message that waits because the rate is reached.
    pub(crate) fn rate_limited(&self) {
        metrics::counter!("garenne_rate_limited_total", "queue" => self.queue.clone()).increment(1);
    }

    /// Notes that the consumer pauses; dropping the result notes its end.
    pub(crate) fn pause(&self) -> Paused {
        let paused = metrics::gauge!("garenne_consumer_paused", "queue" => self.queue.clone());
        paused.increment(1.0);
        Paused(paused)
    }

    /// Counts a run that follows a failed one at once.
    pub(crate) fn immediate(&self) {
        metrics::counter!("garenne_immediate_retries_total", "queue" => self.queue.clone()).increment(1);
    }

    /// Counts a copy that lacks our headers, wholly or in part. It is rare, so it is looked up each time.
    pub(crate) fn shortened(&self, form: &'static str) {
        metrics::counter!("garenne_dead_letters_shortened_total", "queue" => self.queue.clone(), "form" => form)
            .increment(1);
    }

    /// Notes that a handler begins; dropping the result notes its end.
    pub(crate) fn begin(&self) -> Running<'_> {
        self.running.increment(1.0);
        Running { metrics: self, since: Instant::now() }
    }
}

impl Running<'_> {
    /// Returns how long it has taken so far.
    pub(crate) fn took(&self) -> Duration {
        self.since.elapsed()
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.metrics.running.decrement(1.0);
        self.metrics.seconds.record(self.since.elapsed());
    }
}
