//! What is done with the messages of a dead-letter queue: looked at, replayed, discarded, exported.

use std::{collections::BTreeMap, io, num::NonZeroU32, time::Duration};

use garenne::{
    Consumer, Context, Exchange, Failure, Outgoing, Queue, Topology,
    deadletter::{
        DeadLetterErrorKind, DeadLetters, Edit, End, Filter, GroupBy, Groups, Record, Replay, Short,
    },
};
use garenne_tests::{SECONDS, eventually};
use serde_json::json;

use crate::workshop::{Diary, Job, Memo, Workshop};

/// A workshop whose dead-letter queue holds jobs with these numbers, given up by their handler.
async fn with_dead(numbers: std::ops::Range<u32>) -> Workshop {
    let workshop = Workshop::new(20).await;
    let count = numbers.end - numbers.start;
    let running = workshop.run(Consumer::new("work").concurrency(1).handle(|job: Job, _: Context| {
        std::future::ready(Err(Failure::dead_letter(format!("job {} is {}", job.number, parity(job.number)))))
    }));
    workshop.jobs(numbers).await;
    holds(&workshop, "work.dlq", count).await;
    running.stop().await.expect("it ends cleanly");
    workshop
}

const fn parity(number: u32) -> &'static str {
    if number.is_multiple_of(2) { "even" } else { "odd" }
}

async fn holds(workshop: &Workshop, queue: &'static str, count: u32) {
    eventually(60 * SECONDS, &format!("{queue} has {count}"), async || match workshop.ready(queue).await {
        ready if ready == count => Ok(()),
        other => Err(other),
    })
    .await;
}

fn dead(workshop: &Workshop) -> DeadLetters {
    DeadLetters::new(&workshop.client, "work.dlq".into())
}

/// Reads a queue with a consumer, and returns the number and the attempt of each message, in order.
async fn read(workshop: &Workshop, queue: &'static str, count: usize) -> Vec<(u32, u32)> {
    let diary = Diary::default();
    let noted = diary.clone();
    let running = workshop.run(Consumer::new(queue).concurrency(1).handle(move |job: Job, cx: Context| {
        noted.note(format!("{} {}", job.number, cx.attempt()));
        std::future::ready(Ok(()))
    }));
    diary.reaches(count).await;
    running.stop().await.expect("it ends cleanly");
    let entry = |entry: &String| {
        let (number, attempt) = entry.split_once(' ').expect("two numbers");
        (number.parse().expect("a number"), attempt.parse().expect("a number"))
    };
    diary.entries().iter().map(entry).collect()
}

#[tokio::test]
async fn looking_changes_neither_order_nor_attempts() {
    let workshop = with_dead(0..30).await;
    for _ in 0..3 {
        let (letters, looked) = dead(&workshop).look(&Filter::new(), 1000).await.unwrap();
        assert_eq!((letters.len(), looked.seen, looked.ready, looked.short), (30, 30, 30, None));
        let (few, _) = dead(&workshop).look(&Filter::new().text("IS ODD"), 4).await.unwrap();
        assert_eq!(
            few.iter().filter_map(|letter| letter.error()).collect::<Vec<_>>(),
            ["job 1 is odd", "job 3 is odd", "job 5 is odd", "job 7 is odd"]
        );
        let letter = &letters[4];
        assert_eq!((&letter.end, letter.origin()), (&End::Failed("handler".to_owned()), Some("work".into())));
        assert_eq!((letter.message_type(), letter.attempts(), letter.replays()), ("job.v1", Some(1), 0));
        let mut groups = Groups::by(GroupBy::Fingerprint);
        dead(&workshop).each(&Filter::new(), None, |letter| groups.add(&letter)).await.unwrap();
        assert_eq!(groups.into_groups().iter().map(|group| group.count).collect::<Vec<_>>(), [15, 15]);
    }
    holds(&workshop, "work.dlq", 30).await;
    assert_eq!(read(&workshop, "work.dlq", 30).await, (0..30).map(|number| (number, 1)).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_replayed_is_handled_and_the_rest_stays_in_order() {
    let workshop = with_dead(0..40).await;
    let dry = Replay::to_origin().filter(Filter::new().text("odd")).dry_run(true);
    let summary = dead(&workshop).replay(dry).await.unwrap();
    assert_eq!((summary.selected, summary.removed, summary.kept), (20, 20, 0));
    assert_eq!((workshop.ready("work").await, workshop.ready("work.dlq").await), (0, 40));
    let odd = Replay::to_origin().filter(Filter::new().text("odd")).rate(NonZeroU32::new(1000).unwrap());
    let summary = dead(&workshop).replay(odd).await.unwrap();
    assert_eq!((summary.selected, summary.removed, summary.kept, summary.parked), (20, 20, 0, 0));
    let numbers = |parity: u32| (0..40).filter(|n| n % 2 == parity).map(|n| (n, 1)).collect::<Vec<_>>();
    assert_eq!(read(&workshop, "work", 20).await, numbers(1));
    assert_eq!(read(&workshop, "work.dlq", 20).await, numbers(0));
}

#[tokio::test]
async fn a_message_that_is_replayed_too_often_is_parked() {
    let workshop = with_dead(0..1).await;
    let running = workshop.run(
        Consumer::new("work")
            .handle(|_: Job, _: Context| std::future::ready(Err(Failure::dead_letter("never")))),
    );
    for replays in 1..=3 {
        let summary = dead(&workshop).replay(Replay::to_origin()).await.unwrap();
        assert_eq!((summary.removed, summary.parked), (1, 0));
        holds(&workshop, "work.dlq", 1).await;
        let (letters, _) = dead(&workshop).look(&Filter::new(), 1).await.unwrap();
        assert_eq!((letters[0].replays(), letters[0].error()), (replays, Some("never")));
    }
    let dry = dead(&workshop).replay(Replay::to_origin().dry_run(true)).await.unwrap();
    assert_eq!((dry.parked, dry.parking_queue.clone()), (1, Some("work.dlq.parked".into())));
    let summary = dead(&workshop).replay(Replay::to_origin()).await.unwrap();
    assert_eq!((summary.removed, summary.parked, summary.kept), (0, 1, 0));
    holds(&workshop, "work.dlq", 0).await;
    holds(&workshop, "work.dlq.parked", 1).await;
    let parked = DeadLetters::new(&workshop.client, "work.dlq.parked".into());
    let (letters, _) = parked.look(&Filter::new(), 1).await.unwrap();
    assert_eq!((letters[0].error(), letters[0].origin()), (Some("never"), Some("work".into())));
    // Whoever means it can.
    let summary = parked.replay(Replay::to("work".into()).max_replays(9)).await.unwrap();
    assert_eq!(summary.removed, 1);
    holds(&workshop, "work.dlq", 1).await;
    running.stop().await.expect("it ends cleanly");
}

#[tokio::test]
async fn where_a_replayed_message_was_published_first_stays_known() {
    let queue = Queue::quorum("work").bind("jobs", "#").dead_letter();
    let workshop = Workshop::with(Topology::new().exchange(Exchange::topic("jobs")).queue(queue)).await;
    let running = workshop.run(
        Consumer::new("work")
            .handle(|_: Job, _: Context| std::future::ready(Err(Failure::dead_letter("never")))),
    );
    let publisher = workshop.publisher();
    publisher.publish(&Job { number: 1 }).exchange("jobs").routing_key("a.b").await.expect("it is routed");
    for _ in 0..2 {
        holds(&workshop, "work.dlq", 1).await;
        let (letters, _) = dead(&workshop).look(&Filter::new(), 1).await.unwrap();
        let headers = &letters[0].message.metadata.headers;
        let origin = (headers.text("garenne-origin-exchange"), headers.text("garenne-origin-routing-key"));
        assert_eq!(origin, (Some("jobs"), Some("a.b")));
        dead(&workshop).replay(Replay::to_origin()).await.unwrap();
    }
    holds(&workshop, "work.dlq", 1).await;
    running.stop().await.expect("it ends cleanly");
}

#[tokio::test]
async fn what_nobody_takes_stays_and_the_summary_says_why() {
    let workshop = with_dead(0..3).await;
    workshop.vhost.delete_queue("work").await;
    for dry_run in [true, false] {
        let summary = dead(&workshop).replay(Replay::to_origin().dry_run(dry_run)).await.unwrap();
        assert_eq!((summary.selected, summary.removed, summary.kept), (3, 0, 3));
        assert!(summary.reasons.iter().all(|kept| kept.reason.contains("work")), "{summary:?}");
    }
    let summary = dead(&workshop).replay(Replay::to("nowhere".into())).await.unwrap();
    assert_eq!((summary.removed, summary.kept), (0, 3));
    assert_eq!(read(&workshop, "work.dlq", 3).await, [(0, 1), (1, 1), (2, 1)]);
}

#[tokio::test]
async fn a_message_may_be_edited_on_its_way() {
    let workshop = with_dead(0..3).await;
    let editor = |letter: &garenne::deadletter::DeadLetter, mut copy: Outgoing| {
        if letter.error() == Some("job 1 is odd") {
            return Edit::Keep("leave it".to_owned());
        }
        copy.body = serde_json::to_vec(&Job { number: 70 }).expect("it is JSON").into();
        Edit::Publish(Box::new(copy))
    };
    let summary = dead(&workshop).replay(Replay::to_origin().edit(editor)).await.unwrap();
    assert_eq!((summary.removed, summary.kept), (2, 1));
    assert_eq!(summary.reasons[0].reason, "leave it");
    assert_eq!(read(&workshop, "work", 2).await, [(70, 1), (70, 1)]);
    assert_eq!(read(&workshop, "work.dlq", 1).await, [(1, 1)]);
}

#[tokio::test]
async fn discarding_removes_what_was_saved_and_nothing_else() {
    let workshop = with_dead(0..10).await;
    let mut saved = Vec::new();
    let save = |letter: &garenne::deadletter::DeadLetter| {
        if saved.len() == 3 {
            return Err(io::Error::other("the disk is full"));
        }
        saved.push(letter.error().unwrap_or_default().to_owned());
        Ok(())
    };
    let summary = dead(&workshop).discard(&Filter::new().text("even"), None, save).await.unwrap();
    assert_eq!((summary.removed, summary.kept), (3, 1));
    assert!(summary.reasons[0].reason.contains("the disk is full"));
    assert_eq!(saved, ["job 0 is even", "job 2 is even", "job 4 is even"]);
    let left = [1, 3, 5, 6, 7, 8, 9].map(|number| (number, 1));
    assert_eq!(read(&workshop, "work.dlq", 7).await, left);
}

#[tokio::test]
async fn ends_are_told_apart() {
    let queue = Queue::quorum("work")
        .message_ttl(Duration::from_millis(1500))
        .max_length(5)
        .overflow(garenne::Overflow::DropHead)
        .dead_letter_strategy(garenne::DeadLetterStrategy::AtMostOnce)
        .dead_letter();
    let workshop = Workshop::with(Topology::new().queue(queue)).await;
    let running = workshop.run(
        Consumer::new("work")
            .concurrency(1)
            .handle(|job: Job, _: Context| {
                std::future::ready(match job.number {
                    0 => Err(Failure::dead_letter("no")),
                    _ => panic!("at the disco"),
                })
            })
            .retry(garenne::Retry::never()),
    );
    workshop.jobs(0..2).await;
    workshop.publisher().publish(&Memo { text: "who reads this".to_owned() }).await.expect("it is routed");
    let odd = json!({ "type": "job.v1", "content_type": "application/json" });
    assert!(workshop.vhost.publish_raw("", "work", odd, b"\xff{").await);
    let odd = json!({ "type": "job.v1", "content_type": "text/x-unheard-of" });
    assert!(workshop.vhost.publish_raw("", "work", odd, b"{}").await);
    holds(&workshop, "work.dlq", 5).await;
    running.stop().await.expect("it ends cleanly");
    // Nobody reads now: two are too many, five expire.
    workshop.jobs(10..17).await;
    holds(&workshop, "work.dlq", 12).await;
    assert!(workshop.vhost.publish_raw("", "work.dlq", json!({}), b"by hand").await);
    holds(&workshop, "work.dlq", 13).await;
    let (letters, _) = dead(&workshop).look(&Filter::new(), 100).await.unwrap();
    let mut counts = BTreeMap::new();
    for letter in &letters {
        *counts.entry(letter.end.as_str()).or_insert(0) += 1;
        assert_eq!(letter.origin().is_some(), letter.end != End::Unknown, "{letter:?}");
    }
    let expected = [
        ("expired", 5),
        ("handler", 1),
        ("max-length", 2),
        ("panic", 1),
        ("undecodable", 1),
        ("unknown", 1),
        ("unknown-content-type", 1),
        ("unknown-type", 1),
    ];
    assert_eq!(counts, BTreeMap::from(expected));
    let records: Vec<_> = letters.iter().map(Record::of).collect();
    assert!(
        letters
            .iter()
            .zip(records)
            .all(|(letter, record)| record.into_letter().message.body == letter.message.body)
    );
}

#[tokio::test]
async fn strange_messages_are_shown_and_replayed_as_they_are() {
    let workshop = Workshop::new(20).await;
    let strange = [
        json!({}),
        json!({ "headers": { "garenne-replays": "many", "garenne-error-kind": 7, "garenne-origin-queue": 1 } }),
        json!({ "headers": { "x-death": "no list", "x-last-death-reason": 3, "garenne-error-chain": [1, {}] } }),
        json!({ "headers": { "x-death": [{ "queue": 1, "time": "now" }], "garenne-failed-at": "never" } }),
        json!({ "headers": { "garenne-error-message": "\u{1b}[2J", "garenne-error-kind": "made up" } }),
        json!({ "headers": { "big": "x".repeat(100_000) } }),
    ];
    for properties in &strange {
        assert!(workshop.vhost.publish_raw("", "work.dlq", properties.clone(), b"\x00\xff").await);
    }
    let count = u32::try_from(strange.len()).unwrap();
    holds(&workshop, "work.dlq", count).await;
    let (letters, _) = dead(&workshop).look(&Filter::new(), 100).await.unwrap();
    assert_eq!(letters.len(), strange.len());
    // Without an origin they stay, and are told.
    let summary = dead(&workshop).replay(Replay::to_origin()).await.unwrap();
    assert_eq!((summary.kept, summary.removed), (u64::from(count), 0), "{summary:?}");
    assert!(summary.reasons[0].reason.contains("nothing tells which queue"), "{summary:?}");
    let summary = dead(&workshop).replay(Replay::to("work".into())).await.unwrap();
    assert_eq!((summary.kept, summary.removed), (0, u64::from(count)), "{summary:?}");
    let replayed = DeadLetters::new(&workshop.client, "work".into());
    let (letters, _) = replayed.look(&Filter::new(), 100).await.unwrap();
    assert!(letters.iter().all(|letter| letter.message.body == b"\x00\xff"[..] && letter.replays() == 1));
}

#[tokio::test]
async fn a_consumer_of_the_dead_letters_is_no_hang() {
    let workshop = with_dead(0..10).await;
    // Somebody has all of them, and keeps them.
    let held = Diary::default();
    let noted = held.clone();
    let running = workshop.run(Consumer::new("work.dlq").concurrency(10).prefetch(10).handle(
        move |_: Job, cx: Context| {
            noted.note("held");
            async move {
                cx.stopping().await;
                Err(Failure::retry("not ours"))
            }
        },
    ));
    held.reaches(10).await;
    let (letters, looked) = dead(&workshop).look(&Filter::new(), 100).await.unwrap();
    assert_eq!((letters.len(), looked.ready, looked.short), (0, 0, Some(Short::Others)));
    running.stop().await.expect("it ends cleanly");
    holds(&workshop, "work.dlq", 10).await;
    // A single active consumer that is somebody else gives nothing to us.
    let single = Queue::quorum("single").single_active_consumer().without_dead_letter();
    workshop.client.apply(&Topology::new().queue(single)).await.unwrap();
    let dead_single = DeadLetters::new(&workshop.client, "single".into());
    dead(&workshop).replay(Replay::to("single".into())).await.unwrap();
    let stuck = Diary::default();
    let noted = stuck.clone();
    let running = workshop.run(Consumer::new("single").concurrency(1).prefetch(1).handle(
        move |_: Job, cx: Context| {
            noted.note("held");
            async move {
                cx.stopping().await;
                Ok(())
            }
        },
    ));
    stuck.reaches(1).await;
    let (letters, looked) = dead_single.look(&Filter::new(), 100).await.unwrap();
    assert_eq!((letters.len(), looked.short), (0, Some(Short::Others)), "{looked:?}");
    running.stop().await.expect("it ends cleanly");
}

#[tokio::test]
async fn a_stream_and_a_queue_that_is_missing_are_no_hang() {
    let workshop = Workshop::new(20).await;
    workshop.vhost.declare_queue("log", json!({ "x-queue-type": "stream" })).await;
    for _ in 0..5 {
        assert!(workshop.vhost.publish_raw("", "log", json!({}), b"line").await);
    }
    let log = DeadLetters::new(&workshop.client, "log".into());
    let (letters, _) = log.look(&Filter::new(), 100).await.unwrap();
    assert!(letters.is_empty(), "what a stream had is not for readers that name no offset");
    let missing = DeadLetters::new(&workshop.client, "nowhere".into());
    let error = missing.look(&Filter::new(), 1).await.expect_err("there is no such queue");
    assert_eq!(error.kind(), DeadLetterErrorKind::Broker, "{error}");
}
