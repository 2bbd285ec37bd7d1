//! The time that a client's deadlines and delays go by.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::{self, Instant, error::Elapsed};

use crate::runtime::IoRuntime;

/// The time that a client's deadlines and delays go by: real time, whatever a test does with the clock of its own runtime.
///
/// A broker's time is real. While a test that has paused its clock (`tokio::time::pause`) waits for an answer, its runtime jumps to the
/// next timer at once: a deadline there would have passed before the broker could answer.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
///
/// use garenne_transport::Client;
///
/// # async fn example(client: &Client) {
/// client.clock().sleep(Duration::from_millis(10)).await;
/// # }
/// ```
#[derive(Clone)]
pub struct Clock(Arc<IoRuntime>);

// === impl Clock ===

impl Clock {
    pub(crate) const fn new(runtime: Arc<IoRuntime>) -> Self {
        Self(runtime)
    }

    /// Returns the present.
    #[must_use]
    pub fn now(&self) -> Instant {
        // That of the standard library cannot be paused.
        Instant::from_std(std::time::Instant::now())
    }

    /// Waits for this long.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn sleep(&self, time: Duration) {
        self.with(|| time::sleep(time)).await;
    }

    /// Waits for this moment.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn sleep_until(&self, at: Instant) {
        self.with(|| time::sleep_until(at)).await;
    }

    /// Waits for a future, this long at most.
    ///
    /// # Errors
    ///
    /// Fails if it takes longer; the future is dropped then.
    ///
    /// # Cancel safety
    ///
    /// As that of the future.
    pub async fn timeout<F: Future>(&self, limit: Duration, future: F) -> Result<F::Output, Elapsed> {
        self.with(|| time::timeout(limit, future)).await
    }

    /// Waits for a future, until this moment at most.
    ///
    /// # Errors
    ///
    /// Fails if it takes longer; the future is dropped then.
    ///
    /// # Cancel safety
    ///
    /// As that of the future.
    pub async fn timeout_at<F: Future>(&self, deadline: Instant, future: F) -> Result<F::Output, Elapsed> {
        self.with(|| time::timeout_at(deadline, future)).await
    }

    /// Makes a timer of the client's own runtime; it is polled where the caller runs.
    fn with<T>(&self, make: impl FnOnce() -> T) -> T {
        let _context = self.0.handle().enter();
        make()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").finish_non_exhaustive()
    }
}
