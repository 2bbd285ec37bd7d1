//! The life of one channel in confirm mode: from the first publish on it to its end.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use garenne_shared::ExchangeName;

use super::{
    Confirmed, PublishErrorKind, UnknownCause,
    command::{Command, Encoded, Failure, Identities, Outcome},
    confirms::{Confirms, Verdict},
    lane::Lane,
    stopwatch::Stopwatch,
};
use crate::{
    Error, ErrorKind,
    fault::ended,
    wire::{Confirm, Content, End, Sender, Sink},
};

/// One channel in confirm mode and everything under way on it.
pub(super) struct Generation {
    lane: Weak<Lane>,
    identities: Identities,
    all_overdue: Arc<Overdue>,
    /// How long a confirm may take.
    limit: Duration,
    inner: Mutex<Inner>,
}

struct Inner {
    /// `None` until the channel is open, and after its end.
    sender: Option<Sender>,
    frame_max: usize,
    confirms: Confirms<Publish>,
    stopwatch: Stopwatch,
    /// Every publish below has its outcome or is overdue.
    expired_below: u64,
    overdue: usize,
    ended: bool,
}

struct Publish {
    command: Command,
    /// The position behind its last byte in what the connection has sent.
    end: u64,
    /// The reading of the stopwatch at which its confirm is overdue.
    due: Duration,
}

/// Why a publish was not sent on this channel. Rare; boxed so that the usual result is small.
pub(super) enum NotTaken {
    /// The channel has ended.
    Ended(Box<Command>),
    /// One of the same identity is under way.
    Conflict { command: Box<Command>, is_overdue: bool },
    /// The content header does not fit a frame; the command was told.
    TooLarge,
}

/// The places of the window that overdue confirms hold, over all channels of a client.
#[derive(Debug, Default)]
pub(super) struct Overdue {
    count: AtomicUsize,
    bytes: AtomicU64,
}

/// How many publishes are under way on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnderWay {
    pub(super) open: usize,
    /// Of these, how many were told that their confirm is overdue.
    pub(super) overdue: usize,
    /// Whether the oldest is overdue for half as long again as its confirm was waited for.
    pub(super) is_hopeless: bool,
    pub(super) ended: bool,
}

// === impl Generation ===

impl Generation {
    pub(super) fn new(
        lane: &Arc<Lane>,
        identities: Identities,
        all_overdue: Arc<Overdue>,
        limit: Duration,
    ) -> Self {
        let inner = Inner {
            sender: None,
            frame_max: usize::MAX,
            confirms: Confirms::new(),
            stopwatch: Stopwatch::start(Instant::now()),
            expired_below: 0,
            overdue: 0,
            ended: false,
        };
        Self { lane: Arc::downgrade(lane), identities, all_overdue, limit, inner: Mutex::new(inner) }
    }

    /// Publishes on this channel from now on; `false` if it has ended already.
    pub(super) fn begin(&self, sender: Sender) -> bool {
        let mut inner = self.lock();
        inner.frame_max = sender.wire().frame_max();
        if !inner.ended {
            inner.sender = Some(sender);
        }
        !inner.ended
    }

    /// Sends a message, whole or not at all.
    pub(super) fn publish(&self, command: Command, now: Instant) -> Result<(), NotTaken> {
        let mut inner = self.lock();
        let Inner { sender: Some(sender), frame_max, confirms, stopwatch, .. } = &mut *inner else {
            return Err(NotTaken::Ended(Box::new(command)));
        };
        let identity = command.message.identity;
        if let Some(earlier) = confirms.get(identity) {
            let is_overdue = earlier.command.waiter.is_told();
            return Err(NotTaken::Conflict { command: Box::new(command), is_overdue });
        }
        let (header_len, frame_max) = (command.message.header_len(), *frame_max);
        if header_len > frame_max {
            drop(inner);
            let detail = super::confirm_channel::header_too_large(header_len, frame_max);
            command.refuse(Failure::new(PublishErrorKind::TooLarge, detail));
            return Err(NotTaken::TooLarge);
        }
        match sender.send(|out, channel| command.message.write(out, channel, frame_max)) {
            Ok(end) => {
                let due = stopwatch.reading(now) + self.limit;
                confirms.push(identity, Publish { command, end, due });
                Ok(())
            }
            Err(_) => Err(NotTaken::Ended(Box::new(command))),
        }
    }

    /// Tells everyone whose confirm is overdue. Their places stay taken until it comes.
    pub(super) fn expire(&self, is_blocked: bool) -> UnderWay {
        let mut inner = self.lock();
        let now = Instant::now();
        inner.stopwatch.set_paused(is_blocked, now);
        let now = inner.stopwatch.reading(now);
        let Inner { confirms, expired_below, overdue, .. } = &mut *inner;
        // Due in the order of their numbers, but for moments between threads that publish at once.
        for (number, publish) in confirms.from(*expired_below) {
            if publish.due > now {
                break;
            }
            *expired_below = number + 1;
            *overdue += 1;
            self.all_overdue.add(&publish.command);
            let limit = self.limit;
            let detail = format!(
                "no confirm arrived within `publish.confirm_timeout`, {limit:?}; it may or may not be stored"
            );
            publish.command.waiter.tell(Err(Failure::unknown(UnknownCause::ConfirmTimeout, detail)));
        }
        let is_hopeless =
            confirms.from(0).next().is_some_and(|(_, publish)| publish.due + self.limit / 2 <= now);
        UnderWay { open: confirms.open(), overdue: *overdue, is_hopeless, ended: inner.ended }
    }

    /// Returns how many publishes have neither a confirm nor an outcome.
    pub(super) fn waiting(&self) -> usize {
        let inner = self.lock();
        inner.confirms.open() - inner.overdue
    }

    /// Tells everyone who is left that the channel is given up.
    pub(super) fn give_up(&self, reason: &str) {
        let mut inner = self.lock();
        inner.ended = true;
        inner.sender = None;
        let detail = format!(
            "the channel was given up before a confirm arrived ({reason}); it may or may not be stored"
        );
        for publish in inner.confirms.take() {
            let failure = Failure::unknown(UnknownCause::ChannelGivenUp, detail.clone());
            self.tell(&mut inner.overdue, publish.command, Err(failure));
        }
    }

    fn tell(&self, overdue: &mut usize, mut command: Command, outcome: Outcome) {
        if command.waiter.is_told() {
            *overdue -= 1;
            self.all_overdue.remove(&command);
        }
        command.waiter.tell(outcome);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Generation {
    fn confirmed(&self, confirm: Confirm) {
        let mut inner = self.lock();
        let Inner { confirms, overdue, .. } = &mut *inner;
        confirms.confirmed(confirm, |publish, verdict| {
            let outcome = outcome_of(verdict, &publish.command.message);
            self.tell(overdue, publish.command, outcome);
        });
        drop(inner);
        if let Some(lane) = self.lane.upgrade() {
            lane.confirmed();
        }
    }

    fn returned(&self, content: Content) {
        let identity = self.identities.of_returned(&content);
        let mut inner = self.lock();
        let is_known = inner.ended || inner.confirms.returned(identity);
        drop(inner);
        if !is_known {
            // Its confirm would pass for one of a message that was routed: no verdict of this channel can be trusted.
            tracing::error!(
                exchange = %garenne_shared::escape(&content.exchange),
                routing_key = %garenne_shared::escape(&content.routing_key),
                "broker returned a message that is not under way, giving the channel up"
            );
            self.give_up("the broker returned a message that is not under way");
            if let Some(lane) = self.lane.upgrade() {
                lane.wake();
            }
        }
    }

    fn ended(&self, end: &End) {
        let mut inner = self.lock();
        inner.ended = true;
        inner.sender = None;
        let (open, mut unsent) = (inner.confirms.open(), Vec::new());
        let cause = || ended(end, "publishing");
        let is_refusal = matches!(end, End::Refused { .. });
        for publish in inner.confirms.take() {
            let Publish { command, end: position, .. } = publish;
            let outcome = match end {
                // Not one of its bytes, or not the last one, has left: the broker has no whole message.
                End::Lost(lost) if position > lost.written && !command.waiter.is_told() => {
                    unsent.push(command);
                    continue;
                }
                End::Refused { .. } if open == 1 => refused(cause()),
                _ => {
                    let detail = "the channel was lost before a confirm arrived; it may or may not be stored";
                    Failure::unknown(why_unknown(end), detail).because(cause())
                }
            };
            self.tell(&mut inner.overdue, command, Err(outcome));
        }
        drop(inner);
        if let Some(lane) = self.lane.upgrade() {
            // Which of several the broker refused is not known: the next ones are sent one at a time, so that the guilty one is found and
            // harms nobody else.
            lane.ended(self, unsent, if is_refusal { open } else { 0 });
        }
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generation").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

// === impl Overdue ===

impl Overdue {
    /// Returns `true` if overdue confirms hold more than half of a window of this size.
    pub(super) fn clog(&self, window: usize, window_bytes: u64) -> bool {
        self.count.load(Relaxed).saturating_mul(2) > window
            || self.bytes.load(Relaxed).saturating_mul(2) > window_bytes
    }

    fn add(&self, command: &Command) {
        self.count.fetch_add(1, Relaxed);
        self.bytes.fetch_add(command.waiter.bytes(), Relaxed);
    }

    fn remove(&self, command: &Command) {
        self.count.fetch_sub(1, Relaxed);
        self.bytes.fetch_sub(command.waiter.bytes(), Relaxed);
    }
}

/// Says why nothing is known of the publishes that were under way.
const fn why_unknown(end: &End) -> UnknownCause {
    match end {
        End::Refused { .. } => UnknownCause::ChannelClosed,
        End::Lost(_) => UnknownCause::ConnectionLost,
        End::Closed => UnknownCause::ChannelGivenUp,
    }
}

/// Says what a verdict means.
fn outcome_of(verdict: Verdict, message: &Encoded) -> Outcome {
    let refused = |kind, detail: &'static str| Err(Failure::new(kind, detail));
    match verdict {
        // Of a publish that is not mandatory the broker never says whether a queue took it.
        Verdict::Taken => Ok(Confirmed { routed: message.mandatory, latency: Duration::ZERO }),
        Verdict::Returned => refused(
            PublishErrorKind::Unroutable,
            if message.exchange == ExchangeName::DEFAULT {
                "no queue has this name; apply the topology or correct the name"
            } else {
                "no binding of the exchange matches it; apply the topology or allow unroutable messages"
            },
        ),
        Verdict::Nacked => refused(
            PublishErrorKind::Nacked,
            "the broker refused it (basic.nack), as a full queue with overflow `reject-publish` does",
        ),
    }
}

/// The broker closed the channel over the only publish on it.
fn refused(cause: Error) -> Failure {
    // The only 404 of a publish; a 404 with another text is told as it is.
    if cause.kind() == ErrorKind::NotFound && cause.to_string().contains("no exchange") {
        return missing_exchange(cause);
    }
    let detail = "the broker refused it and closed the channel; it is not stored";
    Failure::new(PublishErrorKind::Refused, detail).because(cause)
}

pub(super) fn missing_exchange(cause: Error) -> Failure {
    let detail = "the exchange does not exist; apply the topology or correct the name";
    Failure::new(PublishErrorKind::NoExchange, detail).because(cause)
}
