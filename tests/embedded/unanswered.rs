//! Requests whose answer comes late or never: nothing that was given up goes on taking messages, and everything comes back.

use std::collections::BTreeSet;
use std::time::Duration;

use garenne_embedded::{AnswerFault, Broker, Fault};
use garenne_shared::{Config, ExchangeName, Outgoing, Retry};
use garenne_tests::{SECONDS, eventually};
use garenne_topology::{Exchange, Queue, Topology};
use garenne_transport::{Client, Settlement, Subscriber, Subscription};

use crate::publishing::publish;

const QUEUE: &str = "work";

/// Every answer that a client waits for, at every step of the protocol.
const ANSWERS: [&str; 9] = [
    "channel.open-ok",
    "channel.close-ok",
    "basic.qos-ok",
    "basic.consume-ok",
    "confirm.select-ok",
    "basic.ack",
    "exchange.declare-ok",
    "queue.declare-ok",
    "queue.bind-ok",
];

fn topology() -> Topology {
    Topology::new().exchange(Exchange::topic("jobs")).queue(Queue::quorum(QUEUE).bind("jobs", "#"))
}

async fn start() -> (Broker, Client) {
    start_with(Duration::from_millis(400)).await
}

/// Starts a broker and a client that waits so long for a confirm.
async fn start_with(confirm_timeout: Duration) -> (Broker, Client) {
    let broker = Broker::start().await.expect("the broker starts");
    let mut config = Config::from_url(broker.url()).expect("the broker's URL is valid").service("impatient");
    config.connection.reconnect = Retry::exponential(Duration::from_millis(1)..=Duration::from_millis(50));
    config.connection.rpc_timeout = Duration::from_millis(200);
    config.connection.probe_after = Duration::from_millis(200);
    config.connection.probe_timeout = Duration::from_millis(400);
    config.publish.confirm_timeout = confirm_timeout;
    let setup = Client::connect(broker.url()).await.expect("it answers");
    setup.apply(&topology()).await.expect("the topology is applied");
    setup.close().await;
    let client = Client::connect(config).await.expect("it answers");
    (broker, client)
}

/// Publishes numbers until each is confirmed.
async fn fill(client: &Client, numbers: std::ops::Range<u32>) {
    let channel = client.confirm_channel();
    for number in numbers {
        eventually(30 * SECONDS, &format!("{number} is confirmed"), async || {
            let message = Outgoing::new("jobs", "a", number.to_string());
            publish(&channel, message).await.map_err(|error| error.to_string())
        })
        .await;
    }
}

/// Reads until every number has come.
async fn read(subscriber: &mut Subscriber, count: usize) {
    let mut seen = BTreeSet::new();
    while seen.len() < count {
        let next = tokio::time::timeout(30 * SECONDS, subscriber.next()).await;
        let delivery = next.unwrap_or_else(|_| panic!("{} of {count} came", seen.len()));
        let delivery = delivery.expect("the subscription goes on");
        seen.insert(delivery.message.body.clone());
        delivery.unsettled.settle(Settlement::Ack);
    }
}

/// Waits until the broker has what is wanted: one consumer, and no channel too many.
async fn settles(broker: &Broker) {
    eventually(30 * SECONDS, "one consumer, and a few channels", async || {
        let state = broker.state();
        let consumers = state.queue(QUEUE).map_or(0, |queue| queue.consumers.len());
        let channels: u64 = state.connections.iter().map(|connection| connection.channels.len() as u64).sum();
        let (unacked, connections) = (state.unacked(QUEUE), state.connections.len());
        // To publish, to consume, and on both connections to ask for signs of life.
        let is_settled = consumers == 1 && channels <= 4 && connections <= 2 && unacked == 0;
        if is_settled { Ok(()) } else { Err((consumers, channels, connections, unacked)) }
    })
    .await;
}

/// An answer that comes after the request was given up must not leave a consumer that nobody reads.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_given_up_at_any_step_leaves_nothing_behind() {
    for answer in ANSWERS {
        for swallowed in [false, true] {
            let (broker, client) = start().await;
            let subscription = || Subscription::new(QUEUE).prefetch(20);
            let mut subscriber = client.subscribe(subscription()).await.expect("the queue can be read");
            fill(&client, 0..20).await;
            let fault = if swallowed { AnswerFault::swallow(answer) } else { AnswerFault::hold(answer) };
            for nth in 1..=3 {
                broker.faults().on_answer(fault.clone().nth(nth));
            }
            // Everything is asked for anew, and three answers do not come.
            broker.faults().strike(&Fault::CutConnection);
            let topology = topology();
            // It may fail for want of an answer; that it can be done again is seen below.
            let _ = tokio::join!(client.apply(&topology), fill(&client, 20..30));
            broker.faults().release_answers();
            fill(&client, 30..40).await;
            read(&mut subscriber, 40).await;
            eventually(30 * SECONDS, "the topology can be applied", async || {
                client.apply(&topology).await.map(drop).map_err(|error| error.to_string())
            })
            .await;
            eventually(30 * SECONDS, &format!("it is ready after {answer}"), async || {
                let health = client.health();
                if health.is_ready() { Ok(()) } else { Err(health) }
            })
            .await;
            settles(&broker).await;
            client.close().await;
        }
    }
}

/// Connections that are up are not enough to publish: a channel must open, and confirms must come.
#[tokio::test(flavor = "multi_thread")]
async fn the_health_says_that_nothing_can_be_published() {
    for answer in ["confirm.select-ok", "basic.ack"] {
        let (broker, client) = start_with(Duration::from_secs(4)).await;
        broker.faults().on_answer(AnswerFault::swallow(answer));
        let channel = client.confirm_channel();
        let pending = channel.send(Outgoing::new("jobs", "a", "x")).await.expect("the window has room");
        eventually(30 * SECONDS, &format!("the health says it without {answer}"), async || {
            let health = client.health();
            let is_told = !health.is_ready() && health.problems.iter().any(|text| text.contains("`jobs`"));
            if is_told { Ok(()) } else { Err(health) }
        })
        .await;
        let error = pending.await.expect_err("nothing can be published");
        assert_eq!(error.may_be_stored(), answer == "basic.ack", "{error}");
        broker.faults().clear();
        fill(&client, 0..3).await;
        eventually(30 * SECONDS, "it is ready again", async || {
            let health = client.health();
            if health.is_ready() { Ok(()) } else { Err(health) }
        })
        .await;
        client.close().await;
    }
}

/// Heartbeats alone are no life: a connection that answers nothing is given up.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_lives_and_answers_nothing_is_given_up() {
    let (broker, client) = start().await;
    let mut subscriber =
        client.subscribe(Subscription::new(QUEUE).prefetch(20)).await.expect("the queue can be read");
    fill(&client, 0..5).await;
    let before = client.health();
    broker.faults().strike(&Fault::Swallow);
    eventually(30 * SECONDS, "both connections are others", async || {
        let health = client.health();
        let is_new =
            health.publish.epoch > before.publish.epoch && health.consume.epoch > before.consume.epoch;
        if is_new { Ok(()) } else { Err(health) }
    })
    .await;
    fill(&client, 5..10).await;
    read(&mut subscriber, 10).await;
    client.close().await;
}

/// The ids of channels that the broker closed are used again, whatever it said when it closed them.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_refusals_on_one_connection_harm_nobody() {
    let broker = Broker::start().await.expect("the broker starts");
    let client = Client::connect(broker.url()).await.expect("it answers");
    client.apply(&topology()).await.expect("the topology is applied");
    let channel = client.confirm_channel();
    let missing = "nowhere".into();
    for n in 0..5_000 {
        let error = client.queue_info(&missing).await.expect_err("there is no such queue");
        assert_eq!(error.kind(), garenne_transport::ErrorKind::NotFound, "look-up {n}: {error}");
        let error = publish(&channel, Outgoing::new("absent", "a", "x")).await.expect_err("no such exchange");
        assert!(error.is_unroutable() && error.to_string().contains("absent"), "publish {n}: {error}");
    }
    fill(&client, 0..5).await;
    let mut subscriber =
        client.subscribe(Subscription::new(QUEUE).prefetch(20)).await.expect("the queue can be read");
    read(&mut subscriber, 5).await;
    let health = client.health();
    assert_eq!((health.publish.epoch, health.consume.epoch), (1, 1), "the connections stayed");
    client.close().await;
}

/// Lanes that have nothing to send give their channels to those that have.
#[tokio::test(flavor = "multi_thread")]
async fn publishing_to_more_exchanges_than_there_are_channels_works() {
    let broker = Broker::builder().channel_max(3).start().await.expect("the broker starts");
    let mut config = Config::from_url(broker.url()).expect("the broker's URL is valid");
    config.publish.confirm_timeout = 60 * SECONDS;
    let client = Client::connect(config).await.expect("it answers");
    let mut topology = Topology::new();
    let mut queue = Queue::quorum(QUEUE);
    let exchange = |n: u32| ExchangeName::try_from(format!("e{n}")).expect("a name");
    for n in 0..12 {
        topology = topology.exchange(Exchange::fanout(exchange(n)));
        queue = queue.bind(exchange(n), "");
    }
    client.apply(&topology.queue(queue)).await.expect("the topology is applied");
    let channel = client.confirm_channel();
    for n in (0..12).chain(0..12) {
        let published = publish(&channel, Outgoing::new(exchange(n), "", "x"));
        let published = tokio::time::timeout(30 * SECONDS, published).await.expect("it has an end");
        published.unwrap_or_else(|error| panic!("exchange e{n}: {error}"));
    }
    eventually(30 * SECONDS, "nothing is wrong any more", async || match client.health() {
        health if health.is_ready() => Ok(()),
        health => Err(health),
    })
    .await;
    client.close().await;
}

/// Whatever asks the broker has an end, also where there is none.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_without_a_broker_has_an_end() {
    let (broker, client) = start().await;
    broker.stop().await;
    let queue = QUEUE.into();
    let asked = async {
        [
            client.delete(&topology()).await.expect_err("there is no broker"),
            client.apply(&topology()).await.map(|_| ()).expect_err("there is no broker"),
            client.verify(&topology()).await.map(|_| ()).expect_err("there is no broker"),
            client.queue_info(&queue).await.map(|_| ()).expect_err("there is no broker"),
        ]
    };
    for error in tokio::time::timeout(30 * SECONDS, asked).await.expect("each has an end") {
        assert!(error.is_transient(), "{error}");
    }
    client.close().await;
}
