//! The life of one channel: from the first publish on it to its end.

use std::{
    collections::HashSet,
    future::{Ready, pending, ready},
    pin::Pin,
    sync::Arc,
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

use super::{Lane, look};
use crate::{
    Error, ErrorKind,
    fault::fault,
    link::OpenChannel,
    publish::{
        PublishErrorKind,
        clock::Clock,
        command::{Command, Failure},
        confirm_channel::header_too_large,
        flight::{Flight, Landed, Verdicts, fly, lock},
        tracker::Tracker,
        waiters::Waiters,
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
    /// An exchange that is looked for; messages wait in the backlog meanwhile.
    looking: Option<Looking>,
    waiters: Waiters,
    clock: Clock,
    swept_to: u64,
    /// How many publishes the broker may have refused when it closed the channel.
    suspects: usize,
    /// Why the channel is no longer used.
    ended: Option<String>,
    /// No handle is left that could send another message.
    is_last: bool,
}

struct Looking {
    exchange: ExchangeName,
    answer: Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>,
}

type Flights<F> = FuturesUnordered<Either<F, Ready<Landed>>>;

// === impl Generation ===

impl<'a> Generation<'a> {
    pub(super) fn new(lane: &'a mut Lane, open: &OpenChannel) -> Self {
        let waiters = Waiters::new(Arc::clone(&lane.overdue));
        Self {
            lane,
            epoch: open.epoch,
            // 0 means no limit (AMQP 0-9-1 section 4.2.3, `connection.tune`).
            frame_max: if open.frame_max == 0 { usize::MAX } else { open.frame_max as usize },
            known: HashSet::new(),
            looking: None,
            waiters,
            clock: Clock::start(Instant::now()),
            swept_to: 0,
            suspects: 0,
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
        loop {
            if self.looking.is_none() {
                batch.splice(..0, self.lane.backlog.drain(..));
            }
            for command in batch.drain(..) {
                flights.extend(self.take_off(channel, &verdicts, command).map(start));
            }
            if self.ended.is_some() || (self.is_last && flights.is_empty() && self.lane.backlog.is_empty()) {
                break;
            }
            let takes = !self.is_last && self.lane.backlog.is_empty();
            tokio::select! {
                biased;
                Some(landed) = flights.next(), if !flights.is_empty() => {
                    self.land(&verdicts, landed);
                    self.land_ready(&verdicts, &mut flights).await;
                }
                taken = self.lane.commands.recv_many(&mut batch, BATCH), if takes => {
                    self.is_last = taken == 0;
                }
                answer = looked(&mut self.looking) => self.found(answer),
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

    /// Sends a message, or keeps it for later or for the next channel, or refuses it.
    fn take_off(&mut self, channel: &Channel, verdicts: &Verdicts, command: Command) -> Option<Flight> {
        if self.ended.is_none() && !self.is_alive(channel) {
            self.ended = Some("the channel was closed".to_owned());
        }
        let is_careful = self.lane.careful > 0 && self.waiters.waiting() > 0;
        if self.ended.is_some() || self.looking.is_some() || is_careful {
            self.lane.backlog.push_back(command);
            return None;
        }
        if command.header_len > self.frame_max {
            let detail = header_too_large(command.header_len, self.frame_max);
            command.refuse(Failure::new(PublishErrorKind::TooLarge, detail));
            return None;
        }
        let exchange = &command.identity.exchange;
        if *exchange != ExchangeName::DEFAULT && !self.known.contains(exchange) {
            let answer = Box::pin(look(self.lane.link.clone(), exchange.clone()));
            self.looking = Some(Looking { exchange: exchange.clone(), answer });
            self.lane.backlog.push_back(command);
            return None;
        }
        self.lane.careful = self.lane.careful.saturating_sub(1);
        let Command { identity, properties, body, mandatory, waiter, .. } = command;
        let number = lock(verdicts).begin();
        let due = self.clock.reading(Instant::now()) + self.lane.link.config().publish.confirm_timeout;
        self.waiters.add(number, waiter, due);
        Some(Flight { number, identity, properties, body, mandatory })
    }

    fn is_alive(&self, channel: &Channel) -> bool {
        channel.status().connected() && self.lane.link.state().borrow().epoch == self.epoch
    }

    /// Lets the messages for an exchange go if it is there, and refuses them if it is not.
    fn found(&mut self, answer: Result<(), Error>) {
        let Some(Looking { exchange, .. }) = self.looking.take() else { return };
        match answer {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                for command in std::mem::take(&mut self.lane.backlog) {
                    if command.identity.exchange == exchange {
                        command.refuse(missing_exchange(&error));
                    } else {
                        self.lane.backlog.push_back(command);
                    }
                }
            }
            // Without the permission to look, or without an answer, the publish itself finds out.
            _ => {
                self.known.insert(exchange);
            }
        }
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
                let failure = self.lost(&error);
                self.waiters.tell(number, Err(failure));
                self.ended.get_or_insert_with(|| error.to_string());
            }
            Landed::Swept(mark) => lock(verdicts).swept(mark),
        }
    }

    /// Says what the loss of the channel means for one publish.
    ///
    /// A broker that refuses a publish closes the channel and does not say which one it was. It is certain only if it was the
    /// only one under way; otherwise the next ones are sent one at a time, so that the guilty one is found and harms nobody else.
    fn lost(&mut self, error: &lapin::Error) -> Failure {
        let cause = fault(error, "publishing");
        let is_refusal =
            matches!(cause.kind(), ErrorKind::AccessRefused | ErrorKind::NotFound | ErrorKind::Mismatch);
        if is_refusal {
            self.suspects += 1;
        }
        match cause.kind() {
            _ if !is_refusal || self.suspects > 1 || self.waiters.waiting() > 1 => {
                let detail = "the channel was lost before a confirm arrived; it may or may not be stored";
                Failure::new(PublishErrorKind::Unknown, detail).because(cause)
            }
            ErrorKind::NotFound => missing_exchange(&cause),
            _ => {
                let detail = "the broker refused it and closed the channel; it is not stored";
                Failure::new(PublishErrorKind::Refused, detail).because(cause)
            }
        }
    }

    /// Ends the wait of publishes whose confirm is overdue. Their confirms stay where they are, so nothing leaks.
    fn expire(&mut self, limit: Duration) {
        let now = self.clock.reading(Instant::now());
        self.waiters.expire(now, limit);
        let config = &self.lane.link.config().publish;
        let overdue = self.waiters.overdue();
        if overdue > 0
            && !self.clock.is_paused()
            && (self.lane.overdue.clog(config.window, config.window_bytes)
                || self.waiters.is_overdue_by(now, limit))
        {
            // What never comes must not take the window's places for ever, not even a few: a message that needs all of
            // them waits for the last one, and everyone else behind it. Give the channel up.
            self.ended = Some(format!("{overdue} confirms are overdue"));
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
        let is_stuck = self.waiters.overdue() > 0;
        let patience = if is_stuck { Duration::ZERO } else { patience };
        let drained = async {
            while let Some(landed) = flights.next().await {
                self.land(verdicts, landed);
            }
        };
        let _ = timeout(patience, drained).await;
        let waiters = &mut self.waiters;
        lock(verdicts).close(|_, settled, verdict| waiters.settle(&settled, verdict));
        waiters.give_up(&reason);
        self.lane.careful = self.lane.careful.max(self.suspects);
    }
}

/// Waits for the answer about an exchange; for ever if none is looked for.
async fn looked(looking: &mut Option<Looking>) -> Result<(), Error> {
    match looking {
        Some(looking) => looking.answer.as_mut().await,
        None => pending().await,
    }
}

fn missing_exchange(cause: &Error) -> Failure {
    let detail = "the exchange does not exist; apply the topology or correct the name";
    Failure::new(PublishErrorKind::Unroutable, detail).because(super::copy(cause))
}
