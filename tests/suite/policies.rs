//! Retries that depend on the handler or the error, and runs that follow at once.

use std::time::Duration;

use garenne::{Consumer, Context, Failure, HandledBy as _, Retry};

use crate::workshop::{Diary, Job, Memo, Workshop};

fn at_once() -> Retry {
    Retry::fixed(Duration::ZERO)
}

#[tokio::test]
async fn a_class_of_errors_and_a_handler_have_policies_of_their_own() {
    let workshop = Workshop::new(20).await;
    let diary = Diary::default();
    let (jobs, memos) = (diary.clone(), diary.clone());
    let job = move |job: Job, cx: Context| {
        jobs.note(format!("job {} {}", job.number, cx.attempt()));
        let failure = Failure::retry("no");
        std::future::ready(Err(if job.number == 1 { failure.policy(at_once().attempts(2)) } else { failure }))
    };
    let memo = move |memo: Memo, cx: Context| {
        memos.note(format!("{} {}", memo.text, cx.attempt()));
        std::future::ready(Err(Failure::retry("no")))
    };
    let consumer = Consumer::new("work").retry(at_once().attempts(5)).concurrency(1);
    let consumer =
        consumer.route(Job::handled_by(job).retry(at_once().attempts(3))).route(Memo::handled_by(memo));
    let running = workshop.run(consumer);
    workshop.jobs(1..3).await;
    workshop.publisher().publish(&Memo { text: "memo".to_owned() }).await.expect("it is routed");
    workshop.holds("work.dlq", 3).await;
    running.stop().await.expect("it ends cleanly");
    let of = |what: &str| diary.entries().iter().filter(|entry| entry.starts_with(what)).count();
    assert_eq!((of("job 1"), of("job 2"), of("memo")), (2, 3, 5), "{:?}", diary.entries());
}

#[tokio::test]
async fn a_failed_run_is_repeated_at_once_within_its_attempt() {
    let workshop = Workshop::new(20).await;
    let diary = Diary::default();
    let noted = diary.clone();
    let consumer = Consumer::new("work").immediate_retries(2).retry(at_once().attempts(2)).concurrency(1);
    let running = workshop.run(consumer.handle(move |job: Job, cx: Context| {
        noted.note(format!("{} {} {}", job.number, cx.attempt(), cx.run()));
        std::future::ready(match job.number {
            0 if cx.run() == 2 => Ok(()),
            0 | 1 => Err(Failure::retry("no")),
            2 => Err(Failure::dead_letter("never")),
            3 if cx.run() == 1 => panic!("once"),
            _ => Ok(()),
        })
    }));
    workshop.jobs(0..4).await;
    diary.reaches(11).await;
    workshop.holds("work.dlq", 2).await;
    workshop.holds("work", 0).await;
    running.stop().await.expect("it ends cleanly");
    let of = |number: u32| -> Vec<String> {
        let begin = format!("{number} ");
        diary.entries().iter().filter_map(|entry| entry.strip_prefix(&begin).map(str::to_owned)).collect()
    };
    assert_eq!(of(0), ["1 1", "1 2"]);
    assert_eq!(of(1), ["1 1", "1 2", "1 3", "2 1", "2 2", "2 3"]);
    assert_eq!(of(2), ["1 1"]);
    assert_eq!(of(3), ["1 1", "1 2"]);
}

#[tokio::test]
async fn what_a_failed_run_deferred_is_not_published() {
    let workshop = Workshop::new(20).await;
    let consumer = Consumer::new("work").immediate_retries(1).concurrency(1);
    let running = workshop.run(consumer.handle(|job: Job, cx: Context| {
        if job.number < 100 {
            cx.defer(&Job { number: 100 + job.number + 100 * cx.run() });
            return std::future::ready(if cx.run() == 1 { Err(Failure::retry("no")) } else { Ok(()) });
        }
        std::future::ready(Err(Failure::dead_letter(job.number.to_string())))
    }));
    workshop.jobs(7..8).await;
    let dead = workshop.dead_letter().await;
    running.stop().await.expect("it ends cleanly");
    assert_eq!(dead["properties"]["headers"]["garenne-error-message"], "307");
}

async fn bill(job: Job, _: Context) -> Result<(), Failure> {
    Err(Failure::dead_letter(format!("account {} is locked", job.number)))
}

#[tokio::test]
async fn a_dead_letter_carries_the_whole_record() {
    let workshop = Workshop::new(20).await;
    let running = workshop.run(Consumer::new("work").handle(bill));
    workshop.jobs(4711..4712).await;
    let dead = workshop.dead_letter().await;
    running.stop().await.expect("it ends cleanly");
    let headers = &dead["properties"]["headers"];
    let text = |name: &str| headers[name].as_str().unwrap_or_default().to_owned();
    assert!(text("garenne-handler").ends_with("::bill"), "{headers}");
    assert!(!text("garenne-host").is_empty(), "{headers}");
    let expected = garenne::fingerprint(Some(&"job.v1".into()), "handler", "account 1 is locked");
    assert_eq!(text("garenne-fingerprint"), expected, "{headers}");
}
