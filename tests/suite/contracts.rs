//! What a consumer knows of its queue from the topology is compared with the broker before the first message.

use garenne::{Consumer, Context, ErrorKind, Exchange, Failure, Queue, Service, Topology};
use serde_json::json;

use crate::workshop::{Job, Workshop};

async fn start(workshop: &Workshop, consumer: Consumer) -> garenne::Error {
    let service = Service::new(&workshop.client).consume(consumer.handle(decline));
    service.run_until(std::future::pending::<()>()).await.expect_err("it does not start")
}

async fn decline(_: Job, _: Context) -> Result<(), Failure> {
    Err(Failure::dead_letter("no"))
}

#[tokio::test]
async fn a_queue_that_is_not_as_defined_is_told_at_the_start() {
    let workshop = Workshop::new(5).await;
    let error = start(&workshop, Consumer::of(&Queue::quorum("work").delivery_limit(7).dead_letter())).await;
    assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
    let text = error.to_string();
    assert!(["`work`", "x-delivery-limit", "7", "5"].iter().all(|word| text.contains(word)), "{text}");
}

#[tokio::test]
async fn a_dead_letter_queue_that_is_missing_is_told_at_the_start() {
    let workshop = Workshop::new(5).await;
    workshop.vhost.delete_queue("work.dlq").await;
    let error = start(&workshop, Consumer::of(&Queue::quorum("work").delivery_limit(5).dead_letter())).await;
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(error.to_string().contains("`work.dlq`"), "{error}");
}

#[tokio::test]
async fn dead_letters_go_through_the_exchange_of_the_contract() {
    let queue = Queue::quorum("work").dead_letter_to("dead", "from.work");
    let topology = Topology::new()
        .exchange(Exchange::topic("dead"))
        .queue(Queue::quorum("morgue").bind("dead", "from.#").without_dead_letter())
        .queue(queue.clone());
    let workshop = Workshop::with(topology).await;
    let running = workshop.run(Consumer::of(&queue).handle(decline));
    workshop.jobs(1..2).await;
    workshop.holds("morgue", 1).await;
    let dead = workshop.vhost.take_raw("morgue", 2).await.remove(0);
    assert_eq!(
        (&dead["routing_key"], &dead["properties"]["headers"]["garenne-error-message"]),
        (&json!("from.work"), &json!("no"))
    );
    running.stop().await.unwrap();
    workshop.holds("work", 0).await;
}
