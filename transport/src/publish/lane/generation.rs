//! The life of one channel: from the first publish on it to its end.

use std::{
    collections::{HashSet, VecDeque},
    future::{Ready, ready},
    time::{Duration, Instant},
};

use futures_util::{
    StreamExt as _,
    future::{Either, poll_fn},
    stream::FuturesUnordered,
};
use garenne_shared::ExchangeName;
use lapin::Channel;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::Lane;
use crate::{
    ErrorKind,
    fault::fault,
    link::OpenChannel,
    publish::{
        Confirmed, PublishErrorKind,
        clock::Clock,
        command::{Command, Failure, Told, Waiter},
        confirm_channel::header_too_large,
        flight::{Flight, Landed, Settled, Verdicts, fly, lock},
        tracker::{Tracker, Verdict},
    },
};

/// How many messages are taken from the queue at once.
const BATCH: usize = 128;
/// How many completions are handled before new messages get a turn.
const LANDINGS: usize = 512;

/// One channel and everything under way on it.
pub(super) struct Generation<'a> {
    lane: &'a mut Lane,
    epoch: u64,
    frame_max: usize,
    known: HashSet<ExchangeName>,
    waiters: Waiters,
    clock: Clock,
    swept_to: u64,
    /// Why the channel is no longer used.
    ended: Option<String>,
    /// No handle is left that could send another message.
    is_last: bool,
}

/// Who waits, in publish order.
struct Waiters {
    base: u64,
    entries: VecDeque<Option<(Waiter, Duration)>>,
    /// Every publish below has its outcome or is overdue.
    expired_below: u64,
    overdue: usize,
}

type Flights<F> = FuturesUnordered<Either<F, Ready<Landed>>>;

// === impl Generation ===

impl<'a> Generation<'a> {
    pub(super) fn new(lane: &'a mut Lane, open: &OpenChannel) -> Self {
        Self {
            lane,
            epoch: open.epoch,
            frame_max: open.frame_max as usize,
            known: HashSet::new(),
            waiters: Waiters { base: 0, entries: VecDeque::new(), expired_below: 0, overdue: 0 },
            clock: Clock::start(Instant::now()),
            swept_to: 0,
            ended: None,
            is_last: false,
        }
    }

    /// Publishes until the channel dies or the client is closed; then everything has its outcome.
    pub(super) async fn run(mut self, channel: &Channel) {
        let verdicts: Verdicts = Verdicts::new(Tracker::new());
        let mut flights = Flights::new();
        let start = |flight| Either::Left(fly(channel, &verdicts, flight));
        let mut state = self.lane.link.state();
        let closed = self.lane.link.closed().clone();
        let limit = self.lane.link.config().publish.confirm_timeout;
        let mut overdue = interval((limit / 10).clamp(Duration::from_millis(10), Duration::from_secs(1)));
        overdue.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(BATCH);
        self.clock.set_paused(state.borrow_and_update().blocked.is_some(), Instant::now());
        batch.extend(self.lane.backlog.drain(..));
        loop {
            for command in batch.drain(..) {
                if let Some(flight) = self.take_off(channel, &verdicts, command).await {
                    flights.push(start(flight));
                }
            }
            if self.ended.is_some() || (self.is_last && flights.is_empty()) {
                break;
            }
            tokio::select! {
                biased;
                Some(landed) = flights.next(), if !flights.is_empty() => {
                    self.land(&verdicts, landed);
                    self.land_ready(&verdicts, &mut flights).await;
                }
                taken = self.lane.commands.recv_many(&mut batch, BATCH), if !self.is_last => {
                    self.is_last = taken == 0;
                }
                _ = overdue.tick() => self.expire(limit),
                Ok(()) = state.changed() => {
                    let blocked = state.borrow_and_update().blocked.is_some();
                    self.clock.set_paused(blocked, Instant::now());
                }
                () = closed.cancelled() => {
                    self.ended = Some("the client was closed".to_owned());
                }
            }
        }
        let patience = self.lane.link.config().connection.rpc_timeout;
        self.finish(&verdicts, &mut flights, patience).await;
    }

    /// Sends a message, or keeps it for the next channel, or refuses it.
    async fn take_off(&mut self, channel: &Channel, verdicts: &Verdicts, command: Command) -> Option<Flight> {
        if self.ended.is_none() && !self.is_alive(channel) {
            self.ended = Some("the channel was closed".to_owned());
        }
        if self.ended.is_some() {
            self.lane.backlog.push_back(command);
            return None;
        }
        if command.header_len > self.frame_max {
            let detail = header_too_large(command.header_len, self.frame_max);
            command.refuse(Failure::new(PublishErrorKind::TooLarge, detail));
            return None;
        }
        if !self.known.contains(&command.identity.exchange) {
            match self.lane.exists(&command.identity.exchange).await {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    let detail = "the exchange does not exist; apply the topology or correct the name";
                    command.refuse(Failure::new(PublishErrorKind::Unroutable, detail).because(error));
                    return None;
                }
                // Without the permission to look, or without an answer, the publish itself finds out.
                _ => self.known.insert(command.identity.exchange.clone()),
            };
        }
        let Command { identity, properties, body, mandatory, waiter, .. } = command;
        let number = lock(verdicts).begin();
        let due = self.clock.reading(Instant::now()) + self.lane.link.config().publish.confirm_timeout;
        self.waiters.entries.push_back(Some((waiter, due)));
        Some(Flight { number, identity, properties, body, mandatory })
    }

    fn is_alive(&self, channel: &Channel) -> bool {
        channel.status().connected() && self.lane.link.state().borrow().epoch == self.epoch
    }

    /// Handles everything that is ready, then hands out the verdicts that are certain.
    async fn land_ready<F: Future<Output = Landed>>(
        &mut self,
        verdicts: &Verdicts,
        flights: &mut Flights<F>,
    ) {
        for _ in 0..LANDINGS {
            let ready = poll_fn(|cx| std::task::Poll::Ready(flights.poll_next_unpin(cx))).await;
            let std::task::Poll::Ready(Some(landed)) = ready else { break };
            self.land(verdicts, landed);
        }
        let sweep = {
            let mut tracker = lock(verdicts);
            let waiters = &mut self.waiters;
            tracker.judge(|_, settled, verdict| waiters.settle(&settled, verdict));
            tracker.sweep()
        };
        if let Some(mark) = sweep
            && mark > self.swept_to
        {
            self.swept_to = mark;
            flights.push(Either::Right(ready(Landed::Swept(mark))));
        }
    }

    fn land(&mut self, verdicts: &Verdicts, landed: Landed) {
        match landed {
            Landed::Confirmed { settled, identity, carried } => {
                lock(verdicts).completed(settled.number, carried, identity, settled);
            }
            Landed::Failed { number, error } => {
                lock(verdicts).failed(number);
                let cause = fault(&error, "waiting for confirms");
                let detail = "the channel was lost before a confirm arrived; it may or may not be stored";
                self.waiters
                    .tell(number, Err(Failure::new(PublishErrorKind::Unknown, detail).because(cause)));
                self.ended.get_or_insert_with(|| error.to_string());
            }
            Landed::Swept(mark) => lock(verdicts).swept(mark),
        }
    }

    /// Ends the wait of publishes whose confirm is overdue. Their confirms stay where they are, so nothing leaks.
    fn expire(&mut self, limit: Duration) {
        let now = self.clock.reading(Instant::now());
        self.waiters.expire(now, limit);
        let window = self.lane.link.config().publish.window.max(1);
        if !self.clock.is_paused() && self.waiters.overdue * 2 > window {
            // The channel is stuck, and what is stuck on it takes the window's places: give it up.
            self.ended = Some(format!("{} confirms are overdue", self.waiters.overdue));
        }
    }

    /// Waits until everything under way has ended, then tells what is left.
    async fn finish<F: Future<Output = Landed>>(
        mut self,
        verdicts: &Verdicts,
        flights: &mut Flights<F>,
        patience: Duration,
    ) {
        let reason = self.ended.clone().unwrap_or_default();
        tracing::debug!(reason, under_way = flights.len(), "publishing channel ended");
        // On a dead channel every future has ended or does so at once; on a stuck one they never do.
        let is_stuck = self.waiters.overdue > 0;
        let patience = if is_stuck { Duration::ZERO } else { patience };
        let drained = async {
            while let Some(landed) = flights.next().await {
                self.land(verdicts, landed);
            }
        };
        let _ = timeout(patience, drained).await;
        let mut tracker = lock(verdicts);
        let waiters = &mut self.waiters;
        tracker.close(|_, settled, verdict| waiters.settle(&settled, verdict));
    }
}

// === impl Waiters ===

impl Waiters {
    /// Tells the outcome that a verdict means.
    fn settle(&mut self, settled: &Settled, verdict: Verdict) {
        let refused = |kind, detail: &'static str| Err(Failure::new(kind, detail));
        self.tell(settled.number, match (settled.nacked, verdict, settled.mandatory) {
            (true, _, _) => refused(
                PublishErrorKind::Nacked,
                "the broker refused it (basic.nack), as a full queue with overflow `reject-publish` does",
            ),
            (false, Verdict::Returned, _) => refused(
                PublishErrorKind::Unroutable,
                "no queue is bound for its routing key; apply the topology or allow unroutable messages",
            ),
            (false, Verdict::Unknown, true) => refused(
                PublishErrorKind::Unknown,
                "the broker confirmed it, but the channel was lost before it was certain that a queue took it",
            ),
            // Of a publish that is not mandatory the broker never says whether a queue took it.
            (false, _, routed) => Ok(Confirmed { routed, latency: Duration::ZERO }),
        });
    }

    fn tell(&mut self, number: u64, outcome: Told) {
        if let Some(mut waiter) = self.take(number) {
            let latency = waiter.sent.elapsed();
            waiter.tell(outcome.map(|confirmed| Confirmed { latency, ..confirmed }));
        }
    }

    fn expire(&mut self, now: Duration, limit: Duration) {
        loop {
            let Ok(index) = usize::try_from(self.expired_below.saturating_sub(self.base)) else { return };
            match self.entries.get_mut(index) {
                None => return,
                Some(Some((_, due))) if *due > now => return,
                Some(Some((waiter, _))) => {
                    self.overdue += 1;
                    let detail = format!(
                        "no confirm arrived within `publish.confirm_timeout`, {limit:?}; it may or may not be stored"
                    );
                    waiter.tell(Err(Failure::new(PublishErrorKind::Unknown, detail)));
                }
                Some(None) => {}
            }
            self.expired_below = self.base + index as u64 + 1;
        }
    }

    fn take(&mut self, number: u64) -> Option<Waiter> {
        let index = usize::try_from(number.checked_sub(self.base)?).ok()?;
        let (waiter, _) = self.entries.get_mut(index)?.take()?;
        if waiter.is_told() {
            self.overdue -= 1;
        }
        while self.entries.front().is_some_and(Option::is_none) {
            self.entries.pop_front();
            self.base += 1;
        }
        Some(waiter)
    }
}
