//! Consumers that slow down: the kill switch and the rate limit.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use garenne::{Consumer, Context, Failure, KillSwitch};
use garenne_tests::{SECONDS, eventually};

use crate::workshop::{Diary, Job, Workshop};

fn switch() -> KillSwitch {
    let pause = Duration::from_millis(20)..=Duration::from_millis(50);
    KillSwitch::new().ratio(0.5).minimum(5).pause(pause)
}

/// Something that the handlers need, which is there or not.
#[derive(Clone, Default)]
struct Database {
    is_up: Arc<AtomicBool>,
    asked: Arc<AtomicU32>,
}

impl Database {
    fn consumer(&self, diary: &Diary, failure: fn() -> Failure) -> Consumer {
        let (database, diary) = (self.clone(), diary.clone());
        let consumer =
            Consumer::new("work").retry(garenne::Retry::fixed(Duration::ZERO)).kill_switch(switch());
        consumer.concurrency(4).prefetch(10).handle(move |job: Job, cx: Context| {
            database.asked.fetch_add(1, Relaxed);
            let is_up = database.is_up.load(Relaxed);
            if is_up {
                diary.note(format!("{} {}", job.number, cx.attempt()));
            }
            std::future::ready(if is_up { Ok(()) } else { Err(failure()) })
        })
    }

    /// Waits until handlers have asked it so often.
    async fn is_asked(&self, times: u32) {
        eventually(60 * SECONDS, &format!("{times} attempts"), async || {
            let asked = self.asked.load(Relaxed);
            if asked >= times { Ok(()) } else { Err(asked) }
        })
        .await;
    }
}

async fn paused(workshop: &Workshop, wanted: bool) {
    eventually(60 * SECONDS, &format!("paused: {wanted}"), async || {
        let health = workshop.client.health();
        let told = health.problems.iter().any(|problem| problem.contains("paused by its kill switch"));
        if told == wanted && health.is_ready() != wanted { Ok(()) } else { Err(health) }
    })
    .await;
}

#[tokio::test]
async fn an_outage_of_what_the_handlers_need_costs_no_message() {
    let workshop = Workshop::new(3).await;
    let (database, diary) = (Database::default(), Diary::default());
    workshop.jobs(0..50).await;
    let running = workshop.run(database.consumer(&diary, || Failure::retry("the database is down")));
    paused(&workshop, true).await;
    // However long it lasts: probes cost no attempts.
    database.is_asked(60).await;
    assert_eq!(workshop.ready("work.dlq").await, 0);
    database.is_up.store(true, Relaxed);
    diary.reaches(50).await;
    paused(&workshop, false).await;
    running.stop().await.expect("it ends cleanly");
    assert_eq!((workshop.ready("work").await, workshop.ready("work.dlq").await), (0, 0));
}

#[tokio::test]
async fn while_it_pauses_one_message_at_a_time_goes_to_the_dead_letters_where_the_handler_gives_up() {
    let workshop = Workshop::new(20).await;
    let (database, diary) = (Database::default(), Diary::default());
    workshop.jobs(0..200).await;
    let running = workshop.run(database.consumer(&diary, || Failure::dead_letter("a field is missing")));
    paused(&workshop, true).await;
    database.is_up.store(true, Relaxed);
    running.stop().await.expect("it ends cleanly");
    // What had begun, and a probe or more; not the queue.
    let (dead, kept) = (workshop.ready("work.dlq").await, workshop.ready("work").await);
    assert!(dead < 150 && (dead + kept) as usize + diary.entries().len() == 200, "{dead} {kept}");
}

#[tokio::test]
async fn a_message_that_always_fails_does_not_keep_a_paused_consumer_from_its_queue() {
    let workshop = Workshop::new(20).await;
    let diary = Diary::default();
    workshop.jobs(0..12).await;
    let failing = Arc::new(AtomicBool::new(true));
    let (all_fail, noted) = (failing.clone(), diary.clone());
    let consumer =
        Consumer::new("work").retry(garenne::Retry::fixed(Duration::ZERO).attempts(4)).kill_switch(switch());
    // The first one never succeeds.
    let running = workshop.run(consumer.concurrency(1).handle(move |job: Job, _: Context| {
        let fails = job.number == 0 || all_fail.load(Relaxed);
        if !fails {
            noted.note(job.number.to_string());
        }
        std::future::ready(if fails { Err(Failure::retry("no")) } else { Ok(()) })
    }));
    paused(&workshop, true).await;
    failing.store(false, Relaxed);
    eventually(60 * SECONDS, "each is handled or dead", async || {
        let (dead, handled) = (workshop.ready("work.dlq").await, diary.entries().len());
        if dead as usize + handled == 12 { Ok(()) } else { Err((dead, handled)) }
    })
    .await;
    running.stop().await.expect("it ends cleanly");
    assert!(!diary.entries().contains(&"0".to_owned()));
}

#[tokio::test]
async fn a_paused_consumer_with_nothing_to_try_goes_on() {
    let workshop = Workshop::new(20).await;
    let (database, diary) = (Database::default(), Diary::default());
    workshop.jobs(0..6).await;
    let running = workshop.run(database.consumer(&diary, || Failure::retry("the database is down")));
    paused(&workshop, true).await;
    let mut taken = 0;
    eventually(60 * SECONDS, "somebody else has taken everything", async || {
        taken += workshop.vhost.take_raw("work", 10).await.len();
        if taken == 6 { Ok(()) } else { Err(taken) }
    })
    .await;
    paused(&workshop, false).await;
    running.stop().await.expect("it ends cleanly");
}

#[tokio::test]
async fn a_stop_ends_a_pause() {
    let workshop = Workshop::new(20).await;
    workshop.jobs(0..10).await;
    let hour = Duration::from_secs(3600);
    let long = KillSwitch::new().minimum(5).pause(hour..=hour);
    let consumer = Consumer::new("work").retry(garenne::Retry::fixed(Duration::ZERO)).kill_switch(long);
    let running =
        workshop.run(consumer.handle(|_: Job, _: Context| std::future::ready(Err(Failure::retry("no")))));
    paused(&workshop, true).await;
    // What had failed is back in the queue, for others to take.
    eventually(60 * SECONDS, "everything is back", async || match workshop.ready("work").await {
        10 => Ok(()),
        other => Err(other),
    })
    .await;
    running.stop().await.expect("it ends cleanly");
    assert_eq!(workshop.ready("work").await, 10);
}

#[tokio::test]
async fn a_rate_is_not_exceeded_and_the_health_says_that_it_is_reached() {
    let workshop = Workshop::new(20).await;
    workshop.jobs(0..12).await;
    let diary = Diary::default();
    let noted = diary.clone();
    let begun = Instant::now();
    let consumer =
        Consumer::new("work").rate_limit(20, Duration::from_secs(1)).handle(move |job: Job, _: Context| {
            noted.note(job.number.to_string());
            std::future::ready(Ok(()))
        });
    let running = workshop.run(consumer);
    eventually(60 * SECONDS, "a notice", async || {
        let health = workshop.client.health();
        let told =
            health.is_ready() && health.notices.iter().any(|notice| notice.contains("20 messages in 1s"));
        if told { Ok(()) } else { Err(health) }
    })
    .await;
    diary.reaches(12).await;
    // Eleven intervals of 50 ms; a slow machine takes longer.
    assert!(begun.elapsed() >= Duration::from_millis(550), "{:?}", begun.elapsed());
    running.stop().await.expect("it ends cleanly");
}
