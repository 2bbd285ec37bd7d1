//! Retries by the policy of the queue: the broker delays what it can, and what waits takes nobody's place.

use std::time::{Duration, Instant};

use garenne::{
    Consumer, Context, Exchange, Failure, Queue, QueueDefinition, QuorumQueue, Retry, Service, Topology,
};
use serde_json::json;

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

/// What a handler saw of one attempt.
fn seen(job: &Job, cx: &Context) -> String {
    let metadata = cx.metadata();
    let headers: Vec<_> = metadata.headers.iter().map(|(name, _)| name.to_owned()).collect();
    format!(
        "{} of {}/{} {:?} {:?} {:?} {}",
        job.number,
        cx.exchange(),
        cx.routing_key(),
        metadata.message_id,
        metadata.expiration,
        headers.iter().filter(|name| !name.starts_with("x-")).collect::<Vec<_>>(),
        cx.last_error().unwrap_or("first")
    )
}

async fn what_waits_in_a_tier_comes_back_as_it_was(queue: QueueDefinition) {
    let topology = Topology::new().exchange(Exchange::topic("jobs")).queue(queue.clone());
    let workshop = Workshop::with(topology).await;
    let (diary, attempts) = (Diary::default(), Diary::default());
    let handler = {
        let (diary, attempts) = (diary.clone(), attempts.clone());
        move |job: Job, cx: Context| {
            diary.note(seen(&job, &cx));
            attempts.note(format!("{} {}", cx.attempt(), cx.first_failed_at().is_some()));
            std::future::ready(Err(Failure::retry(format!("no {}", cx.attempt()))))
        }
    };
    let running = workshop.run(Consumer::of(queue.contract()).handle(handler));
    let publisher = workshop.publisher();
    let publish = publisher.publish(&Job { number: 7 }).exchange("jobs").routing_key("a.b").message_id("m-7");
    // It would be over while the message waits.
    publish.expires_in(Duration::from_millis(900)).header("tenant", "t1").await.expect("it is routed");
    let dead = workshop.dead_letter().await;
    running.stop().await.expect("it ends cleanly");
    let same = "7 of jobs/a.b Some(\"m-7\") Some(900ms) [\"tenant\"]";
    let expected: Vec<_> = ["first", "no 1", "no 2"].iter().map(|error| format!("{same} {error}")).collect();
    assert_eq!(diary.entries(), expected);
    assert_eq!(attempts.entries(), ["1 false", "2 true", "3 true"]);
    let headers = &dead["properties"]["headers"];
    for (name, value) in [
        ("garenne-attempts", json!(3)),
        ("garenne-error-message", json!("no 3")),
        ("garenne-origin-exchange", json!("jobs")),
        ("garenne-origin-routing-key", json!("a.b")),
        ("garenne-origin-expiration", json!(900)),
        ("tenant", json!("t1")),
    ] {
        assert_eq!(headers[name], value, "{name}: {headers}");
    }
    assert!(headers.get("garenne-retry").is_none() && headers.get("x-death").is_none(), "{headers}");
    workshop.holds("work", 0).await;
}

fn doubling() -> Retry {
    Retry::exponential(Duration::from_secs(1)..=Duration::from_secs(2)).attempts(3)
}

#[tokio::test]
async fn a_message_of_a_quorum_queue_that_waits_in_a_tier_comes_back_as_it_was() {
    what_waits_in_a_tier_comes_back_as_it_was(work(doubling()).bind("jobs", "#").into()).await;
}

#[tokio::test]
async fn a_message_of_a_classic_queue_that_waits_in_a_tier_comes_back_as_it_was() {
    let queue = Queue::classic("work").retry(doubling()).dead_letter().bind("jobs", "#");
    what_waits_in_a_tier_comes_back_as_it_was(queue.into()).await;
}

#[tokio::test]
async fn what_waits_in_a_tier_takes_no_place_and_needs_nobody() {
    let queue = work(Retry::exponential(Duration::from_secs(600)..=Duration::from_secs(1200)));
    let workshop = Workshop::with(Topology::new().queue(queue.clone())).await;
    let diary = Diary::default();
    workshop.jobs(0..30).await;
    let running = workshop.run(consumer(&queue, &diary, 10).prefetch(10).concurrency(10));
    diary.reaches(30).await;
    workshop.holds("work", 0).await;
    running.stop().await.unwrap();
    workshop.holds("garenne.retry.v1.600000", 10).await;
    // It is shared: what else waits in there is not this topology's to delete.
    workshop.client.delete(&Topology::new().queue(queue)).await.unwrap();
    workshop.holds("garenne.retry.v1.600000", 10).await;
}

#[tokio::test]
async fn a_message_whose_tier_is_missing_is_held_and_tried_again() {
    let queue = work(doubling());
    let workshop = Workshop::with(Topology::new().queue(queue.clone())).await;
    let diary = Diary::default();
    let running = workshop.run(consumer(&queue, &diary, 1));
    workshop.jobs(1..2).await;
    diary.reaches(1).await;
    workshop.vhost.delete_queue("garenne.retry.v1.1000").await;
    let admin = workshop.vhost.admin();
    admin.delete(&format!("/exchanges/{}/garenne.retry.v1.2000", workshop.vhost.name())).await;
    workshop.jobs(0..1).await;
    workshop.holds("work.dlq", 1).await;
    running.stop().await.unwrap();
    assert_eq!(diary.entries(), ["1 1", "0 1", "0 2", "0 3"]);
    // From the start it is told at the start.
    let service = Service::new(&workshop.client).consume(consumer(&queue, &diary, 1));
    let error = service.run_until(std::future::pending::<()>()).await.expect_err("it does not start");
    assert!(error.to_string().contains("needs its retry tiers"), "{error}");
}

#[tokio::test]
async fn a_delay_that_the_handler_asks_for_is_made_up_of_tiers() {
    let queue = work(doubling());
    let workshop = Workshop::with(Topology::new().queue(queue.clone())).await;
    let diary = Diary::default();
    let attempts = diary.clone();
    let handler = move |_: Job, cx: Context| {
        attempts.note(cx.attempt().to_string());
        std::future::ready(match cx.attempt() {
            1 => Err(Failure::retry_after(Duration::from_secs(5), "later")),
            _ => Ok(()),
        })
    };
    let running = workshop.run(Consumer::of(&queue).handle(handler));
    let begun = Instant::now();
    workshop.jobs(0..1).await;
    diary.reaches(2).await;
    assert!(
        begun.elapsed() >= Duration::from_secs(4),
        "a second too early is allowed: {:?}",
        begun.elapsed()
    );
    workshop.holds("work", 0).await;
    running.stop().await.unwrap();
    assert_eq!(diary.entries(), ["1", "2"]);
}

#[tokio::test]
async fn a_delay_that_the_handler_asks_for_waits_in_tiers_beside_a_policy_of_the_broker() {
    let queue =
        work(Retry::fixed(Duration::from_millis(100)).attempts(4)).retry_after_max(Duration::from_secs(2));
    let workshop = Workshop::with(Topology::new().queue(queue.clone())).await;
    let diary = Diary::default();
    let noted = diary.clone();
    let handler = move |_: Job, cx: Context| {
        noted.note(format!("{} {:?}", cx.attempt(), cx.last_error()));
        std::future::ready(Err(match cx.attempt() {
            2 => Failure::retry_after(Duration::from_secs(2), "later"),
            _ => Failure::retry("no"),
        }))
    };
    let running = workshop.run(Consumer::of(&queue).prefetch(1).handle(handler));
    workshop.jobs(0..1).await;
    workshop.holds("work.dlq", 1).await;
    running.stop().await.expect("it ends cleanly");
    // The queue keeps no errors; the tier does.
    assert_eq!(diary.entries(), ["1 None", "2 None", "3 Some(\"later\")", "4 Some(\"later\")"]);
}
