//! Retries by the policy of the queue: the broker delays what it can, and what waits takes nobody's place.

use std::time::Duration;

use garenne::{Consumer, Context, Failure, Queue, QuorumQueue, Retry, Service, Topology};

use crate::workshop::{Diary, Job, Workshop};

fn work(policy: Retry) -> QuorumQueue {
    Queue::quorum("work").retry(policy).dead_letter()
}

/// Fails every job below `bad`, and notes each attempt.
fn consumer(queue: &QuorumQueue, diary: &Diary, bad: u32) -> Consumer {
    let diary = diary.clone();
    Consumer::of(queue).handle(move |job: Job, cx: Context| {
        diary.note(format!("{} {}", job.number, cx.attempt()));
        std::future::ready(if job.number < bad { Err(Failure::retry("not yet")) } else { Ok(()) })
    })
}

#[tokio::test]
async fn what_waits_for_its_retry_takes_no_place_of_the_prefetch() {
    let queue = work(Retry::fixed(Duration::from_secs(600)));
    let workshop = Workshop::with(Topology::new().queue(queue.clone())).await;
    let diary = Diary::default();
    workshop.jobs(0..30).await;
    // As many fail as the prefetch takes: held, they would keep the others from it for ten minutes.
    let running = workshop.run(consumer(&queue, &diary, 10).prefetch(10).concurrency(10));
    diary.reaches(30).await;
    workshop.holds("work", 10).await;
    running.stop().await.unwrap();
    let mut entries = diary.entries();
    entries
        .sort_unstable_by_key(|entry| entry.split(' ').next().and_then(|number| number.parse::<u32>().ok()));
    assert_eq!(entries, (0..30).map(|number| format!("{number} 1")).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_last_attempt_of_the_policy_ends_in_the_dead_letter_queue_with_its_error() {
    let queue = work(Retry::linear(Duration::from_millis(50)..=Duration::from_millis(100)).attempts(3));
    let workshop = Workshop::with(Topology::new().queue(queue.clone())).await;
    let diary = Diary::default();
    let running = workshop.run(consumer(&queue, &diary, 1));
    workshop.jobs(0..2).await;
    let dead = workshop.dead_letter().await;
    running.stop().await.unwrap();
    let headers = &dead["properties"]["headers"];
    assert_eq!(headers["garenne-error-message"], "not yet", "{headers}");
    let mut entries = diary.entries();
    entries.sort_unstable();
    assert_eq!(entries, ["0 1", "0 2", "0 3", "1 1"]);
    workshop.holds("work", 0).await;
}

#[tokio::test]
async fn what_a_stop_hands_back_is_neither_counted_nor_delayed() {
    let queue = work(Retry::fixed(Duration::from_secs(600)));
    let workshop = Workshop::with(Topology::new().queue(queue.clone())).await;
    let diary = Diary::default();
    workshop.jobs(0..20).await;
    // One is handled at a time, and the others wait in this process.
    let slow = {
        let diary = diary.clone();
        move |job: Job, cx: Context| {
            diary.note(job.number.to_string());
            async move {
                cx.stopping().await;
                Ok(())
            }
        }
    };
    let running = workshop.run(Consumer::of(&queue).concurrency(1).prefetch(20).handle(slow));
    diary.reaches(1).await;
    running.stop().await.unwrap();
    workshop.holds("work", 19).await;
    let again = Diary::default();
    let running = workshop.run(consumer(&queue, &again, 0));
    again.reaches(19).await;
    running.stop().await.unwrap();
    assert!(again.entries().iter().all(|entry| entry.ends_with(" 1")), "{:?}", again.entries());
}

#[tokio::test]
async fn a_queue_with_another_policy_is_told_at_the_start() {
    let minute = Duration::from_secs(60);
    let workshop = Workshop::with(Topology::new().queue(work(Retry::fixed(minute)))).await;
    let other = work(Retry::fixed(2 * minute));
    let service = Service::new(&workshop.client).consume(consumer(&other, &Diary::default(), 0));
    let error = service.run_until(std::future::pending::<()>()).await.expect_err("it does not start");
    assert!(error.to_string().contains("x-delayed-retry"), "{error}");
}
