//! Cuts every connection several times on the way.

use std::{sync::Arc, time::Duration};

use garenne_cli::Proxy;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{ledger::Ledger, stats::Stats};

/// How often everything is cut, spread evenly over the orders published.
const CUTS: u64 = 5;
/// How often progress is looked at.
const TICK: Duration = Duration::from_millis(10);

/// The proxy and the task that cuts its connections.
#[derive(Debug)]
pub(crate) struct Chaos {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

// === impl Chaos ===

impl Chaos {
    /// Cuts each time another part of the orders was published.
    #[expect(clippy::disallowed_methods, reason = "the one task is owned here and joined by `stop`")]
    pub(crate) fn start(proxy: Arc<Proxy>, ledger: &Ledger, stats: Arc<Stats>) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let orders = u64::from(ledger.orders());
        let task = tokio::spawn(async move {
            for cut in 1..=CUTS {
                while stats.published.get() < orders * cut / (CUTS + 1) {
                    tokio::select! {
                        () = stopped.cancelled() => return,
                        () = tokio::time::sleep(TICK) => {}
                    }
                }
                proxy.cut();
                stats.cuts.up();
            }
        });
        Self { stop, task }
    }

    /// Stops cutting; what is up stays up.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        Ok(self.task.await?)
    }
}
