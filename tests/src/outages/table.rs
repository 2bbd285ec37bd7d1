//! The book as a table.

use std::time::Duration;

use super::ledger::Sums;
use super::{Book, Outage};

/// Writes a table in Markdown: a line for each kind, and one for all together.
#[must_use]
pub fn table(book: &Book) -> String {
    let mut kinds: Vec<&str> = book.outages.iter().map(|(outage, _)| outage.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let lines = kinds.into_iter().map(|kind| {
        line(kind, &book.outages.iter().filter(|(outage, _)| outage.kind == kind).collect::<Vec<_>>())
    });
    let lines: Vec<_> = lines.collect();
    format!(
        "| outage | count | publishing, s: p50 | p99 | max | consuming, s: p50 | p99 | max | lost | stuck | wrong | unknown | \
         duplicates | ready lies |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n{}\n{}\n\n\
         {} publishes were confirmed.",
        lines.join("\n"),
        line("**all**", &book.outages.iter().collect::<Vec<_>>()),
        book.confirmed()
    )
}

fn line(name: &str, played: &[&(Outage, Sums)]) -> String {
    let sum = |of: fn(&Sums) -> u64| played.iter().map(|(_, sums)| of(sums)).sum::<u64>();
    let lies: Vec<_> = played.iter().map(|(_, sums)| sums.lie).filter(|lie| !lie.is_zero()).collect();
    let lies = match lies.iter().max() {
        Some(longest) => format!("{}, up to {:.0} s", lies.len(), longest.as_secs_f64()),
        None => "0".to_owned(),
    };
    format!(
        "| {name} | {} | {} | {} | {} | {} | {} | {} | {} | {lies} |",
        played.len(),
        times(played.iter().map(|(outage, _)| outage.publishing)),
        times(played.iter().map(|(outage, _)| outage.consuming)),
        sum(|sums| sums.lost),
        sum(|sums| sums.stuck),
        sum(|sums| sums.wrong),
        sum(|sums| sums.unknown),
        sum(|sums| sums.duplicates),
    )
}

/// The 50th and the 99th percentile and the longest, by the nearest rank.
fn times(times: impl Iterator<Item = Option<Duration>>) -> String {
    let mut sorted: Vec<_> = times.map(|time| time.unwrap_or(Duration::MAX)).collect();
    sorted.sort_unstable();
    let rank = |percent: usize| {
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        match sorted.get(rank - 1) {
            Some(&Duration::MAX) => "never".to_owned(),
            Some(time) => format!("{:.2}", time.as_secs_f64()),
            None => "-".to_owned(),
        }
    };
    format!("{} | {} | {}", rank(50), rank(99), rank(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(times((1..=200).map(seconds)), "100.00 | 198.00 | 200.00");
        assert_eq!(times([seconds(3), None, seconds(1)].into_iter()), "3.00 | never | never");
    }
}
