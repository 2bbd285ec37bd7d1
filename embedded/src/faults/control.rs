//! The handle by which a test asks for faults.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{AnswerFault, ConfirmOrder, ConnectFault, Fault, Injected};
use crate::core::{FaultPlan, Millis, is_counted};
use crate::io::{Engine, Hub};

/// Asks a broker for faults; from [`Broker::faults`](crate::Broker::faults). Cheap to clone.
///
/// Faults strike at methods, counted over all connections; what struck is in [`log`](Self::log) and can be
/// [replayed](Self::replay). All methods return at once.
#[derive(Clone)]
pub struct Faults {
    hub: Arc<Hub>,
}

// === impl Faults ===

impl Faults {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }

    /// Strikes at the nth publish from now on; the next one is the first.
    ///
    /// # Panics
    ///
    /// If `nth` is 0.
    #[track_caller]
    pub fn on_nth_publish(&self, nth: u64, fault: Fault) {
        self.on_nth_method("basic.publish", nth, fault);
    }

    /// Strikes at the nth method of a kind from now on, such as `basic.ack` or `queue.declare`; the next one is the first.
    ///
    /// Methods of channels that are open count; the handshake and `channel.open` do not.
    ///
    /// # Panics
    ///
    /// If `nth` is 0, if there is no such method among those that count, or if the fault is only for a publish and the method is
    /// another: it would never strike, and the test prove nothing.
    #[track_caller]
    pub fn on_nth_method(&self, method: &str, nth: u64, fault: Fault) {
        assert!(
            is_counted(method),
            "no fault can strike at `{method}`; name a method of an open channel, such as `basic.publish` or `queue.declare`"
        );
        assert!(
            method == "basic.publish" || !fault.is_for_publish(),
            "{fault:?} does nothing at `{method}`; it is for `basic.publish` only"
        );
        let nth = from_one(nth);
        self.plan(|plan| plan.script(Some(method), nth, fault));
    }

    /// Strikes at the nth method of any kind from now on; the next one is the first.
    ///
    /// # Panics
    ///
    /// If `nth` is 0.
    #[track_caller]
    pub fn on_nth_command(&self, nth: u64, fault: Fault) {
        let nth = from_one(nth);
        self.plan(|plan| plan.script(None, nth, fault));
    }

    /// Strikes at the nth TCP connection from now on; the next one is the first. Such faults are not in the [`log`](Self::log).
    ///
    /// # Panics
    ///
    /// If `nth` is 0.
    #[track_caller]
    pub fn on_nth_connection(&self, nth: u64, fault: ConnectFault) {
        let nth = from_one(nth);
        self.plan(|plan| plan.script_connection(nth, fault));
    }

    /// Strikes at every connection that is made until [`Self::clear`].
    pub fn on_every_connection(&self, fault: ConnectFault) {
        self.plan(|plan| plan.every_connection = Some(fault));
    }

    /// Resets every connection that is made from now on, as a port does where nobody listens, until this is called with `false`. Those that
    /// are open stay. Accepting and closing them instead: [`on_every_connection`](Self::on_every_connection).
    ///
    /// ```
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// # let broker = garenne_embedded::Broker::start().await?;
    /// broker.faults().refuse_connections(true);
    /// broker.faults().strike(&garenne_embedded::Fault::CutConnection);
    /// // The client tries in vain.
    /// broker.faults().refuse_connections(false);
    /// # Ok(())
    /// # }
    /// ```
    pub fn refuse_connections(&self, is_refusing: bool) {
        self.plan(|plan| plan.every_connection = is_refusing.then_some(ConnectFault::Refuse));
    }

    /// Holds back or swallows something that the broker sends, from now on: see [`AnswerFault`]. Of several faults the first that
    /// strikes counts. Such faults are not in the [`log`](Self::log).
    pub fn on_answer(&self, fault: AnswerFault) {
        self.act(|engine, _| engine.answers.add(fault));
    }

    /// Sends everything that [`AnswerFault::hold`] held back, and holds nothing back any more; what is to be swallowed still is.
    pub fn release_answers(&self) {
        self.act(Engine::release_answers);
    }

    /// Strikes the open connections now whose client's `connection_name` contains a text, as [`strike`](Self::strike) does all.
    ///
    /// # Panics
    ///
    /// If the fault is only for a publish.
    #[track_caller]
    pub fn strike_named(&self, connection_name: &str, fault: &Fault) {
        assert_for_connections(fault);
        self.act(|engine, now| engine.core.strike_named(now, connection_name, fault));
    }

    /// Strikes every open connection now. That is not in the [`log`](Self::log): it strikes at no method.
    ///
    /// # Panics
    ///
    /// If the fault is only for a publish.
    #[track_caller]
    pub fn strike(&self, fault: &Fault) {
        assert_for_connections(fault);
        self.act(|engine, now| engine.core.strike_named(now, "", fault));
    }

    /// Strikes methods at random: of a million, so many are struck by one of these faults. The same seed and the same methods in the
    /// same order draw the same faults. From 1,000,000 on every method is struck; one that is only for a publish does nothing at
    /// another method, but is drawn and in the log.
    pub fn at_random(&self, seed: u64, per_million: u32, faults: impl IntoIterator<Item = Fault>) {
        let faults = faults.into_iter().collect();
        self.plan(|plan| plan.roll(seed, per_million, faults));
    }

    /// Lets the faults of an earlier run strike again at the same methods, counted since the broker started.
    pub fn replay(&self, log: &[Injected]) {
        self.plan(|plan| {
            for injected in log {
                plan.script_at(None, injected.method_number, injected.fault.clone());
            }
        });
    }

    /// Sends confirms in another order than RabbitMQ's from now on.
    pub fn order_confirms(&self, order: ConfirmOrder) {
        self.plan(|plan| plan.order = order);
    }

    /// Seeds the order of [`ConfirmOrder::Adversarial`] (default: another seed for every broker).
    pub fn seed(&self, seed: u64) {
        self.plan(|plan| plan.shuffle = Some(fastrand::Rng::with_seed(seed)));
    }

    /// Sends confirms so much later than they could go out, on the broker's clock, and together; zero sends them at once again.
    pub fn delay_confirms(&self, delay: Duration) {
        self.act(|engine, _| {
            engine.core.faults.confirm_delay = Millis::from(delay).0;
            engine.core.flush_delayed();
        });
    }

    /// Holds every confirm back from now on, until [`Self::release_confirms`].
    pub fn withhold_confirms(&self) {
        self.plan(|plan| plan.withholds = true);
    }

    /// Sends every confirm that was held back.
    pub fn release_confirms(&self) {
        self.act(|engine, _| engine.core.release_confirms());
    }

    /// Forgets every fault that has not struck yet, sends confirms as RabbitMQ does, and every answer that was held back.
    pub fn clear(&self) {
        self.act(|engine, now| {
            engine.core.faults.clear();
            engine.answers.clear();
            engine.release_answers(now);
            engine.core.release_confirms();
        });
    }

    /// Returns what has struck so far, the first first.
    #[must_use]
    pub fn log(&self) -> Vec<Injected> {
        self.hub.look(|engine, _| engine.core.faults.log().to_vec())
    }

    fn plan(&self, change: impl FnOnce(&mut FaultPlan)) {
        self.hub.with(|engine, _| change(&mut engine.core.faults));
    }

    fn act(&self, act: impl FnOnce(&mut Engine, Millis)) {
        self.hub.with(|engine, now| {
            act(engine, now);
            engine.flush(now);
        });
    }
}

#[track_caller]
fn assert_for_connections(fault: &Fault) {
    assert!(
        !fault.is_for_publish(),
        "{fault:?} does nothing to a connection; ask for it with `on_nth_publish`"
    );
}

/// Checks a number that is counted from 1: the next method or connection.
#[track_caller]
pub(super) fn from_one(nth: u64) -> u64 {
    assert!(nth > 0, "a fault at number 0 never strikes; the next one is number 1");
    nth
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").finish_non_exhaustive()
    }
}
