//! Looking into a running broker, and waiting for what a test expects.

use std::panic::Location;
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use crate::broker::Broker;
use crate::inspect::{Published, State};
use crate::io::Engine;

/// How long [`Broker::wait_until`] waits.
const DEADLINE: Duration = Duration::from_secs(10);
/// How many of the latest messages and faults a failure shows.
const SHOWN: usize = 10;

impl Broker {
    /// Returns everything that the broker holds now.
    #[must_use]
    pub fn state(&self) -> State {
        self.hub().look(Engine::snapshot)
    }

    /// Returns the latest messages that were published and what became of each, the oldest first; dead letters are messages of
    /// their own. How many are kept says [`Builder::history`](crate::Builder::history).
    #[must_use]
    pub fn published(&self) -> Vec<Published> {
        self.hub().look(|engine, _| engine.core.published())
    }

    /// Waits until the broker is in a state that fulfils the condition, and returns that state.
    ///
    /// The condition is looked at after everything that happens in the broker, so it may be a brief state.
    ///
    /// # Panics
    ///
    /// If that does not happen within 10 s of real time, also where the test's runtime has paused its own; the message shows the
    /// last state, what became of the latest messages, and the latest faults.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    #[track_caller]
    pub fn wait_until(
        &self,
        condition: impl FnMut(&State) -> bool + Send,
    ) -> impl Future<Output = State> + Send {
        self.wait_until_within(DEADLINE, condition)
    }

    /// As [`wait_until`](Self::wait_until) with another deadline.
    ///
    /// # Panics
    ///
    /// If that does not happen within the deadline of real time, also where the test's runtime has paused its own; the message
    /// shows the last state, what became of the latest messages, and the latest faults.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    #[track_caller]
    pub fn wait_until_within(
        &self,
        deadline: Duration,
        mut condition: impl FnMut(&State) -> bool + Send,
    ) -> impl Future<Output = State> + Send {
        let caller = Location::caller();
        async move {
            let waiting = async {
                let mut changes = self.hub().changes();
                loop {
                    let state = self.state();
                    if condition(&state) {
                        return state;
                    }
                    // The broker's end is a change too, after which nothing changes any more.
                    if changes.changed().await.is_err() {
                        return std::future::pending().await;
                    }
                }
            };
            let patience = async move { tokio::time::sleep(deadline).await };
            let patience = AbortOnDropHandle::new(self.runtime().spawn(patience));
            tokio::select! {
                biased;
                state = waiting => state,
                _ = patience => {
                    let (state, latest) = (self.state(), self.latest());
                    panic!("{caller}: not within {deadline:?}; the broker, {state}{latest}{}", self.struck())
                }
            }
        }
    }

    /// Tells of the faults that struck last: often they are why.
    fn struck(&self) -> String {
        let log = self.faults().log();
        let latest = &log[log.len().saturating_sub(SHOWN)..];
        latest.iter().map(|fault| format!("\nfault at {fault}")).collect()
    }

    /// Tells of the messages that were published last, for whoever waits in vain.
    fn latest(&self) -> String {
        let published = self.published();
        let latest = &published[published.len().saturating_sub(SHOWN)..];
        latest.iter().map(|message| format!("\n{message}")).collect()
    }
}
