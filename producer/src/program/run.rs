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
use garenne_program::{Done, Ending, Failure, Signals, chain};
use garenne_shared::{Config, ConfigError, ExchangeName, Retry, config::PublishConfig};
use garenne_topology::Topology;
use garenne_transport::{Client, ErrorKind};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::time::sleep;
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

/// How long the broker may take to close the connections, when everything has its outcome.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// Runs until the input ends or a signal comes.
pub(crate) async fn run(args: &Args, console: &Console) -> Result<Done<Summary>, Failure> {
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
        client = connect(config, &args.exchange) => client?,
        () = signals.next() => return Err(Failure::Stopped("stopped before a broker was reached; nothing was read".to_owned())),
    };
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
        stop_timeout: args.stop_timeout,
        input_ended: Cell::new(false),
    };
    let started = Instant::now();
    let end = run.publish(Input::new(&args.files, limit), args.rate, &mut signals).await;
    let elapsed = started.elapsed();
    if end == End::Settled {
        tokio::select! {
            () = client.close() => {}
            () = sleep(CLOSE_LIMIT) => {}
            () = signals.next() => {}
        }
    }
    let stopped = run.stop.is_cancelled();
    let whole = end == End::Settled && run.input_ended.get();
    let (counts, written) = run.account.close();
    if let Err(error) = &written {
        console.say(&format!("error: cannot write the file of rejects: {error}"));
    }
    let summary = Summary::new(counts, elapsed, whole && written.is_ok());
    let ending = match end {
        End::Forced => Ending::Forced,
        _ if summary.is_complete() => Ending::Clean,
        _ if stopped => Ending::HandedBack,
        _ => Ending::Failed,
    };
    Ok(Done { summary, ending })
}

/// Connects, and finds the exchange.
async fn connect(config: Config, exchange: &ExchangeName) -> Result<Client, Failure> {
    let client = Client::connect(config).await.map_err(|error| match error.kind() {
        ErrorKind::Config => Failure::Usage(chain(&error)),
        _ => Failure::Failed(chain(&error)),
    })?;
    if !exchange.as_str().is_empty() {
        find_exchange(&client, exchange).await?;
    }
    Ok(client)
}

fn config(args: &Args) -> Result<Config, ConfigError> {
    let window = usize::try_from(args.window).unwrap_or(usize::MAX);
    Ok(args.broker.config(&args.app_id)?.publish(PublishConfig::new().window(window)))
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

/// How the publishing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Everything that was read has its outcome: the input has ended, or a signal stopped the reading.
    Settled,
    /// A signal stopped the reading, and not all outcomes came in time.
    TimedOut,
    /// A second signal came before all outcomes.
    Forced,
}

struct Run<'a> {
    publisher: Publisher,
    addressing: Addressing,
    account: Account<'a>,
    console: &'a Console,
    stop: CancellationToken,
    /// How long to wait for outcomes after a signal.
    stop_timeout: Duration,
    /// Whether the input was read to its end.
    input_ended: Cell<bool>,
}

// === impl Run ===

impl Run<'_> {
    async fn publish(&self, input: Input, rate: Option<u32>, signals: &mut Signals) -> End {
        let lines = self.lines(input, rate).take_until(self.stop.cancelled());
        let publishes = lines.filter_map(|line| ready(self.read(line)));
        let mut outcomes = pin!(self.publisher.publish_each(publishes));
        let mut limit = pin!(sleep(Duration::ZERO));
        loop {
            tokio::select! {
                outcome = outcomes.next() => match outcome {
                    Some(((), outcome)) => self.account.settled(&outcome),
                    None => return End::Settled,
                },
                () = &mut limit, if self.stop.is_cancelled() => {
                    self.console.say(&format!(
                        "not confirmed within `--stop-timeout`: {} in flight are unknown",
                        self.account.counts().in_flight()
                    ));
                    return End::TimedOut;
                }
                () = signals.next() => {
                    let in_flight = self.account.counts().in_flight();
                    if self.stop.is_cancelled() {
                        self.console.say(&format!("stopped at once; {in_flight} in flight are unknown"));
                        return End::Forced;
                    }
                    self.stop.cancel();
                    limit.as_mut().reset(tokio::time::Instant::now() + self.stop_timeout);
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
                Ok(Some(line)) => Some((line, (input, limiter))),
                Ok(None) => {
                    self.input_ended.set(true);
                    None
                }
                Err(error) => {
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
