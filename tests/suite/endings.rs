//! The three endings of a service: clean, work handed back, forced. Each says what it is.

use std::time::Duration;

use garenne::{Consumer, Context, ErrorKind, Failure, Force, Service};
use garenne_tests::{SECONDS, eventually};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::workshop::{Diary, Job, Running, Workshop};

/// Notes that it began, and never ends.
fn stuck(diary: &Diary) -> impl garenne::Handler<Job> + use<> {
    let diary = diary.clone();
    move |_: Job, _: Context| {
        diary.note("begun");
        std::future::pending::<Result<(), Failure>>()
    }
}

fn consumer(concurrency: usize) -> Consumer {
    Consumer::new("work").concurrency(concurrency)
}

async fn ended(running: Running) -> Result<(), ErrorKind> {
    let ended = timeout(30 * SECONDS, running.stop()).await.expect("the stop has an end");
    ended.map_err(|error| error.kind())
}

#[tokio::test]
async fn handlers_that_outlast_the_drain_make_an_ending_of_its_own() {
    for concurrency in [1, 4] {
        let workshop = Workshop::new(5).await;
        let diary = Diary::default();
        let service = Service::new(&workshop.client).consume(consumer(concurrency).handle(stuck(&diary)));
        let running = Workshop::serve(service.drain_timeout(Duration::from_millis(200)));
        workshop.jobs(0..1).await;
        diary.reaches(1).await;
        assert_eq!(ended(running).await, Err(ErrorKind::HandedBack), "concurrency {concurrency}");
        // It was handed back, not lost with the channel.
        eventually(30 * SECONDS, "the message waits for another consumer", async || {
            let found = workshop.vhost.counts("work").await;
            if found.ready == Some(1) { Ok(()) } else { Err(found) }
        })
        .await;
    }
}

#[tokio::test]
async fn a_stop_can_be_forced() {
    for concurrency in [1, 4] {
        let workshop = Workshop::new(5).await;
        let diary = Diary::default();
        let service = Service::new(&workshop.client).consume(consumer(concurrency).handle(stuck(&diary)));
        // A drain without an end, which must not overflow the clock.
        let service = service.drain_timeout(Duration::MAX);
        let (stop, force) = (CancellationToken::new(), CancellationToken::new());
        let running = {
            let (asked, forced) = (stop.clone(), force.clone());
            Workshop::serve_until(service, async move {
                asked.cancelled().await;
                Force::when(async move { forced.cancelled().await })
            })
        };
        workshop.jobs(0..1).await;
        diary.reaches(1).await;
        stop.cancel();
        eventually(30 * SECONDS, "it drains", async || {
            let health = workshop.client.health();
            // With one at a time the stop is heard only after the handler, which never ends.
            if concurrency == 1 || health.subscriptions == 0 { Ok(()) } else { Err(health) }
        })
        .await;
        force.cancel();
        assert_eq!(ended(running).await, Err(ErrorKind::Forced), "concurrency {concurrency}");
        workshop.holds("work", 1).await;
    }
}

#[tokio::test]
async fn a_drain_without_a_limit_ends_cleanly_with_its_last_handler() {
    let workshop = Workshop::new(5).await;
    let diary = Diary::default();
    let slow = {
        let diary = diary.clone();
        move |_: Job, cx: Context| {
            let diary = diary.clone();
            async move {
                diary.note("begun");
                cx.stopping().await;
                Ok(())
            }
        }
    };
    let service = Service::new(&workshop.client).consume(consumer(4).handle(slow));
    let running = Workshop::serve(service.drain_timeout(Duration::MAX));
    workshop.jobs(0..2).await;
    diary.reaches(2).await;
    assert_eq!(ended(running).await, Ok(()));
    workshop.holds("work", 0).await;
}

#[tokio::test]
async fn a_connection_lost_before_the_stop_with_nothing_to_do_is_a_clean_ending() {
    let workshop = Workshop::new(5).await;
    let proxy = workshop.vhost.proxy().await;
    let client = garenne::Client::connect(workshop.vhost.config_through(&proxy)).await.unwrap();
    let diary = Diary::default();
    let running = Workshop::serve(Service::new(&client).consume(consumer(4).handle({
        let diary = diary.clone();
        move |_: Job, _: Context| {
            diary.note("done");
            std::future::ready(Ok(()))
        }
    })));
    workshop.jobs(0..3).await;
    diary.reaches(3).await;
    workshop.holds("work", 0).await;
    proxy.set_mode(garenne_tests::Mode::Refuse);
    proxy.cut();
    eventually(30 * SECONDS, "the loss is noticed", async || {
        let health = client.health();
        if health.subscribed == 0 { Ok(()) } else { Err(health) }
    })
    .await;
    assert_eq!(ended(running).await, Ok(()));
}

#[tokio::test]
async fn a_connection_lost_during_the_stop_hands_its_work_back() {
    let workshop = Workshop::new(5).await;
    let proxy = workshop.vhost.proxy().await;
    let client = garenne::Client::connect(workshop.vhost.config_through(&proxy)).await.unwrap();
    let (diary, gate) = (Diary::default(), CancellationToken::new());
    let running = Workshop::serve(Service::new(&client).consume(consumer(4).handle({
        let (diary, gate) = (diary.clone(), gate.clone());
        move |_: Job, _: Context| {
            let (diary, gate) = (diary.clone(), gate.clone());
            async move {
                diary.note("begun");
                gate.cancelled().await;
                Ok(())
            }
        }
    })));
    workshop.jobs(0..1).await;
    diary.reaches(1).await;
    running.ask();
    proxy.set_mode(garenne_tests::Mode::Refuse);
    proxy.cut();
    workshop.holds("work", 1).await;
    eventually(30 * SECONDS, "the loss is noticed", async || {
        let state = client.health().consume.state;
        if state == garenne::ConnectionState::Connected { Err(state) } else { Ok(()) }
    })
    .await;
    gate.cancel();
    assert_eq!(ended(running).await, Err(ErrorKind::HandedBack));
}
