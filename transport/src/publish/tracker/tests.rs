//! The tracker on a model of lapin's FIFO, in random orders of writing, confirming and polling.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// One publish in the model.
#[derive(Debug, Clone, Copy, Default)]
struct Flight {
    unroutable: bool,
    written: bool,
    queued: bool,
    collected: bool,
    confirm: Confirm,
    observed: bool,
}

/// The confirm of a publish in the model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Confirm {
    #[default]
    Open,
    /// Completed, with the return that it popped, if any.
    Completed(Option<usize>),
}

#[derive(Debug, Clone, Copy)]
enum Woken {
    Flight(usize),
    Sweep(u64),
}

/// The broker, lapin and the task that polls.
struct Model {
    random: fastrand::Rng,
    flights: Vec<Flight>,
    begun: usize,
    /// Publishes whose return was sent, waiting for a confirm to pop it.
    fifo: VecDeque<usize>,
    returned_below: usize,
    woken: VecDeque<Woken>,
    tracker: Tracker<usize, usize>,
    verdicts: Vec<Option<Verdict>>,
    /// What the obvious rule says: whatever the own confirm carries.
    naive: Vec<Option<Verdict>>,
    /// The same rules, but without holding an observation back.
    hasty: Tracker<usize, usize>,
    hasty_verdicts: Vec<Option<Verdict>>,
}

impl Model {
    fn new(seed: u64, publishes: usize) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let flights: Vec<_> =
            (0..publishes).map(|_| Flight { unroutable: random.u8(..) < 60, ..Flight::default() }).collect();
        Self {
            random,
            flights,
            begun: 0,
            fifo: VecDeque::new(),
            returned_below: 0,
            woken: VecDeque::new(),
            tracker: Tracker::new(),
            verdicts: vec![None; publishes],
            naive: vec![None; publishes],
            hasty: Tracker::new(),
            hasty_verdicts: vec![None; publishes],
        }
    }

    fn run(&mut self) {
        while self.verdicts.iter().any(Option::is_none) {
            match self.random.u8(..4) {
                0 => self.begin(),
                1 => self.write(),
                2 => self.confirm(),
                _ => self.poll(),
            }
        }
    }

    /// The task polls some publishes for the first time.
    fn begin(&mut self) {
        for _ in 0..self.random.usize(..6) {
            if self.begun < self.flights.len() {
                let number = self.tracker.begin();
                assert_eq!(number, self.begun as u64);
                self.hasty.begin();
                self.hasty.collected(number);
                self.begun += 1;
            }
        }
    }

    /// lapin has written the frames of some publish.
    fn write(&mut self) {
        let Some(at) = self.flights[..self.begun].iter().position(|flight| !flight.written) else { return };
        // Mostly in order, now and then the next one first: two locks in lapin, two wakes.
        let at = if at + 1 < self.begun && self.random.u8(..) < 20 { at + 1 } else { at };
        self.flights[at].written = true;
        self.wake(at);
    }

    /// The broker sends one ack, single or multiple, after the returns that must precede it.
    fn confirm(&mut self) {
        let open: Vec<_> = (0..self.begun).filter(|&at| self.flights[at].confirm == Confirm::Open).collect();
        if open.is_empty() {
            return;
        }
        let last = open[self.random.usize(..open.len().min(40))];
        // The frames of a publish reach the broker before lapin reports them as written.
        let mut acked: Vec<_> =
            if self.random.bool() { open.into_iter().filter(|&at| at <= last).collect() } else { vec![last] };
        for at in self.returned_below..=last {
            if self.flights[at].unroutable {
                self.fifo.push_back(at);
            }
        }
        self.returned_below = self.returned_below.max(last + 1);
        // A multiple ack completes its tags in the order of a hash map.
        self.random.shuffle(&mut acked);
        for at in acked {
            let popped = self.fifo.pop_front();
            self.flights[at].confirm = Confirm::Completed(popped);
            self.naive[at] = Some(if popped.is_some() { Verdict::Returned } else { Verdict::Routed });
            if self.flights[at].collected {
                self.wake(at);
            }
        }
    }

    fn wake(&mut self, at: usize) {
        if !std::mem::replace(&mut self.flights[at].queued, true) {
            self.woken.push_back(Woken::Flight(at));
        }
    }

    /// The task polls some of what is woken, then asks for verdicts.
    fn poll(&mut self) {
        for _ in 0..self.random.usize(..8) {
            match self.woken.pop_front() {
                Some(Woken::Flight(at)) => self.poll_flight(at),
                Some(Woken::Sweep(mark)) => self.tracker.swept(mark),
                None => break,
            }
        }
        let verdicts = &mut self.verdicts;
        self.tracker.judge(|_, at, verdict| {
            assert_eq!(verdicts[at].replace(verdict), None, "a second verdict for {at}");
        });
        if let Some(mark) = self.tracker.sweep() {
            self.woken.push_back(Woken::Sweep(mark));
        }
    }

    fn poll_flight(&mut self, at: usize) {
        let flight = &mut self.flights[at];
        flight.queued = false;
        if !std::mem::replace(&mut flight.collected, true) {
            self.tracker.collected(at as u64);
        }
        if let (Confirm::Completed(carried), false) = (flight.confirm, flight.observed) {
            flight.observed = true;
            self.tracker.completed(at as u64, carried, at, at);
            self.hasty.completed(at as u64, carried, at, at);
            self.hasty.swept(u64::MAX);
            let verdicts = &mut self.hasty_verdicts;
            self.hasty.judge(|_, at, verdict| verdicts[at] = Some(verdict));
        }
    }

    fn truth(&self, at: usize) -> Verdict {
        if self.flights[at].unroutable { Verdict::Returned } else { Verdict::Routed }
    }

    fn wrong(&self, verdicts: &[Option<Verdict>]) -> usize {
        (0..verdicts.len()).filter(|&at| verdicts[at] != Some(self.truth(at))).count()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_verdict_is_ever_wrong_or_missing(seed in any::<u64>(), publishes in 1_usize..120) {
        let mut model = Model::new(seed, publishes);
        model.run();
        prop_assert_eq!(model.wrong(&model.verdicts), 0);
    }
}

#[test]
fn on_the_same_model_the_obvious_verdict_is_wrong_and_so_is_the_rule_without_holding_back() {
    let (mut naive, mut hasty) = (0, 0);
    for seed in 0..200 {
        let mut model = Model::new(seed, 100);
        model.run();
        naive += model.wrong(&model.naive);
        hasty += model.wrong(&model.hasty_verdicts);
    }
    assert!(naive > 100 && hasty > 100, "the model must be able to show a wrong verdict: {naive}, {hasty}");
}

#[test]
fn a_confirm_that_is_withheld_costs_one_entry_however_many_pass_it_by() {
    let mut tracker = Tracker::new();
    tracker.begin();
    tracker.collected(0);
    let mut routed = 0;
    for number in 1..10_000 {
        assert_eq!(tracker.begin(), number);
        tracker.collected(number);
        tracker.completed(number, None, number, number);
        tracker.swept(u64::MAX);
        tracker.judge(|_, _, _| routed += 1);
    }
    assert_eq!(routed, 9_999);
    assert_eq!(
        tracker.open.len() + tracker.uncollected.len() + tracker.held.len() + tracker.strangers.len(),
        1
    );
}

#[test]
fn after_the_channel_died_a_stranger_is_unknown_and_an_empty_confirm_is_routed() {
    let mut tracker = Tracker::new();
    for _ in 0..4 {
        tracker.begin();
    }
    for number in 0..3 {
        tracker.collected(number);
    }
    tracker.completed(0, None, 'a', 'a');
    tracker.completed(1, Some('c'), 'b', 'b');
    tracker.completed(2, None, 'c', 'c');
    tracker.failed(3);
    let mut verdicts = Vec::new();
    tracker.close(|_, publish, verdict| verdicts.push((publish, verdict)));
    assert_eq!(verdicts, [('a', Verdict::Routed), ('b', Verdict::Unknown), ('c', Verdict::Returned)]);
}
