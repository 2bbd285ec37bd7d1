//! The live view: bars on a terminal, a line now and then elsewhere.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use garenne::prelude::*;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    ledger::Ledger,
    shop::{QUEUES, Shop},
    stats::{CONSUMERS, Stats},
};

/// How often a terminal is drawn.
const FRAME: Duration = Duration::from_millis(200);
/// How often a line is written where there is no terminal.
const LINE: Duration = Duration::from_secs(2);

/// Shows a run while it goes on.
#[derive(Debug)]
pub(crate) struct View {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Where the view is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Surface {
    /// Bars, drawn over and over.
    Terminal,
    /// Lines.
    Plain,
    /// Nothing.
    None,
}

struct Screen {
    orders: ProgressBar,
    consumers: Vec<ProgressBar>,
    links: ProgressBar,
    bars: MultiProgress,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    published: u64,
    handled: [u64; CONSUMERS.len()],
}

// === impl View ===

impl View {
    /// Starts to show; `operator` asks the broker for the depth of the queues.
    #[expect(clippy::disallowed_methods, reason = "the one task is owned here and joined by `stop`")]
    pub(crate) fn start(
        surface: Surface,
        operator: &Client,
        shop: &Shop,
        stats: &Arc<Stats>,
        ledger: &Arc<Ledger>,
    ) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let (operator, shop, stats, ledger) =
            (operator.clone(), shop.clone(), Arc::clone(stats), Arc::clone(ledger));
        let task = tokio::spawn(async move {
            match surface {
                Surface::Terminal => draw(&operator, &shop, &stats, &ledger, &stopped).await,
                Surface::Plain => write(&operator, &shop, &stats, &ledger, &stopped).await,
                Surface::None => {}
            }
        });
        Self { stop, task }
    }

    /// Clears the bars and stops.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        Ok(self.task.await?)
    }
}

async fn draw(operator: &Client, shop: &Shop, stats: &Stats, ledger: &Ledger, stop: &CancellationToken) {
    let screen = Screen::new(u64::from(ledger.orders()));
    let mut last = Sample::take(stats);
    while stop.run_until_cancelled(tokio::time::sleep(FRAME)).await.is_some() {
        let depths = depths(operator, shop).await;
        let now = Sample::take(stats);
        screen.orders.set_position(now.published);
        screen.orders.set_message(format!("{:>6.0}/s", now.published_per_second(&last)));
        for (consumer, bar) in screen.consumers.iter().enumerate() {
            let (name, queue) = CONSUMERS[consumer];
            let per_second = now.handled_per_second(&last, consumer);
            bar.set_message(desk(name, now.handled[consumer], per_second, &depths[queue]));
        }
        screen.links.set_message(links(stats));
        last = now;
    }
    // A failure to clear is a failure of the terminal: there is nowhere left to say so.
    let _ = screen.bars.clear();
}

async fn write(operator: &Client, shop: &Shop, stats: &Stats, ledger: &Ledger, stop: &CancellationToken) {
    let mut last = Sample::take(stats);
    while stop.run_until_cancelled(tokio::time::sleep(LINE)).await.is_some() {
        let depths = depths(operator, shop).await;
        let now = Sample::take(stats);
        let depths: Vec<_> =
            QUEUES.iter().zip(&depths).map(|(queue, depth)| format!("{queue} {depth}")).collect();
        line(&format!(
            "published {} of {} ({:.0}/s), handled {}, depth: {}; {}",
            now.published,
            ledger.orders(),
            now.published_per_second(&last),
            now.handled.iter().sum::<u64>(),
            depths.join(", "),
            links(stats),
        ));
        last = now;
    }
}

fn desk(name: &str, handled: u64, per_second: f64, depth: &str) -> String {
    format!("{name:<15}{handled:>9} {per_second:>7.0}/s  queued {depth}")
}

fn links(stats: &Stats) -> String {
    format!(
        "in flight {}, cuts {}, reconnects {}, redelivered {}",
        stats.unconfirmed.get(),
        stats.cuts.get(),
        stats.reconnects.get(),
        stats.redelivered.get()
    )
}

/// Asks the broker for the messages ready in each queue; `?` where it does not answer just now.
async fn depths(operator: &Client, shop: &Shop) -> [String; QUEUES.len()] {
    let mut depths = QUEUES.map(|_| "?".to_owned());
    for (queue, depth) in depths.iter_mut().enumerate() {
        if let Ok(info) = operator.queue_info(&shop.queue(queue)).await {
            *depth = info.ready.to_string();
        }
    }
    depths
}

// === impl Surface ===

impl Surface {
    /// Says something that stays above what is drawn.
    pub(crate) fn say(self, text: &str) {
        if self != Self::None {
            line(text);
        }
    }
}

#[expect(clippy::print_stderr, reason = "the plain view is for people who watch the demo")]
fn line(text: &str) {
    eprintln!("{text}");
}

// === impl Screen ===

impl Screen {
    fn new(orders: u64) -> Self {
        let bars = MultiProgress::new();
        let bar = ProgressStyle::with_template("published {wide_bar} {pos}/{len} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        // Cut at the width of the terminal: a line that wraps is not cleared.
        let text =
            ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let line = || bars.add(ProgressBar::no_length().with_style(text.clone()));
        Self {
            orders: bars.add(ProgressBar::new(orders).with_style(bar)),
            consumers: CONSUMERS.iter().map(|_| line()).collect(),
            links: line(),
            bars,
        }
    }
}

// === impl Sample ===

impl Sample {
    fn take(stats: &Stats) -> Self {
        let mut handled = [0; CONSUMERS.len()];
        for (handled, counter) in handled.iter_mut().zip(&stats.handled) {
            *handled = counter.get();
        }
        Self { at: Instant::now(), published: stats.published.get(), handled }
    }

    fn published_per_second(&self, last: &Self) -> f64 {
        rate(self.published - last.published, self.at - last.at)
    }

    fn handled_per_second(&self, last: &Self, consumer: usize) -> f64 {
        rate(self.handled[consumer] - last.handled[consumer], self.at - last.at)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
fn rate(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(f64::EPSILON)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_fit_into_sixty_columns() {
        for (name, _) in CONSUMERS {
            assert!(desk(name, 9_999_999, 99_999.0, "9999999").len() < 60);
        }
        let stats = Stats::default();
        for counter in [&stats.unconfirmed, &stats.cuts] {
            (0..999).for_each(|_| counter.up());
        }
        (0..99_999).for_each(|_| stats.redelivered.up());
        assert!(links(&stats).len() < 60, "{}", links(&stats));
    }
}
