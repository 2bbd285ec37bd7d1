//! Attempts are counted and limited: by the queue, by the policy, and never by what a publisher claims.

use std::time::Duration;

use garenne::{Consumer, Context, Failure, Handler, HeaderValue, Outgoing, Queue, Retry, Topology};
use garenne_tests::{SECONDS, eventually};
use serde_json::{Value, json};

use crate::workshop::{Diary, Job, Workshop};

fn consumer(retry: Retry) -> Consumer {
    Consumer::new("work").retry(retry)
}

fn quick() -> Retry {
    Retry::fixed(Duration::from_millis(5))
}

/// Notes every attempt, and fails.
fn failing(diary: &Diary) -> impl Handler<Job> + use<> {
    let diary = diary.clone();
    move |job: Job, cx: Context| {
        diary.note(format!("{} attempt {}", job.number, cx.attempt()));
        std::future::ready(Err(Failure::retry("never")))
    }
}

#[track_caller]
fn check(dead: &Value, attempts: u32) {
    let headers = &dead["properties"]["headers"];
    assert_eq!(
        (&headers["garenne-attempts"], &headers["garenne-error-message"], &headers["x-first-death-reason"]),
        (&json!(attempts), &json!("never"), &Value::Null),
        "{dead}"
    );
}

#[tokio::test]
async fn the_last_attempt_at_the_delivery_limit_leaves_its_error() {
    let workshop = Workshop::new(2).await;
    let diary = Diary::default();
    let running = workshop.run(consumer(quick()).handle(failing(&diary)));
    workshop.jobs(0..1).await;
    let dead = workshop.dead_letter().await;
    running.stop().await.unwrap();
    check(&dead, 3);
    assert_eq!(diary.entries(), ["0 attempt 1", "0 attempt 2", "0 attempt 3"]);
    workshop.holds("work", 0).await;
}

#[tokio::test]
async fn a_limit_that_others_declared_can_be_told() {
    let workshop = Workshop::with(Topology::new()).await;
    workshop.vhost.declare_queue("work.dlq", json!({})).await;
    let arguments = json!({
        "x-queue-type": "quorum", "x-delivery-limit": 1,
        "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "work.dlq",
    });
    workshop.vhost.declare_queue("work", arguments).await;
    let diary = Diary::default();
    let running = workshop.run(consumer(quick()).delivery_limit(1).handle(failing(&diary)));
    workshop.jobs(0..1).await;
    let dead = workshop.dead_letter().await;
    running.stop().await.unwrap();
    check(&dead, 2);
    assert_eq!(diary.entries(), ["0 attempt 1", "0 attempt 2"]);
}

#[tokio::test]
async fn a_policy_limits_the_attempts() {
    for policy in
        [quick().attempts(3), Retry::custom(|failed| (failed < 3).then_some(Duration::from_millis(5)))]
    {
        let workshop = Workshop::new(20).await;
        let diary = Diary::default();
        let running = workshop.run(consumer(policy).handle(failing(&diary)));
        workshop.jobs(0..1).await;
        let dead = workshop.dead_letter().await;
        running.stop().await.unwrap();
        check(&dead, 3);
        assert_eq!(diary.entries().len(), 3);
    }
}

#[tokio::test]
async fn a_policy_limits_retry_after_as_well() {
    let workshop = Workshop::new(20).await;
    let later = |_: Job, _: Context| async { Err(Failure::retry_after(Duration::from_millis(5), "never")) };
    let running = workshop.run(consumer(quick().attempts(2)).handle(later));
    workshop.jobs(0..1).await;
    let dead = workshop.dead_letter().await;
    running.stop().await.unwrap();
    check(&dead, 2);
}

#[tokio::test]
async fn a_publishers_count_is_not_a_count_on_a_classic_queue() {
    let claims: [&[(&str, HeaderValue)]; 3] = [
        &[("x-delivery-count", HeaderValue::Int(1)), ("x-acquired-count", HeaderValue::Int(1))],
        &[("x-delivery-count", HeaderValue::Int(-1))],
        &[("x-delivery-count", HeaderValue::Text("1".to_owned()))],
    ];
    // Declared by this client, which tells it the kind; and by others, which does not.
    for known in [true, false] {
        let queue = Queue::classic("work");
        let workshop = if known {
            Workshop::with(Topology::new().queue(queue).queue(Queue::classic("work.dlq"))).await
        } else {
            let workshop = Workshop::with(Topology::new().queue(Queue::classic("work.dlq"))).await;
            workshop.vhost.declare_queue("work", json!({ "x-queue-type": "classic" })).await;
            workshop
        };
        let diary = Diary::default();
        let running = workshop.run(consumer(quick()).handle(failing(&diary)));
        for (number, claim) in claims.iter().enumerate() {
            let mut message = Outgoing::new("", "work", format!("{{\"number\":{number}}}"));
            message.metadata.headers = claim.iter().cloned().collect();
            workshop.publisher().publish_raw(message).await.unwrap();
        }
        workshop.holds("work.dlq", 3).await;
        workshop.holds("work", 0).await;
        running.stop().await.unwrap();
        let attempts = diary.entries().len();
        assert!(if known { attempts == 6 } else { attempts < 12 }, "{:?}", diary.entries());
    }
}

#[tokio::test]
async fn a_publishers_count_on_a_quorum_queue_gives_way_to_the_queues() {
    let workshop = Workshop::new(3).await;
    let diary = Diary::default();
    let mut message = Outgoing::new("", "work", "{\"number\":0}");
    message.metadata.headers.insert("x-delivery-count", 7);
    message.metadata.headers.insert("x-acquired-count", 7);
    workshop.publisher().publish_raw(message).await.unwrap();
    let running = workshop.run(consumer(quick()).handle(failing(&diary)));
    let dead = workshop.dead_letter().await;
    running.stop().await.unwrap();
    check(&dead, 4);
    assert_eq!(diary.entries(), ["0 attempt 1", "0 attempt 2", "0 attempt 3", "0 attempt 4"]);
}

#[tokio::test]
async fn a_message_that_kills_its_consumer_is_recognizable_in_the_dead_letter_queue() {
    let workshop = Workshop::new(1).await;
    workshop.jobs(0..1).await;
    eventually(60 * SECONDS, "the broker gives up", async || {
        if workshop.vhost.depth("work.dlq").await == 1 {
            return Ok(());
        }
        let victim = workshop.vhost.connect().await;
        let diary = Diary::default();
        let begun = diary.clone();
        let deadly = move |_: Job, _: Context| {
            begun.note("begun");
            std::future::pending()
        };
        let service = garenne::Service::new(&victim).consume(consumer(quick()).handle(deadly));
        let running = Workshop::serve(service);
        let attacked = tokio::time::timeout(SECONDS, diary.reaches(1)).await;
        running.crash().await;
        Err(attacked.is_ok())
    })
    .await;
    let dead = workshop.dead_letter().await;
    let headers = &dead["properties"]["headers"];
    assert_eq!(
        (&headers["x-last-death-reason"], &headers["garenne-error-kind"]),
        (&json!("delivery_limit"), &Value::Null)
    );
}
