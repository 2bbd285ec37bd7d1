//! Every metric of Garenne in one table, for people and for recorders.

use metrics::Unit;

/// A metric: its name, and what a recorder is told about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: MetricKind,
    /// Its unit.
    pub unit: &'static str,
    /// Its labels; empty if it has none.
    pub labels: &'static str,
    /// What it counts or measures.
    pub help: &'static str,
}

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricKind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It has a distribution.
    Histogram,
}

/// Every metric that Garenne's libraries record through the facade [`metrics`](https://docs.rs/metrics).
pub const METRICS: [Metric; 24] = {
    use MetricKind::{Counter, Gauge, Histogram};
    const QUEUE: &str = "`queue`";
    const ROLE: &str = "`role`: `publish`, `consume`";
    [
        of("garenne_connection_up", Gauge, "0 or 1", ROLE, "whether the connection is up"),
        of(
            "garenne_connection_blocked",
            Gauge,
            "0 or 1",
            ROLE,
            "whether the broker blocks the connection: an alarm is on",
        ),
        of("garenne_connections_opened_total", Counter, "connections", ROLE, "connections that were opened"),
        of("garenne_connections_lost_total", Counter, "connections", ROLE, "connections that were lost"),
        of("garenne_subscriptions_wanted", Gauge, "subscriptions", "", "subscriptions that exist"),
        of(
            "garenne_subscriptions_confirmed",
            Gauge,
            "subscriptions",
            "",
            "subscriptions that the broker has confirmed; fewer than wanted means that some are down",
        ),
        of(
            "garenne_subscriptions_lost_total",
            Counter,
            "subscriptions",
            QUEUE,
            "subscriptions that ended without being asked to",
        ),
        of("garenne_resubscribed_total", Counter, "subscriptions", QUEUE, "subscriptions that came back"),
        of("garenne_subscribe_failures_total", Counter, "attempts", QUEUE, "failed attempts to come back"),
        of(
            "garenne_settlements_lost_total",
            Counter,
            "deliveries",
            QUEUE,
            "settlements that came after their channel was gone; the broker redelivers",
        ),
        of(
            "garenne_published_total",
            Counter,
            "publishes",
            "`outcome`: `confirmed`, `unroutable`, `no_exchange`, `nacked`, `refused`, `unknown`, `not_sent`, `blocked`, `too_large`, `encode`, `closed`",
            "attempts to publish that ended",
        ),
        of("garenne_publish_retries_total", Counter, "publishes", "", "attempts after the first"),
        of("garenne_confirm_seconds", Histogram, "seconds", "", "time from sending to the confirm"),
        of(
            "garenne_handled_total",
            Counter,
            "deliveries",
            "`queue`, `outcome`: `ok`, `retry`, `dead_letter`",
            "deliveries that were handled",
        ),
        of(
            "garenne_retries_total",
            Counter,
            "messages",
            "`queue`, `waits_in`: `queue`, `tier`, `consumer`",
            "failed messages by the place in which they wait for their next attempt",
        ),
        of(
            "garenne_immediate_retries_total",
            Counter,
            "runs",
            QUEUE,
            "runs of a handler that followed a failed one at once",
        ),
        of(
            "garenne_consumer_paused",
            Gauge,
            "consumers",
            QUEUE,
            "consumers that their kill switch has paused, because too much failed",
        ),
        of(
            "garenne_rate_limited_total",
            Counter,
            "waits",
            QUEUE,
            "times that messages began to wait for the rate limit",
        ),
        of("garenne_handler_seconds", Histogram, "seconds", QUEUE, "how long a handler took"),
        of("garenne_handlers_running", Gauge, "handlers", QUEUE, "handlers that run"),
        of(
            "garenne_handlers_blocked_total",
            Counter,
            "polls",
            QUEUE,
            "polls of a handler that took longer than 1 s",
        ),
        of(
            "garenne_deliveries_stale_total",
            Counter,
            "deliveries",
            QUEUE,
            "deliveries that the broker took back while they were handled or held",
        ),
        of(
            "garenne_dead_letters_kept",
            Gauge,
            "messages",
            QUEUE,
            "messages that cannot be settled: they wait for their dead-letter queue",
        ),
        of(
            "garenne_dead_letters_shortened_total",
            Counter,
            "messages",
            "`queue`, `form`: `short`, `bare`, `rejected`",
            "dead-letter copies that did not fit whole",
        ),
    ]
};

const fn of(
    name: &'static str,
    kind: MetricKind,
    unit: &'static str,
    labels: &'static str,
    help: &'static str,
) -> Metric {
    Metric { name, kind, unit, labels, help }
}

/// Tells the recorder of the process about every metric; does nothing without one. Connecting does it.
pub(crate) fn describe() {
    for Metric { name, kind, unit, help, .. } in METRICS {
        let unit = if unit == "seconds" { Unit::Seconds } else { Unit::Count };
        match kind {
            MetricKind::Counter => metrics::describe_counter!(name, unit, help),
            MetricKind::Gauge => metrics::describe_gauge!(name, unit, help),
            MetricKind::Histogram => metrics::describe_histogram!(name, unit, help),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// The table of `docs/metrics.md` is this one; `GARENNE_WRITE_DOCS=1` writes it.
    #[test]
    fn the_page_of_metrics_has_every_metric() {
        let mut table = "| metric | kind | unit | labels | what it is |\n|---|---|---|---|---|\n".to_owned();
        for Metric { name, kind, unit, labels, help } in METRICS {
            let kind = format!("{kind:?}").to_lowercase();
            let _ = writeln!(table, "| `{name}` | {kind} | {unit} | {labels} | {help} |");
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
        let page = std::fs::read_to_string(path).expect("the page exists");
        let start = page.find("| metric |").expect("the page has the table");
        #[expect(clippy::disallowed_methods, reason = "a test that writes a page on request")]
        if std::env::var("GARENNE_WRITE_DOCS").is_ok() {
            std::fs::write(path, format!("{}{table}", &page[..start])).expect("the page can be written");
            return;
        }
        assert_eq!(&page[start..], table, "run this test with GARENNE_WRITE_DOCS=1");
    }

    /// A metric that is recorded and not described is missing in the table; one that is described and not recorded is a promise.
    #[test]
    fn every_metric_that_is_recorded_is_described() {
        let mut recorded = std::collections::BTreeSet::new();
        for krate in ["transport", "producer", "consumer"] {
            let root = format!("{}/../{krate}/src", env!("CARGO_MANIFEST_DIR"));
            let mut folders = vec![std::path::PathBuf::from(root)];
            while let Some(folder) = folders.pop() {
                for entry in std::fs::read_dir(folder).expect("the sources are there").flatten() {
                    let path = entry.path();
                    if path.is_dir() {
                        folders.push(path);
                    } else if path.file_name() != Some("describe.rs".as_ref()) {
                        let text = std::fs::read_to_string(&path).expect("a source is text");
                        let names = text.split("!(\"garenne_").skip(1);
                        recorded.extend(
                            names.map(|rest| {
                                format!("garenne_{}", rest.split('"').next().unwrap_or_default())
                            }),
                        );
                    }
                }
            }
        }
        let described: std::collections::BTreeSet<_> =
            METRICS.iter().map(|metric| metric.name.to_owned()).collect();
        assert_eq!(recorded, described);
    }
}
