//! What the program `consumer` promises: a line for each message, nothing acknowledged that is not flushed.

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Output, Stdio},
};

use garenne_tests::{Counts, Direction, Mode, SECONDS, Vhost, check_output, eventually, program};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::consuming::{QUEUE, declare, expect, fill};

/// The program at this URL, reading the test's queue.
async fn consumer(url: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program("garenne-consumer", "consumer").await);
    command.env("AMQP_URL", url).env_remove("RUST_LOG").args(["--queue", QUEUE]).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn run(url: &str, args: &[&str]) -> Done {
    done(consumer(url, args).await.spawn().expect("the program starts")).await
}

async fn done(child: Child) -> Done {
    let output = timeout(60 * SECONDS, child.wait_with_output()).await.expect("the program ends");
    Done::new(&output.expect("its output is read"))
}

struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Done {
    #[track_caller]
    fn new(output: &Output) -> Self {
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        check_output("consumer", &stdout);
        check_output("consumer", &stderr);
        Self { code: output.status.code(), stdout: stdout.into_owned(), stderr: stderr.into_owned() }
    }

    #[track_caller]
    fn records(&self) -> Vec<Value> {
        records(&self.stdout)
    }

    /// Checks the exit code, and the last line of standard error.
    #[track_caller]
    fn check(&self, code: i32, summary: &str) {
        let last = self.stderr.lines().last();
        assert_eq!((self.code, last), (Some(code), Some(summary)), "{}", self.stderr);
    }
}

#[track_caller]
fn records(text: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().map(parse).collect()
}

/// The numbers that [`fill`] published, as the records show them.
fn numbers(records: &[Value]) -> Vec<u64> {
    records.iter().map(|record| record["body"].as_u64().expect("a number")).collect()
}

fn written(path: &Path) -> Vec<Value> {
    records(&std::fs::read_to_string(path).expect("the file is there"))
}

async fn vhost_with(messages: u32) -> Vhost {
    let vhost = crate::vhost().await;
    declare(&vhost).await;
    fill(&vhost, 0..messages).await;
    vhost
}

fn signal(child: &Child, signal: &str) {
    let id = child.id().expect("the program runs").to_string();
    let sent = std::process::Command::new("kill").args([signal, &id]).status().expect("`kill` runs");
    assert!(sent.success());
}

/// Waits until the file has at least this many whole lines.
async fn file_has(path: &Path, lines: usize) {
    eventually(60 * SECONDS, "the file has the lines", async || {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        match text.matches('\n').count() {
            found if found >= lines => Ok(()),
            found => Err(found),
        }
    })
    .await;
}

#[tokio::test]
async fn a_message_becomes_a_line_with_its_address_headers_and_body() {
    let vhost = vhost_with(0).await;
    let properties = json!({
        "message_id": "7", "type": "order.placed.v1", "content_type": "application/json",
        "headers": { "tenant": "t1", "attempt": 3 },
    });
    assert!(vhost.publish_raw("", QUEUE, properties, b"{\n  \"price\": 1.50\n}").await);
    assert!(vhost.publish_raw("", QUEUE, json!({}), b"\xff no json").await);
    let done = run(&vhost.url(), &["--until-empty"]).await;
    done.check(0, "read 2, written 2, redelivered 0");
    let address = json!({ "exchange": "", "routing_key": QUEUE, "redelivered": false });
    let expected = [
        json!({ "message_id": "7", "type": "order.placed.v1", "headers": { "tenant": "t1", "attempt": 3 }, "body": { "price": 1.50 } }),
        json!({ "message_id": null, "type": null, "headers": {}, "body_base64": "/yBubyBqc29u" }),
    ]
    .map(|mut record| {
        let fields = record.as_object_mut().unwrap();
        fields.extend(address.as_object().unwrap().clone());
        record
    });
    assert_eq!(done.records(), expected);
}

#[tokio::test]
async fn it_ends_with_the_queue_empty_and_everything_acknowledged() {
    let vhost = vhost_with(230).await;
    let done = run(&vhost.url(), &["--until-empty", "--prefetch", "7"]).await;
    done.check(0, "read 230, written 230, redelivered 0");
    assert_eq!(numbers(&done.records()), (0..230).collect::<Vec<_>>());
    expect(&vhost, 0, 0).await;
    run(&vhost.url(), &["--until-empty"]).await.check(0, "read 0, written 0, redelivered 0");
}

#[tokio::test]
async fn no_more_than_the_maximum_is_taken_and_the_rest_is_handed_back() {
    let vhost = vhost_with(25).await;
    for (max, prefetch, from) in [("10", "100", 0), ("10", "3", 10), ("1", "1", 20)] {
        let done = run(&vhost.url(), &["--max", max, "--prefetch", prefetch]).await;
        let count: u64 = max.parse().unwrap();
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        assert_eq!(numbers(&done.records()), (from..from + count).collect::<Vec<_>>());
    }
    expect(&vhost, 4, 0).await;
    let done = run(&vhost.url(), &["--max", "10", "--until-empty"]).await;
    assert_eq!((done.code, numbers(&done.records())), (Some(0), (21..25).collect()), "{}", done.stderr);
}

#[tokio::test]
async fn killed_in_the_middle_it_loses_nothing() {
    const COUNT: u32 = 400;
    let vhost = vhost_with(COUNT).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.ndjson");
    let args = ["--out", path.to_str().unwrap(), "--prefetch", "5"];
    let mut lines = 0;
    for _ in 0..3 {
        let mut child = consumer(&vhost.url(), &args).await.spawn().unwrap();
        file_has(&path, lines + 20).await;
        child.kill().await.unwrap();
        lines = std::fs::read_to_string(&path).unwrap().lines().count();
    }
    // As if it had been killed in the middle of a write.
    let mut text = std::fs::read(&path).unwrap();
    text.extend_from_slice(b"{\"message_id\":null,\"ty");
    std::fs::write(&path, text).unwrap();
    // The broker takes back what the killed ones had.
    eventually(60 * SECONDS, "no consumer is left", async || match vhost.counts(QUEUE).await {
        Counts { consumers: Some(0), unacked: Some(0), .. } => Ok(()),
        counts => Err(counts),
    })
    .await;
    let done = run(&vhost.url(), &[&args[..], &["--until-empty"]].concat()).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stderr.contains("cut a torn record"), "{}", done.stderr);
    let found: BTreeSet<_> = numbers(&written(&path)).into_iter().collect();
    assert_eq!(found, (0..u64::from(COUNT)).collect());
    expect(&vhost, 0, 0).await;
}

#[tokio::test]
async fn a_signal_flushes_and_acknowledges_what_was_taken() {
    for name in ["-INT", "-TERM"] {
        let vhost = vhost_with(30).await;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.ndjson");
        let child = consumer(&vhost.url(), &["--out", path.to_str().unwrap()]).await.spawn().unwrap();
        file_has(&path, 30).await;
        signal(&child, name);
        let done = done(child).await;
        done.check(0, "read 30, written 30, redelivered 0");
        assert_eq!(numbers(&written(&path)), (0..30).collect::<Vec<_>>());
        expect(&vhost, 0, 0).await;
    }
}

#[tokio::test]
async fn a_signal_ends_it_within_its_limit_and_a_second_at_once_though_nobody_reads() {
    for (args, forced) in [(&["--stop-timeout", "500ms"][..], false), (&["--stop-timeout", "1h"], true)] {
        let vhost = vhost_with(1).await;
        // More than a pipe and all buffers on the way hold.
        let large = vec![b'x'; 4 << 20];
        assert!(vhost.publish_raw("", QUEUE, json!({}), &large).await);
        let mut child = consumer(&vhost.url(), args).await.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        eventually(30 * SECONDS, "the second message is taken", async || match vhost.counts(QUEUE).await {
            Counts { ready: Some(0), unacked: Some(1), .. } => Ok(()),
            counts => Err(counts),
        })
        .await;
        signal(&child, "-TERM");
        if forced {
            // Those that come within a second are one with the first.
            eventually(30 * SECONDS, "a further signal ends it", async || {
                if child.try_wait().expect("its state is known").is_some() {
                    return Ok(());
                }
                signal(&child, "-TERM");
                Err("it still runs")
            })
            .await;
        }
        let done = done(child).await;
        assert_eq!(done.code, Some(if forced { 4 } else { 3 }), "{}", done.stderr);
        let told = if forced { "stopped at once;" } else { "not done within `--stop-timeout`;" };
        assert!(done.stderr.contains(told) && done.stderr.contains("(messages: 1)"), "{}", done.stderr);
        drop(stdout);
        expect(&vhost, 1, 0).await;
    }
}

#[tokio::test]
async fn what_nobody_reads_any_more_is_not_acknowledged() {
    let vhost = vhost_with(1).await;
    let mut child = consumer(&vhost.url(), &[]).await.spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = timeout(30 * SECONDS, stdout.next_line()).await.expect("a line comes in time");
    assert_eq!(numbers(&records(&first.unwrap().unwrap())), [0]);
    drop(stdout);
    fill(&vhost, 1..6).await;
    let done = done(child).await;
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert!(done.stderr.contains("nobody reads standard output"), "{}", done.stderr);
    expect(&vhost, 5, 0).await;
}

#[tokio::test]
async fn lost_connections_are_ridden_out() {
    const COUNT: u32 = 300;
    let vhost = vhost_with(COUNT).await;
    let proxy = vhost.proxy().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.ndjson");
    let args = ["--out", path.to_str().unwrap(), "--prefetch", "10"];
    proxy.cut_after(Direction::ToClient, 8_000);
    let child = consumer(&vhost.url_through(&proxy), &args).await.spawn().unwrap();
    eventually(60 * SECONDS, "every number is written", async || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |at| &text[..at]);
        let found: BTreeSet<_> = numbers(&records(whole)).into_iter().collect();
        if found.len() == COUNT as usize { Ok(()) } else { Err(found.len()) }
    })
    .await;
    assert!(proxy.accepted() > 1, "the connection was not cut");
    signal(&child, "-TERM");
    assert_eq!(done(child).await.code, Some(0));
    expect(&vhost, 0, 0).await;
}

#[tokio::test]
async fn two_do_not_append_to_one_file() {
    let vhost = vhost_with(1).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.ndjson");
    let args = ["--out", path.to_str().unwrap()];
    let _first = consumer(&vhost.url(), &args).await.spawn().unwrap();
    file_has(&path, 1).await;
    let second = run(&vhost.url(), &args).await;
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    assert!(second.stderr.contains("locked"), "{}", second.stderr);
}

#[tokio::test]
async fn a_queue_that_does_not_exist_is_named() {
    let vhost = crate::vhost().await;
    let done = run(&vhost.url(), &[]).await;
    done.check(1, "read 0, written 0, redelivered 0");
    assert!(done.stderr.contains(&format!("`{QUEUE}`")), "{}", done.stderr);
}

#[tokio::test]
async fn a_broker_that_cannot_be_reached_is_named() {
    let vhost = crate::vhost().await;
    let proxy = vhost.proxy().await;
    proxy.set_mode(Mode::Refuse);
    let done = run(&vhost.url_through(&proxy), &["--no-wait"]).await;
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert!(done.stderr.contains(&proxy.address().to_string()), "{}", done.stderr);
}

#[tokio::test]
async fn wrong_usage_exits_with_2_and_shows_no_password() {
    for wrong in [&["--max", "0"][..], &["--url", "amqp://u:s3cr3t-wrong@host:port"], &["--no-such-option"]] {
        let done = run("amqp://u:s3cr3t-env@127.0.0.1:1", wrong).await;
        assert_eq!(done.code, Some(2), "{wrong:?}: {}", done.stderr);
        assert!(!done.stderr.contains("s3cr3t"), "{}", done.stderr);
    }
    let done = run("amqp://u:s3cr3t-env@127.0.0.1:1", &["--help"]).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
}

#[tokio::test]
async fn a_stream_is_read_from_where_it_is_told_to_its_end_and_refused_untold() {
    let vhost = crate::vhost().await;
    vhost.declare_queue(QUEUE, json!({ "x-queue-type": "stream" })).await;
    let done = run(&vhost.url(), &["--until-empty", "--from", "first"]).await;
    done.check(0, "read 0, written 0, redelivered 0");
    fill(&vhost, 0..100).await;
    for (from, first) in [("first", 0), ("90", 90), ("100", 100), ("2020-01-01T00:00:00Z", 0)] {
        let done = run(&vhost.url(), &["--until-empty", "--prefetch", "20", "--from", from]).await;
        assert_eq!(
            (done.code, numbers(&done.records())),
            (Some(0), (first..100).collect()),
            "{}",
            done.stderr
        );
    }
    let done = run(&vhost.url(), &["--max", "7", "--from", "first"]).await;
    assert_eq!((done.code, numbers(&done.records())), (Some(0), (0..7).collect()), "{}", done.stderr);
    let done = run(&vhost.url(), &["--until-empty"]).await;
    done.check(1, "read 0, written 0, redelivered 0");
    assert!(done.stderr.contains("is a stream") && done.stderr.contains("--from first"), "{}", done.stderr);
    assert_eq!(run(&vhost.url(), &["--until-empty", "--from", "next"]).await.code, Some(2));
}

#[tokio::test]
async fn a_queue_that_is_no_stream_has_no_place_to_begin_at() {
    let vhost = vhost_with(1).await;
    for args in [&["--from", "first"][..], &["--from", "first", "--until-empty"]] {
        let done = run(&vhost.url(), args).await;
        done.check(1, "read 0, written 0, redelivered 0");
        assert!(done.stderr.contains("is not a stream"), "{}", done.stderr);
    }
    expect(&vhost, 1, 0).await;
}
