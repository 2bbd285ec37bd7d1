//! A panic anywhere in handling is an outcome like any other: the service goes on, and the message ends in the dead-letter queue.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use garenne::{Consumer, Context, Failure, Handler, Layer, Message, Next, Outcome, Outgoing, Retry};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::workshop::{Diary, Job, Workshop};

fn consumer(concurrency: usize) -> Consumer {
    Consumer::new("work")
        .concurrency(concurrency)
        .timeout(Duration::from_millis(100))
        .retry(Retry::fixed(Duration::from_millis(5)).attempts(2))
}

/// Runs a handler that panics for job 13 in some way, between jobs that it handles, and looks at the dead letter.
async fn check<H: Handler<Job>>(concurrency: usize, words: &str, handler: impl Fn(Diary) -> H) {
    let workshop = Workshop::new(5).await;
    let diary = Diary::default();
    let running = workshop.run(consumer(concurrency).handle(handler(diary.clone())));
    workshop.jobs(0..2).await;
    workshop.jobs(13..14).await;
    workshop.jobs(2..4).await;
    diary.reaches(4).await;
    dead(&workshop, words).await;
    running.stop().await.expect("the service ends in order");
    workshop.holds("work", 0).await;
}

async fn dead(workshop: &Workshop, words: &str) {
    let dead = workshop.dead_letter().await;
    let headers = &dead["properties"]["headers"];
    let text = headers["garenne-error-message"].as_str().unwrap_or_default();
    assert!(headers["garenne-error-kind"] == "panic" && text.contains(words), "{headers}");
    assert_eq!(headers["garenne-attempts"], Value::from(2));
}

/// Panics when it is dropped, if that is its job.
struct Bomb(bool);

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(!self.0, "the bomb went off");
    }
}

/// An error that cannot be shown.
#[derive(Debug)]
struct Unspeakable;

impl fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("words fail me")
    }
}

impl std::error::Error for Unspeakable {}

/// An error that panics where it is classified.
struct Unclassified;

impl From<Unclassified> for Failure {
    fn from(_: Unclassified) -> Self {
        panic!("neither here nor there")
    }
}

/// An error that panics when it is dropped.
#[derive(Debug)]
struct Sticky(Guard);

#[derive(Debug)]
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        panic!("it does not let go");
    }
}

impl fmt::Display for Sticky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sticky")
    }
}

impl std::error::Error for Sticky {}

#[tokio::test]
async fn a_panic_while_a_timed_out_handler_is_dropped_ends_no_service() {
    for concurrency in [1, 4] {
        check(concurrency, "dropped at its timeout, panicked: the bomb went off", |diary| {
            move |job: Job, _: Context| {
                let diary = diary.clone();
                async move {
                    let _bomb = Bomb(job.number == 13);
                    if job.number == 13 {
                        std::future::pending::<()>().await;
                    }
                    diary.note("done");
                    Ok(())
                }
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_panic_while_a_finished_handler_is_dropped_is_a_failure() {
    for concurrency in [1, 4] {
        check(concurrency, "the bomb went off", |diary| {
            move |job: Job, _: Context| {
                let (diary, bomb) = (diary.clone(), Bomb(job.number == 13));
                async move {
                    let _bomb = bomb;
                    if job.number != 13 {
                        diary.note("done");
                    }
                    Ok(())
                }
            }
        })
        .await;
    }
}

#[tokio::test]
async fn an_error_that_panics_when_it_is_shown_classified_or_dropped_is_a_failure() {
    fn noted(diary: &Diary, job: &Job) -> bool {
        if job.number != 13 {
            diary.note("done");
        }
        job.number == 13
    }
    check(1, "words fail me", |diary| {
        move |job: Job, _: Context| {
            let failed = noted(&diary, &job);
            async move { if failed { Err(Failure::retry(Unspeakable)) } else { Ok(()) } }
        }
    })
    .await;
    check(1, "neither here nor there", |diary| {
        move |job: Job, _: Context| {
            let failed = noted(&diary, &job);
            async move { if failed { Err(Unclassified)? } else { Ok(()) } }
        }
    })
    .await;
    check(1, "it does not let go", |diary| {
        move |job: Job, _: Context| {
            let failed = noted(&diary, &job);
            async move { if failed { Err(Failure::retry(Sticky(Guard))) } else { Ok(()) } }
        }
    })
    .await;
}

/// Panics before it makes a future.
struct Hasty(Diary);

#[async_trait]
impl Layer for Hasty {
    async fn call(&self, cx: Context, next: Next<'_>) -> Outcome {
        assert!(!cx.incoming().body.ends_with(b"13}"), "not this one");
        let outcome = next.run(cx).await;
        self.0.note("through");
        outcome
    }
}

#[tokio::test]
async fn a_panic_in_a_layer_is_a_failure() {
    for concurrency in [1, 4] {
        let workshop = Workshop::new(5).await;
        let diary = Diary::default();
        let fine = |_: Job, _: Context| async { Ok(()) };
        let running = workshop.run(consumer(concurrency).layer(Hasty(diary.clone())).handle(fine));
        workshop.jobs(0..2).await;
        workshop.jobs(13..14).await;
        workshop.jobs(2..4).await;
        diary.reaches(4).await;
        dead(&workshop, "not this one").await;
        running.stop().await.unwrap();
    }
}

/// A message whose decoding panics.
#[derive(Debug, Serialize, Message)]
#[message(type = "cursed.v1", key = "work")]
struct Cursed {}

impl<'de> Deserialize<'de> for Cursed {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("no eye may read this")
    }
}

#[tokio::test]
async fn a_panic_in_decoding_is_a_failure() {
    for concurrency in [1, 4] {
        let workshop = Workshop::new(5).await;
        let (diary, fine) = (Diary::default(), |_: Cursed, _: Context| async { Ok(()) });
        let noting = {
            let diary = diary.clone();
            move |_: Job, _: Context| {
                diary.note("done");
                std::future::ready(Ok(()))
            }
        };
        let running = workshop.run(consumer(concurrency).handle(fine).handle(noting));
        let mut message = Outgoing::new("", "work", "{}");
        message.metadata.message_type = Some("cursed.v1".into());
        workshop.publisher().publish_raw(message).await.unwrap();
        workshop.jobs(0..2).await;
        diary.reaches(2).await;
        dead(&workshop, "no eye may read this").await;
        running.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_retry_policy_that_panics_gives_the_message_no_further_attempt() {
    let workshop = Workshop::new(5).await;
    let policy = Retry::custom(|_| panic!("no policy"));
    let fail = |_: Job, _: Context| async { Err(Failure::retry("never")) };
    let running = workshop.run(Consumer::new("work").retry(policy).handle(fail));
    workshop.jobs(0..1).await;
    let dead = workshop.dead_letter().await;
    running.stop().await.unwrap();
    assert_eq!(dead["properties"]["headers"]["garenne-error-message"], "never");
}
