//! Breaks the connections on the way, and lets the bank be away.

use std::{sync::Arc, time::Duration};

use clap::ValueEnum;
use garenne_cli::{Direction, Proxy};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{ledger::Ledger, stats::Stats};

/// How often progress is looked at.
const TICK: Duration = Duration::from_millis(10);
/// How long nothing is answered, once it is held.
const HOLD: Duration = Duration::from_millis(300);

/// What breaks on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    /// Nothing.
    Off,
    /// Every connection is cut, five times.
    Cuts,
    /// Every connection is cut or held, twenty times; the bank is away for a fifth of the orders, and changes its mind in the end, when
    /// all dead letters are replayed.
    Heavy,
}

/// The task that breaks things.
#[derive(Debug)]
pub(crate) struct Chaos {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

// === impl Level ===

impl Level {
    /// Returns how often something breaks, spread evenly over the orders published.
    const fn times(self) -> u64 {
        match self {
            Self::Off => 0,
            Self::Cuts => 5,
            Self::Heavy => 20,
        }
    }
}

// === impl Chaos ===

impl Chaos {
    /// Breaks something each time another part of the orders was published.
    #[expect(clippy::disallowed_methods, reason = "the one task is owned here and joined by `stop`")]
    pub(crate) fn start(level: Level, proxy: Arc<Proxy>, ledger: &Ledger, stats: Arc<Stats>) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let orders = u64::from(ledger.orders());
        let times = level.times();
        let task = tokio::spawn(async move {
            for time in 1..=times {
                while stats.published.get() < orders * time / (times + 1) {
                    tokio::select! {
                        () = stopped.cancelled() => return,
                        () = tokio::time::sleep(TICK) => {}
                    }
                }
                if level == Level::Heavy {
                    // From two fifths to three.
                    stats.bank.is_away(time > times * 2 / 5 && time <= times * 3 / 5);
                    if time % 4 == 0 {
                        proxy.hold(Direction::ToClient);
                        tokio::time::sleep(HOLD).await;
                        proxy.release(Direction::ToClient);
                        continue;
                    }
                }
                proxy.cut();
                stats.cuts.up();
            }
        });
        Self { stop, task }
    }

    /// Breaks nothing any more; what is up stays up.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        Ok(self.task.await?)
    }
}
