//! `garenne topology`: what a topology file comes to.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, anyhow};
use clap::Subcommand;
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use garenne::{RetryMechanism, Topology};
use serde::Serialize;

/// The options of `garenne topology`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Says for each queue where failed messages wait for their next attempt, and what that guarantees.
    Explain(Explain),
}

#[derive(Debug, clap::Args)]
struct Explain {
    /// The topology, as TOML.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Prints one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// A queue, as it is explained.
#[derive(Debug, Serialize)]
struct Row {
    queue: String,
    /// The attempts in all; `null` without a limit.
    attempts: Option<u32>,
    rabbitmq: &'static str,
    failed_messages_wait: String,
    guarantee: &'static str,
    dead_letters: String,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let What::Explain(Explain { file, json }) = &args.what;
    let shown = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    let topology = Topology::from_toml(&text).map_err(|error| anyhow!("{shown}: {error}"))?;
    topology.validate().map_err(|error| anyhow!("{shown}: {error}"))?;
    let rows = rows(&topology);
    let mut output = std::io::stdout().lock();
    if *json {
        for row in &rows {
            writeln!(output, "{}", serde_json::to_string(row)?)?;
        }
    } else {
        writeln!(output, "{}", table(&rows))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes a row for each queue, or two where the version of the broker makes a difference.
fn rows(topology: &Topology) -> Vec<Row> {
    let mut rows = Vec::new();
    for queue in topology.queues() {
        let contract = queue.contract();
        let dead_letters = match queue.dead_letter_queue() {
            Some(queue) => queue.to_string(),
            None => format!("{:?}", contract.dead_letters),
        };
        let row = |rabbitmq, mechanism: &RetryMechanism| Row {
            queue: contract.queue().to_string(),
            attempts: contract.retry.as_ref().and_then(garenne::Retry::max_attempts),
            rabbitmq,
            failed_messages_wait: mechanism.to_string(),
            guarantee: mechanism.guarantee(),
            dead_letters: dead_letters.clone(),
        };
        let (now, before) = (contract.retry_mechanism(true), contract.retry_mechanism(false));
        if now == before {
            rows.push(row("any", &now));
        } else {
            rows.extend([row("4.3 or later", &now), row("before 4.3", &before)]);
        }
    }
    rows
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["queue", "RabbitMQ", "attempts", "failed messages wait", "guarantee", "dead letters"]);
    for row in rows {
        let attempts = row.attempts.map_or_else(|| "no limit".to_owned(), |attempts| attempts.to_string());
        table.add_row([
            row.queue.as_str(),
            row.rabbitmq,
            &attempts,
            &row.failed_messages_wait,
            row.guarantee,
            &row.dead_letters,
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_has_a_row_for_each_kind_of_broker_that_makes_a_difference() {
        let topology = Topology::from_toml(
            "[[queue]]\nname = \"a\"\ndead_letter = true\nretry = { growth = \"fixed\", min = \"10s\", attempts = 4 }\n\
             [[queue]]\nname = \"b\"\nkind = \"classic\"\nretry = { growth = \"exponential\", min = \"1s\", max = \"2s\" }\n",
        )
        .unwrap();
        let rows = rows(&topology);
        let found: Vec<_> = rows
            .iter()
            .map(|row| (row.queue.as_str(), row.rabbitmq, row.attempts, row.failed_messages_wait.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("a", "4.3 or later", Some(4), "in the queue, where the broker delays them (10s to 10s)"),
                ("a", "before 4.3", Some(4), "in the consumer"),
                ("b", "any", None, "in retry tiers (1s, 2s)"),
            ]
        );
        assert_eq!(rows[0].dead_letters, "a.dlq");
        assert!(table(&rows).to_string().contains("at least once"));
    }
}
