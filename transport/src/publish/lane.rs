//! The way of messages to one exchange: at once where a channel is open, through a backlog where it is not.

mod worker;

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use garenne_shared::ExchangeName;
use tokio::sync::Notify;

pub(super) use self::worker::Worker;
use super::{
    PublishErrorKind,
    command::{Command, Failure},
    generation::{Generation, NotTaken},
};

/// The way to one exchange.
#[derive(Debug, Default)]
pub(super) struct Lane {
    state: Mutex<State>,
    /// Told when the worker has something to do.
    wake: Notify,
    /// Whether messages wait for a confirm before they can be sent.
    waits_for_confirms: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    current: Option<Arc<Generation>>,
    /// Not sent yet; bounded by the window.
    backlog: VecDeque<Command>,
    /// Exchanges that were there when the present channel was open.
    known: HashSet<ExchangeName>,
    /// How many messages are sent one at a time, because the broker refused one of as many.
    one_at_a_time: usize,
    closed: bool,
}

/// What the worker does next.
#[derive(Debug)]
pub(super) enum Step {
    /// Nothing waits, or it waits for a confirm.
    Rest,
    /// Open a channel.
    Open,
    /// Find out whether an exchange exists.
    Look(ExchangeName),
    /// Open another channel beside the present one: a message waits for an overdue one of the same identity.
    Replace,
}

// === impl Lane ===

impl Lane {
    /// Sends a message now, or leaves it to the worker.
    pub(super) fn submit(&self, command: Command) {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            command.refuse(closed());
            return;
        }
        let is_clear = state.backlog.is_empty()
            && state.one_at_a_time == 0
            && (command.message.exchange == ExchangeName::DEFAULT
                || state.known.contains(&command.message.exchange));
        let now = command.waiter.sent;
        let left = match &state.current {
            Some(generation) if is_clear => match generation.publish(command, now) {
                Ok(()) | Err(NotTaken::TooLarge) => return,
                Err(NotTaken::Ended(command) | NotTaken::Conflict { command, .. }) => *command,
            },
            _ => command,
        };
        state.backlog.push_back(left);
        drop(state);
        self.wake.notify_one();
    }

    /// Sends what can be sent, and says what must be done for the rest.
    pub(super) fn advance(&self) -> Step {
        let mut state = self.lock();
        let state = &mut *state;
        self.waits_for_confirms.store(false, Relaxed);
        loop {
            let Some(command) = state.backlog.front() else { return Step::Rest };
            let Some(generation) = &state.current else { return Step::Open };
            let exchange = &command.message.exchange;
            if *exchange != ExchangeName::DEFAULT && !state.known.contains(exchange) {
                return Step::Look(exchange.clone());
            }
            // Before the look at the confirms, so that none comes unseen in between.
            self.waits_for_confirms.store(true, Relaxed);
            if state.one_at_a_time > 0 && generation.waiting() > 0 {
                return Step::Rest;
            }
            let Some(command) = state.backlog.pop_front() else { return Step::Rest };
            match generation.publish(command, Instant::now()) {
                Ok(()) => {
                    state.one_at_a_time = state.one_at_a_time.saturating_sub(1);
                    self.waits_for_confirms.store(false, Relaxed);
                }
                Err(NotTaken::TooLarge) => {}
                Err(NotTaken::Ended(command)) => {
                    state.backlog.push_front(*command);
                    state.current = None;
                }
                Err(NotTaken::Conflict { command, is_overdue }) => {
                    state.backlog.push_front(*command);
                    return if is_overdue { Step::Replace } else { Step::Rest };
                }
            }
        }
    }

    /// Publishes on this channel from now on.
    pub(super) fn begin(&self, generation: Arc<Generation>) {
        let mut state = self.lock();
        state.current = Some(generation);
        state.known.clear();
    }

    /// Publishes on the present channel no longer; what is under way on it stays.
    pub(super) fn detach(&self) {
        self.lock().current = None;
    }

    /// Publishes on the present channel no longer if nothing waits; returns whether that is so.
    pub(super) fn detach_if_idle(&self) -> bool {
        let mut state = self.lock();
        let is_idle = state.backlog.is_empty()
            && state.current.as_ref().is_none_or(|generation| generation.waiting() == 0);
        if is_idle {
            state.current = None;
        }
        is_idle
    }

    /// Notes that an exchange exists, as far as is known.
    pub(super) fn found(&self, exchange: ExchangeName) {
        self.lock().known.insert(exchange);
    }

    /// Refuses the messages for an exchange that does not exist.
    pub(super) fn missing(&self, exchange: &ExchangeName, failure: impl Fn() -> Failure) {
        let mut state = self.lock();
        let backlog = std::mem::take(&mut state.backlog);
        let (refused, left) =
            backlog.into_iter().partition::<Vec<_>, _>(|command| command.message.exchange == *exchange);
        state.backlog = left.into();
        drop(state);
        for command in refused {
            command.refuse(failure());
        }
    }

    /// Refuses what has waited for longer than the limit; returns how long the oldest of the rest has waited.
    pub(super) fn expire(&self, limit: Duration, failure: impl Fn() -> Failure) -> Option<Duration> {
        let mut expired = Vec::new();
        let mut state = self.lock();
        while let Some(command) = state.backlog.pop_front_if(|command| command.waiter.sent.elapsed() >= limit)
        {
            expired.push(command);
        }
        let oldest = state.backlog.front().map(|command| command.waiter.sent);
        drop(state);
        for command in expired {
            command.refuse(failure());
        }
        oldest.map(|oldest: Instant| oldest.elapsed())
    }

    /// A confirm came: messages that wait for one may go on.
    pub(super) fn confirmed(&self) {
        if self.waits_for_confirms.load(Relaxed) {
            self.wake.notify_one();
        }
    }

    /// A channel ended; these messages were not sent on it, and so many more publishes may have been refused.
    pub(super) fn ended(&self, generation: &Generation, unsent: Vec<Command>, suspects: usize) {
        let mut state = self.lock();
        let is_behind = !state.backlog.is_empty() && !unsent.is_empty();
        for command in unsent.into_iter().rev() {
            state.backlog.push_front(command);
        }
        if is_behind {
            // Two channels of a lane may end in any order; stable, so that equal times keep theirs.
            state.backlog.make_contiguous().sort_by_key(|command| command.waiter.sent);
        }
        if suspects > 1 {
            state.one_at_a_time = state.one_at_a_time.max(suspects);
        }
        if state.current.as_ref().is_some_and(|current| std::ptr::eq(Arc::as_ptr(current), generation)) {
            state.current = None;
        }
        let left = if state.closed { std::mem::take(&mut state.backlog) } else { VecDeque::new() };
        drop(state);
        refuse_closed(left);
        self.wake.notify_one();
    }

    /// Wakes the worker.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Takes no more messages and refuses those that wait.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.current = None;
        let backlog = std::mem::take(&mut state.backlog);
        drop(state);
        refuse_closed(backlog);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refuse_closed(commands: VecDeque<Command>) {
    for command in commands {
        command.refuse(closed());
    }
}

fn closed() -> Failure {
    Failure::new(PublishErrorKind::Closed, "the client was closed; it was not sent")
}
