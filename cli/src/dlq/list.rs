//! `garenne dlq list`.

use std::{collections::BTreeSet, path::PathBuf, process::ExitCode, time::SystemTime};

use anyhow::Context as _;
use garenne::{
    Client, QueueName, Secret,
    deadletter::{DeadLetters, Filter, Group, GroupBy, Groups},
};
use garenne_program::BrokerArgs;
use serde::Serialize;

use super::{connect, find, queue_name, text};

/// How many groups are shown of each queue.
const TOP: usize = 3;

/// The options of `garenne dlq list`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A dead-letter queue; may be given several times.
    #[arg(value_name = "QUEUE", value_parser = queue_name)]
    queues: Vec<QueueName>,
    /// Takes the dead-letter queues of this topology.
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,
    /// Finds the dead-letter queues of the vhost over the management API; the default if no queue is named otherwise.
    #[arg(
        long,
        env = "RABBITMQ_MANAGEMENT_URL",
        hide_env_values = true,
        default_value = "http://guest:guest@localhost:15672", value_parser = garenne_program::secret)]
    management_url: Secret,
    /// How many messages of each queue to tell of; 0 looks into none, which is quick for long queues.
    #[arg(long, value_name = "COUNT", default_value_t = 200)]
    peek: u64,
    /// Prints one JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    broker: BrokerArgs,
}

/// A dead-letter queue, as it is listed.
#[derive(Debug, Serialize)]
struct Row {
    queue: String,
    ready: u64,
    consumers: u32,
    /// How many messages the rest is told of.
    seen: u64,
    #[serde(serialize_with = "seconds")]
    oldest_s: Option<SystemTime>,
    top: Vec<Top>,
}

/// What several messages have in common.
#[derive(Debug, Serialize)]
struct Top {
    fingerprint: String,
    count: u64,
    #[serde(rename = "type")]
    message_type: String,
    end: String,
    error: Option<String>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let client = connect(&args.broker).await?;
    let queues = find_queues(&args, &client).await?;
    let (mut rows, mut failed) = (Vec::new(), false);
    for queue in queues {
        match look(&client, queue, args.peek).await {
            Ok(row) => rows.push(row),
            Err(error) => {
                failed = true;
                text::complain(&format!("error: {error:#}"));
            }
        }
    }
    client.close().await;
    if args.json {
        rows.iter().try_for_each(text::json)?;
    } else if rows.is_empty() && !failed {
        text::print("no dead-letter queue was found")?;
    } else {
        text::print(&table(&rows))?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn find_queues(args: &Args, client: &Client) -> anyhow::Result<BTreeSet<QueueName>> {
    let mut queues: BTreeSet<_> = args.queues.iter().cloned().collect();
    if let Some(file) = &args.topology {
        queues.extend(find::of_topology(file)?);
    }
    if queues.is_empty() {
        let vhost = client.config().endpoints.first().map_or("/", |endpoint| endpoint.vhost.as_str());
        let found = find::of_broker(args.management_url.expose(), vhost).await;
        queues =
            found.context("name the queues, or a topology, or the management API (`--management-url`)")?;
    }
    Ok(queues)
}

async fn look(client: &Client, queue: QueueName, peek: u64) -> anyhow::Result<Row> {
    let info = client.queue_info(&queue).await?;
    let mut groups = Groups::by(GroupBy::Fingerprint);
    let mut oldest: Option<SystemTime> = None;
    let mut seen = 0;
    let dead = DeadLetters::new(client, queue.clone());
    dead.each(&Filter::new(), Some(peek), |letter| {
        groups.add(&letter);
        oldest = [oldest, letter.ended_at()].into_iter().flatten().min();
        seen += 1;
    })
    .await?;
    let top = groups.into_groups().into_iter().take(TOP).map(Top::from).collect();
    Ok(Row {
        queue: queue.to_string(),
        ready: u64::from(info.ready),
        consumers: info.consumers,
        seen,
        oldest_s: oldest,
        top,
    })
}

impl From<Group> for Top {
    fn from(group: Group) -> Self {
        let Group { key, count, message_type, end, error, .. } = group;
        Self { fingerprint: key, count, message_type, end, error }
    }
}

fn table(rows: &[Row]) -> String {
    let mut table = text::table(&["queue", "messages", "oldest", "most frequent"]);
    for row in rows {
        let part = if row.seen < row.ready { format!(" (of the first {})", row.seen) } else { String::new() };
        let top: Vec<_> = row
            .top
            .iter()
            .map(|top| {
                let what = top.error.as_deref().unwrap_or(&top.end);
                let (fingerprint, message_type) =
                    (text::short(&top.fingerprint, 16), text::short(&top.message_type, 40));
                format!("{} x {fingerprint} {message_type} {}", top.count, text::short(what, 60))
            })
            .collect();
        table.add_row([
            text::clean(&row.queue),
            if row.consumers == 0 {
                row.ready.to_string()
            } else {
                format!("{} (and what {} consumers hold)", row.ready, row.consumers)
            },
            if row.seen == 0 { "-".to_owned() } else { format!("{}{part}", text::ago(row.oldest_s)) },
            top.join("\n"),
        ]);
    }
    table.to_string()
}

#[expect(clippy::ref_option, reason = "the signature of `serialize_with`")]
fn seconds<S: serde::Serializer>(at: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    let since = at.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.map(|since| since.as_secs()).serialize(serializer)
}
