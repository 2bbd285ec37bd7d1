//! SIGINT and SIGTERM, or Ctrl-C elsewhere: the first asks to stop, the second to stop at once.

use std::io;
use std::time::Duration;

use tokio::time::Instant;

/// Signals that follow one within this time are part of it.
///
/// `timeout` of the GNU coreutils signals its child and then its own process group: two signals within microseconds. A service
/// manager and a terminal may both signal as well.
const ONE: Duration = Duration::from_secs(1);

/// Waits for signals that ask the process to stop.
#[derive(Debug)]
pub struct Signals {
    source: Source,
    last: Option<Instant>,
}

// === impl Signals ===

impl Signals {
    /// Listens from now on; the default action, to die, no longer happens.
    ///
    /// # Errors
    ///
    /// Fails if the system refuses the handlers.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { source: Source::listen()?, last: None })
    }

    /// Waits for the next signal. Those that come within a second of the last one are part of it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn next(&mut self) {
        loop {
            self.source.next().await;
            let now = Instant::now();
            if counts(self.last, now) {
                self.last = Some(now);
                return;
            }
        }
    }
}

fn counts(last: Option<Instant>, now: Instant) -> bool {
    last.is_none_or(|last| now.duration_since(last) >= ONE)
}

#[cfg(unix)]
#[derive(Debug)]
struct Source {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(windows)]
#[derive(Debug)]
struct Source {
    interrupt: tokio::signal::windows::CtrlC,
    close: tokio::signal::windows::CtrlClose,
    shutdown: tokio::signal::windows::CtrlShutdown,
}

// === impl Source ===

#[cfg(unix)]
impl Source {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(windows)]
impl Source {
    fn listen() -> io::Result<Self> {
        use tokio::signal::windows::{ctrl_c, ctrl_close, ctrl_shutdown};
        Ok(Self { interrupt: ctrl_c()?, close: ctrl_close()?, shutdown: ctrl_shutdown()? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.close.recv() => {}
            _ = self.shutdown.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_within_a_second_are_one() {
        let first = Instant::now();
        assert!(counts(None, first));
        for (after, expected) in [(Duration::ZERO, false), (ONE / 2, false), (ONE, true), (ONE * 60, true)] {
            assert_eq!(counts(Some(first), first + after), expected, "{after:?}");
        }
    }
}
