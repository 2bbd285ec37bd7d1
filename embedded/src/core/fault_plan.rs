//! When a fault strikes: scripts and seeds, counted in methods so that a run can be replayed.

use std::collections::HashMap;

use crate::faults::{ConfirmOrder, ConnectFault, Fault, Injected};

/// Faults drawn at random.
#[derive(Debug)]
struct Dice {
    rng: fastrand::Rng,
    /// Of a million methods, how many are struck.
    per_million: u32,
    faults: Vec<Fault>,
}

/// What a test has asked for and what has struck.
#[derive(Debug, Default)]
pub(crate) struct FaultPlan {
    /// Faults at the nth method of a kind; without a kind, at the nth method of all.
    script: HashMap<(Option<String>, u64), Vec<Fault>>,
    dice: Option<Dice>,
    counts: HashMap<&'static str, u64>,
    total: u64,
    log: Vec<Injected>,
    /// Faults at the nth TCP connection since the broker started.
    connections: HashMap<u64, ConnectFault>,
    connected: u64,
    /// A fault at every TCP connection.
    pub(crate) every_connection: Option<ConnectFault>,
    /// The order of confirms.
    pub(crate) order: ConfirmOrder,
    /// How long confirms are held, in milliseconds.
    pub(crate) confirm_delay: u64,
    /// Whether no confirm goes out at all.
    pub(crate) withholds: bool,
    /// Draws the order of adversarial confirms.
    pub(crate) shuffle: Option<fastrand::Rng>,
}

impl FaultPlan {
    /// Adds a fault at the nth method from now on: of this kind, or of any.
    pub(crate) fn script(&mut self, method: Option<&str>, nth: u64, fault: Fault) {
        let so_far = method.map_or(self.total, |method| self.counts.get(method).copied().unwrap_or(0));
        self.script_at(method, so_far + nth, fault);
    }

    /// Adds a fault at a method by its number since the broker started.
    pub(crate) fn script_at(&mut self, method: Option<&str>, number: u64, fault: Fault) {
        self.script.entry((method.map(str::to_owned), number)).or_default().push(fault);
    }

    /// Adds a fault at the nth TCP connection from now on.
    pub(crate) fn script_connection(&mut self, nth: u64, fault: ConnectFault) {
        self.connections.insert(self.connected + nth, fault);
    }

    /// Returns what strikes at the next TCP connection.
    pub(crate) fn strike_connection(&mut self) -> Option<ConnectFault> {
        self.connected += 1;
        self.connections.remove(&self.connected).or(self.every_connection)
    }

    /// Draws faults from now on.
    pub(crate) fn roll(&mut self, seed: u64, per_million: u32, faults: Vec<Fault>) {
        self.dice =
            (!faults.is_empty()).then(|| Dice { rng: fastrand::Rng::with_seed(seed), per_million, faults });
    }

    /// Forgets everything but the log.
    pub(crate) fn clear(&mut self) {
        let (counts, log) = (std::mem::take(&mut self.counts), std::mem::take(&mut self.log));
        let Self { total, connected, .. } = *self;
        *self = Self { counts, total, log, connected, ..Self::default() };
    }

    /// Returns what strikes at the next method.
    pub(crate) fn strike(&mut self, method: &'static str) -> Vec<Fault> {
        self.total += 1;
        let count = self.counts.entry(method).or_default();
        *count += 1;
        let mut struck = Vec::new();
        if !self.script.is_empty() {
            struck.extend(self.script.remove(&(Some(method.to_owned()), *count)).unwrap_or_default());
            struck.extend(self.script.remove(&(None, self.total)).unwrap_or_default());
        }
        if let Some(Dice { rng, per_million, faults }) = &mut self.dice
            && rng.u32(..1_000_000) < *per_million
        {
            struck.extend(rng.choice(faults.iter()).cloned());
        }
        for fault in &struck {
            self.log.push(Injected { method_number: self.total, method, fault: fault.clone() });
        }
        struck
    }

    /// Returns whether a message that found no queue is confirmed at once.
    pub(crate) fn is_confirming_at_once(&self) -> bool {
        self.order == ConfirmOrder::Coalesced && self.confirm_delay == 0 && !self.withholds
    }

    /// Returns what has struck, the first first.
    pub(crate) fn log(&self) -> &[Injected] {
        &self.log
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_counts_from_now() {
        let mut plan = FaultPlan::default();
        assert!(plan.strike("basic.publish").is_empty());
        plan.script(Some("basic.publish"), 2, Fault::Nack);
        assert!(plan.strike("basic.publish").is_empty());
        assert!(plan.strike("basic.ack").is_empty());
        assert_eq!(plan.strike("basic.publish"), [Fault::Nack]);
        assert!(plan.strike("basic.publish").is_empty(), "it strikes once");
        let [struck] = plan.log() else { panic!("one fault is in the log") };
        assert_eq!((struck.method_number, struck.method), (4, "basic.publish"));
    }

    #[test]
    fn a_seed_draws_the_same_faults_again_and_so_does_the_log() {
        let run = |plan: &mut FaultPlan| (0..10_000).map(|_| plan.strike("basic.ack")).collect::<Vec<_>>();
        let (mut first, mut second, mut replay) =
            (FaultPlan::default(), FaultPlan::default(), FaultPlan::default());
        for plan in [&mut first, &mut second] {
            plan.roll(7, 10_000, vec![Fault::CutConnection, Fault::Redeliver]);
        }
        let struck = run(&mut first);
        assert_eq!(struck, run(&mut second));
        assert!((50..200).contains(&first.log().len()), "{} of 10,000 at 1 %", first.log().len());
        for injected in first.log() {
            replay.script_at(None, injected.method_number, injected.fault.clone());
        }
        assert_eq!(struck, run(&mut replay));
    }
}
