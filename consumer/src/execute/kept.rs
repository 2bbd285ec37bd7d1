//! Messages that wait for their dead-letter queue: how many there may be, and that the health names them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use garenne_shared::QueueName;
use garenne_transport::{Client, Problem};

use crate::{context::Environment, metric::Metrics};

/// The messages of one consumer that wait for their dead-letter queue.
pub(crate) struct Kept {
    queue: QueueName,
    client: Client,
    metrics: Arc<Metrics>,
    /// Half the prefetch: the other half serves the good messages.
    limit: usize,
    /// Held for a few field updates and never across an await.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    count: usize,
    reason: String,
    problem: Option<Problem>,
}

/// A message that is kept until this is dropped.
pub(super) struct Place<'a> {
    kept: &'a Kept,
    /// Whether the message takes a place that the good ones need.
    pub(super) over: bool,
}

// === impl Kept ===

impl Kept {
    pub(crate) fn new(environment: &Environment, prefetch: u16, metrics: &Arc<Metrics>) -> Self {
        Self {
            queue: environment.queue.clone(),
            client: environment.client.clone(),
            metrics: Arc::clone(metrics),
            limit: usize::from(prefetch / 2),
            state: Mutex::default(),
        }
    }

    /// Keeps one more message, for this reason.
    pub(super) fn keep(&self, reason: &str) -> Place<'_> {
        let over = self.change(|state| {
            state.count += 1;
            reason.clone_into(&mut state.reason);
            state.count > self.limit
        });
        Place { kept: self, over }
    }

    /// Changes the state, and what the metric and the health say of it.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let changed = change(&mut state);
        let State { count, reason, problem } = &mut *state;
        #[expect(clippy::cast_precision_loss, reason = "bounded by the prefetch, 65535")]
        self.metrics.kept().set(*count as f64);
        let text = format!(
            "messages of queue `{}` that cannot be dead-lettered are kept ({count} of them): {reason}",
            self.queue
        );
        *problem = (*count > 0).then(|| self.client.problem(text));
        changed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Place ===

impl Place<'_> {
    /// Says why the message is still kept.
    pub(super) fn because(&self, reason: &str) {
        self.kept.change(|state| reason.clone_into(&mut state.reason));
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.kept.change(|state| state.count -= 1);
    }
}
