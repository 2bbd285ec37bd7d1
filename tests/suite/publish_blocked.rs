//! A broker that blocks publishers (a memory alarm): they wait, up to a limit, and go on.

use std::time::{Duration, Instant};

use garenne_shared::{Config, Outgoing};
use garenne_tests::{OwnBroker, SECONDS, Vhost, eventually};
use garenne_transport::{Client, PublishErrorKind};
use serde_json::json;
use tokio::time::timeout;

use crate::publishing::{QUEUE, SOON, direct, holds, idle, publish};

/// While a connection is blocked lapin writes nothing and says nothing: a publish waits for ever, and a confirm timeout on
/// a plain clock reports messages as lost that the broker has not even read.
#[tokio::test(flavor = "multi_thread")]
async fn publishers_wait_while_the_broker_blocks_them_and_then_go_on() {
    const LIMIT: Duration = Duration::from_secs(5);
    let broker = OwnBroker::start().await;
    let vhost = Vhost::on(&broker).await;
    vhost.declare_queue(QUEUE, json!({})).await;
    vhost.declare_queue("left", json!({})).await;
    let mut config = vhost.config();
    config.publish.blocked_timeout = LIMIT;
    config.publish.confirm_timeout = LIMIT;
    let client = Client::connect(config.clone()).await.expect("the broker is there");
    let channel = client.confirm_channel();
    publish(&channel, direct("before")).await.expect("nothing is blocked");
    // Clearing the alarm takes a command in the container, and that takes as long as the machine is busy.
    config.publish.blocked_timeout = 20 * SOON;
    let patient = Client::connect(config).await.expect("the broker is there");
    publish(&patient.confirm_channel(), direct("before")).await.expect("nothing is blocked");

    broker.raise_memory_alarm().await;
    let observed = broker.read(async |management| management.broker().await).await;
    let alarms: Vec<_> = observed.alarms.iter().map(|alarm| alarm.resource.as_str()).collect();
    assert_eq!(alarms, ["memory"]);
    // RabbitMQ blocks a connection when it publishes: it may still take the first of these, and no longer reads the others.
    let (mut bounded, mut unbounded) = (Vec::new(), Vec::new());
    for (client, under_way) in [(&client, &mut bounded), (&patient, &mut unbounded)] {
        let channel = client.confirm_channel();
        eventually(SOON, "the connection is blocked", async || {
            if let Some(since) = client.health().publish.blocked_for {
                return Ok(since);
            }
            for _ in 0..20 {
                under_way.push(channel.send(direct("under way")).await.map_err(|error| error.to_string())?);
            }
            Err("not blocked".to_owned())
        })
        .await;
    }

    closing_does_not_wait_for_the_end_of_the_alarm(vhost.config()).await;

    let asked = Instant::now();
    let refused = timeout(SOON, channel.send(direct("refused"))).await.expect("it does not wait for ever");
    let error = refused.expect_err("the alarm lasts longer than the limit");
    assert_eq!(error.kind(), PublishErrorKind::Blocked, "{error}");
    assert!(error.is_transient());
    assert!(asked.elapsed() >= LIMIT, "{:?}", asked.elapsed());
    assert!(client.health().is_ready(), "blocked is degraded, not down");

    // The clock of a confirm stands still while the broker blocks, for as long as a publish would wait for that: no longer.
    let mut under_way = bounded.len() as u64;
    for outcome in timeout(SOON, futures_util::future::join_all(bounded)).await.expect("they have an end") {
        let is_right = match &outcome {
            Ok(confirmed) => confirmed.routed,
            Err(error) => error.may_be_stored(),
        };
        assert!(is_right, "{outcome:?}");
    }
    let waiting = futures_util::future::join_all(unbounded);
    tokio::pin!(waiting);
    timeout(SECONDS, &mut waiting).await.expect_err("they are neither confirmed nor given up");

    let waits = patient.confirm_channel();
    let (waited, ()) = tokio::join!(waits.send(direct("patient")), broker.clear_memory_alarm());
    assert!(waited.expect("the alarm ended in time").await.expect("it is confirmed").routed);
    for outcome in timeout(SOON, waiting).await.expect("the broker reads on") {
        outcome.expect("it is confirmed once the alarm is over");
        under_way += 1;
    }
    idle(&client).await;
    eventually(SOON, "the block is over", async || client.health().publish.blocked_for.map_or(Ok(()), Err))
        .await;
    publish(&channel, direct("after")).await.expect("nothing is blocked");
    assert_eq!(client.health().publish.epoch, 1, "the connection stayed");
    // What was refused was not sent.
    holds(&vhost, under_way + 4).await;
    client.close().await;
    patient.close().await;
}

async fn closing_does_not_wait_for_the_end_of_the_alarm(mut config: Config) {
    config.publish.confirm_timeout = Duration::from_millis(200);
    config.publish.blocked_timeout = Duration::from_millis(200);
    config.connection.rpc_timeout = Duration::from_secs(3600);
    let client = Client::connect(config).await.expect("the broker is there");
    let channel = client.confirm_channel();
    eventually(SOON, "the connection is blocked", async || {
        if client.health().publish.blocked_for.is_some() {
            return Ok(());
        }
        let sent = channel.send(Outgoing::new("", "left", "x")).await;
        Err(sent.map(|_| ()).map_err(|error| error.to_string()))
    })
    .await;
    timeout(SOON, client.close()).await.expect("the broker does not answer, and is not waited for");
}
