//! The task that keeps a subscription up: carries out what the state machine decides.

use std::{sync::Arc, time::Duration};

use garenne_shared::QueueName;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until},
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
};

/// How often the stream is looked at while nobody reads it, which bounds how late a cancel is noticed.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A consumer that lasted this long was stable: its end starts a new series of attempts.
const STABLE_AFTER: Duration = Duration::from_secs(5);

/// The wait between attempts if the reconnect policy, which limits connecting, has no more to give.
const LAST_DELAY: Duration = Duration::from_secs(30);

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
}

/// A live consumer, as far as the supervisor needs it.
struct Watched {
    channel: lapin::Channel,
    tag: lapin::types::ShortString,
    epoch: u64,
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
        let tag = live.consumer.tag();
        let generation = self.settler.begin(live.channel.clone());
        self.intake.begin(generation, live.consumer);
        self.set_subscribed(true);
        Watched { channel: live.channel, tag, epoch: live.epoch, since: Instant::now() }
    }

    async fn subscribe(&mut self, state: State, live: &mut Option<Watched>) -> Event {
        let State::Subscribing { failed } = state else { return Event::Refused };
        let resume_offset = self.settler.resume_offset();
        let opened = tokio::select! {
            biased;
            event = wished(&mut self.wish, &self.closing, self.link.closed(), Wish::Run) => return event,
            opened = self.opener.open(&self.link, resume_offset) => opened,
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
                tracing::warn!(queue = %self.queue, attempts = failed + 1, %error, "could not subscribe again");
                metric::subscribe_failed(&self.queue);
                Event::Refused
            }
        }
    }

    /// Waits until the consumer is gone or somebody wants something.
    async fn watch(&mut self, live: &mut Option<Watched>) -> Event {
        let Some(watched) = live.as_ref() else { return Event::Ended { stable: false } };
        let mut state = self.link.state();
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = loop {
            tokio::select! {
                biased;
                event = wished(&mut self.wish, &self.closing, self.link.closed(), Wish::Run) => return event,
                () = self.intake.ended() => {}
                Ok(()) = state.changed() => {}
                _ = look.tick() => self.intake.look(),
            }
            let now = state.borrow_and_update();
            if now.epoch != watched.epoch || now.phase != Phase::Connected {
                break End::Lost;
            }
            if let Some(end) = self.intake.take_end() {
                break end;
            }
        };
        let stable = watched.since.elapsed() >= STABLE_AFTER;
        if let Some(watched) = live.take() {
            self.forget(watched, &end).await;
        }
        Event::Ended { stable }
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
        self.announce(event::Event::Cancelled { queue: self.queue.clone(), reason });
        if alive {
            self.opener.close(&watched.channel).await;
        }
    }

    async fn wait(&mut self, failed: u32) -> Event {
        let delay = self.link.config().connection.reconnect.delay(failed).unwrap_or(LAST_DELAY);
        tokio::select! {
            biased;
            event = wished(&mut self.wish, &self.closing, self.link.closed(), Wish::Run) => event,
            () = sleep(delay) => Event::Elapsed,
        }
    }

    async fn cancel(&mut self, live: Option<&Watched>) -> Event {
        if let Some(watched) = live
            && let Err(error) = self.opener.cancel(&watched.channel, watched.tag.clone()).await
        {
            tracing::debug!(queue = %self.queue, %error, "consumer was not cancelled in good order");
        }
        self.linger().await
    }

    /// Ends the deliveries and waits to be closed.
    async fn linger(&mut self) -> Event {
        self.registration = None;
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
        if !already_over && let Err(error) = self.opener.cancel(&watched.channel, watched.tag.clone()).await {
            tracing::debug!(queue = %self.queue, %error, "consumer was not cancelled in good order");
        }
        self.registration = None;
        self.intake.finish();
        self.intake.release_unread();
        let connected = self.drain(&watched).await;
        self.settler.flush();
        let confirmed = if connected { self.opener.round_trip(&watched.channel).await } else { Ok(()) };
        let left = self.settler.end();
        self.opener.close(&watched.channel).await;
        let queue = &self.queue;
        if !connected {
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
            if !watched.channel.status().connected() {
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
