//! `garenne demo`: orders flow from a producer service to consumer services while every connection is cut.
//!
//! All of it is public API, so it is also the largest example.

mod chaos;
mod dead_letters;
mod ledger;
mod messages;
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
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::{
    chaos::Chaos,
    ledger::Ledger,
    report::Report,
    services::Services,
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
    #[arg(long, env = "AMQP_URL", hide_env_values = true)]
    url: Option<String>,
    /// Leaves the connections alone.
    #[arg(long)]
    no_chaos: bool,
    /// Prints the final table as one JSON object on standard output, and nothing else there.
    #[arg(long)]
    json: bool,
}

/// Runs the demo; the exit code is 1 if a confirmed message was lost.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let embedded = match args.url {
        Some(_) => None,
        None => Some(Broker::start().await.context("the embedded broker cannot start")?),
    };
    let url = args.url.as_deref().or(embedded.as_ref().map(Broker::url)).unwrap_or_default();
    let direct = Config::from_url(url)?.service("demo");
    let endpoint = direct.endpoints[0].clone();
    args.surface().say(&match &embedded {
        Some(_) => "broker: the embedded one, in this process".to_owned(),
        None => format!("broker: {endpoint}"),
    });
    let proxy = Arc::new(Proxy::start(endpoint.authority()).await.context("cannot start the proxy")?);
    let proxied = behind(&proxy, &direct);

    let operator = Client::connect(direct).await?;
    operator.apply(&shop::topology()).await?;
    let ledger = Arc::new(Ledger::new(args.orders));
    let stats = Arc::new(Stats::default());
    let view = View::start(args.surface(), &operator, &stats, &ledger);
    let stop = CancellationToken::new();
    let mut signals = JoinSet::new();
    signals.spawn(stop_on_signal(stop.clone()));

    let services = Services::start(&proxied, &ledger, &stats).await?;
    let chaos = (!args.no_chaos).then(|| Chaos::start(Arc::clone(&proxy), &ledger, Arc::clone(&stats)));
    services::produce(&proxied, &ledger, &stats, &stop).await?;
    if let Some(chaos) = chaos {
        chaos.stop().await?;
    }
    dead_letters::settle(&operator, &ledger, &stop).await?;
    services.stop().await?;
    view.stop().await?;
    operator.close().await;
    signals.shutdown().await;

    if let Some(embedded) = embedded {
        embedded.stop().await;
    }

    let report = Report::new(&ledger, &stats, started.elapsed());
    report.print(args.json)?;
    Ok(if report.lost == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn stop_on_signal(stop: CancellationToken) {
    shutdown_signal().await;
    stop.cancel();
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
