//! A broker that restarts or falls silent under load: nothing confirmed is lost, and everything comes back by itself.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use garenne::{Client, Consumer, Context, Publisher, Queue, Service, Topology};
use garenne_tests::{Direction, OwnBroker, SECONDS, Vhost, eventually};
use garenne_transport::{ConnectionState, Event, Role};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::workshop::{Job, Workshop};

/// What was confirmed and what was handled.
#[derive(Debug, Default)]
struct Ledger {
    confirmed: Mutex<BTreeSet<u32>>,
    handled: Mutex<BTreeSet<u32>>,
}

impl Ledger {
    fn missing(&self) -> Vec<u32> {
        let handled = self.handled.lock().expect("no panic while locked");
        let confirmed = self.confirmed.lock().expect("no panic while locked");
        confirmed.difference(&handled).copied().collect()
    }

    fn confirmed(&self) -> usize {
        self.confirmed.lock().expect("no panic while locked").len()
    }
}

async fn publish_until(stop: Arc<AtomicBool>, publisher: Publisher, ledger: Arc<Ledger>, first: u32) {
    let mut number = first;
    while !stop.load(Ordering::Relaxed) {
        if publisher.publish(&Job { number }).await.is_ok() {
            ledger.confirmed.lock().expect("no panic while locked").insert(number);
        }
        number += 4;
    }
}

fn consumer(ledger: &Arc<Ledger>) -> Consumer {
    let ledger = Arc::clone(ledger);
    Consumer::new("work").handle(move |job: Job, _: Context| {
        ledger.handled.lock().expect("no panic while locked").insert(job.number);
        std::future::ready(Ok(()))
    })
}

#[tokio::test]
async fn a_broker_that_restarts_under_load_loses_nothing_that_was_confirmed() {
    let broker = OwnBroker::start().await;
    let vhost = Vhost::on(&broker).await;
    let mut config = vhost.config();
    config.connection.reconnect = garenne::Retry::fixed(Duration::from_millis(200)).jitter(true);
    let (producer, service) = (
        Client::connect(config.clone()).await.expect("the broker is up"),
        Client::connect(config).await.expect("the broker is up"),
    );
    producer.apply(&Topology::new().queue(Queue::quorum("work").dead_letter())).await.expect("it is applied");
    let (ledger, stop, shutdown) =
        (Arc::new(Ledger::default()), Arc::new(AtomicBool::new(false)), CancellationToken::new());
    let mut tasks = JoinSet::new();
    for lane in 0..4 {
        let publisher = Publisher::new(&producer);
        tasks.spawn(publish_until(Arc::clone(&stop), publisher, Arc::clone(&ledger), lane));
    }
    let running =
        Service::new(&service).consume(consumer(&ledger)).run_until(shutdown.clone().cancelled_owned());
    let mut services = JoinSet::new();
    services.spawn(running);

    let confirmed = |count: usize| {
        let ledger = Arc::clone(&ledger);
        async move {
            eventually(120 * SECONDS, "publishes go on", async || match ledger.confirmed() {
                found if found >= count => Ok(()),
                found => Err(found),
            })
            .await;
        }
    };
    confirmed(300).await;
    broker.stop().await;
    broker.start_again().await;
    confirmed(ledger.confirmed() + 300).await;
    broker.kill().await;
    broker.start_again().await;
    confirmed(ledger.confirmed() + 300).await;

    stop.store(true, Ordering::Relaxed);
    while tasks.join_next().await.is_some() {}
    eventually(120 * SECONDS, "everything confirmed is handled", async || match ledger.missing() {
        none if none.is_empty() => Ok(()),
        missing => Err(missing),
    })
    .await;
    shutdown.cancel();
    services.join_next().await.expect("one service").expect("no panic").expect("a clean stop");
    producer.close().await;
    service.close().await;
}

#[tokio::test]
async fn a_peer_that_falls_silent_is_noticed_by_the_heartbeat() {
    let workshop = Workshop::new(5).await;
    let proxy = workshop.vhost.proxy().await;
    let mut config = workshop.vhost.config_through(&proxy);
    config.connection.heartbeat = Duration::from_secs(1);
    config.connection.reconnect = garenne::Retry::fixed(Duration::from_millis(50));
    let client = Client::connect(config).await.expect("the proxy forwards");
    let mut events = client.events();
    proxy.hold(Direction::ToBroker);
    proxy.hold(Direction::ToClient);
    let lost = async {
        loop {
            match events.next().await {
                Some(Event::Lost { role: Role::Consume, .. }) => break,
                Some(_) => {}
                None => panic!("the client is open"),
            }
        }
    };
    tokio::time::timeout(60 * SECONDS, lost).await.expect("silence is noticed");
    proxy.release(Direction::ToBroker);
    proxy.release(Direction::ToClient);
    eventually(60 * SECONDS, "the connection is back", async || match client.health().consume {
        up if up.state == ConnectionState::Connected => Ok(()),
        other => Err(other),
    })
    .await;
    client.close().await;
}

#[tokio::test]
async fn twenty_cuts_leave_connections_channels_and_bindings_as_they_were() {
    let workshop = Workshop::new(5).await;
    let proxy = workshop.vhost.proxy().await;
    let mut config = workshop.vhost.config_through(&proxy);
    config.connection.reconnect = garenne::Retry::fixed(Duration::from_millis(20));
    let client = Client::connect(config).await.expect("the proxy forwards");
    let ledger = Arc::new(Ledger::default());
    let running = Workshop::serve(Service::new(&client).consume(consumer(&ledger)));
    let publisher = Publisher::new(&client);
    let bindings = workshop.vhost.bindings().await.len();
    for number in 0..20 {
        publisher.publish(&Job { number }).await.expect("it is confirmed");
        let epoch = client.health().consume.epoch;
        proxy.cut();
        eventually(60 * SECONDS, "the next connection is up and subscribed", async || {
            let health = client.health();
            let is_next = health.consume.epoch > epoch && health.is_ready() && health.subscriptions == 1;
            if is_next { Ok(()) } else { Err(health) }
        })
        .await;
    }
    publisher.publish(&Job { number: 20 }).await.expect("it is confirmed");
    eventually(60 * SECONDS, "the broker lists what there was at the start", async || {
        // One for the client that made the topology, two for the one that was cut.
        let connections = workshop.vhost.connections().await.len();
        let channels = workshop.vhost.channels().await.len();
        let consumers = workshop.vhost.counts("work").await.consumers;
        // One to publish on and one to consume from; each connection may have another one to ask for signs of life on.
        let is_usual = (2..=5).contains(&channels);
        let found = (connections, channels, consumers, workshop.vhost.bindings().await.len());
        if is_usual && found == (3, channels, Some(1), bindings) { Ok(()) } else { Err(found) }
    })
    .await;
    running.stop().await.expect("a clean stop");
    client.close().await;
}
