//! Measures consuming.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use garenne::prelude::*;
use garenne_cli::measure::{Latencies, Measurement, Stopwatch};
use tokio::sync::mpsc;

use super::{Options, layers, load};

/// How many messages the latency is measured with, one at a time.
const PROBES: u32 = 1000;

/// How often it is looked at whether everything that failed has come back.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What the handlers share.
struct State {
    count: u32,
    /// How many of a hundred fail at first.
    percent: u32,
    /// How many messages were begun for the first time, and how many came back.
    begun: AtomicU32,
    back: AtomicU32,
    last_ones: mpsc::Sender<Duration>,
}

/// Drains a filled queue for the rate, then sends messages one by one for the latency from publish to handler.
pub(crate) async fn measure(options: &Options) -> anyhow::Result<Measurement> {
    let (client, contract) = options.prepare().await?;
    let queue = contract.queue().clone();
    load::fill(&Publisher::new(&client), &queue, options).await?;

    // The last of the filled messages and every probe report in; the others cost what they cost a service.
    let (last_ones, mut arrivals) = mpsc::channel(1);
    let state = Arc::new(State::new(options, last_ones));
    let counts = Arc::clone(&state);
    let handler = move |sample: load::Sample, cx: Context| {
        let state = Arc::clone(&state);
        async move {
            if cx.attempt() > 1 {
                state.back.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            let begun = state.begun.fetch_add(1, Ordering::Relaxed) + 1;
            if begun >= state.count {
                return state.last_ones.send(sample.age()).await.or_retry();
            }
            if state.fails(begun) { Err(Failure::retry("it is one of those that fail")) } else { Ok(()) }
        }
    };
    let consumer = Consumer::of(contract)
        .concurrency(usize::from(options.concurrency))
        .prefetch(options.prefetch)
        .handle(handler);
    let service = layers::around_handling(Service::new(&client), options.layers).consume(consumer);
    let stopwatch = Stopwatch::start();
    let measure = async {
        arrivals.recv().await;
        let measured = stopwatch.stop(u64::from(options.count));
        let publisher = Publisher::new(&client);
        let mut sample = load::Sample::new(&queue, options.size)?;
        let mut latencies = Latencies::new();
        for _ in 0..PROBES {
            publisher.publish(sample.stamp()).await?;
            if let Some(age) = arrivals.recv().await {
                latencies.note(age);
            }
        }
        // What failed is in the queue again, or in a tier, and is not left there.
        let failing = counts.failing();
        while counts.back.load(Ordering::Relaxed) < failing {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        anyhow::Ok(measured.named("consume", &latencies))
    };
    let (done, measured) = tokio::sync::oneshot::channel();
    let stop = async {
        // The receiver lives until the service has ended.
        let _ = done.send(measure.await);
    };
    service.run_until(stop).await?;
    client.close().await;
    measured.await?
}

// === impl State ===

impl State {
    fn new(options: &Options, last_ones: mpsc::Sender<Duration>) -> Self {
        let (begun, back) = (AtomicU32::new(0), AtomicU32::new(0));
        Self { count: options.count, percent: u32::from(options.failing), begun, back, last_ones }
    }

    /// Returns whether the message that is begun as the nth fails at first.
    const fn fails(&self, nth: u32) -> bool {
        nth < self.count && nth % 100 < self.percent
    }

    /// Returns how many messages fail at first.
    fn failing(&self) -> u32 {
        let failing = (1..self.count).filter(|nth| self.fails(*nth)).count();
        u32::try_from(failing).unwrap_or(u32::MAX)
    }
}
