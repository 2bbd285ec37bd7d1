//! Layers around publishing see every message once, whole, with its final verdict, whichever way it is published.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use garenne::{
    Bytes, Consumer, Context, Failure, Outgoing, PublishError, PublishErrorKind, PublishLayer, PublishNext,
    Publisher, Queue, Receipt, Retry, Service, Topology,
};
use garenne_topology::Overflow;

use crate::workshop::{Diary, Job, Memo, Workshop};

/// Notes messages under a name of its own, before they are sent and when their verdict is there.
struct Observer(&'static str, Diary);

#[async_trait]
impl PublishLayer for Observer {
    async fn publish(&self, message: Outgoing, next: PublishNext<'_>) -> Result<Receipt, PublishError> {
        let Self(name, diary) = self;
        let metadata = &message.metadata;
        assert!(metadata.message_id.is_some() && metadata.timestamp.is_some(), "{message:?}");
        diary.note(format!("{name} {}", String::from_utf8_lossy(&message.body)));
        let outcome = next.run(message).await;
        diary.note(match &outcome {
            Ok(receipt) => format!("{name} ok {}", receipt.attempts),
            Err(error) => format!("{name} {:?} {}", error.kind(), error.attempts()),
        });
        outcome
    }
}

/// Turns every body around.
struct Turn;

#[async_trait]
impl PublishLayer for Turn {
    async fn publish(&self, mut message: Outgoing, next: PublishNext<'_>) -> Result<Receipt, PublishError> {
        assert_eq!(message.metadata.content_type.as_deref(), Some("application/json"));
        message.body = Bytes::from(message.body.iter().rev().copied().collect::<Vec<_>>());
        message.metadata.content_type = Some("text/turned".to_owned());
        next.run(message).await
    }
}

/// Lets nothing through.
struct Closed;

#[async_trait]
impl PublishLayer for Closed {
    async fn publish(&self, message: Outgoing, _: PublishNext<'_>) -> Result<Receipt, PublishError> {
        let Outgoing { exchange, routing_key, .. } = message;
        Err(PublishError::new(PublishErrorKind::NotSent, exchange, routing_key, "the shop is closed"))
    }
}

#[tokio::test]
async fn layers_run_from_the_outermost_in_and_see_what_is_sent_and_its_verdict() {
    let workshop = Workshop::new(5).await;
    let diary = Diary::default();
    let publisher = workshop
        .publisher()
        .layer(Observer("outer", diary.clone()))
        .layer(Turn)
        .layer(Observer("inner", diary.clone()));
    publisher.publish(&Job { number: 1 }).await.unwrap();
    let error = publisher.publish(&Job { number: 2 }).routing_key("nowhere").await.unwrap_err();
    assert!(error.is_unroutable(), "{error}");
    let receipt =
        publisher.publish(&Job { number: 3 }).routing_key("nowhere").allow_unroutable().await.unwrap();
    assert!(!receipt.routed);
    let expected: Vec<_> = [(1, "ok 1"), (2, "Unroutable 1"), (3, "ok 1")]
        .into_iter()
        .flat_map(|(number, verdict)| {
            [
                format!("outer {{\"number\":{number}}}"),
                format!("inner }}{number}:\"rebmun\"{{"),
                format!("inner {verdict}"),
                format!("outer {verdict}"),
            ]
        })
        .collect();
    assert_eq!(diary.entries(), expected);
    let stored = workshop.vhost.take_raw("work", 10).await;
    assert_eq!(stored.len(), 1, "{stored:?}");
    assert_eq!(stored[0]["payload"], "}1:\"rebmun\"{");
    assert_eq!(stored[0]["properties"]["content_type"], "text/turned");
}

#[tokio::test]
async fn a_message_that_is_sent_again_passes_the_layers_once() {
    let full = Queue::quorum("full").max_length(1).overflow(Overflow::RejectPublish);
    let workshop = Workshop::with(Topology::new().queue(full)).await;
    let diary = Diary::default();
    let publisher = workshop
        .publisher()
        .retry(Retry::fixed(Duration::from_millis(5)).attempts(3), Duration::from_secs(60))
        .layer(Observer("it", diary.clone()));
    // A quorum queue takes a message or two more than its limit.
    let mut accepted = 0;
    let error = loop {
        match publisher.publish(&Job { number: 0 }).routing_key("full").await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
        assert!(accepted < 100, "the queue is never full");
    };
    assert_eq!((error.kind(), error.attempts()), (PublishErrorKind::Nacked, 3));
    // Sent without waiting: the retries are those of whoever awaits, in any order, and so in a stream.
    let publishes =
        stream::iter(0..20).map(|number| (number, publisher.publish(&Job { number }).routing_key("full")));
    let outcomes: Vec<_> = publisher.publish_each(publishes).collect().await;
    assert_eq!(outcomes.len(), 20);
    for (at, (number, outcome)) in (0..).zip(outcomes) {
        assert_eq!((number, outcome.unwrap_err().kind()), (at, PublishErrorKind::Nacked));
    }
    let entries = diary.entries();
    assert_eq!(entries.iter().filter(|entry| *entry == "it Nacked 3").count(), 21, "{entries:?}");
    assert_eq!(entries.len(), 2 * (accepted + 21));
}

#[tokio::test]
async fn what_is_enqueued_passes_the_layers_before_it_is_sent_and_after_its_verdict() {
    let workshop = Workshop::new(5).await;
    let diary = Diary::default();
    let publisher = workshop.publisher().layer(Observer("it", diary.clone()));
    let first = publisher.publish(&Job { number: 1 }).enqueue().await.unwrap();
    let second = publisher.publish(&Job { number: 2 }).enqueue().await.unwrap();
    workshop.holds("work", 2).await;
    assert!(second.await.unwrap().routed);
    assert!(first.await.unwrap().routed);
    assert_eq!(diary.entries(), ["it {\"number\":1}", "it {\"number\":2}", "it ok 1", "it ok 1"]);
    // What was dropped after it was sent stays sent.
    drop(publisher.publish(&Job { number: 3 }).enqueue().await.unwrap());
    workshop.holds("work", 3).await;
}

#[tokio::test]
async fn a_layer_that_refuses_sends_nothing() {
    let workshop = Workshop::new(5).await;
    let publisher = workshop.publisher().layer(Closed);
    let error = publisher.publish(&Job { number: 1 }).await.unwrap_err();
    assert!(error.to_string().ends_with("the shop is closed"), "{error}");
    let error = publisher.publish(&Job { number: 1 }).enqueue().await.unwrap_err();
    assert_eq!(error.kind(), PublishErrorKind::NotSent);
    // A publisher made from one with layers has more; the one before keeps its own.
    workshop.publisher().publish(&Job { number: 2 }).await.unwrap();
    workshop.holds("work", 1).await;
}

#[tokio::test]
async fn handlers_publish_through_the_layers_of_the_services_publisher_and_dead_letters_stay_as_they_came() {
    let topology = Topology::new()
        .queue(Queue::quorum("work").delivery_limit(5).dead_letter())
        .queue(Queue::quorum("memos"));
    let workshop = Workshop::with(topology).await;
    let diary = Diary::default();
    let handler = |job: Job, cx: Context| async move {
        if job.number == 13 {
            return Err(Failure::dead_letter("13"));
        }
        let memo = Memo { text: job.number.to_string() };
        cx.defer_publish(cx.publish(&memo).routing_key("memos"));
        Ok(())
    };
    let publisher = Publisher::new(&workshop.client).layer(Observer("it", diary.clone())).layer(Turn);
    let service = Service::new(&workshop.client)
        .publisher(publisher)
        .consume(Consumer::new("work").concurrency(1).handle(handler));
    let running = Workshop::serve(service);
    workshop.jobs(13..15).await;
    workshop.holds("memos", 1).await;
    let dead = workshop.dead_letter().await;
    running.stop().await.unwrap();
    assert_eq!(dead["payload"], r#"{"number":13}"#);
    assert_eq!(workshop.vhost.take_raw("memos", 1).await[0]["payload"], r#"}"41":"txet"{"#);
    assert_eq!(diary.entries(), [r#"it {"text":"14"}"#, "it ok 1"]);
}
