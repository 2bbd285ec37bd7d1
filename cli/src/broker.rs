//! `garenne broker`: the embedded broker for clients of every language.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use garenne::shutdown_signal;
use garenne_embedded::Broker;

/// The options of `garenne broker`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 5672)]
    port: u16,
    /// Serves the management API on this port; 0 takes a free one.
    #[arg(long)]
    management_port: Option<u16>,
    /// A further vhost beside `/`; can be given several times.
    #[arg(long = "vhost")]
    vhosts: Vec<String>,
}

/// Runs a broker until Ctrl-C or SIGTERM.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut builder = Broker::builder().port(args.port);
    for vhost in args.vhosts {
        builder = builder.vhost(vhost);
    }
    if let Some(port) = args.management_port {
        builder = builder.management_port(port);
    }
    let broker = builder.start().await.context("the broker cannot start")?;
    announce(&broker).context("cannot tell on standard output where the broker listens")?;
    shutdown_signal().await;
    broker.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// Tells where it listens, with the credentials: they are for this machine and this run, and scripts need them.
fn announce(broker: &Broker) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{} (in memory, for development and tests; Ctrl-C stops it)", broker.url())?;
    if let Some(address) = broker.management_address() {
        writeln!(output, "http://guest:guest@{address}/api (management API)")?;
    }
    Ok(())
}
