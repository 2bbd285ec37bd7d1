//! Handlers that outlive the broker's consumer timeout, which takes half an hour: a virtual clock makes it pass at once.

use std::{sync::Arc, time::Duration};

use garenne::{Client, Consumer, Context, Failure, OrFailure as _, Publisher, Queue, Service, Topology};
use garenne_embedded::Broker;
use garenne_tests::{SECONDS, eventually};
use tokio::sync::Semaphore;

use crate::workshop::{Diary, Job, Running, Workshop};

/// Longer than the default consumer timeout.
const LONG: Duration = Duration::from_secs(31 * 60);

struct Scene {
    broker: Broker,
    client: Client,
    diary: Diary,
    /// Lets one handler end.
    gate: Arc<Semaphore>,
}

impl Scene {
    async fn new(limit: u32) -> Self {
        let broker = Broker::start().await.expect("the broker starts");
        let client = Client::connect(broker.url()).await.expect("it answers");
        let topology = Topology::new().queue(Queue::quorum("work").delivery_limit(limit).dead_letter());
        client.apply(&topology).await.expect("the topology is applied");
        Self { broker, client, diary: Diary::default(), gate: Arc::new(Semaphore::new(0)) }
    }

    /// Runs handlers that wait for the gate and then do what the closure says.
    fn run(&self, end: impl Fn() -> Result<(), Failure> + Send + Sync + 'static) -> Running {
        let (diary, gate, end) = (self.diary.clone(), Arc::clone(&self.gate), Arc::new(end));
        let handler = move |job: Job, cx: Context| {
            let (diary, gate, end) = (diary.clone(), Arc::clone(&gate), Arc::clone(&end));
            async move {
                diary.note(format!("{} attempt {}", job.number, cx.attempt()));
                gate.acquire().await.or_retry()?.forget();
                end()
            }
        };
        let consumer = Consumer::new("work").concurrency(1).prefetch(2).timeout(LONG).handle(handler);
        Workshop::serve(Service::new(&self.client).consume(consumer))
    }

    async fn publish(&self, number: u32) {
        Publisher::new(&self.client).publish(&Job { number }).await.expect("the job is confirmed");
    }

    /// Lets the consumer timeout strike, and waits until the subscription is back and the problem is told.
    async fn outlive(&self) {
        self.broker.advance(LONG);
        eventually(30 * SECONDS, "the health names the consumer timeout", async || {
            let health = self.client.health();
            let told = health.problems.iter().any(|text| text.contains("consumer timeout"));
            if told && health.subscribed == 1 { Ok(()) } else { Err(health) }
        })
        .await;
        self.gate.add_permits(1);
    }
}

#[tokio::test]
async fn a_message_handled_after_its_delivery_went_stale_is_acknowledged_when_it_comes_again() {
    let scene = Scene::new(20).await;
    let running = scene.run(|| Ok(()));
    scene.publish(0).await;
    scene.publish(1).await;
    scene.diary.reaches(1).await;
    scene.outlive().await;
    // The neighbour gets its turn.
    scene.diary.reaches(2).await;
    scene.gate.add_permits(1);
    scene.broker.wait_until(|state| state.queue("work").is_some_and(|work| work.depth() == 0)).await;
    running.stop().await.expect("it stops in order");
    assert_eq!(scene.diary.entries(), ["0 attempt 1", "1 attempt 1"]);
    assert!(scene.client.health().is_ready(), "{:?}", scene.client.health());
    scene.client.close().await;
}

#[tokio::test]
async fn attempts_that_outlive_their_delivery_count_and_have_an_end() {
    let scene = Scene::new(1).await;
    let running = scene.run(|| Err(Failure::retry("too late anyway")));
    scene.publish(0).await;
    for attempt in 1..=2 {
        scene.diary.reaches(attempt).await;
        scene.outlive().await;
    }
    scene.broker.wait_until(|state| state.ready("work.dlq") == 1).await;
    running.stop().await.expect("it stops in order");
    assert_eq!(scene.diary.entries(), ["0 attempt 1", "0 attempt 2"]);
    scene.client.close().await;
}
