//! What a handler publishes with its success: deferred messages and replies, confirmed before the message is acknowledged.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::SeqCst},
};
use std::time::Duration;

use async_trait::async_trait;
use garenne::{
    Consumer, Context, Failure, HandledBy as _, Handler, Queue, Retry, Topology, prelude::Message,
};
use garenne_tests::{SECONDS, eventually};
use serde::{Deserialize, Serialize};

use crate::workshop::{Diary, Job, Memo, Workshop};

/// What a job causes.
#[derive(Debug, Serialize, Deserialize, Message)]
#[message(type = "done.v1", key = "done")]
struct Finished {
    number: u32,
}

/// What nobody reads: there is no such queue.
#[derive(Debug, Serialize, Deserialize, Message)]
#[message(type = "lost.v1", key = "nowhere")]
struct Nowhere {}

fn topology() -> Topology {
    Topology::new()
        .queue(Queue::quorum("work").delivery_limit(5).dead_letter())
        .queue(Queue::quorum("done").without_dead_letter())
}

fn consumer() -> Consumer {
    Consumer::new("work").retry(Retry::fixed(Duration::from_millis(5)))
}

#[tokio::test]
async fn what_is_deferred_is_published_after_success_and_not_after_a_failure() {
    let workshop = Workshop::with(topology()).await;
    let attempts = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&attempts);
    let handler = move |job: Job, cx: Context| {
        let attempt = counted.fetch_add(1, SeqCst);
        async move {
            cx.defer(&Finished { number: job.number });
            cx.defer(&Finished { number: job.number + 1 });
            // The first attempt defers and fails.
            if attempt == 0 { Err(Failure::retry("not yet")) } else { Ok(()) }
        }
    };
    let running = workshop.run(consumer().handle(handler));
    workshop.jobs(1..2).await;
    workshop.holds("done", 2).await;
    workshop.holds("work", 0).await;
    running.stop().await.unwrap();
    assert_eq!(attempts.load(SeqCst), 2);
    let bodies: Vec<_> = workshop.vhost.take_raw("done", 10).await;
    let bodies: Vec<_> =
        bodies.iter().map(|message| message["payload"].as_str().unwrap_or_default()).collect();
    assert_eq!(bodies, [r#"{"number":1}"#, r#"{"number":2}"#], "in order, and once");
}

#[tokio::test]
async fn a_message_whose_deferred_publish_fails_is_dead_lettered_in_the_end() {
    let workshop = Workshop::with(topology()).await;
    let handler = |_: Job, cx: Context| async move {
        cx.defer(&Nowhere {});
        Ok(())
    };
    let running = workshop.run(consumer().handle(handler));
    workshop.jobs(1..2).await;
    let dead = workshop.dead_letter().await;
    let headers = &dead["properties"]["headers"];
    assert_eq!(headers["garenne-error-kind"], "publish", "{headers}");
    assert!(headers["garenne-error-message"].as_str().unwrap_or_default().contains("nowhere"), "{headers}");
    running.stop().await.unwrap();
    workshop.holds("work", 0).await;
}

#[tokio::test]
async fn a_reply_goes_to_whoever_asked_and_to_nobody_else() {
    let workshop = Workshop::with(topology()).await;
    let double = |job: Job, _: Context| async move { Ok(Finished { number: job.number * 2 }) };
    let running = workshop.run(consumer().respond(double));
    let publisher = workshop.publisher();
    publisher.publish(&Job { number: 21 }).reply_to("done").correlation_id("c-1").await.unwrap();
    // One that asks for no reply, and one whose queue is gone: both are handled.
    publisher.publish(&Job { number: 1 }).await.unwrap();
    publisher.publish(&Job { number: 2 }).reply_to("gone").await.unwrap();
    workshop.holds("work", 0).await;
    running.stop().await.unwrap();
    let replies = workshop.vhost.take_raw("done", 10).await;
    assert_eq!(replies.len(), 1, "{replies:?}");
    assert_eq!(
        (replies[0]["payload"].as_str(), &replies[0]["properties"]["correlation_id"]),
        (Some(r#"{"number":42}"#), &serde_json::json!("c-1"))
    );
    workshop.holds("work.dlq", 0).await;
}

/// Handles two types.
struct Clerk(Diary);

#[async_trait]
impl Handler<Job> for Clerk {
    async fn handle(&self, job: Job, _: Context) -> Result<(), Failure> {
        self.0.note(format!("job {}", job.number));
        Ok(())
    }
}

#[async_trait]
impl Handler<Memo> for Clerk {
    async fn handle(&self, memo: Memo, _: Context) -> Result<(), Failure> {
        self.0.note(format!("memo {}", memo.text));
        Ok(())
    }
}

#[tokio::test]
async fn one_value_handles_two_types() {
    let workshop = Workshop::with(topology()).await;
    let diary = Diary::default();
    let clerk = Arc::new(Clerk(diary.clone()));
    let consumer =
        consumer().concurrency(1).route(Job::handled_by(clerk.clone())).route(Memo::handled_by(clerk));
    let running = workshop.run(consumer);
    workshop.jobs(7..8).await;
    workshop.publisher().publish(&Memo { text: "x".to_owned() }).await.unwrap();
    diary.reaches(2).await;
    running.stop().await.unwrap();
    assert_eq!(diary.entries(), ["job 7", "memo x"]);
}

#[tokio::test]
async fn a_handler_learns_that_its_delivery_went_stale() {
    let workshop = Workshop::with(topology()).await;
    let diary = Diary::default();
    let noting = diary.clone();
    let handler = move |_: Job, cx: Context| {
        let noting = noting.clone();
        async move {
            if noting.entries().is_empty() {
                noting.note(format!("current: {}", cx.is_current()));
                cx.stale().await;
                noting.note(format!("current: {}", cx.is_current()));
            }
            Ok(())
        }
    };
    let running = workshop.run(consumer().handle(handler));
    workshop.jobs(1..2).await;
    diary.reaches(1).await;
    eventually(30 * SECONDS, "the connections are closed", async || {
        match workshop.vhost.force_close().await {
            0 => Err("none is listed"),
            _ => Ok(()),
        }
    })
    .await;
    diary.reaches(2).await;
    assert_eq!(diary.entries(), ["current: true", "current: false"]);
    workshop.holds("work", 0).await;
    running.stop().await.unwrap();
}
