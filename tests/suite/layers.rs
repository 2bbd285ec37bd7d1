//! Layers see whatever a message comes to, and may change what is inside of them.

use std::time::Duration;

use async_trait::async_trait;
use garenne::{Bytes, Consumer, Context, Layer, Next, Outcome, Outgoing, Retry};

use crate::workshop::{Diary, Job, Workshop};

/// Notes what each message came to.
struct Observer(Diary);

#[async_trait]
impl Layer for Observer {
    async fn call(&self, cx: Context, next: Next<'_>) -> Outcome {
        let outcome = next.run(cx).await;
        self.0.note(outcome.failure().map_or("done", |report| report.kind().as_str()));
        outcome
    }
}

fn raw(body: &str, message_type: &'static str) -> Outgoing {
    let mut message = Outgoing::new("", "work", body.to_owned());
    message.metadata.message_type = Some(message_type.into());
    message
}

#[tokio::test]
async fn a_layer_sees_unknown_types_bodies_that_do_not_decode_panics_and_timeouts() {
    let workshop = Workshop::new(0).await;
    let diary = Diary::default();
    let handler = |job: Job, _: Context| async move {
        match job.number {
            1 => panic!("one"),
            2 => std::future::pending().await,
            _ => Ok(()),
        }
    };
    let consumer = Consumer::new("work")
        .retry(Retry::fixed(Duration::from_millis(5)).attempts(1))
        .concurrency(1)
        .timeout(Duration::from_millis(300))
        .layer(Observer(diary.clone()))
        .handle(handler);
    let publisher = workshop.publisher();
    publisher.publish_raw(raw("{}", "poem.v1")).await.unwrap();
    publisher.publish_raw(raw("no JSON", "job.v1")).await.unwrap();
    workshop.jobs(0..3).await;
    let running = workshop.run(consumer);
    diary.reaches(5).await;
    workshop.holds("work.dlq", 4).await;
    running.stop().await.unwrap();
    assert_eq!(diary.entries(), ["unknown-type", "undecodable", "done", "panic", "timeout"]);
}

/// Turns the body around before anybody reads it, and says so.
struct Turn;

/// How long the body was.
#[derive(Debug, Clone, PartialEq)]
struct Length(usize);

#[async_trait]
impl Layer for Turn {
    async fn call(&self, cx: Context, next: Next<'_>) -> Outcome {
        let mut incoming = cx.incoming().clone();
        incoming.body = Bytes::from(incoming.body.iter().rev().copied().collect::<Vec<_>>());
        cx.extensions().insert(Length(incoming.body.len()));
        next.run(cx.with_incoming(incoming)).await
    }
}

#[tokio::test]
async fn a_layer_may_hand_another_body_and_values_to_what_is_inside() {
    let workshop = Workshop::new(5).await;
    let diary = Diary::default();
    let noting = diary.clone();
    let handler = move |job: Job, cx: Context| {
        noting.note(format!("{} {:?}", job.number, cx.extensions().get::<Length>()));
        std::future::ready(if job.number == 7 { Ok(()) } else { Err(garenne::Failure::dead_letter("no")) })
    };
    let running = workshop.run(Consumer::new("work").concurrency(1).layer(Turn).handle(handler));
    let publisher = workshop.publisher();
    publisher.publish_raw(raw("}7 :\"rebmun\"{", "job.v1")).await.unwrap();
    publisher.publish_raw(raw("}8 :\"rebmun\"{", "job.v1")).await.unwrap();
    let dead = workshop.dead_letter().await;
    running.stop().await.unwrap();
    assert_eq!(diary.entries(), ["7 Some(Length(13))", "8 Some(Length(13))"]);
    assert_eq!(dead["payload"], "}8 :\"rebmun\"{", "a dead letter is what came");
}
