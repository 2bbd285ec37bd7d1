//! The task behind a lane: opens channels, looks for exchanges, watches over what is overdue.

use std::{future::Future, sync::Arc, time::Duration};

use amq_protocol::protocol::{AMQPClass, confirm};
use garenne_shared::{Chain, ExchangeName};
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use super::{Lane, Step};
use crate::{
    Error, ErrorKind,
    declare::look_for_exchange,
    link::Link,
    problem::{Problem, Problems},
    publish::{
        PublishErrorKind,
        command::{Failure, Identities},
        generation::{Generation, Overdue, UnderWay, missing_exchange},
    },
    wire::{Channel, Sink},
};

/// How long to wait after a channel could not be opened.
const PAUSE: Duration = Duration::from_millis(250);
/// How often it is logged that no channel opens.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);
/// A message that waits to be sent for longer than this is a problem that the health shows.
const PATIENCE: Duration = Duration::from_secs(2);

/// The task behind a [`Lane`].
#[derive(Debug)]
pub(in crate::publish) struct Worker {
    pub(in crate::publish) lane: Arc<Lane>,
    pub(in crate::publish) link: Link,
    pub(in crate::publish) exchange: ExchangeName,
    pub(in crate::publish) identities: Identities,
    pub(in crate::publish) overdue: Arc<Overdue>,
    pub(in crate::publish) problems: Problems,
    /// The present channel, last, and those before it on which something is still under way.
    pub(in crate::publish) channels: Vec<(Channel, Arc<Generation>)>,
    pub(in crate::publish) problem: Option<(String, Problem)>,
    /// How many confirms were overdue when it was looked last.
    pub(in crate::publish) overdue_before: usize,
    /// Why no channel could be opened last.
    pub(in crate::publish) cause: Option<Error>,
    /// When that was logged last.
    pub(in crate::publish) complained: Option<Instant>,
    /// Outcome to all lanes when one of them finds no free channel.
    pub(in crate::publish) wanted: Arc<Notify>,
}

// === impl Worker ===

impl Worker {
    /// Runs until the client is closed.
    pub(in crate::publish) async fn run(mut self) {
        let closed = self.link.closed().clone();
        closed.run_until_cancelled(self.work()).await;
    }

    async fn work(&mut self) {
        loop {
            match self.lane.advance() {
                // Nobody waits for a channel, and those that do need it more.
                Step::Rest if self.lacks_a_place() => self.give_up_opening(),
                // What could not be opened is tried until it can, so that the health does not tell of yesterday.
                Step::Rest if self.cause.is_some() => self.open().await,
                Step::Rest => self.rest().await,
                Step::Open => self.open().await,
                Step::Look(exchange) => self.look(exchange).await,
                Step::Replace => self.lane.detach(),
            }
        }
    }

    /// Waits until there is something to do. An idle channel is closed when another lane finds none.
    async fn rest(&mut self) {
        let (lane, wanted) = (Arc::clone(&self.lane), Arc::clone(&self.wanted));
        let work = async {
            tokio::select! {
                () = lane.wake.notified() => false,
                () = wanted.notified() => true,
            }
        };
        let is_wanted = if self.tick() { self.while_ticking(work).await } else { work.await };
        if is_wanted && self.lane.detach_if_idle() {
            self.channels.retain(|(_, generation)| generation.waiting() > 0);
        }
    }

    /// Returns whether the last channel did not open because the connection has no more of them.
    fn lacks_a_place(&self) -> bool {
        self.cause.as_ref().is_some_and(|cause| cause.kind() == ErrorKind::Exhausted)
    }

    fn give_up_opening(&mut self) {
        self.cause = None;
        self.problem = None;
    }

    async fn open(&mut self) {
        let limit = self.link.config().publish.confirm_timeout;
        let (identities, overdue) = (self.identities.clone(), Arc::clone(&self.overdue));
        let generation = Arc::new(Generation::new(&self.lane, identities, overdue, limit));
        let opening = confirming(self.link.clone(), Arc::clone(&generation));
        match self.while_ticking(opening).await {
            Ok(channel) => {
                self.cause = None;
                self.complained = None;
                if generation.begin(channel.sender()) {
                    self.lane.begin(Arc::clone(&generation));
                    self.channels.push((channel, generation));
                }
            }
            Err(error) => {
                self.complain(&error);
                if error.kind() == ErrorKind::Exhausted {
                    self.wanted.notify_waiters();
                }
                self.cause = Some(error);
                self.while_ticking(sleep(PAUSE)).await;
            }
        }
    }

    /// Logs that no channel opens, not at every attempt.
    fn complain(&mut self, error: &Error) {
        let exchange = &self.exchange;
        if self.complained.is_some_and(|at| at.elapsed() < COMPLAIN_EVERY) {
            tracing::debug!(%exchange, error = %Chain(error), "no channel to publish on, trying again");
            return;
        }
        tracing::warn!(%exchange, error = %Chain(error), "no channel to publish on, trying again");
        self.complained = Some(Instant::now());
    }

    /// Makes sure that an exchange exists, on a channel of its own, because a refusal closes that.
    ///
    /// A publish to a missing exchange costs the channel and every confirm outstanding on it.
    async fn look(&mut self, exchange: ExchangeName) {
        let link = self.link.clone();
        let looking = async { look_for_exchange(&link, &exchange).await };
        match self.while_ticking(looking).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.lane.missing(&exchange, || missing_exchange(copy(&error)));
            }
            // Without the permission to look, or without an answer, the publish itself finds out.
            _ => self.lane.found(exchange),
        }
    }

    /// Waits for something, and watches over what is overdue meanwhile.
    async fn while_ticking<T>(&mut self, work: impl Future<Output = T>) -> T {
        let limit = self.link.config().publish.confirm_timeout;
        let mut ticks = interval((limit / 10).clamp(Duration::from_millis(10), Duration::from_millis(250)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                _ = ticks.tick() => { self.tick(); }
            }
        }
    }

    /// Ends what has waited too long; returns `false` if nothing waits.
    fn tick(&mut self) -> bool {
        let config = Arc::clone(self.link.config());
        let limit = config.publish.confirm_timeout;
        let waited = self.lane.expire(limit, || self.unsent(limit));
        let is_blocked = self.link.is_blocked_for_less_than(config.publish.blocked_timeout);
        let mut overdue = 0;
        let mut given_up = false;
        let mut ended = Vec::new();
        for (channel, generation) in &self.channels {
            let UnderWay { open, overdue: late, is_hopeless, ended: is_over } = generation.expire(is_blocked);
            overdue += late;
            let clogs = late > 0 && self.overdue.clog(config.publish.window, config.publish.window_bytes);
            // What never comes must not take the window's places for ever, not even a few: a message that needs all of them waits for the
            // last one, and everyone else behind it.
            let is_given_up = !is_over && !is_blocked && (clogs || is_hopeless);
            if is_given_up {
                generation.give_up(&format!("{late} confirms are overdue"));
                // A node that answers but confirms nothing to anybody is left for another.
                self.link.doubt_confirms(limit);
            }
            given_up |= is_given_up;
            ended.push((is_over || is_given_up, open));
            if late > 0 && channel.is_open() {
                channel.sender().wire().suspect("confirms are overdue".to_owned());
            }
        }
        if given_up || overdue > self.overdue_before {
            // What waits for one of these may be sent now, on this channel or on another.
            self.lane.wake();
        }
        self.overdue_before = overdue;
        // Dropping a channel closes it.
        let present = self.channels.len().saturating_sub(1);
        let mut ended = ended.into_iter().enumerate();
        self.channels.retain(|_| {
            ended.next().is_some_and(|(at, (is_over, open))| !is_over && (at == present || open > 0))
        });
        self.show(waited, overdue);
        !self.channels.is_empty() || waited.is_some()
    }

    /// Shows in the health what waits too long.
    fn show(&mut self, waited: Option<Duration>, overdue: usize) {
        let patience = PATIENCE.min(self.link.config().publish.confirm_timeout / 2);
        let stuck = self.cause.is_some() || waited.is_some_and(|waited| waited >= patience);
        if !stuck && overdue == 0 {
            self.problem = None;
        } else {
            let exchange = &self.exchange;
            let text = if stuck {
                format!("no channel opens to publish to exchange `{exchange}`")
            } else {
                format!("confirms of messages for exchange `{exchange}` are overdue")
            };
            if self.problem.as_ref().is_none_or(|(told, _)| *told != text) {
                self.problem = Some((text.clone(), self.problems.begin(text)));
            }
        }
    }

    fn unsent(&self, limit: Duration) -> Failure {
        let why = match &self.cause {
            Some(_) => "no channel could be opened",
            None => "there was no connection, or an earlier publish had no outcome",
        };
        let detail = format!("it could not be sent within `publish.confirm_timeout`, {limit:?}: {why}");
        let failure = Failure::new(PublishErrorKind::NotSent, detail);
        match &self.cause {
            Some(cause) => failure.because(copy(cause)),
            None => failure,
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Also where the task panicked: nobody waits for ever.
        self.lane.close();
        for (_, generation) in &self.channels {
            generation.give_up("the client was closed");
        }
    }
}

/// Opens a channel in confirm mode.
async fn confirming(link: Link, generation: Arc<Generation>) -> Result<Channel, Error> {
    let sink: Arc<dyn Sink> = generation;
    let open = link.open_channel(Some(sink)).await?;
    let select = AMQPClass::Confirm(confirm::AMQPMethod::Select(confirm::Select { nowait: false }));
    let limit = link.config().connection.rpc_timeout;
    open.channel.call(select, limit, "turning on publisher confirms").await?;
    Ok(open.channel)
}

/// One cause, many publishes.
fn copy(error: &Error) -> Error {
    Error::new(error.kind(), error.to_string())
}
