//! Keeps one connection up: dials with backoff, watches, and dials again.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use garenne_shared::{Chain, config::Address};
use lapin::{Connection, Event as LapinEvent};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{Link, Phase, Shared};
use crate::{
    Capabilities, Error, ErrorKind, Event, Role,
    declare::apply_again,
    dial::{Dialed, dial},
    metric,
    problem::Problem,
    wire::{Blocked, Pinger, Wire, silent},
};

/// How often a connection is looked at while nothing happens.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A connection that lasted this long was stable: its end starts a new series of attempts.
const STABLE_AFTER: Duration = Duration::from_secs(5);

/// A connection that was up, however short, was not refused: its end counts as no more than so many failures.
const FAILURES_AFTER_UP: u32 = 3;

/// How long a broker may take to answer `channel.close`. RabbitMQ handles the requests of a channel in order, and one that needs a
/// queue whose node is gone ends when the node counts as down, after `net_ticktime` (60 s by default).
const CLOSE_LIMIT: Duration = Duration::from_secs(75);

/// How long a broker may take to answer `connection.close` while it blocks publishers.
const CLOSE_BLOCKED_LIMIT: Duration = Duration::from_millis(500);

/// Whoever waits before another attempt and hears that another connection came up tries within this time.
const JITTER: Duration = Duration::from_millis(200);

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
        let (mut next, mut failed, mut last) = (first, 0, None);
        loop {
            let mut dialed = match next.take() {
                Some(dialed) => dialed,
                None => match self.dial(&mut failed, last.as_ref()).await {
                    Some(dialed) => dialed,
                    None => break,
                },
            };
            let restored = self.link.closed().run_until_cancelled(self.restore(&dialed));
            let problem = restored.await.flatten();
            let (epoch, since) = (self.up(&dialed), Instant::now());
            let end = self.watch(&mut dialed).await;
            drop(problem);
            self.link.set_current(None);
            match end {
                End::Lost(reason) => self.down(epoch, reason),
                End::Closed => {
                    // At once, so that nobody looks for the connection that has just been taken away.
                    self.closed();
                    self.close(&dialed).await;
                    return;
                }
            }
            last = Some(dialed.endpoint.clone());
            // Asks lapin's thread to end.
            drop(dialed);
            failed = failures(failed, since.elapsed());
            if failed > 0 && self.pause(self.link.delay(failed)).await.is_none() {
                break;
            }
        }
        self.closed();
    }

    fn closed(&self) {
        metric::connection_blocked(self.link.0.role, false);
        metric::connection_down(self.link.0.role);
        self.link.0.blocked.send_replace(None);
        self.link.0.state.send_modify(|state| state.phase = Phase::Closed);
    }

    /// Dials until a broker answers; `None` if the client was closed meanwhile.
    async fn dial(&self, failed: &mut u32, last: Option<&Address>) -> Option<Dialed> {
        let (role, config, closed) = (self.link.0.role, self.link.config(), self.link.closed());
        loop {
            let attempt = dial(config, role, &self.link.0.shared.runtime, last);
            let error = match closed.run_until_cancelled(attempt).await? {
                Ok(dialed) => return Some(dialed),
                Err(error) => error,
            };
            *failed = failed.saturating_add(1);
            let delay = self.link.delay(*failed);
            self.complain(&error, *failed, delay);
            self.pause(delay).await?;
        }
    }

    /// Waits, or until another connection came up; `None` if the client was closed meanwhile.
    async fn pause(&self, delay: Duration) -> Option<()> {
        let waited = async {
            let up = self.link.0.shared.up.notified();
            if timeout(delay, up).await.is_ok() {
                let jitter = JITTER.mul_f64(fastrand::f64()).min(delay);
                tokio::time::sleep(jitter).await;
            }
        };
        self.link.closed().run_until_cancelled(waited).await
    }

    fn complain(&self, error: &Error, failed: u32, delay: Duration) {
        let role = self.link.0.role;
        if error.kind() == ErrorKind::AccessRefused {
            tracing::error!(%role, failed, ?delay, error = %Chain(error), "broker refuses the connection, trying again");
        } else {
            tracing::warn!(%role, failed, ?delay, error = %Chain(error), "cannot connect, trying again");
        }
    }

    /// Declares again what the client owns, before anybody uses the connection.
    async fn restore(&self, dialed: &Dialed) -> Option<Problem> {
        if self.link.0.role != Role::Consume {
            return None;
        }
        let Shared { owned, problems, .. } = &self.link.0.shared;
        let owned = owned.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let limit = self.link.config().connection.rpc_timeout;
        let mut problem = None;
        for topology in &owned {
            match apply_again(&dialed.wire, limit, topology).await {
                Ok(applied) => {
                    tracing::info!(objects = applied.declared.len(), "declared the topology again");
                }
                Err(error) => {
                    tracing::error!(error = %Chain(&error), "the topology cannot be declared again");
                    problem = Some(problems.begin(format!("the topology cannot be declared again: {error}")));
                }
            }
        }
        problem
    }

    fn up(&self, dialed: &Dialed) -> u64 {
        let (role, inner) = (self.link.0.role, &self.link.0);
        self.link.set_current(Some(Arc::clone(&dialed.wire)));
        inner.shared.set_capabilities(Capabilities::read(dialed.wire.server()));
        let mut epoch = 0;
        inner.state.send_modify(|state| {
            state.phase = Phase::Connected;
            state.epoch += 1;
            epoch = state.epoch;
        });
        metric::connection_opened(role);
        tracing::info!(%role, epoch, endpoint = %dialed.endpoint, "connected");
        self.tell(Event::Connected { role, epoch });
        inner.shared.up.notify_waiters();
        epoch
    }

    fn down(&self, epoch: u64, reason: String) {
        let role = self.link.0.role;
        self.link.0.blocked.send_replace(None);
        self.link.0.state.send_modify(|state| state.phase = Phase::Connecting);
        self.link.0.shared.down.notify_waiters();
        metric::connection_lost(role);
        metric::connection_blocked(role, false);
        tracing::warn!(%role, epoch, reason, "connection lost");
        self.tell(Event::Lost { role, epoch, reason });
    }

    /// Watches a connection until it ends or the client is closed.
    async fn watch(&self, dialed: &mut Dialed) -> End {
        let Dialed { connection, wire, suspicions, .. } = dialed;
        let mut events = Box::pin(connection.events_listener());
        let mut blocked = wire.blocked();
        // The broker may have said it before anybody watched.
        blocked.mark_changed();
        let mut pinger = Pinger::new(Arc::clone(wire));
        let down = &self.link.0.shared.down;
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let why = tokio::select! {
                () = self.link.closed().cancelled() => return End::Closed,
                lost = wire.ended() => return End::Lost(lost.reason.to_string()),
                event = events.next() => match lapin_ended(connection, event) {
                    Some(reason) => return End::Lost(wire.reason().map_or(reason, str::to_owned)),
                    None => continue,
                },
                Ok(()) = blocked.changed() => {
                    let now = blocked.borrow_and_update().clone();
                    if now.is_some() || self.link.is_blocked() {
                        self.set_blocked(now);
                    }
                    continue;
                }
                Some(why) = suspicions.recv() => why,
                () = down.notified() => "another connection was lost".to_owned(),
                _ = look.tick() => {
                    if wire.closing_for() >= CLOSE_LIMIT {
                        wire.kill(format!("the broker did not answer to channel.close within {CLOSE_LIMIT:?}"));
                        continue;
                    }
                    let silent = wire.silent_for();
                    if silent < self.link.config().connection.probe_after {
                        continue;
                    }
                    format!("nothing came for {silent:?}")
                }
            };
            self.probe(wire, &mut pinger, &blocked, &why).await;
        }
    }

    /// Asks a peer for a sign of life that may be dead, and gives it up if it gives none.
    ///
    /// A broker that blocks publishers does not read; only the heartbeats tell then.
    async fn probe(
        &self,
        wire: &Wire,
        pinger: &mut Pinger,
        blocked: &watch::Receiver<Option<Blocked>>,
        why: &str,
    ) {
        if blocked.borrow().is_some() {
            return;
        }
        let limit = self.link.config().connection.probe_timeout;
        // A receiver of its own: the watching loop must see the change as well.
        let mut blocked = blocked.clone();
        let alive = tokio::select! {
            alive = pinger.is_alive(limit) => alive,
            _ = blocked.wait_for(Option::is_some) => true,
            () = self.link.closed().cancelled() => true,
        };
        if !alive {
            wire.kill(format!("the broker gave no sign of life within {limit:?} ({why})"));
        }
    }

    fn set_blocked(&self, blocked: Option<Blocked>) {
        let role = self.link.0.role;
        metric::connection_blocked(role, blocked.is_some());
        let event = match &blocked {
            Some(Blocked { reason, .. }) => {
                tracing::warn!(%role, reason, "broker blocks publishers");
                Event::Blocked { role, reason: reason.clone() }
            }
            None => {
                tracing::info!(%role, "broker no longer blocks publishers");
                Event::Unblocked { role }
            }
        };
        self.link.0.blocked.send_replace(blocked);
        self.tell(event);
    }

    /// Closes politely within the limit; the kill handle does the rest.
    async fn close(&self, dialed: &Dialed) {
        let Dialed { connection, wire, .. } = dialed;
        let limit = self.link.config().connection.rpc_timeout;
        // A broker that blocks publishers does not read their connections: it would answer when the alarm is over.
        let is_blocked = wire.blocked().borrow().is_some();
        let limit = if is_blocked { limit.min(CLOSE_BLOCKED_LIMIT) } else { limit };
        match timeout(limit, silent(connection.close(200, "closed by the application".into()))).await {
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
fn failures(before: u32, lived: Duration) -> u32 {
    if lived >= STABLE_AFTER { 0 } else { before.saturating_add(1).min(FAILURES_AFTER_UP) }
}

/// Returns why lapin has ended the connection, if it has.
fn lapin_ended(connection: &Connection, event: Option<LapinEvent>) -> Option<String> {
    match event {
        None => Some("lapin ended the connection".to_owned()),
        Some(LapinEvent::Error(error)) if !connection.status().connected() => Some(error.to_string()),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests;
