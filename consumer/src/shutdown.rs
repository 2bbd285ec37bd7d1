//! The usual signals to stop, and what ends a stop that takes too long.

use std::{
    fmt,
    pin::Pin,
    time::{Duration, Instant},
};

/// Signals that come within this time of the first are the same request: coreutils' `timeout` sends two.
const SAME_REQUEST: Duration = Duration::from_secs(1);

/// What ends a stop at once: a future that [`Service::run_until`](crate::Service::run_until) watches while it drains.
///
/// It is what [`shutdown_signal`] ends with. `()` is one that never comes.
pub struct Force(Pin<Box<dyn Future<Output = ()> + Send>>);

// === impl Force ===

impl Force {
    /// Forces the end when `future` is ready.
    pub fn when(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Box::pin(future))
    }

    /// Waits until the end is forced; later calls wait for ever.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn wait(&mut self) {
        (&mut self.0).await;
        // It is not polled again.
        self.0 = Box::pin(std::future::pending());
    }
}

impl From<()> for Force {
    fn from((): ()) -> Self {
        Self::when(std::future::pending())
    }
}

impl fmt::Debug for Force {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Force").finish_non_exhaustive()
    }
}

/// Waits for Ctrl-C or, on Unix, `SIGTERM`; what it ends with is ready at the next one, which forces the end.
///
/// From its first poll on these signals no longer end the process by themselves. Those within a second count as one.
/// Where a signal cannot be watched, only the others end the wait; a process without any is never asked to stop this way.
///
/// # Cancel safety
///
/// Cancel safe.
pub async fn shutdown_signal() -> Force {
    let mut signals = Signals::listen();
    signals.next().await;
    let first = Instant::now();
    Force::when(async move {
        loop {
            signals.next().await;
            if first.elapsed() >= SAME_REQUEST {
                return;
            }
        }
    })
}

#[cfg(unix)]
struct Signals {
    interrupt: Option<tokio::signal::unix::Signal>,
    terminate: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self {
            interrupt: signal(SignalKind::interrupt()).ok(),
            terminate: signal(SignalKind::terminate()).ok(),
        }
    }

    async fn next(&mut self) {
        tokio::select! {
            () = next(self.interrupt.as_mut()) => {}
            () = next(self.terminate.as_mut()) => {}
        }
    }
}

#[cfg(unix)]
async fn next(signal: Option<&mut tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> Self {
        Self
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
