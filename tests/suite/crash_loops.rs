//! A message that kills its consumer again and again takes nobody with it.

use std::{sync::Arc, time::Duration};

use garenne::{Client, Consumer, Context, Failure, Queue, Service, Topology};
use garenne_tests::{SECONDS, eventually};
use tokio::sync::Notify;

use crate::workshop::{Diary, Job, Workshop};

const NEIGHBOURS: u32 = 50;
const KILLER: u32 = 0;

/// What the consumers of a test share.
#[derive(Clone, Default)]
struct Scene {
    handled: Diary,
    /// Told when the killer is in the hands of a handler.
    struck: Arc<Notify>,
}

impl Scene {
    /// Handles one message at a time; the killer never ends.
    fn consumer(&self) -> Consumer {
        let scene = self.clone();
        Consumer::new("work").concurrency(1).timeout(Duration::from_secs(600)).handle(
            move |job: Job, _: Context| {
                let scene = scene.clone();
                async move {
                    if job.number == KILLER {
                        scene.struck.notify_one();
                        return std::future::pending().await;
                    }
                    scene.handled.note(job.number.to_string());
                    Ok::<_, Failure>(())
                }
            },
        )
    }
}

/// Runs a consumer until the killer has it or everything is over; returns whether it was killed. The broker sees a lost connection.
async fn run_once(workshop: &Workshop, scene: &Scene) -> bool {
    let proxy = workshop.vhost.proxy().await;
    let client = Client::connect(workshop.vhost.config_through(&proxy)).await.expect("the broker is there");
    let running = Workshop::serve(Service::new(&client).consume(scene.consumer()));
    let over = eventually(60 * SECONDS, "everything is over", async || {
        let (dead, handled) = (workshop.ready("work.dlq").await, scene.handled.entries().len());
        if dead as usize + handled > NEIGHBOURS as usize { Ok(()) } else { Err((dead, handled)) }
    });
    let killed = tokio::select! {
        () = scene.struck.notified() => true,
        () = over => false,
    };
    proxy.shutdown().await;
    running.crash().await;
    drop(client);
    eventually(60 * SECONDS, "the broker has noticed", async || {
        let info = workshop.client.queue_info(&"work".into()).await.expect("the queue is there");
        if info.consumers == 0 { Ok(()) } else { Err(info) }
    })
    .await;
    killed
}

async fn one_killer_takes_none_of_its_neighbours(limit: u32) {
    let queue = Queue::quorum("work").delivery_limit(limit).dead_letter();
    let workshop = Workshop::with(Topology::new().queue(queue)).await;
    workshop.jobs(KILLER..KILLER + NEIGHBOURS + 1).await;
    let scene = Scene::default();
    let mut kills = 0;
    while run_once(&workshop, &scene).await {
        kills += 1;
        assert!(kills <= limit + 1, "the limit ends it");
    }
    assert_eq!(kills, limit + 1);
    let dead = workshop.dead_letter().await;
    assert_eq!(dead["properties"]["headers"]["x-last-death-reason"], "delivery_limit", "{dead}");
    let mut handled: Vec<u32> =
        scene.handled.entries().iter().map(|entry| entry.parse().expect("a number")).collect();
    handled.sort_unstable();
    assert_eq!(handled, (1..=NEIGHBOURS).collect::<Vec<_>>());
}

#[tokio::test]
async fn one_killer_takes_none_of_its_neighbours_where_the_limit_is_low() {
    one_killer_takes_none_of_its_neighbours(2).await;
}

#[tokio::test]
async fn one_killer_takes_none_of_its_neighbours_to_a_usual_limit() {
    one_killer_takes_none_of_its_neighbours(5).await;
}

#[tokio::test]
async fn after_the_offender_is_gone_the_queue_is_read_with_its_prefetch_again() {
    let workshop = Workshop::new(5).await;
    let scene = Scene::default();
    workshop.jobs(0..1).await;
    for _ in 0..2 {
        assert!(run_once(&workshop, &scene).await);
    }
    // The killer is mended: whatever comes now is handled, the first one by itself.
    let diary = Diary::default();
    let noted = diary.clone();
    let consumer = Consumer::new("work").prefetch(30).concurrency(4).handle(move |job: Job, cx: Context| {
        noted.note(format!("{} {}", job.number, cx.attempt()));
        std::future::ready(Ok(()))
    });
    let running = workshop.run(consumer);
    diary.reaches(1).await;
    assert_eq!(diary.entries(), ["0 3"]);
    let notices = || workshop.client.health().notices;
    assert!(notices().iter().any(|notice| notice.contains("`work` is read one by one")), "{:?}", notices());
    workshop.jobs(1..20).await;
    diary.reaches(20).await;
    assert_eq!(notices(), Vec::<String>::new());
    eventually(60 * SECONDS, "the prefetch is 30", async || {
        let found: Vec<_> =
            workshop.vhost.consumers().await.iter().map(|consumer| consumer.prefetch).collect();
        if found == [30] { Ok(()) } else { Err(found) }
    })
    .await;
    running.stop().await.expect("it ends cleanly");
}

#[tokio::test]
async fn a_stream_has_no_gap_after_the_first_message() {
    let workshop = Workshop::with(Topology::new()).await;
    workshop.vhost.declare_queue("work", serde_json::json!({ "x-queue-type": "stream" })).await;
    let diary = Diary::default();
    let noted = diary.clone();
    // Whether it is a stream is not known before the first message.
    let running = workshop.run(Consumer::new("work").concurrency(1).handle(move |job: Job, _: Context| {
        noted.note(job.number.to_string());
        std::future::ready(Ok(()))
    }));
    eventually(60 * SECONDS, "the subscription", async || {
        let health = workshop.client.health();
        if health.subscribed == 1 { Ok(()) } else { Err(health) }
    })
    .await;
    workshop.jobs(0..100).await;
    diary.reaches(100).await;
    running.stop().await.expect("it ends cleanly");
    assert_eq!(diary.entries(), (0..100).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_single_active_consumer_makes_no_room_for_a_waiting_one_at_its_first_message() {
    let queue = Queue::quorum("work").single_active_consumer().dead_letter();
    let workshop = Workshop::with(Topology::new().queue(queue.clone())).await;
    let (first, second) = (Diary::default(), Diary::default());
    let consumer = |diary: &Diary| {
        let diary = diary.clone();
        Consumer::of(&queue).prefetch(30).concurrency(1).handle(move |job: Job, _: Context| {
            diary.note(job.number.to_string());
            std::future::ready(Ok(()))
        })
    };
    let subscribed = async |count| {
        eventually(60 * SECONDS, "the subscriptions", async || {
            let health = workshop.client.health();
            if health.subscribed == count { Ok(()) } else { Err(health) }
        })
        .await;
    };
    let active = workshop.run(consumer(&first));
    subscribed(1).await;
    let waiting = workshop.run(consumer(&second));
    subscribed(2).await;
    workshop.jobs(0..20).await;
    first.reaches(20).await;
    assert_eq!(second.entries(), Vec::<String>::new());
    active.stop().await.expect("it ends cleanly");
    waiting.stop().await.expect("it ends cleanly");
}
