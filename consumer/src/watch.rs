//! The watchdog: tells of handlers that block their thread, which no timeout can see.
//!
//! A handler that blocks (a lock, a synchronous client, a long computation) keeps the runtime from looking at its timeout, and from whatever
//! else the thread has to do. So a thread of its own looks at every handler that is being polled.

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use garenne_transport::Problem;

use crate::{Context, metric::Metrics};

/// A poll that takes this long blocks its thread: 1 s.
pub const BLOCKED_AFTER: Duration = Duration::from_secs(1);

/// How often the watchdog looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Whether a handler is being polled: odd while it is. It costs two additions a poll and no clock.
#[derive(Debug, Default)]
pub(crate) struct Pulse(AtomicU64);

/// A poll under way.
pub(crate) struct Beat<'a>(&'a Pulse);

/// The handlers of one consumer that run.
pub(crate) struct Watch {
    timeout: Duration,
    metrics: Arc<Metrics>,
    /// Held for a few field updates and never across an await.
    seats: Mutex<Seats>,
}

/// A handler that is watched until this is dropped.
pub(crate) struct Watched<'a> {
    watch: &'a Watch,
    seat: usize,
}

/// The thread; it ends when this is dropped.
pub(crate) struct Watchdog {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seats {
    taken: Vec<Option<Seat>>,
    free: Vec<usize>,
}

struct Seat {
    cx: Context,
    /// What the pulse was when it was last looked at, and since when.
    pulse: u64,
    since: Instant,
    problem: Option<Problem>,
}

#[derive(Default)]
struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

// === impl Pulse ===

impl Pulse {
    /// Notes that a poll begins; dropping the result notes its end.
    pub(crate) fn beat(&self) -> Beat<'_> {
        self.0.fetch_add(1, Relaxed);
        Beat(self)
    }
}

impl Drop for Beat<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Relaxed);
    }
}

// === impl Watch ===

impl Watch {
    pub(crate) fn new(timeout: Duration, metrics: Arc<Metrics>) -> Self {
        Self { timeout, metrics, seats: Mutex::default() }
    }

    /// Watches a handler until the result is dropped.
    pub(crate) fn begin(&self, cx: &Context) -> Watched<'_> {
        let seat = Seat { cx: cx.clone(), pulse: 0, since: Instant::now(), problem: None };
        let mut seats = self.lock();
        let free = seats.free.pop();
        let number = free.unwrap_or(seats.taken.len());
        match seats.taken.get_mut(number) {
            Some(taken) => *taken = Some(seat),
            None => seats.taken.push(Some(seat)),
        }
        Watched { watch: self, seat: number }
    }

    /// Returns how many handlers run.
    pub(crate) fn running(&self) -> usize {
        let seats = self.lock();
        seats.taken.len() - seats.free.len()
    }

    fn look(&self) {
        let blocked: Vec<_> = self.lock().taken.iter_mut().flatten().filter_map(Seat::look).collect();
        for (cx, elapsed) in blocked {
            self.metrics.blocked();
            let (queue, id) = (cx.queue(), cx.message_id());
            let message_type = cx.metadata().message_type.as_ref().map(ToString::to_string);
            tracing::warn!(
                %queue, id, message_type, ?elapsed, timeout = ?self.timeout,
                "a handler blocks its thread: its timeout cannot strike, and nothing else runs there; \
                 use async calls or `tokio::task::spawn_blocking`"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        let mut seats = self.watch.lock();
        let seat = seats.taken.get_mut(self.seat).and_then(Option::take);
        seats.free.push(self.seat);
        drop(seats);
        drop(seat);
    }
}

impl Seat {
    /// Returns the handler and how long it has blocked, once.
    fn look(&mut self) -> Option<(Context, Duration)> {
        let pulse = self.cx.pulse().0.load(Relaxed);
        if pulse != self.pulse || pulse.is_multiple_of(2) {
            self.pulse = pulse;
            self.since = Instant::now();
            self.problem = None;
            return None;
        }
        let elapsed = self.since.elapsed();
        if elapsed < BLOCKED_AFTER || self.problem.is_some() {
            return None;
        }
        let queue = self.cx.queue();
        let text = format!(
            "a handler of queue `{queue}` blocks its thread; use async calls or `tokio::task::spawn_blocking`"
        );
        self.problem = Some(self.cx.environment().client.problem(text));
        Some((self.cx.clone(), elapsed))
    }
}

// === impl Watchdog ===

impl Watchdog {
    /// Starts the thread.
    pub(crate) fn start(watches: Vec<Arc<Watch>>) -> io::Result<Self> {
        let stop = Arc::new(Stop::default());
        let stopping = Arc::clone(&stop);
        let thread = Builder::new().name("garenne-watch".to_owned()).spawn(move || {
            while !stopping.wait(LOOK_EVERY) {
                watches.iter().for_each(|watch| watch.look());
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop.tell();
        if let Some(thread) = self.thread.take() {
            // It looks at counters only, so this takes no time worth mentioning.
            let _ = thread.join();
        }
    }
}

impl Stop {
    fn tell(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits, and returns whether the end has come.
    fn wait(&self, limit: Duration) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(stopped, limit, |stopped| !*stopped);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
