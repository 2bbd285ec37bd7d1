//! Keeps one connection up: dials with backoff, watches, and dials again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{Stream, StreamExt as _};
use lapin::{Connection, Event as LapinEvent};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{Blocked, Link, Phase};
use crate::{
    Error, ErrorKind, Event,
    dial::{Dialed, dial},
    metric,
};

/// How often the status of the connection is looked at, in case no event told of its end.
const WATCHDOG: Duration = Duration::from_secs(1);

/// A connection that lasted this long was stable: its end starts a new series of attempts.
const STABLE_AFTER: Duration = Duration::from_secs(5);

/// The task behind a [`Link`].
#[derive(Debug)]
pub(super) struct Supervisor {
    link: Link,
}

/// Why watching a connection ended.
enum End {
    Lost(String),
    Closed,
}

// === impl Supervisor ===

impl Supervisor {
    pub(super) fn new(link: Link) -> Self {
        Self { link }
    }

    /// Runs until the client is closed.
    pub(super) async fn run(self, first: Option<Dialed>) {
        let (mut next, mut failed) = (first, 0);
        loop {
            let dialed = match next.take() {
                Some(dialed) => dialed,
                None => match self.dial(&mut failed).await {
                    Some(dialed) => dialed,
                    None => break,
                },
            };
            let (epoch, since) = (self.up(&dialed), Instant::now());
            let end = self.watch(&dialed.connection).await;
            self.link.set_current(None);
            match end {
                End::Lost(reason) => self.down(epoch, reason),
                End::Closed => {
                    // At once, so that nobody looks for the connection that has just been taken away.
                    self.closed();
                    self.close(&dialed.connection).await;
                    return;
                }
            }
            // Ends lapin's thread before another connection is opened.
            drop(dialed);
            failed = failures(failed, since.elapsed());
            if failed > 0 && self.pause(self.delay(failed)).await.is_none() {
                break;
            }
        }
        self.closed();
    }

    fn closed(&self) {
        metric::connection_blocked(self.link.0.role, false);
        self.link.0.state.send_modify(|state| {
            state.phase = Phase::Closed;
            state.blocked = None;
        });
    }

    /// Dials until a broker answers; `None` if the client was closed meanwhile.
    async fn dial(&self, failed: &mut u32) -> Option<Dialed> {
        let (role, config, closed) = (self.link.0.role, self.link.config(), self.link.closed());
        loop {
            let attempt = dial(config, role, self.link.0.shared.runtime.handle());
            let error = match closed.run_until_cancelled(attempt).await? {
                Ok(dialed) => return Some(dialed),
                Err(error) => error,
            };
            *failed = failed.saturating_add(1);
            let delay = self.delay(*failed);
            self.complain(&error, *failed, delay);
            self.pause(delay).await?;
        }
    }

    /// How long to wait after so many failures. The policy's limit of attempts is for operations; a connection is wanted as
    /// long as the client lives.
    fn delay(&self, failed: u32) -> Duration {
        let config = &self.link.config().connection;
        config.reconnect.delay(failed).unwrap_or(config.connect_timeout)
    }

    /// Waits; `None` if the client was closed meanwhile.
    async fn pause(&self, delay: Duration) -> Option<()> {
        self.link.closed().run_until_cancelled(tokio::time::sleep(delay)).await
    }

    fn complain(&self, error: &Error, failed: u32, delay: Duration) {
        let role = self.link.0.role;
        if error.kind() == ErrorKind::AccessRefused {
            tracing::error!(%role, failed, ?delay, %error, "broker refuses the connection, trying again");
        } else {
            tracing::warn!(%role, failed, ?delay, %error, "cannot connect, trying again");
        }
    }

    fn up(&self, dialed: &Dialed) -> u64 {
        let (role, inner) = (self.link.0.role, &self.link.0);
        self.link.set_current(Some(Arc::clone(&dialed.connection)));
        let mut epoch = 0;
        inner.state.send_modify(|state| {
            state.phase = Phase::Connected;
            state.epoch += 1;
            state.blocked = None;
            epoch = state.epoch;
        });
        metric::connection_opened(role);
        tracing::info!(%role, epoch, endpoint = %dialed.endpoint, "connected");
        self.tell(Event::Connected { role, epoch });
        epoch
    }

    fn down(&self, epoch: u64, reason: String) {
        let role = self.link.0.role;
        self.link.0.state.send_modify(|state| {
            state.phase = Phase::Connecting;
            state.blocked = None;
        });
        metric::connection_lost(role);
        metric::connection_blocked(role, false);
        tracing::warn!(%role, epoch, reason, "connection lost");
        self.tell(Event::Lost { role, epoch, reason });
    }

    /// Watches a connection until it ends or the client is closed.
    async fn watch(&self, connection: &Connection) -> End {
        let mut events = Box::pin(connection.events_listener());
        let mut watchdog = interval(WATCHDOG);
        watchdog.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.link.closed().cancelled() => return End::Closed,
                event = events.next() => {
                    if let Some(end) = self.observe(connection, event) {
                        return end;
                    }
                }
                _ = watchdog.tick() => {
                    if !connection.status().connected() {
                        return End::Lost(last_words(&mut events).await);
                    }
                }
            }
        }
    }

    fn observe(&self, connection: &Connection, event: Option<LapinEvent>) -> Option<End> {
        let role = self.link.0.role;
        match event {
            None => return Some(End::Lost("lapin ended the connection".to_owned())),
            Some(LapinEvent::ConnectionBlocked(reason)) => {
                tracing::warn!(%role, reason, "broker blocks publishers");
                metric::connection_blocked(role, true);
                let blocked = Blocked { since: Instant::now(), reason: reason.clone() };
                self.link.0.state.send_modify(|state| state.blocked = Some(blocked));
                self.tell(Event::Blocked { role, reason });
            }
            Some(LapinEvent::ConnectionUnblocked) => {
                tracing::info!(%role, "broker no longer blocks publishers");
                metric::connection_blocked(role, false);
                self.link.0.state.send_modify(|state| state.blocked = None);
                self.tell(Event::Unblocked { role });
            }
            // It tells of closed channels too: those are their owners' business.
            Some(LapinEvent::Error(error)) if !connection.status().connected() => {
                return Some(End::Lost(error.to_string()));
            }
            Some(_) => {}
        }
        None
    }

    /// Closes politely within the limit; the kill handle does the rest.
    async fn close(&self, connection: &Connection) {
        let limit = self.link.config().connection.rpc_timeout;
        match timeout(limit, connection.close(200, "closed by the application".into())).await {
            Ok(Ok(())) => tracing::debug!(role = %self.link.0.role, "connection closed"),
            Ok(Err(error)) => {
                tracing::debug!(role = %self.link.0.role, %error, "connection was gone at close");
            }
            Err(_) => {
                tracing::warn!(role = %self.link.0.role, ?limit, "broker does not answer to close, cutting");
            }
        }
    }

    fn tell(&self, event: Event) {
        // It fails only when nobody watches.
        let _ = self.link.events().send(event);
    }
}

/// Counts the failures in a row after a connection was lost that had lived so long.
///
/// A broker that accepts and then ends every connection must not be dialed as fast as it answers; after a stable connection
/// the first attempt comes at once.
const fn failures(before: u32, lived: Duration) -> u32 {
    if lived.as_nanos() >= STABLE_AFTER.as_nanos() { 0 } else { before.saturating_add(1) }
}

/// Returns the reason of an end that the watchdog saw first.
async fn last_words(events: &mut (impl Stream<Item = LapinEvent> + Unpin)) -> String {
    let error = async {
        while let Some(event) = events.next().await {
            if let LapinEvent::Error(error) = event {
                return Some(error.to_string());
            }
        }
        None
    };
    timeout(Duration::from_millis(50), error)
        .await
        .ok()
        .flatten()
        .unwrap_or_else(|| "the connection is no longer connected".to_owned())
}

#[cfg(test)]
mod tests;
