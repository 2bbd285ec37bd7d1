//! All subscriptions of a client: counted for the health snapshot, and ended together before the connection is closed.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Clock, metric};

/// The subscriptions of a client.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    subscriptions: AtomicUsize,
    subscribed: AtomicUsize,
    closing: CancellationToken,
    tasks: TaskTracker,
}

/// One subscription's part of the counts; gives it back when dropped.
#[derive(Debug)]
pub(super) struct Registration {
    registry: Arc<Registry>,
    subscribed: bool,
}

// === impl Registry ===

impl Registry {
    /// Returns how many subscriptions exist.
    pub(crate) fn subscriptions(&self) -> usize {
        self.subscriptions.load(Ordering::Acquire)
    }

    /// Returns how many of them the broker confirmed on the present connection.
    pub(crate) fn subscribed(&self) -> usize {
        self.subscribed.load(Ordering::Acquire)
    }

    /// Ends every subscription: sends what is settled, hands back what nobody has read, closes the channels.
    ///
    /// To be called while the connection is up: what was settled and not sent would be delivered again.
    pub(crate) async fn close(&self, limit: Duration, clock: &Clock) {
        self.closing.cancel();
        self.tasks.close();
        if clock.timeout(limit, self.tasks.wait()).await.is_err() {
            tracing::warn!(left = self.tasks.len(), ?limit, "subscriptions did not end in time");
        }
    }

    /// Returns the token that [`close`](Self::close) cancels.
    pub(super) const fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// Returns the task with the promise that [`close`](Self::close) waits for it.
    pub(super) fn track<F: Future>(&self, task: F) -> impl Future<Output = F::Output> + use<F> {
        self.tasks.track_future(task)
    }
}

// === impl Registration ===

impl Registration {
    pub(super) fn new(registry: Arc<Registry>) -> Self {
        registry.subscriptions.fetch_add(1, Ordering::AcqRel);
        metric::subscriptions_wanted(1.0);
        Self { registry, subscribed: false }
    }

    /// Returns how many subscriptions the client has.
    pub(super) fn subscriptions(&self) -> usize {
        self.registry.subscriptions()
    }

    pub(super) fn set_subscribed(&mut self, subscribed: bool) {
        if self.subscribed == subscribed {
            return;
        }
        self.subscribed = subscribed;
        if subscribed {
            self.registry.subscribed.fetch_add(1, Ordering::AcqRel);
            metric::subscriptions_confirmed(1.0);
        } else {
            self.registry.subscribed.fetch_sub(1, Ordering::AcqRel);
            metric::subscriptions_confirmed(-1.0);
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.set_subscribed(false);
        self.registry.subscriptions.fetch_sub(1, Ordering::AcqRel);
        metric::subscriptions_wanted(-1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_is_counted_as_long_as_it_lives() {
        let registry = Arc::new(Registry::default());
        let mut registration = Registration::new(registry.clone());
        assert_eq!((registry.subscriptions(), registry.subscribed()), (1, 0));
        registration.set_subscribed(true);
        registration.set_subscribed(true);
        assert_eq!((registry.subscriptions(), registry.subscribed()), (1, 1));
        drop(registration);
        assert_eq!((registry.subscriptions(), registry.subscribed()), (0, 0));
    }
}
