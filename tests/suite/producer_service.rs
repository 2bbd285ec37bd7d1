//! What the program `producer` promises: every line accounted for, bytes unchanged, exit codes that tell.

use std::{
    collections::BTreeSet,
    io::Write,
    process::{Output, Stdio},
};

use garenne_tests::{Direction, Mode, SECONDS, check_output, eventually, program};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::orders::{billing_holds, ids_in_billing, vhost_with_orders};

const KEYS: [&str; 7] = ["read", "confirmed", "unroutable", "nacked", "unknown", "malformed", "unsent"];

/// The program at this URL, publishing to `orders` unless the arguments say otherwise, with the summary as JSON.
async fn producer(url: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program("garenne-producer", "producer").await);
    command.env("AMQP_URL", url).env_remove("RUST_LOG").arg("--json").args(args);
    if !args.contains(&"--exchange") {
        command.args(["--exchange", "orders"]);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Runs the program with this input to its end.
async fn run(url: &str, args: &[&str], input: &[u8]) -> Done {
    let mut child = producer(url, args).await.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    // A program that refuses its arguments closes its input early.
    let _refused = stdin.write_all(input).await;
    drop(stdin);
    done(child).await
}

async fn done(child: Child) -> Done {
    let output = timeout(90 * SECONDS, child.wait_with_output()).await.expect("the program ends");
    let output = output.expect("its output is read");
    Done::new(&output)
}

struct Done {
    code: Option<i32>,
    summary: Value,
    stderr: String,
}

impl Done {
    #[track_caller]
    fn new(output: &Output) -> Self {
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        check_output("producer", &stdout);
        check_output("producer", &stderr);
        let summary = serde_json::from_str(&stdout).unwrap_or(Value::Null);
        Self { code: output.status.code(), summary, stderr: stderr.into_owned() }
    }

    /// Checks the exit code and the counts, those not named being 0, and that they add up.
    #[track_caller]
    fn check(&self, code: i32, counts: &[(&str, u64)]) {
        let Self { summary, stderr, .. } = self;
        assert_eq!(self.code, Some(code), "{summary} {stderr}");
        let count =
            |key: &str| summary[key].as_u64().unwrap_or_else(|| panic!("no `{key}` in {summary}: {stderr}"));
        for key in KEYS.iter().filter(|key| **key != "read") {
            let expected = counts.iter().find(|(name, _)| name == key).map_or(0, |(_, count)| *count);
            assert_eq!(count(key), expected, "{key} in {summary}: {stderr}");
        }
        assert_eq!(count("read"), KEYS[1..].iter().map(|key| count(key)).sum::<u64>(), "{summary}");
        assert!(summary["per_second"].is_number(), "{summary}");
    }
}

fn file(text: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(text).expect("it is written");
    file
}

fn signal(child: &Child, signal: &str) {
    let id = child.id().expect("the program runs").to_string();
    let sent = std::process::Command::new("kill").args([signal, &id]).status().expect("`kill` runs");
    assert!(sent.success());
}

fn orders(count: u64) -> String {
    (0..count).map(|id| format!("{{\"id\":{id},\"region\":\"eu\"}}\n")).collect()
}

#[tokio::test]
async fn a_line_is_published_byte_for_byte_with_its_templated_address() {
    let vhost = vhost_with_orders(json!({})).await;
    let line = br#" {"id": 7.10,"region":"eu", "shop":{"tenant":"t1"},"text":"\u00e9 {}"}  "#;
    let args = [
        "--key",
        "placed.{region}",
        "--type",
        "order.placed.v1",
        "--header",
        "tenant={shop.tenant}",
        "--header",
        "plain=a{{b}}",
        "--message-id",
        "order-{id}",
        "--app-id",
        "import",
    ];
    let input = [b"\n", &line[..], b"\n \n"].concat();
    run(&vhost.url(), &args, &input).await.check(0, &[("confirmed", 1)]);
    let taken = vhost.take_raw("billing", 10).await;
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0]["payload"].as_str().map(str::as_bytes), Some(&line[..]));
    let mut properties = taken[0]["properties"].clone();
    assert!(properties["timestamp"].take().is_u64());
    let expected = json!({
        "message_id": "order-7.10", "type": "order.placed.v1", "content_type": "application/json", "app_id": "import",
        "timestamp": null, "delivery_mode": 2, "headers": { "tenant": "t1", "plain": "a{b}" },
    });
    assert_eq!(properties, expected);
}

#[tokio::test]
async fn what_is_not_confirmed_is_reported_with_its_line_and_does_not_stop_the_rest() {
    let vhost = vhost_with_orders(json!({})).await;
    let rejects = NamedTempFile::new().unwrap();
    let input = b"{\"region\":\"eu\"}\nno json\n\n{\"area\":\"eu\"}\n{\"region\":\"us\"}\n{\"region\":null}\n\xff\n{\"region\":\"eu\"}";
    let args = ["--key", "placed.{region}", "--rejects", rejects.path().to_str().unwrap()];
    let done = run(&vhost.url(), &args, input).await;
    done.check(1, &[("confirmed", 2), ("malformed", 4), ("unroutable", 1)]);
    for number in [2, 4, 5, 6, 7] {
        assert!(done.stderr.contains(&format!("line {number}: ")), "{}", done.stderr);
    }
    let text = std::fs::read_to_string(rejects.path()).unwrap();
    let mut written: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    written.sort_by_key(|reject| reject["line"].as_u64());
    let shown: Vec<_> =
        written.iter().map(|reject| (reject["line"].as_u64().unwrap(), reject["body"].as_str())).collect();
    let expected = [
        (2, Some("no json")),
        (4, Some("{\"area\":\"eu\"}")),
        (5, Some("{\"region\":\"us\"}")),
        (6, Some("{\"region\":null}")),
        (7, None),
    ];
    assert_eq!(shown, expected);
    assert!(written[1]["reason"].as_str().unwrap().contains("field `region` is missing"), "{}", written[1]);
    assert!(written[2]["reason"].as_str().unwrap().starts_with("unroutable: "), "{}", written[2]);
    assert_eq!(written[4]["body_base64"], "/w==");
}

#[tokio::test]
async fn files_are_read_one_after_the_other_and_lines_named_with_their_file() {
    let vhost = vhost_with_orders(json!({})).await;
    let (first, second) = (file(b"1\n2"), file(b"3\n?\n"));
    let paths = [first.path().to_str().unwrap(), "-", second.path().to_str().unwrap()];
    let done = run(&vhost.url(), &[&["--key", "placed.eu"], &paths[..]].concat(), b"4\n").await;
    done.check(1, &[("confirmed", 4), ("malformed", 1)]);
    assert!(done.stderr.contains(&format!("{}: line 2: malformed", paths[2])), "{}", done.stderr);
    let taken = vhost.take_raw("billing", 10).await;
    let bodies: Vec<_> = taken.iter().map(|message| message["payload"].as_str().unwrap()).collect();
    assert_eq!(bodies, ["1", "2", "4", "3"]);
}

#[tokio::test]
async fn a_refused_line_is_nacked_and_a_missing_exchange_is_named() {
    let full = json!({ "x-queue-type": "classic", "x-max-length": 1, "x-overflow": "reject-publish" });
    let vhost = vhost_with_orders(full).await;
    let args = ["--key", "placed.eu", "--retry-for", "0"];
    run(&vhost.url(), &args, b"1\n").await.check(0, &[("confirmed", 1)]);
    run(&vhost.url(), &args, b"1\n2\n").await.check(1, &[("nacked", 2)]);

    let done = run(&vhost.url(), &["--exchange", "missing", "--key", "k"], b"1\n").await;
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert!(done.stderr.contains("`missing`") && done.stderr.contains("does not exist"), "{}", done.stderr);
}

#[tokio::test]
async fn a_line_over_the_limit_of_a_message_is_malformed_and_one_at_the_limit_is_published() {
    const LIMIT: usize = 16 << 20;
    let vhost = vhost_with_orders(json!({})).await;
    let text = |len: usize| format!("\"{}\"\n", "x".repeat(len - 2));
    let input = file([text(LIMIT), text(LIMIT + 1), text(100)].concat().as_bytes());
    let done = run(&vhost.url(), &["--key", "placed.eu", input.path().to_str().unwrap()], b"").await;
    done.check(1, &[("confirmed", 2), ("malformed", 1)]);
    assert!(done.stderr.contains("line 2: malformed"), "{}", done.stderr);
}

#[tokio::test]
async fn wrong_usage_exits_with_2_and_shows_no_password() {
    for wrong in [
        &["--key", "{region"][..],
        &["--url", "amqp://u:s3cr3t-wrong@host:port"],
        &["--no-such-option"],
        &["no-such-file.ndjson"],
        &["--rejects", "/no-such-directory/rejects"],
    ] {
        let done = run("amqp://u:s3cr3t-env@127.0.0.1:1", wrong, b"").await;
        assert_eq!(done.code, Some(2), "{wrong:?}: {}", done.stderr);
    }
    let done = run("amqp://u:s3cr3t-env@127.0.0.1:1", &["--help"], b"").await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
}

#[tokio::test]
async fn a_byte_order_mark_and_crlf_are_not_part_of_a_message() {
    let vhost = vhost_with_orders(json!({})).await;
    let first = file("\u{feff}{\"id\":1}\r\n{\"id\":2}\r\n".as_bytes());
    let second = file("\u{feff}{\"id\":3}".as_bytes());
    let paths = [first.path().to_str().unwrap(), second.path().to_str().unwrap()];
    let done =
        run(&vhost.url(), &[&["--key", "placed.eu", "--message-id", "{id}"], &paths[..]].concat(), b"").await;
    done.check(0, &[("confirmed", 3)]);
    let taken = vhost.take_raw("billing", 10).await;
    let bodies: Vec<_> = taken.iter().map(|message| message["payload"].as_str().unwrap()).collect();
    assert_eq!(bodies, ["{\"id\":1}", "{\"id\":2}", "{\"id\":3}"]);
}

#[tokio::test]
async fn a_broker_that_is_not_up_yet_is_waited_for() {
    let vhost = vhost_with_orders(json!({})).await;
    let proxy = vhost.proxy().await;
    proxy.set_mode(Mode::Refuse);
    let mut child = producer(&vhost.url_through(&proxy), &["--key", "placed.eu"]).await.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"1\n").await.unwrap();
    drop(stdin);
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
    let told =
        timeout(30 * SECONDS, stderr.next_line()).await.expect("it tells").unwrap().unwrap_or_default();
    assert!(told.contains("no broker yet"), "{told}");
    proxy.set_mode(Mode::Forward);
    done(child).await.check(0, &[("confirmed", 1)]);
}

#[tokio::test]
async fn a_broker_that_cannot_be_reached_exits_with_1_and_names_the_endpoint() {
    let vhost = crate::vhost().await;
    let proxy = vhost.proxy().await;
    proxy.set_mode(Mode::Refuse);
    let done = run(&vhost.url_through(&proxy), &["--no-wait"], b"1\n").await;
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert!(done.stderr.contains(&proxy.address().to_string()), "{}", done.stderr);
}

#[tokio::test]
async fn a_signal_stops_the_reading_and_waits_for_what_is_in_flight() {
    for name in ["-INT", "-TERM"] {
        let vhost = vhost_with_orders(json!({})).await;
        let mut child = producer(&vhost.url(), &["--key", "placed.{region}"]).await.spawn().unwrap();
        // Kept open: the program waits for more input when the signal comes.
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(orders(100).as_bytes()).await.unwrap();
        billing_holds(&vhost, 100).await;
        signal(&child, name);
        let done = done(child).await;
        done.check(3, &[("confirmed", 100)]);
        assert!(done.stderr.contains("stopped reading"), "{}", done.stderr);
        drop(stdin);
    }
}

#[tokio::test]
async fn two_signals_at_once_are_one() {
    let vhost = vhost_with_orders(json!({})).await;
    let mut child = producer(&vhost.url(), &["--key", "placed.{region}"]).await.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(orders(100).as_bytes()).await.unwrap();
    billing_holds(&vhost, 100).await;
    let id = child.id().unwrap().to_string();
    let both = format!("kill -TERM {id}; kill -INT {id}; kill -TERM {id} 2>/dev/null || true");
    assert!(std::process::Command::new("sh").args(["-c", &both]).status().unwrap().success());
    let done = done(child).await;
    done.check(3, &[("confirmed", 100)]);
    assert!(!done.stderr.contains("stopped at once"), "{}", done.stderr);
    drop(stdin);
}

#[tokio::test]
async fn a_signal_ends_it_within_its_limit_though_no_confirm_comes() {
    let vhost = vhost_with_orders(json!({})).await;
    let proxy = vhost.proxy().await;
    let args = ["--key", "placed.{region}", "--stop-timeout", "500ms"];
    let mut child = producer(&vhost.url_through(&proxy), &args).await.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(orders(10).as_bytes()).await.unwrap();
    billing_holds(&vhost, 10).await;
    proxy.hold(Direction::ToClient);
    stdin.write_all(orders(10).as_bytes()).await.unwrap();
    billing_holds(&vhost, 20).await;
    signal(&child, "-TERM");
    let done = done(child).await;
    done.check(3, &[("confirmed", 10), ("unknown", 10)]);
    assert!(done.stderr.contains("not confirmed within `--stop-timeout`"), "{}", done.stderr);
    drop(stdin);
}

#[tokio::test]
async fn a_second_signal_stops_at_once_and_what_is_in_flight_is_unknown() {
    let vhost = vhost_with_orders(json!({})).await;
    let proxy = vhost.proxy().await;
    let rejects = NamedTempFile::new().unwrap();
    let args = ["--key", "placed.{region}", "--rejects", rejects.path().to_str().unwrap()];
    let mut child = producer(&vhost.url_through(&proxy), &args).await.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(orders(10).as_bytes()).await.unwrap();
    billing_holds(&vhost, 10).await;
    // The confirms of the next ten never arrive.
    proxy.hold(Direction::ToClient);
    stdin.write_all(orders(10).as_bytes()).await.unwrap();
    billing_holds(&vhost, 20).await;
    signal(&child, "-INT");
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
    let told = async {
        loop {
            let line = stderr.next_line().await.expect("its messages are text").expect("it still runs");
            if line.contains("stopped reading") {
                return line;
            }
        }
    };
    let told = timeout(30 * SECONDS, told).await.expect("the program tells");
    assert!(told.contains("waiting for 10"), "{told}");
    // Those that come within a second are one with the first.
    eventually(30 * SECONDS, "a further signal ends it", async || {
        if child.try_wait().expect("its state is known").is_some() {
            return Ok(());
        }
        signal(&child, "-INT");
        Err("it still runs")
    })
    .await;
    done(child).await.check(4, &[("confirmed", 10), ("unknown", 10)]);
    assert_eq!(std::fs::read_to_string(rejects.path()).unwrap().lines().count(), 10);
    drop(stdin);
}

#[tokio::test]
async fn lost_connections_are_ridden_out_and_every_line_is_confirmed() {
    let vhost = vhost_with_orders(json!({ "x-queue-type": "quorum" })).await;
    let proxy = vhost.proxy().await;
    let input = file(orders(6000).as_bytes());
    let args = ["--key", "placed.{region}", "--message-id", "{id}", input.path().to_str().unwrap()];
    proxy.cut_after(Direction::ToBroker, 200_000);
    let child = producer(&vhost.url_through(&proxy), &args).await.spawn().unwrap();
    // One connection for each role, and one more after each cut.
    for connections in [3, 4] {
        eventually(60 * SECONDS, "the publishing connection is cut", async || match proxy.accepted() {
            accepted if accepted >= connections => Ok(()),
            accepted => Err(accepted),
        })
        .await;
        proxy.cut_after(Direction::ToBroker, 200_000);
    }
    done(child).await.check(0, &[("confirmed", 6000)]);
    let expected: BTreeSet<_> = (0..6000).map(|id| id.to_string()).collect();
    assert_eq!(ids_in_billing(&vhost).await, expected);
}

#[tokio::test]
async fn the_rate_is_kept() {
    let vhost = vhost_with_orders(json!({})).await;
    let started = std::time::Instant::now();
    let args = ["--key", "placed.{region}", "--rate", "200", "--window", "10"];
    run(&vhost.url(), &args, orders(300).as_bytes()).await.check(0, &[("confirmed", 300)]);
    // A tenth of a second's messages may go at once.
    assert!(started.elapsed() >= SECONDS * 14 / 10, "{:?}", started.elapsed());
    eventually(60 * SECONDS, "all are there", async || match vhost.depth("billing").await {
        300 => Ok(()),
        other => Err(other),
    })
    .await;
}
