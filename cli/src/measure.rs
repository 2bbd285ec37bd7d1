//! How benchmarks measure: wall clock, CPU time of this process, latency percentiles.

use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use hdrhistogram::Histogram;
use serde::Serialize;

/// A running measurement.
#[derive(Debug)]
pub struct Stopwatch {
    started: Instant,
    cpu: ProcessTime,
}

/// What was measured; the field names are those of `--json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measurement {
    /// What was measured, such as `publish`.
    pub name: String,
    /// How many messages.
    pub count: u64,
    /// Messages per second.
    pub per_second: f64,
    /// User and system time of this process for each message, in microseconds.
    pub client_cpu_us_per_message: f64,
    /// The median latency, in microseconds.
    pub p50_us: u64,
    /// The latency that 99 % stay within, in microseconds.
    pub p99_us: u64,
    /// The latency that 99.9 % stay within, in microseconds.
    pub p999_us: u64,
}

/// The longest latency that is told apart: ten minutes.
const LONGEST_US: u64 = 600_000_000;

/// Latencies in microseconds, to three significant digits.
#[derive(Debug)]
pub struct Latencies(Histogram<u64>);

// === impl Stopwatch ===

impl Stopwatch {
    /// Starts to measure.
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now(), cpu: ProcessTime::now() }
    }

    /// Stops, and counts the time to `count` messages.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn stop(self, count: u64) -> Measurement {
        let (wall, cpu) = (self.started.elapsed(), self.cpu.elapsed());
        Measurement {
            name: String::new(),
            count,
            per_second: count as f64 / wall.as_secs_f64(),
            client_cpu_us_per_message: cpu.as_secs_f64() * 1e6 / count as f64,
            p50_us: 0,
            p99_us: 0,
            p999_us: 0,
        }
    }
}

// === impl Measurement ===

impl Measurement {
    /// Names what was measured and adds its latencies.
    #[must_use]
    pub fn named(mut self, name: &str, latencies: &Latencies) -> Self {
        name.clone_into(&mut self.name);
        self.p50_us = latencies.0.value_at_quantile(0.5);
        self.p99_us = latencies.0.value_at_quantile(0.99);
        self.p999_us = latencies.0.value_at_quantile(0.999);
        self
    }

    /// Prints the measurement on standard output: a line, or one JSON object.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be encoded.
    #[expect(clippy::print_stdout, reason = "the measurement is what a benchmark is run for")]
    pub fn print(&self, json: bool) -> serde_json::Result<()> {
        if json {
            println!("{}", serde_json::to_string(self)?);
        } else {
            let Self { name, count, per_second, client_cpu_us_per_message: cpu, p50_us, p99_us, p999_us } =
                self;
            println!(
                "{name}: {per_second:.0}/s over {count}, client CPU {cpu:.1} us/message, \
                 latency p50 {p50_us} us, p99 {p99_us} us, p99.9 {p999_us} us"
            );
        }
        Ok(())
    }
}

// === impl Latencies ===

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

impl Latencies {
    /// Makes an empty record.
    ///
    /// # Panics
    ///
    /// Never: the bounds and the digits are constants that the histogram accepts.
    #[must_use]
    pub fn new() -> Self {
        Self(
            Histogram::new_with_bounds(1, LONGEST_US, 3)
                .expect("the bounds and three digits are within its range"),
        )
    }

    /// Notes one latency; above ten minutes it counts as ten minutes.
    pub fn note(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_in_microseconds() {
        let mut latencies = Latencies::new();
        for millis in 1..=1000 {
            latencies.note(Duration::from_millis(millis));
        }
        let measured = Stopwatch::start().stop(1000).named("publish", &latencies);
        assert!((499_000..=501_000).contains(&measured.p50_us), "{measured:?}");
        assert!((989_000..=991_000).contains(&measured.p99_us), "{measured:?}");
    }
}
