//! `garenne demo`: orders flow from a producer service to consumer services while every connection is cut.
//!
//! All of it is public API, so it is also the largest example.

mod chaos;
mod dead_letters;
mod ledger;
mod messages;
mod replay;
mod report;
mod services;
mod shop;
mod stats;
mod view;

use std::{io::IsTerminal, process::ExitCode, sync::Arc, time::Instant};

use anyhow::Context as _;
use garenne::prelude::*;
use garenne_cli::Proxy;
use garenne_embedded::Broker;
use garenne_program::{Ending, Signals};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::{
    chaos::{Chaos, Level},
    ledger::Ledger,
    report::Report,
    services::Services,
    shop::Shop,
    stats::Stats,
    view::{Surface, View},
};

/// The options of `garenne demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many orders to publish.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    orders: u32,
    /// A RabbitMQ to run on, as `amqp://user:password@host:port/vhost`; without it the demo brings the embedded broker.
    ///
    /// Queues and exchange have names of this run, begin with `garenne-demo-`, and are deleted at the end. The variable `AMQP_URL` does
    /// not count.
    #[arg(long)]
    url: Option<String>,
    /// What breaks on the way.
    #[arg(long, value_enum, default_value_t = Level::Cuts)]
    chaos: Level,
    /// Prints the final table as one JSON object on standard output, and nothing else there.
    #[arg(long)]
    json: bool,
}

/// Runs the demo; the exit code is 1 if a confirmed message was lost, and 4 if a second signal ended it.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let embedded = match args.url {
        Some(_) => None,
        None => Some(Broker::start().await.context("the embedded broker cannot start")?),
    };
    let url = args.url.as_deref().or(embedded.as_ref().map(Broker::url)).unwrap_or_default();
    let config = Config::from_url(url)?.service("demo");
    args.surface().say(&match &embedded {
        Some(_) => "broker: the embedded one, in this process".to_owned(),
        None => format!("broker: {}", config.endpoints[0]),
    });
    let stop = Stop::default();
    let mut signals = JoinSet::new();
    signals.spawn(stop.clone().on_signals(Signals::listen()?, args.surface()));

    let connected = stop.first.run_until_cancelled(Client::connect(config.clone())).await;
    let operator = connected.context("stopped before the broker was reached")??;
    let (shop, ledger, stats) = (Shop::new(), Arc::new(Ledger::new(args.orders)), Arc::new(Stats::default()));
    let played = async {
        operator.apply(&shop.topology()).await?;
        play(&args, &config, &operator, &shop, &ledger, &stats, &stop).await
    }
    .await;
    // Whatever happened: nothing stays behind on a broker of somebody else.
    operator
        .delete(&shop.topology())
        .await
        .context("the demo's queues are left; the broker deletes them in 10 minutes")?;
    played?;
    operator.close().await;
    signals.shutdown().await;
    if let Some(embedded) = embedded {
        embedded.stop().await;
    }

    let forced = stop.second.is_cancelled();
    let report = Report::new(&ledger, &stats, started.elapsed(), forced);
    report.print(args.json)?;
    Ok(match (report.lost, forced) {
        (_, true) => Ending::Forced.into(),
        (0, false) => Ending::Clean.into(),
        (_, false) => Ending::Failed.into(),
    })
}

/// Lets the orders flow while connections are cut, until the books are settled or a second signal comes.
async fn play(
    args: &Args,
    config: &Config,
    operator: &Client,
    shop: &Shop,
    ledger: &Arc<Ledger>,
    stats: &Arc<Stats>,
    stop: &Stop,
) -> anyhow::Result<()> {
    let proxy = Proxy::start(config.endpoints[0].authority()).await.context("cannot start the proxy")?;
    let proxy = Arc::new(proxy);
    let proxied = behind(&proxy, config);
    let view = View::start(args.surface(), operator, shop, stats, ledger);
    let services = Services::start(&proxied, shop, ledger, stats).await?;
    let chaos = Chaos::start(args.chaos, Arc::clone(&proxy), ledger, Arc::clone(stats));
    let producing = services::produce(&proxied, shop, ledger, stats, &stop.first);
    stop.second.run_until_cancelled(producing).await.transpose()?;
    chaos.stop().await?;
    stats.bank.answers();
    if args.chaos == Level::Heavy {
        replay::replay(args.surface(), operator, shop, ledger, stats, &stop.second).await?;
    }
    dead_letters::settle(operator, shop, ledger, &stop.second).await?;
    services.stop().await?;
    view.stop().await
}

/// The first signal stops the publishing, and what was published is accounted for; the second stops that too.
#[derive(Debug, Clone, Default)]
struct Stop {
    first: CancellationToken,
    second: CancellationToken,
}

impl Stop {
    async fn on_signals(self, mut signals: Signals, surface: Surface) {
        signals.next().await;
        surface.say(
            "stopped publishing, waiting until every order is accounted for; a second signal stops at once",
        );
        self.first.cancel();
        signals.next().await;
        self.second.cancel();
    }
}

impl Args {
    fn surface(&self) -> Surface {
        match (self.json, std::io::stderr().is_terminal()) {
            (true, _) => Surface::None,
            (false, true) => Surface::Terminal,
            (false, false) => Surface::Plain,
        }
    }
}

/// Returns the same configuration with the proxy as its only endpoint.
fn behind(proxy: &Proxy, config: &Config) -> Config {
    let mut config = config.clone();
    let mut address = config.endpoints[0].clone();
    address.host = proxy.address().ip().to_string();
    address.port = proxy.address().port();
    config.endpoints = vec![address];
    config
}
