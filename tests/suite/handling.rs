//! Handlers that succeed, fail for a while, share a queue, and stop.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use garenne::{Consumer, Context, Failure, Handler, Layer, Next, OrFailure as _, Outcome, Service};
use garenne_tests::{SECONDS, eventually};
use tokio::sync::Semaphore;

use crate::workshop::{Diary, Job, Memo, Workshop};

/// Notes each job with its attempt and then does what the closure says.
fn noting<F>(diary: &Diary, outcome: F) -> impl Handler<Job>
where
    F: Fn(&Job, &Context) -> Result<(), Failure> + Send + Sync + 'static,
{
    let (diary, outcome) = (diary.clone(), Arc::new(outcome));
    move |job: Job, cx: Context| {
        let (diary, outcome) = (diary.clone(), Arc::clone(&outcome));
        async move {
            diary.note(format!("{} attempt {}", job.number, cx.attempt()));
            outcome(&job, &cx)
        }
    }
}

fn quick(queue: &'static str) -> Consumer {
    Consumer::new(queue).retry(garenne::Retry::fixed(Duration::from_millis(5)))
}

#[tokio::test]
async fn a_handled_message_is_acknowledged() {
    let workshop = Workshop::new(5).await;
    let diary = Diary::default();
    let running = workshop.run(quick("work").handle(noting(&diary, |_, _| Ok(()))));
    workshop.jobs(0..20).await;
    diary.reaches(20).await;
    running.stop().await.unwrap();
    workshop.holds("work", 0).await;
    workshop.holds("work.dlq", 0).await;
}

#[tokio::test]
async fn a_failed_message_is_tried_again_and_the_attempts_are_counted() {
    let workshop = Workshop::new(5).await;
    let diary = Diary::default();
    let handler = noting(&diary, |_, cx| if cx.attempt() < 3 { Err("not yet").or_retry() } else { Ok(()) });
    let running = workshop.run(quick("work").handle(handler));
    workshop.jobs(7..8).await;
    diary.reaches(3).await;
    running.stop().await.unwrap();
    assert_eq!(diary.entries(), ["7 attempt 1", "7 attempt 2", "7 attempt 3"]);
    workshop.holds("work", 0).await;
}

#[tokio::test]
async fn retry_after_waits_without_holding_up_the_others() {
    let workshop = Workshop::new(5).await;
    let diary = Diary::default();
    let handler = noting(&diary, |job, cx| match (job.number, cx.attempt()) {
        (0, 1) => Err(Failure::retry_after(Duration::from_secs(2), "busy")),
        _ => Ok(()),
    });
    let running = workshop.run(quick("work").concurrency(1).handle(handler));
    workshop.jobs(0..4).await;
    diary.reaches(5).await;
    running.stop().await.unwrap();
    assert_eq!(diary.entries(), ["0 attempt 1", "1 attempt 1", "2 attempt 1", "3 attempt 1", "0 attempt 2"]);
}

#[tokio::test]
async fn a_crash_between_handling_and_ack_means_redelivery() {
    let workshop = Workshop::new(5).await;
    let diary = Diary::default();
    let stuck = {
        let diary = diary.clone();
        move |job: Job, _: Context| {
            let diary = diary.clone();
            async move {
                diary.note(format!("{} begun", job.number));
                std::future::pending().await
            }
        }
    };
    let running = workshop.run(quick("work").handle(stuck));
    workshop.jobs(1..2).await;
    diary.reaches(1).await;
    running.crash().await;
    let second = Diary::default();
    let running = workshop.run(quick("work").handle(noting(&second, |_, cx| {
        assert!(cx.redelivered());
        Ok(())
    })));
    second.reaches(1).await;
    running.stop().await.unwrap();
    workshop.holds("work", 0).await;
}

#[tokio::test]
async fn a_stop_finishes_what_runs_and_hands_back_the_rest_uncounted() {
    let workshop = Workshop::new(5).await;
    let (diary, gate) = (Diary::default(), Arc::new(Semaphore::new(0)));
    let handler = {
        let (diary, gate) = (diary.clone(), Arc::clone(&gate));
        move |job: Job, _: Context| {
            let (diary, gate) = (diary.clone(), Arc::clone(&gate));
            async move {
                diary.note(format!("{} begun", job.number));
                gate.acquire().await.or_retry()?.forget();
                diary.note(format!("{} done", job.number));
                Ok(())
            }
        }
    };
    workshop.jobs(0..10).await;
    let running = workshop.run(quick("work").concurrency(3).prefetch(10).handle(handler));
    diary.reaches(3).await;
    running.ask();
    gate.add_permits(100);
    running.stop().await.unwrap();
    let done = diary.entries().iter().filter(|entry| entry.ends_with("done")).count() as u64;
    assert!((3..10).contains(&done), "{:?}", diary.entries());
    workshop.holds("work", 10 - done).await;

    let rest = Diary::default();
    let running = workshop.run(quick("work").handle(noting(&rest, |_, cx| {
        // Handed back, not failed.
        assert_eq!(cx.attempt(), 1);
        Ok(())
    })));
    rest.reaches(usize::try_from(10 - done).unwrap()).await;
    running.stop().await.unwrap();
    let finished: Vec<_> = diary.entries().into_iter().filter(|entry| entry.ends_with("done")).collect();
    for entry in rest.entries() {
        let number = entry.split(' ').next().unwrap();
        assert!(!finished.contains(&format!("{number} done")), "{number} was done and came again");
    }
    workshop.holds("work", 0).await;
    workshop.holds("work.dlq", 0).await;
}

#[tokio::test]
async fn a_handler_that_outlasts_the_drain_is_named_and_its_message_comes_again() {
    let workshop = Workshop::new(5).await;
    let diary = Diary::default();
    let stuck = {
        let diary = diary.clone();
        move |_: Job, _: Context| {
            let diary = diary.clone();
            async move {
                diary.note("begun");
                std::future::pending().await
            }
        }
    };
    let service = Service::new(&workshop.client).consume(quick("work").handle(stuck));
    let running = Workshop::serve(service.drain_timeout(Duration::from_millis(300)));
    workshop.jobs(0..1).await;
    diary.reaches(1).await;
    // The outcome says whether deliveries were left; either way nothing hangs and nothing is lost.
    let stopped = tokio::time::timeout(30 * SECONDS, running.stop()).await;
    assert!(stopped.is_ok(), "the drain has an end");
    workshop.holds("work", 1).await;
}

#[tokio::test]
async fn two_consumers_share_a_queue() {
    let workshop = Workshop::new(5).await;
    let (left, right) = (Diary::default(), Diary::default());
    let consumer = |diary: &Diary| quick("work").prefetch(1).handle(noting(diary, |_, _| Ok(())));
    let running =
        Workshop::serve(Service::new(&workshop.client).consume(consumer(&left)).consume(consumer(&right)));
    workshop.jobs(0..200).await;
    eventually(60 * SECONDS, "all are handled", async || {
        let counts = (left.entries().len(), right.entries().len());
        if counts.0 + counts.1 == 200 { Ok(()) } else { Err(counts) }
    })
    .await;
    running.stop().await.unwrap();
    assert!(!left.entries().is_empty() && !right.entries().is_empty());
}

#[tokio::test]
async fn several_types_on_one_queue_reach_their_handlers() {
    let workshop = Workshop::new(5).await;
    let (jobs, memos) = (Diary::default(), Diary::default());
    let memo = {
        let memos = memos.clone();
        move |memo: Memo, _: Context| {
            memos.note(memo.text);
            std::future::ready(Ok(())).boxed()
        }
    };
    let running = workshop.run(quick("work").handle(noting(&jobs, |_, _| Ok(()))).handle(memo));
    workshop.jobs(0..2).await;
    workshop.publisher().publish(&Memo { text: "hello".to_owned() }).await.unwrap();
    jobs.reaches(2).await;
    memos.reaches(1).await;
    running.stop().await.unwrap();
    assert_eq!(memos.entries(), ["hello"]);
    workshop.holds("work", 0).await;
}

/// Notes when it is entered and left.
struct Around {
    name: &'static str,
    diary: Diary,
}

#[async_trait]
impl Layer for Around {
    async fn call(&self, cx: Context, next: Next<'_>) -> Outcome {
        self.diary.note(format!("{} in", self.name));
        let result = next.run(cx).await;
        self.diary.note(format!("{} out", self.name));
        result
    }
}

#[tokio::test]
async fn layers_of_the_service_go_around_those_of_the_consumer() {
    let workshop = Workshop::new(5).await;
    let diary = Diary::default();
    let around = |name| Around { name, diary: diary.clone() };
    let consumer = quick("work").layer(around("consumer")).handle(noting(&diary, |_, _| Ok(())));
    let running = Workshop::serve(Service::new(&workshop.client).layer(around("service")).consume(consumer));
    workshop.jobs(1..2).await;
    diary.reaches(5).await;
    running.stop().await.unwrap();
    assert_eq!(diary.entries(), ["service in", "consumer in", "1 attempt 1", "consumer out", "service out"]);
}

#[tokio::test]
async fn what_a_handler_publishes_names_its_cause() {
    let workshop = Workshop::new(5).await;
    let diary = Diary::default();
    let answer = {
        let diary = diary.clone();
        move |memo: Memo, cx: Context| {
            let diary = diary.clone();
            async move {
                let headers = &cx.metadata().headers;
                diary.note(format!(
                    "{} {} {}",
                    memo.text,
                    cx.metadata().correlation_id.as_deref().unwrap_or("none"),
                    headers.text(garenne::shared::header::CAUSATION_ID).unwrap_or("none"),
                ));
                Ok(())
            }
        }
    };
    let ask = |job: Job, cx: Context| async move {
        cx.publish(&Memo { text: format!("job {}", job.number) }).await.or_retry()?;
        Ok(())
    };
    let running = workshop.run(quick("work").handle(ask).handle(answer));
    workshop.publisher().publish(&Job { number: 4 }).message_id("m-4").await.unwrap();
    diary.reaches(1).await;
    running.stop().await.unwrap();
    assert_eq!(diary.entries(), ["job 4 m-4 m-4"]);
}
