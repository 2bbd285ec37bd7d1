//! A cluster of three nodes, and a client that knows all of them.

use std::fmt;
use std::time::Instant;

use fastrand::Rng;
use garenne::Config;

use super::{Clock, Ledger, Stage, lasts, login, traffic::TICKS};
use crate::{Cluster, SECONDS, Vhost, eventually};

/// Three nodes with quorum queues of three members.
#[derive(Debug)]
pub struct Trio {
    vhost: Vhost,
    cluster: Cluster,
}

/// A kind of outage of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrioKind {
    /// The node of the queue's leader is killed, and started again.
    LeaderKilled,
    /// Every node is stopped and started, one after the other.
    RollingRestart,
    /// The node of the queue's leader stands still.
    LeaderPaused,
    /// The node of the queue's leader cannot reach its peers, while clients reach it.
    LeaderCutOff,
    /// As [`LeaderCutOff`](Self::LeaderCutOff), longer than the nodes themselves need to notice.
    LeaderCutOffLong,
    /// Two of the three nodes are killed, and started again.
    TwoDown,
}

// === impl Trio ===

impl Trio {
    /// Starts three nodes and waits until they are one cluster: about half a minute.
    pub async fn start() -> Self {
        let cluster = Cluster::start().await;
        Self { vhost: Vhost::on(cluster.node(0)).await, cluster }
    }

    /// Returns the number of the node where the queue's leader is.
    async fn leader(&self) -> usize {
        eventually(60 * SECONDS, "the queue has a leader", async || {
            let queue = self.vhost.queue(TICKS).await;
            let leader = queue.as_ref().and_then(|queue| queue.leader.as_deref());
            leader.and_then(|leader| self.cluster.number(leader)).ok_or(queue)
        })
        .await
    }

    /// Waits until every node sees every other, and the queue has all its members.
    async fn whole(&self) {
        self.cluster.whole().await;
        eventually(180 * SECONDS, "every member of the queue is online", async || {
            let queue = self.vhost.queue(TICKS).await;
            if queue.as_ref().is_some_and(|queue| queue.online.len() == 3) { Ok(()) } else { Err(queue) }
        })
        .await;
    }

    /// Ends the consuming connection until the client, which chooses at random, has opened it to this node: otherwise nobody would be cut
    /// off with it.
    async fn consume_from(&self, node: usize) {
        eventually(120 * SECONDS, "the client consumes from the leader's node", async || {
            let connections = self.vhost.connections().await;
            let consuming = connections.into_iter().find(|connection| {
                connection.client_name.as_ref().is_some_and(|name| name.contains("consume"))
            });
            let Some(consuming) = consuming else { return Err("no consuming connection yet".to_owned()) };
            if self.cluster.number(&consuming.node) == Some(node) {
                return Ok(());
            }
            self.vhost.close_connection(&consuming.name).await;
            Err(consuming.node)
        })
        .await;
    }

    async fn leader_killed(&self, rng: &mut Rng) {
        let leader = self.leader().await;
        self.cluster.kill(leader).await;
        lasts(rng, 1000..5000).await;
        self.cluster.start_again(leader).await;
    }

    async fn rolling_restart(&self) {
        for node in 0..3 {
            self.cluster.stop(node).await;
            self.cluster.start_again(node).await;
            self.whole().await;
        }
    }

    async fn leader_paused(&self, rng: &mut Rng) {
        let leader = self.leader().await;
        self.cluster.pause(leader).await;
        lasts(rng, 3000..15_000).await;
        self.cluster.unpause(leader).await;
    }

    async fn leader_cut_off(&self, rng: &mut Rng, range: std::ops::Range<u64>) -> Instant {
        let leader = self.leader().await;
        self.consume_from(leader).await;
        let cut_off = Instant::now();
        self.cluster.cut_off(leader).await;
        lasts(rng, range).await;
        self.cluster.heal(leader).await;
        cut_off
    }

    async fn two_down(&self, rng: &mut Rng) -> Instant {
        let stays = rng.usize(0..3);
        let down: Vec<_> = (0..3).filter(|node| *node != stays).collect();
        tokio::join!(self.cluster.kill(down[0]), self.cluster.kill(down[1]));
        lasts(rng, 1000..5000).await;
        let url = self.vhost.url();
        let login = async |node| login::first(&self.cluster.node(node).address(), &url).await;
        // One of them and the one that stayed are a majority.
        let first = async {
            tokio::select! {
                at = login(down[0]) => at,
                at = login(down[1]) => at,
            }
        };
        tokio::join!(first, self.cluster.start_again(down[0]), self.cluster.start_again(down[1])).0
    }
}

impl Stage for Trio {
    type Kind = TrioKind;

    fn kinds(&self) -> Vec<TrioKind> {
        vec![
            TrioKind::LeaderKilled,
            TrioKind::RollingRestart,
            TrioKind::LeaderPaused,
            TrioKind::LeaderCutOff,
            TrioKind::LeaderCutOffLong,
            TrioKind::TwoDown,
        ]
    }

    fn config(&self) -> Config {
        let urls = [0, 1, 2].map(|node| self.vhost.url_at(&self.cluster.node(node).address()));
        Config::from_url(&urls.join(",")).expect("the fixture's URLs are valid")
    }

    async fn cut(&self) {
        self.vhost.force_close().await;
    }

    async fn strike(&self, kind: TrioKind, _: &Ledger, rng: &mut Rng, short: bool) -> Clock {
        let struck = Instant::now();
        let clock = match kind {
            TrioKind::LeaderKilled => {
                self.leader_killed(rng).await;
                Clock::Silence(struck)
            }
            TrioKind::RollingRestart => {
                self.rolling_restart().await;
                Clock::Silence(struck)
            }
            TrioKind::LeaderPaused => {
                self.leader_paused(rng).await;
                Clock::Silence(struck)
            }
            TrioKind::LeaderCutOff => Clock::Silence(self.leader_cut_off(rng, 12_000..25_000).await),
            TrioKind::LeaderCutOffLong => {
                let range = if short { 20_000..20_001 } else { 75_000..75_001 };
                Clock::Silence(self.leader_cut_off(rng, range).await)
            }
            TrioKind::TwoDown => Clock::Since(self.two_down(rng).await),
        };
        self.whole().await;
        clock
    }
}

impl fmt::Display for TrioKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LeaderKilled => "leader killed",
            Self::RollingRestart => "rolling restart",
            Self::LeaderPaused => "leader paused",
            Self::LeaderCutOff => "leader cut off",
            Self::LeaderCutOffLong => "leader cut off for 75 s",
            Self::TwoDown => "two of three down",
        })
    }
}
