//! Dead letters that cannot be copied as they should: what does not fit, what has nowhere to go, what went stale.

use std::time::Duration;

use garenne::{Client, Consumer, Context, Failure, Headers, Outgoing, Publisher, Queue, Retry, Topology};
use garenne_tests::{SECONDS, eventually};
use serde_json::{Value, json};

use crate::workshop::{Diary, Job, Workshop};

fn consumer(prefetch: u16) -> Consumer {
    Consumer::new("work").retry(Retry::fixed(Duration::from_millis(5))).prefetch(prefetch)
}

/// A body that does not decode, beside headers of about this size.
fn undecodable(id: &str, header_bytes: usize) -> Outgoing {
    let mut message = Outgoing::new("", "work", "not json");
    message.metadata.message_id = Some(id.to_owned());
    message.metadata.headers.insert("x-exception-stacktrace", "a".repeat(header_bytes));
    message
}

/// Notes the jobs; declines those from 100 on.
fn declining(diary: &Diary) -> impl garenne::Handler<Job> + use<> {
    let diary = diary.clone();
    move |job: Job, _: Context| {
        diary.note(job.number.to_string());
        std::future::ready(if job.number < 100 { Ok(()) } else { Err(Failure::dead_letter("no")) })
    }
}

/// Waits until the health names a problem with all of these words, or none at all.
async fn problem(client: &Client, words: &[&str]) {
    eventually(30 * SECONDS, "the health tells", async || {
        let health = client.health();
        let told = health.problems.iter().any(|text| words.iter().all(|word| text.contains(word)));
        if told != words.is_empty() && health.problems.is_empty() == words.is_empty() {
            Ok(())
        } else {
            Err(health.problems)
        }
    })
    .await;
}

fn headers(message: &Value) -> &Value {
    &message["properties"]["headers"]
}

#[tokio::test]
async fn a_copy_that_does_not_fit_loses_its_error_and_not_its_message() {
    let workshop = Workshop::new(5).await;
    let diary = Diary::default();
    // As many as the prefetch: one that stays would stop the queue. The frame leaves room for a part of our headers, or for none.
    for (n, bytes) in [130_950, 130_900, 130_700, 130_500].into_iter().enumerate() {
        workshop.publisher().publish_raw(undecodable(&format!("bad-{n}"), bytes)).await.unwrap();
    }
    workshop.jobs(0..20).await;
    let running = workshop.run(consumer(4).handle(declining(&diary)));
    diary.reaches(20).await;
    workshop.holds("work", 0).await;
    workshop.holds("work.dlq", 4).await;
    assert!(workshop.client.health().is_ready(), "{:?}", workshop.client.health());
    running.stop().await.unwrap();
    let kinds: Vec<_> = workshop
        .vhost
        .take_raw("work.dlq", 10)
        .await
        .iter()
        .map(|dead| headers(dead)["garenne-error-kind"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(kinds.iter().flatten().count(), 2, "two have room for a short error: {kinds:?}");
}

/// A client whose copies may have this size at most, and a publisher without that limit.
async fn narrow(topology: Topology, bytes: u64) -> (Workshop, Publisher) {
    let vhost = crate::vhost().await;
    let mut config = vhost.config();
    config.publish.max_message_bytes = bytes;
    let client = Client::connect(config).await.expect("the broker is there");
    client.apply(&topology).await.expect("the topology is applied");
    let publisher = Publisher::new(&vhost.connect().await);
    (Workshop { vhost, client }, publisher)
}

fn large() -> Outgoing {
    Outgoing::new("", "work", "a".repeat(2_000))
}

#[tokio::test]
async fn what_fits_no_copy_is_rejected_where_the_broker_keeps_it() {
    let topology = Topology::new().queue(Queue::quorum("work").dead_letter());
    let (workshop, publisher) = narrow(topology, 1_000).await;
    let running = workshop.run(consumer(10).handle(declining(&Diary::default())));
    publisher.publish_raw(large()).await.unwrap();
    let dead = workshop.dead_letter().await;
    assert_eq!(headers(&dead)["x-first-death-reason"], "rejected");
    workshop.holds("work", 0).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn what_fits_no_copy_is_kept_and_named_where_the_broker_would_drop_it() {
    let topology = Topology::new()
        .queue(Queue::quorum("work").without_dead_letter())
        .queue(Queue::quorum("work.dlq").without_dead_letter());
    let (workshop, publisher) = narrow(topology, 1_000).await;
    let running = workshop.run(consumer(10).handle(declining(&Diary::default())));
    publisher.publish_raw(large()).await.unwrap();
    problem(&workshop.client, &["`work`", "max_message_bytes", "broker_dead_letters"]).await;
    workshop.holds("work", 1).await;
    running.stop().await.unwrap();
    problem(&workshop.client, &[]).await;
    workshop.holds("work", 1).await;
}

#[tokio::test]
async fn messages_without_a_dead_letter_queue_leave_room_for_the_good_ones() {
    let workshop = Workshop::with(Topology::new().queue(Queue::quorum("work").without_dead_letter())).await;
    let diary = Diary::default();
    workshop.jobs(100..112).await;
    workshop.jobs(0..12).await;
    let running = workshop.run(consumer(4).handle(declining(&diary)));
    eventually(60 * SECONDS, "the good ones are handled", async || {
        let entries = diary.entries();
        let good = entries.iter().filter(|entry| entry.len() < 3).count();
        if good == 12 { Ok(()) } else { Err(entries) }
    })
    .await;
    workshop.holds("work", 12).await;
    problem(&workshop.client, &["`work`", "`work.dlq`", "are kept"]).await;
    // Once the queue is there everything goes where it belongs, and each was handled once.
    workshop.vhost.declare_queue("work.dlq", json!({})).await;
    workshop.holds("work.dlq", 12).await;
    workshop.holds("work", 0).await;
    problem(&workshop.client, &[]).await;
    running.stop().await.unwrap();
    assert_eq!(diary.entries().len(), 24, "{:?}", diary.entries());
    for dead in workshop.vhost.take_raw("work.dlq", 20).await {
        let headers = headers(&dead);
        assert_eq!(
            (
                &headers["garenne-error-message"],
                &headers["garenne-origin-routing-key"],
                &headers["garenne-put-back"]
            ),
            (&json!("no"), &json!("work"), &Value::Null)
        );
    }
}

#[tokio::test]
async fn a_mark_that_a_publisher_wrote_does_not_keep_a_message_from_its_handler() {
    let workshop = Workshop::new(5).await;
    let diary = Diary::default();
    // The mark alone, and the mark with a record of a failure elsewhere.
    for (number, origin) in [(1, None), (2, Some("another"))] {
        let mut message = Outgoing::new("", "work", json!({ "number": number }).to_string());
        message.metadata.message_type = Some("job.v1".parse().expect("a name"));
        let headers = &mut message.metadata.headers;
        headers.insert("garenne-put-back", true);
        if let Some(origin) = origin {
            headers.insert("garenne-error-kind", "permanent");
            headers.insert("garenne-origin-queue", origin);
        }
        workshop.publisher().publish_raw(message).await.unwrap();
    }
    let running = workshop.run(consumer(4).handle(declining(&diary)));
    diary.reaches(2).await;
    workshop.holds("work", 0).await;
    running.stop().await.unwrap();
    workshop.holds("work.dlq", 0).await;
}

#[tokio::test]
async fn nothing_is_copied_for_a_delivery_that_went_stale() {
    let workshop = Workshop::with(Topology::new().queue(Queue::quorum("work").without_dead_letter())).await;
    let diary = Diary::default();
    let running = workshop.run(consumer(10).handle(declining(&diary)));
    workshop.jobs(100..101).await;
    problem(&workshop.client, &["are kept"]).await;
    eventually(30 * SECONDS, "the connections are closed", async || {
        match workshop.vhost.force_close().await {
            // The management API learns of a connection after a while.
            0 => Err("none is listed"),
            _ => Ok(()),
        }
    })
    .await;
    // The broker delivers it again; the copy of the first delivery must not be waiting still.
    diary.reaches(2).await;
    problem(&workshop.client, &["(1 of them)"]).await;
    workshop.vhost.declare_queue("work.dlq", json!({})).await;
    workshop.holds("work.dlq", 1).await;
    running.stop().await.unwrap();
    workshop.holds("work", 0).await;
    workshop.holds("work.dlq", 1).await;
}

#[tokio::test]
async fn the_reason_why_a_body_does_not_decode_is_in_the_headers() {
    let workshop = Workshop::new(5).await;
    let running = workshop.run(consumer(10).handle(declining(&Diary::default())));
    let mut message = Outgoing::new("", "work", "{\"number\":\"seven\"}");
    message.metadata.headers = Headers::new();
    workshop.publisher().publish_raw(message).await.unwrap();
    let dead = workshop.dead_letter().await;
    running.stop().await.unwrap();
    let chain = headers(&dead)["garenne-error-chain"].to_string();
    assert!(chain.contains("invalid type: string \\\"seven\\\""), "{chain}");
}
