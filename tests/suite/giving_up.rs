//! Messages that cannot be handled: they end in the dead-letter queue, untouched, with the reason, and are never lost.

use std::time::Duration;

use garenne::{Consumer, Context, Failure, Outgoing, Queue, Retry, Topology, UnknownTypes};
use serde_json::{Value, json};

use crate::workshop::{Diary, Job, Workshop};

fn consumer() -> Consumer {
    Consumer::new("work").retry(Retry::fixed(Duration::from_millis(5)))
}

fn raw(body: &'static str) -> Outgoing {
    let mut message = Outgoing::new("", "work", body);
    message.metadata.message_type = Some("job.v1".into());
    message.metadata.content_type = Some("application/json".to_owned());
    message.metadata.headers.insert("tenant", "t1");
    message
}

async fn handle_nothing(_: Job, _: Context) -> Result<(), Failure> {
    Ok(())
}

async fn panic(job: Job, _: Context) -> Result<(), Failure> {
    assert!(job.number == u32::MAX, "job {} is cursed", job.number);
    Ok(())
}

#[track_caller]
fn header(message: &Value, name: &str) -> String {
    let value = &message["properties"]["headers"][name];
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[tokio::test]
async fn a_final_failure_is_copied_with_its_error_and_acknowledged() {
    let workshop = Workshop::new(5).await;
    let decline = |_: Job, _: Context| async {
        Err(Failure::dead_letter(std::io::Error::other("the card is declined")))
    };
    let running = workshop.run(consumer().handle(decline));
    workshop.publisher().publish(&Job { number: 3 }).message_id("m-3").await.unwrap();
    let copy = workshop.dead_letter().await;
    running.stop().await.unwrap();
    workshop.holds("work", 0).await;
    assert_eq!(
        (&copy["payload"], &copy["properties"]["message_id"]),
        (&json!("{\"number\":3}"), &json!("m-3"))
    );
    assert_eq!(copy["properties"]["type"], "job.v1");
    assert_eq!(header(&copy, "garenne-error-kind"), "handler");
    assert_eq!(header(&copy, "garenne-error-message"), "the card is declined");
    assert_eq!(header(&copy, "garenne-origin-queue"), "work");
    assert_eq!(header(&copy, "garenne-attempts"), "1");
}

#[tokio::test]
async fn a_body_that_does_not_decode_goes_there_untouched() {
    let workshop = Workshop::new(5).await;
    let running = workshop.run(consumer().handle(handle_nothing));
    workshop.publisher().publish_raw(raw("{\"number\":")).await.unwrap();
    let copy = workshop.dead_letter().await;
    running.stop().await.unwrap();
    assert_eq!(copy["payload"], "{\"number\":");
    assert_eq!(header(&copy, "garenne-error-kind"), "undecodable");
    assert_eq!(header(&copy, "tenant"), "t1");
}

#[tokio::test]
async fn an_unknown_content_type_is_named() {
    let workshop = Workshop::new(5).await;
    let running = workshop.run(consumer().handle(handle_nothing));
    let mut message = raw("whatever");
    message.metadata.content_type = Some("text/klingon".to_owned());
    workshop.publisher().publish_raw(message).await.unwrap();
    let copy = workshop.dead_letter().await;
    running.stop().await.unwrap();
    assert_eq!(header(&copy, "garenne-error-kind"), "unknown-content-type");
    assert!(header(&copy, "garenne-error-message").contains("text/klingon"));
}

#[tokio::test]
async fn an_unknown_type_is_dead_lettered_or_ignored_as_the_policy_says() {
    let workshop = Workshop::new(5).await;
    let mut message = raw("{}");
    message.metadata.message_type = Some("poem.v1".into());
    let running = workshop.run(consumer().unknown_types(UnknownTypes::Ignore).handle(handle_nothing));
    workshop.publisher().publish_raw(message.clone()).await.unwrap();
    workshop.holds("work", 0).await;
    running.stop().await.unwrap();
    workshop.holds("work.dlq", 0).await;

    let running = workshop.run(consumer().handle(handle_nothing));
    workshop.publisher().publish_raw(message).await.unwrap();
    let copy = workshop.dead_letter().await;
    running.stop().await.unwrap();
    assert_eq!(header(&copy, "garenne-error-kind"), "unknown-type");
    assert!(header(&copy, "garenne-error-message").contains("poem.v1"));
}

#[tokio::test]
async fn a_handler_that_always_panics_ends_at_the_delivery_limit() {
    let workshop = Workshop::new(2).await;
    let running = workshop.run(consumer().handle(panic));
    workshop.jobs(5..6).await;
    let dead = workshop.dead_letter().await;
    running.stop().await.unwrap();
    workshop.holds("work", 0).await;
    assert_eq!(header(&dead, "garenne-error-kind"), "panic");
    assert_eq!(header(&dead, "garenne-error-message"), "the handler panicked: job 5 is cursed");
    assert_eq!(header(&dead, "garenne-attempts"), "3");
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_stopped_and_its_message_tried_again() {
    let workshop = Workshop::new(5).await;
    let diary = Diary::default();
    let slow_once = {
        let diary = diary.clone();
        move |_: Job, cx: Context| {
            let diary = diary.clone();
            async move {
                diary.note(format!("attempt {}", cx.attempt()));
                if cx.attempt() == 1 {
                    std::future::pending::<()>().await;
                }
                Ok(())
            }
        }
    };
    let running = workshop.run(consumer().timeout(Duration::from_millis(200)).handle(slow_once));
    workshop.jobs(0..1).await;
    diary.reaches(2).await;
    running.stop().await.unwrap();
    assert_eq!(diary.entries(), ["attempt 1", "attempt 2"]);
    workshop.holds("work", 0).await;
}

#[tokio::test]
async fn a_message_whose_dead_letter_queue_is_missing_is_kept() {
    let workshop = Workshop::with(Topology::new().queue(Queue::quorum("work").without_dead_letter())).await;
    let diary = Diary::default();
    let decline = {
        let diary = diary.clone();
        move |_: Job, _: Context| {
            diary.note("declined");
            std::future::ready(Err(Failure::dead_letter("no")))
        }
    };
    let running = workshop.run(consumer().handle(decline));
    workshop.jobs(0..1).await;
    diary.reaches(1).await;
    workshop.holds("work", 1).await;
    // Once the queue is there the copy goes through, without anybody's doing.
    workshop.vhost.declare_queue("work.dlq", json!({})).await;
    workshop.dead_letter().await;
    workshop.holds("work", 0).await;
    running.stop().await.unwrap();
    assert_eq!(diary.entries(), ["declined"]);
}

#[tokio::test]
async fn a_classic_queue_which_counts_nothing_gives_a_message_two_attempts() {
    let topology =
        Topology::new().queue(Queue::classic("work")).queue(Queue::quorum("work.dlq").without_dead_letter());
    let workshop = Workshop::with(topology).await;
    let diary = Diary::default();
    let fail = {
        let diary = diary.clone();
        move |_: Job, cx: Context| {
            diary.note(format!("attempt {}", cx.attempt()));
            std::future::ready(Err(Failure::retry("never")))
        }
    };
    let running = workshop.run(consumer().handle(fail));
    workshop.jobs(0..1).await;
    workshop.dead_letter().await;
    running.stop().await.unwrap();
    assert_eq!(diary.entries(), ["attempt 1", "attempt 2"]);
}
