//! What the command `garenne dlq` promises.

use std::process::{Output, Stdio};

use garenne_tests::{SECONDS, check_output, eventually, program};
use serde_json::{Value, json};
use tokio::{process::Command, time::timeout};

use crate::workshop::Workshop;

struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Done {
    fn lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    }
}

async fn dlq(workshop: &Workshop, args: &[&str]) -> Done {
    dlq_with(workshop, args, "").await
}

/// Runs the command with an editor, without a terminal.
async fn dlq_with(workshop: &Workshop, args: &[&str], editor: &str) -> Done {
    let mut command = Command::new(program("garenne-cli", "garenne").await);
    command
        .env("AMQP_URL", workshop.vhost.url())
        .env_remove("RUST_LOG")
        .env_remove("VISUAL")
        .env("EDITOR", editor);
    command.arg("dlq").args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = command.kill_on_drop(true).output();
    let Output { status, stdout, stderr } =
        timeout(60 * SECONDS, running).await.expect("it ends").expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("what it prints is text");
    let done = Done { code: status.code(), stdout: text(stdout), stderr: text(stderr) };
    check_output("garenne", &done.stdout);
    check_output("garenne", &done.stderr);
    done
}

/// Makes dead letters: three of handlers, one by hand with bytes that are no text.
async fn with_dead() -> Workshop {
    let workshop = Workshop::new(20).await;
    for number in 0..3 {
        let properties = json!({
            "message_id": format!("m-{number}"), "type": "job.v1", "content_type": "application/json",
            "headers": {
                "garenne-error-kind": "handler", "garenne-error-message": format!("job {number}\u{1b}[2J is locked"),
                "garenne-origin-queue": "work", "garenne-attempts": 3,
            },
        });
        assert!(workshop.vhost.publish_raw("", "work.dlq", properties, br#"{"number":7}"#).await);
    }
    assert!(workshop.vhost.publish_raw("", "work.dlq", json!({ "message_id": "odd" }), b"\x00\xff\n").await);
    holds(&workshop, "work.dlq", 4).await;
    workshop
}

async fn holds(workshop: &Workshop, queue: &'static str, count: u32) {
    eventually(60 * SECONDS, &format!("{queue} has {count}"), async || match workshop.ready(queue).await {
        ready if ready == count => Ok(()),
        other => Err(other),
    })
    .await;
}

#[tokio::test]
async fn dead_letters_are_listed_grouped_and_shown_on_the_command_line() {
    let workshop = with_dead().await;
    for args in [
        &["show", "work.dlq"][..],
        &["show", "work.dlq", "--full"],
        &["group", "work.dlq"],
        &["list", "work.dlq"],
    ] {
        let done = dlq(&workshop, args).await;
        assert_eq!(done.code, Some(0), "{args:?} {}", done.stderr);
        assert!(done.stdout.contains("is locked"), "{args:?} {}", done.stdout);
        // What peers wrote does not control the terminal.
        assert!(!done.stdout.contains('\u{1b}'), "{args:?} {:?}", done.stdout);
    }
    let groups = dlq(&workshop, &["group", "work.dlq", "--json"]).await.lines();
    assert_eq!((&groups[0]["count"], &groups[0]["end"]), (&json!(3), &json!("handler")));
    let list = dlq(&workshop, &["list", "work.dlq", "--json"]).await.lines();
    assert_eq!(
        (&list[0]["ready"], &list[0]["seen"], &list[0]["top"][0]["count"]),
        (&json!(4), &json!(4), &json!(3))
    );
    let shown = dlq(&workshop, &["show", "work.dlq", "--json", "--id", "m-1"]).await.lines();
    assert_eq!((shown.len(), &shown[0]["message"]["metadata"]["message_id"]), (1, &json!("m-1")));
    assert_eq!(workshop.ready("work.dlq").await, 4);
    for wrong in [&["show", "work.dlq", "--end", "handlr"][..], &["show", "work.dlq", "--fingerprint", "zz"]]
    {
        assert_eq!(dlq(&workshop, wrong).await.code, Some(2), "{wrong:?}");
    }
    let both = dlq(&workshop, &["list", "work.dlq", "nowhere"]).await;
    assert_eq!(both.code, Some(1), "{}", both.stderr);
    assert!(both.stdout.contains("is locked") && both.stderr.contains("nowhere"), "{}", both.stdout);
    let missing = dlq(&workshop, &["show", "nowhere"]).await;
    assert_eq!(missing.code, Some(1), "{}", missing.stderr);
    assert!(missing.stderr.contains("nowhere"), "{}", missing.stderr);
}

#[tokio::test]
async fn dead_letters_are_replayed_and_discarded_on_the_command_line() {
    let workshop = with_dead().await;
    let unsaid = dlq(&workshop, &["replay", "work.dlq"]).await;
    assert_eq!(unsaid.code, Some(2), "{}", unsaid.stdout);
    assert!(unsaid.stderr.contains("--all"), "{}", unsaid.stderr);
    let dry = dlq(&workshop, &["replay", "work.dlq", "--all", "--dry-run", "--json"]).await;
    assert_eq!(dry.code, Some(3), "{}", dry.stderr);
    let expected = json!({ "selected": 4, "removed": 3, "kept": 1, "parked": 0 });
    let told = &dry.lines()[0];
    assert!(expected.as_object().unwrap().iter().all(|(name, value)| told[name] == *value), "{told}");
    assert_eq!(workshop.ready("work.dlq").await, 4);
    let done = dlq(&workshop, &["replay", "work.dlq", "--text", "locked", "--rate", "100"]).await;
    assert_eq!((done.code, done.stdout.trim()), (Some(0), "3 of 3 messages replayed"), "{}", done.stderr);
    assert_eq!((workshop.ready("work").await, workshop.ready("work.dlq").await), (3, 1));
    let asked = dlq(&workshop, &["discard", "work.dlq", "--all"]).await;
    assert_eq!(asked.code, Some(2));
    assert!(asked.stderr.contains("--yes"), "{}", asked.stderr);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("odd.ndjson");
    let file = file.to_str().unwrap();
    let done = dlq(&workshop, &["discard", "work.dlq", "--all", "--yes", "--export", file]).await;
    assert_eq!((done.code, done.stdout.trim()), (Some(0), "1 of 1 messages discarded"), "{}", done.stderr);
    holds(&workshop, "work.dlq", 0).await;
    // What was saved comes back, every byte.
    let back = dlq(&workshop, &["import", file]).await;
    assert_eq!((back.code, back.stdout.trim()), (Some(0), "1 messages were imported"), "{}", back.stderr);
    holds(&workshop, "work.dlq", 1).await;
    let (letters, _) = garenne::deadletter::DeadLetters::new(&workshop.client, "work.dlq".into())
        .look(&garenne::deadletter::Filter::new(), 1)
        .await
        .unwrap();
    assert_eq!((letters[0].id(), &letters[0].message.body[..]), (Some("odd"), &b"\x00\xff\n"[..]));
    let again = dlq(&workshop, &["export", "work.dlq", "--out", file]).await;
    assert_eq!(again.code, Some(1), "a file that is there is not overwritten: {}", again.stderr);
}

#[tokio::test]
async fn a_line_that_cannot_be_imported_is_named_and_the_others_are_imported() {
    let workshop = with_dead().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("all.ndjson");
    let path = file.to_str().unwrap();
    let done = dlq(&workshop, &["export", "work.dlq", "--text", "locked", "--out", path]).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("no json\n\n{text}{{\"queue\":\"x\"}}\n")).unwrap();
    let done = dlq(&workshop, &["import", path, "--origin"]).await;
    assert_eq!((done.code, done.stdout.trim()), (Some(3), "3 messages were imported"), "{}", done.stderr);
    assert!(done.stderr.contains("line 1: ") && done.stderr.contains("line 6: "), "{}", done.stderr);
    holds(&workshop, "work", 3).await;
    let rest = dlq(&workshop, &["import", path, "--to", "work", "--from-line", "5"]).await;
    assert_eq!(rest.stdout.trim(), "1 messages were imported", "{}", rest.stderr);
}

#[tokio::test]
async fn a_message_is_edited_on_the_command_line() {
    let workshop = with_dead().await;
    let unchanged = dlq_with(&workshop, &["replay", "work.dlq", "--id", "m-1", "--edit"], "true").await;
    assert_eq!(unchanged.code, Some(3), "{}", unchanged.stdout);
    assert!(unchanged.stdout.contains("it was not edited"), "{}", unchanged.stdout);
    let broken =
        dlq_with(&workshop, &["replay", "work.dlq", "--id", "m-1", "--edit"], "sed -i s/m-1/\"/").await;
    assert_eq!(broken.code, Some(3), "{}", broken.stdout);
    assert!(broken.stdout.contains("not valid"), "{}", broken.stdout);
    let none = dlq_with(&workshop, &["replay", "work.dlq", "--id", "m-1", "--edit"], "").await;
    assert!(none.stdout.contains("set `EDITOR`"), "{}", none.stdout);
    let done =
        dlq_with(&workshop, &["replay", "work.dlq", "--id", "m-1", "--edit"], "sed -i s/m-1/m-9/").await;
    assert_eq!(done.code, Some(0), "{} {}", done.stdout, done.stderr);
    holds(&workshop, "work", 1).await;
    let (letters, _) = garenne::deadletter::DeadLetters::new(&workshop.client, "work".into())
        .look(&garenne::deadletter::Filter::new(), 1)
        .await
        .unwrap();
    assert_eq!(letters[0].id(), Some("m-9"));
    assert!(letters[0].message.metadata.headers.get("garenne-edited").is_some());
}
