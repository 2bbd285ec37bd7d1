//! The virtual clock: what takes hours on a real broker, at once and in its order.

use std::time::{Duration, Instant};

use garenne::{Consumer, Context, Failure, OrFailure, Publisher, Retry, Service};
use garenne_embedded::inspect::Fate;
use garenne_embedded::types::{AMQPValue, FieldTable};
use garenne_embedded::{Broker, Policy};
use garenne_tests::{SECONDS, eventually};
use garenne_topology::{Queue, Topology};
use garenne_transport::{Client, Settlement, Subscription};

use crate::{
    publishing::{direct, publish},
    workshop::{Diary, Job, Memo, Workshop},
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

async fn start(topology: Topology) -> (Broker, Client) {
    let broker = Broker::builder().paused_clock().start().await.expect("the broker starts");
    let client = Client::connect(broker.url()).await.expect("it answers");
    client.apply(&topology).await.expect("it is declared");
    (broker, client)
}

async fn send(client: &Client, queue: &'static str) {
    let mut message = direct("work");
    message.routing_key = queue.into();
    publish(&client.confirm_channel(), message).await.expect("it is routed");
}

/// Wait queues of 1 min, 10 min, 1 h, 2 h and 4 h 49 min, each dead-lettering to the next: 8 h in all.
#[tokio::test]
async fn a_ladder_of_eight_hours_is_climbed_in_less_than_a_second_of_work() {
    let rungs = [
        ("wait.0", MINUTE, "wait.1"),
        ("wait.1", 10 * MINUTE, "wait.2"),
        ("wait.2", HOUR, "wait.3"),
        ("wait.3", 2 * HOUR, "wait.4"),
        ("wait.4", 4 * HOUR + 49 * MINUTE, "work"),
    ];
    let mut topology = Topology::new().queue(Queue::quorum("work"));
    for (queue, wait, next) in rungs {
        topology = topology.queue(Queue::classic(queue).message_ttl(wait).dead_letter_to("", next));
    }
    let (broker, client) = start(topology).await;
    send(&client, "wait.0").await;
    let begin = Instant::now();
    broker.advance(8 * HOUR - Duration::from_millis(1));
    assert_eq!((broker.state().ready("wait.4"), broker.state().ready("work")), (1, 0));
    broker.advance(Duration::from_millis(1));
    let took = begin.elapsed();
    assert_eq!(broker.state().ready("work"), 1);
    assert!(took < 60 * SECONDS, "nobody waits for real time: {took:?}");
    let published = broker.published();
    let arrived = published.last().expect("the last copy is in the books");
    let headers = arrived.properties.headers().clone().expect("its deaths are in its headers");
    let text = format!("{:?}", headers.inner().get("x-death"));
    let order: Vec<_> =
        (0..5).rev().map(|rung| text.find(&format!("{:?}", format!("wait.{rung}").as_bytes()))).collect();
    assert!(order.iter().all(Option::is_some) && order.is_sorted(), "the latest death comes first: {text}");
    client.close().await;
}

#[tokio::test]
async fn a_consumer_that_takes_too_long_is_cancelled_and_comes_back() {
    let (broker, client) = start(Topology::new().queue(Queue::quorum("work"))).await;
    let mut subscriber =
        client.subscribe(Subscription::new("work").prefetch(1)).await.expect("the queue is there");
    send(&client, "work").await;
    let held = subscriber.next().await.expect("it is delivered");
    broker.wait_until(|state| state.unacked("work") == 1).await;
    broker.advance(29 * MINUTE);
    assert_eq!(broker.state().unacked("work"), 1, "half an hour is not over");
    broker.advance(2 * MINUTE);
    // The broker took it back and cancelled the consumer; the subscription begins anew and gets it again.
    let again = subscriber.next().await.expect("it comes again");
    assert!(again.message.redelivered);
    held.unsettled.settle(Settlement::Ack);
    again.unsettled.settle(Settlement::Ack);
    broker.wait_until(|state| state.queue("work").is_some_and(|queue| queue.depth() == 0)).await;
    client.close().await;
}

#[tokio::test]
async fn an_unused_queue_expires_with_its_messages() {
    let (broker, client) = start(Topology::new().queue(Queue::classic("brief").expires(HOUR))).await;
    send(&client, "brief").await;
    broker.advance(HOUR - Duration::from_millis(1));
    assert!(broker.state().queue("brief").is_some());
    broker.advance(Duration::from_millis(1));
    assert!(broker.state().queue("brief").is_none());
    assert_eq!(broker.published()[0].fate("brief"), Some(&Fate::Deleted));
    client.close().await;
}

#[tokio::test]
async fn a_failed_delivery_waits_for_its_delayed_retry() {
    let (broker, client) = start(Topology::new().queue(Queue::quorum("work"))).await;
    let mut definition = FieldTable::default();
    definition.insert("delayed-retry-type".into(), AMQPValue::LongString("failed".into()));
    definition.insert("delayed-retry-min".into(), AMQPValue::LongInt(60_000));
    definition.insert("delayed-retry-max".into(), AMQPValue::LongInt(600_000));
    broker.set_policy("/", Policy::new("retry", "^work$", definition)).expect("there is such a vhost");
    let mut subscriber =
        client.subscribe(Subscription::new("work").prefetch(1)).await.expect("the queue is there");
    send(&client, "work").await;
    for attempt in 1..=3_u32 {
        let delivery = subscriber.next().await.expect("it is delivered");
        delivery.unsettled.settle(Settlement::Requeue);
        broker.wait_until(|state| state.unacked("work") == 0).await;
        broker.advance(attempt * MINUTE - Duration::from_millis(1));
        assert_eq!(broker.state().unacked("work"), 0, "the {attempt}th delay is {attempt} min");
        broker.advance(Duration::from_millis(1));
        broker.wait_until(|state| state.unacked("work") == 1).await;
    }
    subscriber.next().await.expect("it is delivered").unsettled.settle(Settlement::Ack);
    eventually(60 * SECONDS, "it is settled", async || {
        match broker.state().queue("work").map(garenne_embedded::inspect::QueueState::depth) {
            Some(0) => Ok(()),
            other => Err(other),
        }
    })
    .await;
    client.close().await;
}

/// A runtime whose clock is paused jumps to its next timer whenever it waits for the broker: no deadline of a client may be among them.
#[tokio::test(start_paused = true)]
async fn a_client_on_a_paused_clock_invents_no_timeout() {
    let broker = Broker::start().await.expect("the broker starts");
    let client = Client::connect(broker.url()).await.expect("it answers");
    let work = Queue::quorum("work").delivery_limit(5).dead_letter();
    let topology = Topology::new().queue(work.clone()).queue(Queue::quorum("memos"));
    client.apply(&topology).await.expect("it is declared");
    let publisher = Publisher::new(&client);
    for number in 0..20 {
        publisher.publish(&Job { number }).await.expect("it is confirmed");
    }
    let diary = Diary::default();
    let handled = diary.clone();
    let handler = move |job: Job, cx: Context| {
        handled.note(job.number.to_string());
        async move {
            // Its runtime has nothing else to do meanwhile.
            cx.publish(&Memo { text: String::new() }).routing_key("memos").await.or_retry()?;
            if job.number.is_multiple_of(4) && cx.attempt() == 1 {
                Err(Failure::retry("not yet"))
            } else {
                Ok(())
            }
        }
    };
    let consumer = Consumer::of(&work)
        .timeout(60 * SECONDS)
        .retry(Retry::fixed(Duration::from_millis(20)))
        .handle(handler);
    Service::new(&client)
        .consume(consumer)
        .run_until(async {
            broker.wait_until(|state| state.queue("work").is_some_and(|queue| queue.depth() == 0)).await;
        })
        .await
        .expect("it ends cleanly");
    assert_eq!(diary.entries().len(), 25, "each once, and a quarter of them again");
    assert_eq!((broker.state().ready("memos"), broker.state().ready("work.dlq")), (25, 0));
    assert_eq!(client.queue_info(&"memos".into()).await.expect("it is there").ready, 25);
    client.close().await;
}

/// A linear policy of 1 h to 4 h: retries after 1, 3, 6, 10 and 14 hours, none of which anybody waits for.
#[tokio::test]
async fn retries_that_the_broker_delays_for_hours_go_by_its_clock() {
    let work = Queue::quorum("work").retry(Retry::linear(HOUR..=4 * HOUR).attempts(6)).dead_letter();
    let (broker, client) = start(Topology::new().queue(work.clone())).await;
    let diary = Diary::default();
    let attempts = diary.clone();
    let handler = move |_: Job, cx: Context| {
        attempts.note(cx.attempt().to_string());
        std::future::ready(Err(Failure::retry("the shop is closed")))
    };
    let running = Workshop::serve(Service::new(&client).consume(Consumer::of(&work).handle(handler)));
    Publisher::new(&client).publish(&Job { number: 1 }).await.expect("it is confirmed");
    for (failed, hours) in [1, 2, 3, 4, 4].into_iter().enumerate() {
        diary.reaches(failed + 1).await;
        broker.wait_until(|state| state.queue("work").is_some_and(|queue| queue.delayed == 1)).await;
        broker.advance(hours * HOUR - Duration::from_millis(1));
        assert_eq!(diary.entries().len(), failed + 1, "it comes after {hours} h and not before");
        broker.advance(Duration::from_millis(1));
    }
    broker.wait_until(|state| state.ready("work.dlq") == 1).await;
    assert_eq!(diary.entries(), ["1", "2", "3", "4", "5", "6"]);
    running.stop().await.expect("it ends cleanly");
    client.close().await;
}

/// A doubling policy of 1 h to 4 h: retries after 1, 3, 7 and 11 hours, each from a tier of its own.
#[tokio::test]
async fn retries_that_wait_in_tiers_for_hours_go_by_the_brokers_clock() {
    let work = Queue::quorum("work").retry(Retry::exponential(HOUR..=4 * HOUR).attempts(5)).dead_letter();
    let (broker, client) = start(Topology::new().queue(work.clone())).await;
    let diary = Diary::default();
    let attempts = diary.clone();
    let handler = move |_: Job, cx: Context| {
        attempts.note(cx.attempt().to_string());
        std::future::ready(Err(Failure::retry("the shop is closed")))
    };
    let running = Workshop::serve(Service::new(&client).consume(Consumer::of(&work).handle(handler)));
    Publisher::new(&client).publish(&Job { number: 1 }).await.expect("it is confirmed");
    for (failed, hours) in [1_u32, 2, 4, 4].into_iter().enumerate() {
        diary.reaches(failed + 1).await;
        let tier = format!("garenne.retry.v1.{}", hours * 3_600_000);
        broker.wait_until(|state| state.ready(&tier) == 1 && state.unacked("work") == 0).await;
        broker.advance(hours * HOUR - Duration::from_millis(1));
        assert_eq!(diary.entries().len(), failed + 1, "it comes after {hours} h and not before");
        broker.advance(Duration::from_millis(1));
    }
    broker.wait_until(|state| state.ready("work.dlq") == 1).await;
    assert_eq!(diary.entries(), ["1", "2", "3", "4", "5"]);
    running.stop().await.expect("it ends cleanly");
    client.close().await;
}
