//! What was published, what was said about it, what was delivered, and when.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use garenne::PublishErrorKind;

/// A confirm may be this much older than the deletion of the queue that took its message along.
const TAKEN_ALONG: Duration = Duration::from_secs(2);

/// A broker says that a change is made a moment before all of its channels follow.
const SETTLED: Duration = Duration::from_millis(200);
/// So many messages are always on their way.
const FEW: usize = 50;

/// What happened to every message.
#[derive(Debug)]
pub struct Ledger(Mutex<State>);

/// A time in which a verdict is right that would be wrong otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// The queue is deleted, and messages with it; nothing can be routed.
    QueueGone,
    /// Nothing can be routed.
    ExchangeGone,
    /// The client may not publish.
    Forbidden,
}

#[derive(Debug)]
struct State {
    entries: Vec<Entry>,
    windows: Vec<(Window, Instant, Option<Instant>)>,
    /// The outage that is being played.
    outage: usize,
    confirms: Vec<Instant>,
    deliveries: Vec<Instant>,
    /// Whether the client is gone, and another one takes what it left.
    is_over: bool,
    /// Duplicates, and the longest lie, of each outage.
    outages: Vec<(u64, Duration)>,
}

#[derive(Debug)]
struct Entry {
    begun: Instant,
    verdict: Option<(Instant, Result<(), PublishErrorKind>, usize)>,
    /// The error that said that no queue has the message.
    denied: Option<String>,
    deliveries: u32,
    /// Whether it came only when the client was gone.
    is_stuck: bool,
}

/// What the ledger says about one outage.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums {
    pub(super) confirmed: u64,
    pub(super) lost: u64,
    pub(super) stuck: u64,
    pub(super) wrong: u64,
    pub(super) unknown: u64,
    pub(super) duplicates: u64,
    pub(super) lie: Duration,
}

// === impl Ledger ===

impl Ledger {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State {
            entries: Vec::new(),
            windows: Vec::new(),
            outage: 0,
            confirms: Vec::new(),
            deliveries: Vec::new(),
            is_over: false,
            outages: vec![(0, Duration::ZERO)],
        }))
    }

    /// Begins the next outage.
    pub(super) fn next(&self, outage: usize) {
        let mut state = self.state();
        state.outage = outage;
        state.outages.resize(outage + 1, (0, Duration::ZERO));
        state.confirms.clear();
        state.deliveries.clear();
    }

    /// Says that from now on, until the window is closed, these verdicts are right.
    pub fn open(&self, window: Window) {
        self.state().windows.push((window, Instant::now(), None));
    }

    /// Closes the window that was opened last.
    pub fn close(&self) {
        if let Some((_, _, end)) = self.state().windows.last_mut() {
            *end = Some(Instant::now() + SETTLED);
        }
    }

    /// Begins a publish, and returns the number of its message.
    pub(super) fn begin(&self) -> u64 {
        let mut state = self.state();
        state.entries.push(Entry {
            begun: Instant::now(),
            verdict: None,
            denied: None,
            deliveries: 0,
            is_stuck: false,
        });
        state.entries.len() as u64 - 1
    }

    pub(super) fn end(&self, number: u64, verdict: Result<(), &garenne::PublishError>) {
        let (mut state, now) = (self.state(), Instant::now());
        if verdict.is_ok() {
            state.confirms.push(now);
        }
        let outage = state.outage;
        let entry = state.entry(number);
        entry.denied = verdict.err().filter(|error| !error.may_be_stored()).map(ToString::to_string);
        entry.verdict = Some((now, verdict.map_err(garenne::PublishError::kind), outage));
    }

    pub(super) fn delivered(&self, number: u64) {
        let mut state = self.state();
        state.deliveries.push(Instant::now());
        let is_over = state.is_over;
        let entry = state.entry(number);
        entry.is_stuck |= is_over && entry.deliveries == 0;
        entry.deliveries += 1;
        if entry.deliveries > 1 {
            let outage = state.outage;
            state.outages[outage].0 += 1;
        }
    }

    /// Notes that the client is gone: what is delivered from now on was stuck with it.
    pub(super) fn over(&self) {
        self.state().is_over = true;
    }

    /// Notes that the client has called itself ready for so long while nothing worked.
    pub(super) fn lied(&self, lie: Duration) {
        let mut state = self.state();
        let outage = state.outage;
        state.outages[outage].1 = state.outages[outage].1.max(lie);
    }

    /// Returns when a publish was last confirmed and a message last delivered.
    pub(super) fn last(&self) -> (Option<Instant>, Option<Instant>) {
        let state = self.state();
        (state.confirms.last().copied(), state.deliveries.last().copied())
    }

    /// Waits for the first confirm and the first delivery after this moment, and returns how long each took; `None` for what did not
    /// come in time.
    pub(super) async fn back(&self, since: Instant, limit: Duration) -> (Option<Duration>, Option<Duration>) {
        let first = |times: &[Instant]| times.iter().find(|at| **at >= since).map(|at| *at - since);
        loop {
            let found = {
                let state = self.state();
                (first(&state.confirms), first(&state.deliveries))
            };
            if (found.0.is_some() && found.1.is_some()) || since.elapsed() > limit {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Returns the longest time without a confirm, and that without a delivery, from this moment until both are there again.
    pub(super) async fn silence(
        &self,
        since: Instant,
        limit: Duration,
    ) -> (Option<Duration>, Option<Duration>) {
        let (now, state) =
            (Instant::now(), |back: Option<Duration>, times: &[Instant]| back.map(|_| longest(since, times)));
        let back = self.back(now, limit).await;
        let found = self.state();
        (state(back.0, &found.confirms), state(back.1, &found.deliveries))
    }

    /// Waits until hardly any confirmed message is still to be delivered, or `limit` has passed.
    pub(super) async fn drained(&self, limit: Duration) {
        let began = Instant::now();
        while self.missing() > FEW && began.elapsed() < limit {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Returns the untrue verdicts in words.
    pub(super) fn untruths(&self) -> Vec<String> {
        let state = self.state();
        let wrong = state.entries.iter().enumerate().filter(|(_, entry)| state.is_wrong(entry));
        let told = wrong.map(|(number, entry)| {
            let Entry { begun, verdict, denied, deliveries, .. } = entry;
            let took = verdict.map(|(ended, ..)| ended - *begun).unwrap_or_default();
            format!("message {number}, {took:?} after its publish, delivered {deliveries} times: {denied:?}")
        });
        told.collect()
    }

    /// Returns how many confirmed messages are still to be delivered.
    pub(super) fn missing(&self) -> usize {
        let state = self.state();
        state.entries.iter().filter(|entry| state.is_lost(entry)).count()
    }

    /// Returns what there is to say about each outage.
    pub(super) fn sums(&self) -> Vec<Sums> {
        let state = self.state();
        let sums = state.outages.iter().map(|&(duplicates, lie)| Sums { duplicates, lie, ..Sums::default() });
        let mut sums: Vec<_> = sums.collect();
        for entry in &state.entries {
            let Some((_, verdict, outage)) = entry.verdict else { continue };
            let sums = &mut sums[outage];
            sums.confirmed += u64::from(verdict.is_ok());
            sums.unknown += u64::from(verdict == Err(PublishErrorKind::Unknown));
            sums.lost += u64::from(state.is_lost(entry));
            sums.stuck += u64::from(entry.is_stuck);
            sums.wrong += u64::from(state.is_wrong(entry));
        }
        sums
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn longest(since: Instant, times: &[Instant]) -> Duration {
    let times = times.iter().filter(|at| **at >= since);
    let (longest, _) =
        times.fold((Duration::ZERO, since), |(longest, last), at| (longest.max(*at - last), *at));
    longest
}

// === impl State ===

impl State {
    fn entry(&mut self, number: u64) -> &mut Entry {
        let index = usize::try_from(number).expect("numbers are indices");
        &mut self.entries[index]
    }

    /// Confirmed, never delivered, and not in a queue that was deleted.
    fn is_lost(&self, entry: &Entry) -> bool {
        let Some((ended, Ok(()), _)) = entry.verdict else { return false };
        entry.deliveries == 0
            && !self.touches(entry.begun, ended + TAKEN_ALONG, |window| window == Window::QueueGone)
    }

    /// Said not to be stored, and delivered all the same; or refused for a reason that did not exist.
    fn is_wrong(&self, entry: &Entry) -> bool {
        let Some((ended, Err(kind), _)) = entry.verdict else { return false };
        let is_right = match kind {
            PublishErrorKind::Unroutable | PublishErrorKind::NoExchange => {
                self.touches(entry.begun, ended, |window| {
                    matches!(window, Window::QueueGone | Window::ExchangeGone)
                })
            }
            PublishErrorKind::Refused => {
                self.touches(entry.begun, ended, |window| window == Window::Forbidden)
            }
            _ => true,
        };
        !is_right || (entry.denied.is_some() && entry.deliveries > 0)
    }

    fn touches(&self, from: Instant, to: Instant, wanted: impl Fn(Window) -> bool) -> bool {
        self.windows
            .iter()
            .any(|&(window, begin, end)| wanted(window) && begin <= to && end.is_none_or(|end| from <= end))
    }
}
