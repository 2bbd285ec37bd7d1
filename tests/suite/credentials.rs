//! No credential in a log line, an error or a `Debug` output (invariant 9).
//!
//! `cargo xtask test` searches the whole log of the run once more when all suites are done.

use std::fmt::Debug;
use std::process::Stdio;
use std::time::Duration;

use garenne_shared::Config;
use garenne_tests::{Mode, SECONDS, check_output, log, program};
use garenne_transport::{Client, Error};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

#[track_caller]
fn check(what: &str, shown: &impl Debug) {
    let text = format!("{shown:?} {shown:#?}");
    assert!(!log::shows_credential(&text), "{what} shows a credential: {text}");
}

#[track_caller]
fn check_error(what: &str, error: &(impl std::error::Error + 'static)) {
    check(what, error);
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        check(what, &error.to_string());
        cause = error.source();
    }
}

/// Connects with little patience and returns the error.
async fn refused(url: &str) -> Error {
    let mut config = Config::from_url(url).expect("the URL is valid");
    config.connection.connect_timeout = Duration::from_secs(5);
    let attempt = timeout(30 * SECONDS, Client::connect(config)).await;
    attempt.expect("connecting gives up in time").expect_err("connecting fails")
}

#[tokio::test]
async fn failed_connects_show_no_credential() {
    let vhost = crate::vhost().await;
    let url = vhost.url();
    let wrong_password = url.replace(log::password(), &format!("{}x", log::password()));
    check_error("a refused password", &refused(&wrong_password).await);
    check_error("an unknown vhost", &refused(&format!("{url}-unknown")).await);

    let proxy = vhost.proxy().await;
    proxy.set_mode(Mode::AcceptThenClose);
    check_error("a connection closed at once", &refused(&vhost.url_through(&proxy)).await);
    proxy.set_mode(Mode::Refuse);
    check_error("a refused connection", &refused(&vhost.url_through(&proxy)).await);
    assert_eq!(log::leaks(), [""; 0], "log lines that show a credential");
}

#[tokio::test]
async fn a_connected_client_shows_no_credential() {
    let vhost = crate::vhost().await;
    let proxy = vhost.proxy().await;
    check("the configuration", &vhost.config());
    let client = Client::connect(vhost.config_through(&proxy)).await.expect("the broker is reachable");
    check("the client", &client);
    check("its health", &client.health());
    check("its events", &client.events());
    check("its capabilities", &client.capabilities());
    proxy.cut();
    client.close().await;
    check("the closed client", &client);
    assert!(log::lines() > 0, "the log of the run is empty: the search would prove nothing");
    assert_eq!(log::leaks(), [""; 0], "log lines that show a credential");
}

#[test]
fn malformed_urls_show_no_credential() {
    for shape in ["http://u:{}@h", "amqp://u:{}@h:notaport", "amqp://u:{}@", "u:{}@h", "amqp://u:{}@h/a/b"] {
        let error = Config::from_url(&shape.replace("{}", log::password())).expect_err(shape);
        check_error(shape, &error);
    }
}

#[tokio::test]
async fn programs_that_log_everything_show_no_credential() {
    let vhost = crate::vhost().await;
    vhost.declare_queue("q", serde_json::json!({})).await;
    let producer = program("garenne-producer", "producer").await;
    let mut producer = Command::new(producer);
    producer.args(["--exchange", "", "--key", "q", "--type", "a.v1"]).env("AMQP_URL", vhost.url());
    let (code, output) = traced(producer, "{\"a\":1}\n").await;
    assert_eq!(code, Some(0), "{output}");
    check_output("producer", &output);
}

/// Runs a program with every log line on and this input, and returns its exit code and all that it printed.
async fn traced(mut program: Command, input: &str) -> (Option<i32>, String) {
    program.env("RUST_LOG", "trace").kill_on_drop(true);
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    stdin.write_all(input.as_bytes()).await.expect("the program reads its input");
    drop(stdin);
    let output = timeout(90 * SECONDS, child.wait_with_output()).await;
    let output = output.expect("the program ends").expect("its output is read");
    let shown = [output.stdout, output.stderr].concat();
    let shown = String::from_utf8_lossy(&shown).into_owned();
    assert!(shown.contains("DEBUG"), "the program logged nothing: the search would prove nothing");
    assert!(!shown.contains(" lapin::"), "lapin's own lines hold the password's bytes at TRACE: {shown}");
    (output.status.code(), shown)
}
