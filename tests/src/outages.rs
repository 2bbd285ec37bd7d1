//! Outages that are played against a broker while a client publishes and consumes, and what a ledger says afterwards.
//!
//! A [`Stage`] knows how to break things and how to mend them: [`Single`] has one broker behind a proxy, [`Trio`] a cluster of three
//! nodes. [`play`] draws outages from a seed, and [`Book`] holds for each how long publishing and consuming needed to come back.
//!
//! The clock of an outage starts when the broker accepts logins again, seen by a client that knows nothing of ours; where logins
//! worked all the time, when what was taken away is back. Of a cluster, part of which works all the time, the longest silence counts.

mod book;
mod kind;
mod ledger;
mod login;
mod single;
mod table;
mod traffic;
mod trio;

use std::fmt::Display;
use std::time::{Duration, Instant};

use fastrand::Rng;
use garenne::Config;

pub use self::book::{Book, Outage};
pub use self::kind::Kind;
pub use self::ledger::{Ledger, Window};
pub use self::single::Single;
pub use self::table::table;
use self::traffic::Traffic;
pub use self::trio::{Trio, TrioKind};
use crate::SECONDS;

/// How long publishing and consuming may take to come back before an outage counts as one without an end.
const NEVER: Duration = Duration::from_secs(60);
/// How long the messages that are still under way at the end may take.
const DRAIN: Duration = Duration::from_secs(60);

/// What is to be played.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The same seed gives the same outages in the same order.
    pub seed: u64,
    /// How many.
    pub count: usize,
    /// Whether every outage is as short as it can be and still show what it is for.
    pub short: bool,
}

/// From when on it counts how long publishing and consuming were not there.
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    /// From this moment on, in which everything was mended.
    Since(Instant),
    /// The longest time without a confirm, and that without a delivery, after this moment: something worked all the time.
    Silence(Instant),
}

/// A broker, or several, and what can happen to them.
pub trait Stage {
    /// A kind of outage.
    type Kind: Copy + Display;

    /// The kinds that can be played here.
    fn kinds(&self) -> Vec<Self::Kind>;

    /// How a client reaches the broker.
    fn config(&self) -> Config;

    /// Ends every connection of the client.
    fn cut(&self) -> impl Future<Output = ()>;

    /// Breaks something, waits, mends it, and says how the time to come back is measured.
    fn strike(
        &self,
        kind: Self::Kind,
        ledger: &Ledger,
        rng: &mut Rng,
        short: bool,
    ) -> impl Future<Output = Clock>;
}

/// Plays a plan, with a client that publishes and consumes all the time, and returns what happened.
///
/// `tell` is called with each outage when it is over.
pub async fn play<S: Stage>(stage: &S, plan: Plan, mut tell: impl FnMut(&Outage)) -> Book {
    let mut rng = Rng::with_seed(plan.seed);
    let kinds = drawn(&stage.kinds(), plan.count, &mut rng);
    let traffic = Traffic::start(settings(stage.config())).await;
    let ledger = traffic.ledger();
    // Something must work before it can break.
    let began = Instant::now();
    ledger.back(began, NEVER).await;
    let mut outages = Vec::new();
    for (index, kind) in kinds.into_iter().enumerate() {
        ledger.next(index);
        let clock = stage.strike(kind, &ledger, &mut rng, plan.short).await;
        let (publishing, consuming) = match clock {
            Clock::Since(mended) => ledger.back(mended, NEVER).await,
            Clock::Silence(struck) => ledger.silence(struck, NEVER).await,
        };
        if publishing.is_none() || consuming.is_none() {
            // What one outage left broken must not be counted again with the next.
            stage.cut().await;
            ledger.back(Instant::now(), NEVER).await;
        }
        // What is deleted with a queue must not be what an outage before has left in it.
        ledger.drained(DRAIN).await;
        calm(&mut rng).await;
        let outage = Outage { kind: kind.to_string(), publishing, consuming };
        tell(&outage);
        outages.push(outage);
    }
    traffic.stop(DRAIN).await;
    Book::new(outages, &ledger)
}

/// Every kind as often as every other, in an order that the seed decides.
fn drawn<K: Copy>(kinds: &[K], count: usize, rng: &mut Rng) -> Vec<K> {
    let mut drawn = Vec::with_capacity(count);
    while drawn.len() < count {
        let mut round = kinds.to_owned();
        rng.shuffle(&mut round);
        drawn.extend(round);
    }
    drawn.truncate(count);
    drawn
}

/// The limits that decide how soon silence is noticed, short enough for outages of seconds. Everything else is the default.
fn settings(mut config: Config) -> Config {
    config.connection.heartbeat = 2 * SECONDS;
    config.connection.connect_timeout = 3 * SECONDS;
    config.connection.rpc_timeout = 3 * SECONDS;
    config.publish.confirm_timeout = 3 * SECONDS;
    config
}

/// A moment in which all is well, so that an outage does not begin in the last one's recovery.
async fn calm(rng: &mut Rng) {
    tokio::time::sleep(Duration::from_millis(rng.u64(200..800))).await;
}

/// Draws how long an outage lasts, in milliseconds.
async fn lasts(rng: &mut Rng, range: std::ops::Range<u64>) {
    tokio::time::sleep(Duration::from_millis(rng.u64(range))).await;
}
