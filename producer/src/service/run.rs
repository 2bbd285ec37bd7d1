//! One run: connect, read, publish, report.

use std::{
    cell::Cell,
    num::NonZeroU32,
    pin::pin,
    rc::Rc,
    time::{Duration, Instant},
};

use futures_util::{Stream, StreamExt, future::ready, stream};
use garenne_producer::{Publish, Publisher};
use garenne_shared::{Config, ConfigError, ExchangeName, Retry, config::PublishConfig};
use garenne_topology::Topology;
use garenne_transport::{
    Client, ErrorKind,
    service::{Signals, chain},
};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio_util::sync::CancellationToken;

use super::{
    account::{Account, Origin},
    addressing::{Addressing, Malformed},
    args::Args,
    console::Console,
    input::{self, Input},
    ledger::Summary,
    lines::{Line, Text},
    rejects::Rejects,
};

/// A line, and its file if there is more than one input.
type Numbered = (Option<Rc<str>>, Line);

/// Why a run has no summary.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line is wrong.
    Usage(String),
    /// Something outside is.
    Failed(String),
}

/// Runs until the input ends or a signal comes.
pub(crate) async fn run(args: &Args, console: &Console) -> Result<Summary, Failure> {
    let usage = |error: &dyn std::error::Error| Failure::Usage(chain(error));
    let config = config(args).map_err(|error| usage(&error))?;
    let addressing = Addressing::new(args).map_err(|error| usage(&error))?;
    input::check(&args.files).map_err(|error| usage(&error))?;
    let mut rejects = match &args.rejects {
        Some(path) if input::reads(&args.files, path) => {
            return Err(Failure::Usage(format!("{} is both read and the file of rejects", path.display())));
        }
        Some(path) => Some(Rejects::open(path).map_err(|error| {
            Failure::Usage(format!("cannot open the file of rejects {}: {error}", path.display()))
        })?),
        None => None,
    };
    let mut signals =
        Signals::listen().map_err(|error| Failure::Failed(format!("cannot listen for signals: {error}")))?;
    let limit = usize::try_from(config.publish.max_message_bytes).unwrap_or(usize::MAX);
    let client = tokio::select! {
        client = Client::connect(config) => client.map_err(|error| match error.kind() {
            ErrorKind::Config => usage(&error),
            _ => Failure::Failed(chain(&error)),
        })?,
        () = signals.next() => return Err(Failure::Failed("stopped before a broker was reached; nothing was read".to_owned())),
    };
    if !args.exchange.as_str().is_empty() {
        find_exchange(&client, &args.exchange).await?;
    }
    // Only now: a run that does not begin must not take the rejects of the one before.
    if let Some(Err(error)) = rejects.as_mut().map(Rejects::clear) {
        return Err(Failure::Failed(format!("cannot empty the file of rejects: {error}")));
    }
    let run = Run {
        publisher: Publisher::new(&client).retry(
            Retry::exponential(Duration::from_millis(100)..=Duration::from_secs(5)).jitter(true),
            Duration::from_secs(args.retry_for.into()),
        ),
        addressing,
        account: Account::new(console, rejects),
        console,
        stop: CancellationToken::new(),
        input_failed: Cell::new(false),
    };
    let started = Instant::now();
    let end = run.publish(Input::new(&args.files, limit), args.rate, &mut signals).await;
    let elapsed = started.elapsed();
    if end != End::Abandoned {
        client.close().await;
    }
    let whole = end == End::InputEnded && !run.input_failed.get();
    let (counts, written) = run.account.close();
    if let Err(error) = &written {
        console.say(&format!("error: cannot write the file of rejects: {error}"));
    }
    Ok(Summary::new(counts, elapsed, whole && written.is_ok()))
}

fn config(args: &Args) -> Result<Config, ConfigError> {
    let mut publish = PublishConfig::default();
    publish.window = usize::try_from(args.window).unwrap_or(usize::MAX);
    Ok(args.broker.config(&args.app_id)?.publish(publish))
}

/// Looks for the exchange, so that a wrong name is one error and not one a line. Whatever else keeps the broker from
/// answering shows with the first line.
async fn find_exchange(client: &Client, exchange: &ExchangeName) -> Result<(), Failure> {
    match client.verify(&Topology::new().external_exchange(exchange)).await {
        Err(error) if error.kind() == ErrorKind::NotFound => Err(Failure::Failed(format!(
            "exchange `{exchange}` does not exist; declare it or correct `--exchange`"
        ))),
        _ => Ok(()),
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// There is nothing more to read, and everything has its outcome.
    InputEnded,
    /// A signal stopped the reading; everything that was read has its outcome.
    Stopped,
    /// A second signal came before all outcomes.
    Abandoned,
}

struct Run<'a> {
    publisher: Publisher,
    addressing: Addressing,
    account: Account<'a>,
    console: &'a Console,
    stop: CancellationToken,
    input_failed: Cell<bool>,
}

// === impl Run ===

impl Run<'_> {
    async fn publish(&self, input: Input, rate: Option<u32>, signals: &mut Signals) -> End {
        let lines = self.lines(input, rate).take_until(self.stop.cancelled());
        let publishes = lines.filter_map(|line| ready(self.read(line)));
        let mut outcomes = pin!(self.publisher.publish_each(publishes));
        loop {
            tokio::select! {
                outcome = outcomes.next() => match outcome {
                    Some(((), outcome)) => self.account.settled(&outcome),
                    None if self.stop.is_cancelled() => return End::Stopped,
                    None => return End::InputEnded,
                },
                () = signals.next() => {
                    let in_flight = self.account.counts().in_flight();
                    if self.stop.is_cancelled() {
                        self.console.say(&format!("stopped at once; {in_flight} in flight are unknown"));
                        return End::Abandoned;
                    }
                    self.stop.cancel();
                    self.console.say(&format!(
                        "stopped reading, waiting for {in_flight} in flight; a second signal stops at once"
                    ));
                }
            }
        }
    }

    /// The lines of the input, at most `rate` a second.
    fn lines(&self, input: Input, rate: Option<u32>) -> impl Stream<Item = Numbered> {
        let limiter = rate.and_then(NonZeroU32::new).map(limiter);
        stream::unfold((input, limiter), async |(mut input, limiter)| {
            if let Some(limiter) = &limiter {
                limiter.until_ready().await;
            }
            match input.next().await {
                Ok(line) => line.map(|line| (line, (input, limiter))),
                Err(error) => {
                    self.input_failed.set(true);
                    self.console.say(&format!("error: {error}"));
                    None
                }
            }
        })
    }

    /// Makes the publish of a line, or enters it as malformed.
    fn read(&self, (file, line): Numbered) -> Option<((), Publish<'_>)> {
        let Line { number, text } = line;
        let (body, message) = match text {
            Text::Whole(body) => (Some(body.clone()), self.addressing.address(body)),
            Text::TooLong { len, limit } => (None, Err(Malformed::TooLong { len, limit })),
        };
        let origin = Origin { file, line: number, body };
        match message {
            Ok(message) => {
                self.account.sent(origin);
                Some(((), self.publisher.publish_raw(message)))
            }
            Err(error) => {
                self.account.malformed(&origin, &error);
                None
            }
        }
    }
}

/// Lets a tenth of a second's messages go at once: a timer is too coarse for one at a time at high rates.
fn limiter(rate: NonZeroU32) -> DefaultDirectRateLimiter {
    let burst = NonZeroU32::new(rate.get() / 10).unwrap_or(NonZeroU32::MIN);
    RateLimiter::direct(Quota::per_second(rate).allow_burst(burst))
}
