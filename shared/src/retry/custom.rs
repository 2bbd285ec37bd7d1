//! Delays that somebody else works out.

use std::{fmt, sync::Arc, time::Duration};

/// How many delays are drawn from a policy of `backoff` at most. The delays of every policy in use stand still long before.
#[cfg(feature = "backoff")]
const DRAWS_MAX: u32 = 1000;

/// A function from the number of failed attempts to the delay before the next one.
#[derive(Clone)]
pub(super) struct Custom(Arc<dyn Fn(u32) -> Option<Duration> + Send + Sync>);

// === impl Custom ===

impl Custom {
    pub(super) fn new(delay: impl Fn(u32) -> Option<Duration> + Send + Sync + 'static) -> Self {
        Self(Arc::new(delay))
    }

    #[cfg(feature = "backoff")]
    pub(super) fn backoff<B: backoff::backoff::Backoff>(
        start: impl Fn() -> B + Send + Sync + 'static,
    ) -> Self {
        // Drawn afresh each time: the policy is shared by all that retry, and each of them counts its own attempts.
        Self::new(move |failed| {
            let mut policy = start();
            let draws = failed.min(DRAWS_MAX);
            std::iter::from_fn(|| policy.next_backoff()).nth(draws as usize - 1)
        })
    }

    pub(super) fn delay(&self, failed: u32) -> Option<Duration> {
        (self.0)(failed)
    }
}

impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Custom {}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Custom(..)")
    }
}
