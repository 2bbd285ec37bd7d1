//! The task that keeps a subscription up: carries out what the state machine decides.

use std::{sync::Arc, time::Duration};

use garenne_shared::{Chain, QueueName};
use tokio::{
    sync::watch,
    time::{Instant, interval, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    intake::{End, Intake},
    registry::Registration,
    settler::Settler,
    state::{Action, Event, State},
    subscribe::{Live, Opener},
};
use crate::{
    Error, ErrorKind, event,
    link::{Link, Phase},
    metric,
    problem::Problem,
    wire::End as ChannelEnd,
};

/// How often it is looked at whether the channel still lives while what is being handled is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A consumer that has delivered nothing for this long, and holds nothing, is asked for a sign of life of its queue.
const PROBE_AFTER: Duration = Duration::from_secs(15);

/// The subscriptions of a client together ask no more often than this.
const PROBE_EVERY: Duration = Duration::from_millis(100);

/// How long to wait after the broker cancelled a consumer. RabbitMQ may still be deleting its queue, and a subscription
/// during that time closes the connection with 541.
const AFTER_CANCEL: Duration = Duration::from_millis(500);

/// A consumer that lasted this long was stable: its end starts a new series of attempts.
const STABLE_AFTER: Duration = Duration::from_secs(5);

/// What the subscriber wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Run,
    Cancel,
    /// Settle until then, and close.
    Close(Instant),
}

/// Keeps one subscription up.
pub(super) struct Supervisor {
    pub(super) link: Link,
    pub(super) queue: QueueName,
    pub(super) opener: Opener,
    pub(super) intake: Arc<Intake>,
    pub(super) settler: Arc<Settler>,
    pub(super) wish: watch::Receiver<Wish>,
    /// Cancelled when the client closes.
    pub(super) closing: CancellationToken,
    /// `None` once no deliveries are wanted any more.
    pub(super) registration: Option<Registration>,
    /// Why the queue cannot be subscribed to at the moment.
    pub(super) problem: Option<(String, Problem)>,
}

/// A live consumer and since when.
#[derive(Debug)]
struct Watched {
    live: Live,
    since: Instant,
}

// === impl Supervisor ===

impl Supervisor {
    /// Runs until the subscription is closed, and returns what could not be settled as an error.
    pub(super) async fn run(mut self, first: Live) -> Result<(), Error> {
        let settler = self.settler.clone();
        tokio::select! {
            result = self.supervise(first) => result,
            () = settler.tick_forever() => Ok(()),
        }
    }

    async fn supervise(&mut self, first: Live) -> Result<(), Error> {
        let mut live = Some(self.begin(first));
        let mut state = State::Running { failed: 0 };
        let mut action = Action::Watch;
        loop {
            let event = match action {
                Action::Subscribe => self.subscribe(state, &mut live).await,
                Action::Watch => self.watch(&mut live).await,
                Action::Wait { failed } => self.wait(failed).await,
                Action::Cancel => self.cancel(live.as_ref()).await,
                Action::Linger => self.linger().await,
                Action::Finish => return self.finish(live).await,
            };
            (state, action) = state.next(event);
        }
    }

    fn begin(&mut self, live: Live) -> Watched {
        self.problem = None;
        self.set_subscribed(true);
        Watched { live, since: Instant::now() }
    }

    async fn subscribe(&mut self, state: State, live: &mut Option<Watched>) -> Event {
        let State::Subscribing { failed } = state else { return Event::Refused };
        let resume_offset = self.settler.resume_offset();
        let epoch = self.link.state().borrow().epoch;
        let opened = tokio::select! {
            biased;
            event = wished(&mut self.wish, &self.closing, self.link.closed(), Wish::Run) => return event,
            opened = self.opener.open(&self.link, &self.intake, resume_offset) => opened,
        };
        match opened {
            Ok(opened) => {
                *live = Some(self.begin(opened));
                let attempts = failed.saturating_add(1);
                tracing::info!(queue = %self.queue, attempts, "subscribed again");
                metric::resubscribed(&self.queue);
                self.announce(event::Event::Resubscribed { queue: self.queue.clone(), attempts });
                Event::Subscribed
            }
            Err(error) => {
                tracing::warn!(queue = %self.queue, attempts = failed + 1, error = %Chain(&error), "could not subscribe again");
                metric::subscribe_failed(&self.queue);
                let text = format!("queue `{}` cannot be subscribed to: {error}", self.queue);
                if self.problem.as_ref().is_none_or(|(told, _)| *told != text) {
                    self.problem = Some((text.clone(), self.link.problem(text)));
                }
                if error.kind() == ErrorKind::TimedOut {
                    self.doubt(epoch);
                }
                Event::Refused
            }
        }
    }

    /// Lets another node be tried where this one does not reach the queue, unless it serves somebody else.
    fn doubt(&self, epoch: u64) {
        let reason = format!("the node does not reach queue `{}`", self.queue);
        self.link.doubt(epoch, PROBE_AFTER / 3, &reason);
    }

    /// Waits until the consumer is gone or somebody wants something.
    async fn watch(&mut self, watched: &mut Option<Watched>) -> Event {
        let Some(Watched { live, since }) = watched.as_ref() else { return Event::Ended { stable: false } };
        let mut probed = Instant::now();
        let end = loop {
            let idle = self.settler.idle_for().min(probed.elapsed());
            let left = self.probe_after().saturating_sub(idle);
            tokio::select! {
                biased;
                event = wished(&mut self.wish, &self.closing, self.link.closed(), Wish::Run) => return event,
                () = self.intake.ended() => {}
                () = sleep(left) => {}
            }
            if let Some(end) = self.intake.take_end() {
                break end;
            }
            if probed.elapsed() >= PROBE_AFTER && self.settler.idle_for() >= PROBE_AFTER {
                if self.probe(live.epoch).await.is_some() {
                    self.doubt(live.epoch);
                }
                probed = Instant::now();
            }
        };
        let is_lost = matches!(end, End::Channel(ChannelEnd::Lost(_)));
        let stable = is_lost || since.elapsed() >= STABLE_AFTER;
        if let Some(watched) = watched.take() {
            self.forget(watched, &end).await;
        }
        Event::Ended { stable }
    }

    /// Returns how long nothing may be delivered before the queue is asked, which differs a little each time.
    ///
    /// One subscription that gets no answer costs the whole connection, so it is enough that some of many ask.
    fn probe_after(&self) -> Duration {
        let subscriptions = self.registration.as_ref().map_or(1, Registration::subscriptions);
        let share = PROBE_EVERY.saturating_mul(u32::try_from(subscriptions).unwrap_or(u32::MAX));
        PROBE_AFTER.max(share).mul_f64(1.0 + 0.1 * fastrand::f64())
    }

    /// Asks the queue for a sign of life; returns an error if there is none.
    async fn probe(&mut self, epoch: u64) -> Option<Error> {
        if self.settler.resume_offset().is_some() {
            // A stream is read from anywhere, so the probe would read it.
            return None;
        }
        let limit = self.link.config().connection.probe_timeout;
        let (mut ended, mut wish) = (self.link.state(), self.wish.clone());
        tokio::select! {
            probed = self.opener.probe(&self.link, limit) => probed.err().inspect(|error| {
                tracing::warn!(queue = %self.queue, error = %Chain(error), "queue gives no sign of life");
            }),
            _ = ended.wait_for(|state| state.epoch != epoch || state.phase != Phase::Connected) => None,
            _ = wished(&mut wish, &self.closing, self.link.closed(), Wish::Run) => None,
        }
    }

    /// Leaves a consumer that is gone: what is done is still sent if its channel lives, the rest the broker redelivers.
    async fn forget(&mut self, watched: Watched, end: &End) {
        self.set_subscribed(false);
        let alive = matches!(end, End::Cancelled);
        if alive {
            self.settler.flush();
        }
        self.intake.reset();
        let unsettled = self.settler.end();
        let reason = end.to_string();
        tracing::warn!(queue = %self.queue, reason, unsettled, "subscription ended without our asking, subscribing again");
        metric::subscription_lost(&self.queue);
        self.announce(event::Event::SubscriptionLost { queue: self.queue.clone(), reason });
        if alive {
            self.opener.close(&watched.live.channel).await;
            let mut wish = self.wish.clone();
            tokio::select! {
                () = sleep(AFTER_CANCEL) => {}
                _ = wished(&mut wish, &self.closing, self.link.closed(), Wish::Run) => {}
            }
        }
    }

    /// Waits before the next attempt, or until another connection is up.
    async fn wait(&mut self, failed: u32) -> Event {
        let delay = self.link.delay(failed);
        let mut state = self.link.state();
        let epoch = state.borrow_and_update().epoch;
        tokio::select! {
            biased;
            event = wished(&mut self.wish, &self.closing, self.link.closed(), Wish::Run) => event,
            Ok(_) = state.wait_for(|state| state.epoch != epoch) => Event::Elapsed,
            () = sleep(delay) => Event::Elapsed,
        }
    }

    async fn cancel(&mut self, live: Option<&Watched>) -> Event {
        if let Some(watched) = live
            && let Err(error) = self.opener.cancel(&watched.live).await
        {
            tracing::debug!(queue = %self.queue, %error, "consumer was not cancelled in good order");
        }
        self.linger().await
    }

    /// Ends the deliveries and waits to be closed.
    async fn linger(&mut self) -> Event {
        self.registration = None;
        self.problem = None;
        self.intake.finish();
        wished(&mut self.wish, &self.closing, self.link.closed(), Wish::Cancel).await
    }

    /// Hands back what nobody read, waits for what is being handled, and closes the channel.
    async fn finish(&mut self, live: Option<Watched>) -> Result<(), Error> {
        let already_over = self.intake.is_over();
        let Some(watched) = live else {
            self.intake.finish();
            return Ok(());
        };
        // First of all, for the case that the connection closes under us.
        self.settler.flush();
        if !already_over && let Err(error) = self.opener.cancel(&watched.live).await {
            tracing::debug!(queue = %self.queue, %error, "consumer was not cancelled in good order");
        }
        self.registration = None;
        self.intake.finish();
        self.intake.release_unread();
        let connected = self.drain(&watched).await;
        self.settler.flush();
        let confirmed = if connected { self.opener.round_trip(&watched.live.channel).await } else { Ok(()) };
        let released = self.settler.released();
        if connected && confirmed.is_ok() {
            self.opener.wait_for_queue(&watched.live.channel, released).await;
        }
        let left = self.settler.end();
        self.opener.close(&watched.live.channel).await;
        let queue = &self.queue;
        if !connected && left > 0 {
            let message = format!(
                "the connection was lost while {left} deliveries of queue `{queue}` were not settled; the broker \
                 redelivers them, and may redeliver those settled last"
            );
            return Err(Error::new(ErrorKind::ConnectionLost, message));
        }
        if left > 0 {
            let message = format!(
                "{left} deliveries of queue `{queue}` were not settled before the deadline; the broker redelivers them"
            );
            return Err(Error::new(ErrorKind::TimedOut, message));
        }
        confirmed
    }

    /// Waits until everything is settled or the deadline has come; `false` if the channel died meanwhile.
    async fn drain(&mut self, watched: &Watched) -> bool {
        let mut look = interval(LOOK_EVERY);
        let mut wish = self.wish.clone();
        loop {
            if !watched.live.channel.is_open() {
                return false;
            }
            let deadline = match *wish.borrow_and_update() {
                Wish::Close(deadline) => deadline,
                Wish::Run | Wish::Cancel => Instant::now(),
            };
            tokio::select! {
                biased;
                () = self.settler.drained() => return true,
                () = sleep_until(deadline) => return true,
                () = self.closing.cancelled() => return true,
                () = self.link.closed().cancelled() => return true,
                Ok(()) = wish.changed() => {}
                _ = look.tick() => {}
            }
        }
    }

    fn set_subscribed(&mut self, subscribed: bool) {
        if let Some(registration) = &mut self.registration {
            registration.set_subscribed(subscribed);
        }
    }

    fn announce(&self, event: event::Event) {
        // Nobody has to watch.
        let _ = self.link.events().send(event);
    }
}

impl Drop for Supervisor {
    /// Ends the deliveries, also where the task panicked: nobody waits for ever.
    fn drop(&mut self) {
        self.intake.finish();
    }
}

/// Waits until more is wished than `now`, or the client closes.
async fn wished(
    wish: &mut watch::Receiver<Wish>,
    closing: &CancellationToken,
    closed: &CancellationToken,
    now: Wish,
) -> Event {
    let changed = async {
        match wish.wait_for(|wish| *wish != now && *wish != Wish::Run).await.as_deref() {
            Ok(Wish::Cancel) => Event::Cancel,
            // Without its subscriber there is nothing to keep up.
            Ok(_) | Err(_) => Event::Close,
        }
    };
    tokio::select! {
        biased;
        () = closing.cancelled() => Event::Close,
        // The client was dropped without closing it.
        () = closed.cancelled() => Event::Close,
        event = changed => event,
    }
}
