//! One broker behind a proxy.

use std::time::Instant;

use fastrand::Rng;
use garenne::Config;
use serde_json::json;

use super::{Clock, Kind, Ledger, Stage, Window, lasts, login, traffic::TICKS};
use crate::{Direction, Flow, Mode, OwnBroker, Proxy, Vhost, encode, log};

/// A trickle in which a frame of a message takes a second.
const TRICKLE: Flow = Flow::Slow { bytes_per_second: 300 };

/// One broker behind a proxy.
#[derive(Debug)]
pub struct Single {
    vhost: Vhost,
    proxy: Proxy,
    /// `None` where the broker belongs to others, too.
    own: Option<OwnBroker>,
}

// === impl Single ===

impl Single {
    /// Takes a vhost; what would disturb others than its own clients is not played.
    pub async fn on(vhost: Vhost) -> Self {
        let proxy = vhost.proxy().await;
        Self { vhost, proxy, own: None }
    }

    /// Starts a RabbitMQ for this alone.
    pub async fn own() -> Self {
        let own = OwnBroker::start().await;
        let stage = Self::on(Vhost::on(&own).await).await;
        Self { own: Some(own), ..stage }
    }

    /// Waits until a login succeeds that goes the way of the client's.
    async fn login(&self) -> Instant {
        login::first(&self.proxy.address().to_string(), &self.vhost.url()).await
    }

    async fn mode(&self, mode: Mode, rng: &mut Rng, range: std::ops::Range<u64>) -> Instant {
        self.proxy.set_mode(mode);
        self.proxy.cut();
        lasts(rng, range).await;
        self.proxy.set_mode(Mode::Forward);
        self.login().await
    }

    async fn flow(
        &self,
        directions: &[Direction],
        flow: Flow,
        rng: &mut Rng,
        range: std::ops::Range<u64>,
    ) -> Instant {
        directions.iter().for_each(|direction| self.proxy.set_flow(*direction, flow));
        lasts(rng, range).await;
        directions.iter().for_each(|direction| self.proxy.set_flow(*direction, Flow::Free));
        self.login().await
    }

    async fn cuts(&self, rng: &mut Rng) -> Instant {
        for _ in 0..rng.u32(2..8) {
            self.proxy.cut();
            lasts(rng, 50..700).await;
        }
        self.proxy.cut();
        self.login().await
    }

    fn broker(&self) -> &OwnBroker {
        self.own.as_ref().expect("only with a broker of its own")
    }

    async fn restart(&self, rng: &mut Rng) -> Instant {
        self.broker().stop_app().await;
        lasts(rng, 0..3000).await;
        tokio::join!(self.login(), self.broker().start_app()).0
    }

    async fn pause(&self, rng: &mut Rng) -> Instant {
        self.broker().pause().await;
        lasts(rng, 2000..7000).await;
        tokio::join!(self.login(), self.broker().unpause()).0
    }

    async fn password(&self, rng: &mut Rng, range: std::ops::Range<u64>) -> Instant {
        let set = async |password: &str| {
            let user = json!({ "password": password, "tags": "management" });
            self.vhost.admin().put(&format!("/users/{}", self.vhost.name()), &user).await;
        };
        set("changed").await;
        self.proxy.cut();
        lasts(rng, range).await;
        tokio::join!(self.login(), set(log::password())).0
    }

    async fn permission(&self, ledger: &Ledger, rng: &mut Rng, range: std::ops::Range<u64>) -> Instant {
        let allow = async |write: &str| {
            let permissions = json!({ "configure": ".*", "write": write, "read": ".*" });
            let name = self.vhost.name();
            self.vhost.admin().put(&format!("/permissions/{name}/{name}"), &permissions).await;
        };
        ledger.open(Window::Forbidden);
        allow("^$").await;
        if rng.bool() {
            // A channel remembers what it was allowed: a new one asks.
            self.proxy.cut();
        }
        lasts(rng, range).await;
        allow(".*").await;
        ledger.close();
        Instant::now()
    }

    async fn queue(&self, ledger: &Ledger, rng: &mut Rng, range: std::ops::Range<u64>) -> Instant {
        ledger.open(Window::QueueGone);
        self.vhost.delete_queue(TICKS).await;
        lasts(rng, range).await;
        self.vhost.declare_queue(TICKS, json!({ "x-queue-type": "quorum" })).await;
        self.bind().await;
        ledger.close();
        Instant::now()
    }

    async fn exchange(&self, ledger: &Ledger, rng: &mut Rng, range: std::ops::Range<u64>) -> Instant {
        let path = format!("/exchanges/{}/{TICKS}", self.vhost.name());
        ledger.open(Window::ExchangeGone);
        self.vhost.admin().delete(&path).await;
        lasts(rng, range).await;
        self.vhost.admin().put(&path, &json!({ "type": "topic", "durable": true })).await;
        self.bind().await;
        ledger.close();
        Instant::now()
    }

    async fn bind(&self) {
        let path = format!("/bindings/{}/e/{TICKS}/q/{TICKS}", encode(self.vhost.name()));
        self.vhost.admin().post(&path, &json!({ "routing_key": "tick" })).await;
    }
}

impl Stage for Single {
    type Kind = Kind;

    fn kinds(&self) -> Vec<Kind> {
        let is_own = self.own.is_some();
        Kind::ALL.into_iter().filter(|kind| is_own || !kind.needs_own_broker()).collect()
    }

    fn config(&self) -> Config {
        self.vhost.config_through(&self.proxy)
    }

    async fn cut(&self) {
        self.proxy.cut();
    }

    async fn strike(&self, kind: Kind, ledger: &Ledger, rng: &mut Rng, short: bool) -> Clock {
        use Direction::{ToBroker, ToClient};
        let range = |shortest: u64, longest: u64| shortest..if short { shortest + 300 } else { longest };
        // Longer than it takes to notice that nothing comes back.
        let silence = range(5500, 8000);
        Clock::Since(match kind {
            Kind::Cuts => self.cuts(rng).await,
            Kind::Restart => self.restart(rng).await,
            Kind::Refused => self.mode(Mode::Refuse, rng, range(500, 4000)).await,
            Kind::RefusedLong if short => self.mode(Mode::Refuse, rng, 3000..3500).await,
            Kind::RefusedLong => self.mode(Mode::Refuse, rng, 12_000..20_000).await,
            Kind::AcceptThenClose => self.mode(Mode::AcceptThenClose, rng, range(500, 4000)).await,
            Kind::HalfOpen => self.flow(&[ToBroker, ToClient], Flow::Swallowed, rng, silence).await,
            Kind::FrozenToBroker => self.flow(&[ToBroker], Flow::OnlyHeartbeats, rng, silence).await,
            Kind::FrozenToClient => self.flow(&[ToClient], Flow::OnlyHeartbeats, rng, silence).await,
            Kind::Slow => self.flow(&[ToBroker, ToClient], TRICKLE, rng, range(1000, 5000)).await,
            Kind::Paused => self.pause(rng).await,
            Kind::Password => self.password(rng, range(500, 5000)).await,
            Kind::Permission => self.permission(ledger, rng, range(500, 6000)).await,
            Kind::QueueGone => self.queue(ledger, rng, range(200, 3000)).await,
            Kind::ExchangeGone => self.exchange(ledger, rng, range(200, 3000)).await,
        })
    }
}
