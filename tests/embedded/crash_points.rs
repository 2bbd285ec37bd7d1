//! A fault at every step of a retry through tiers: the message is handled in the end, whatever broke, and nothing is left anywhere.

use std::time::Duration;

use futures_util::future::join_all;
use garenne::{Config, Consumer, Context, Failure, Publisher, Queue, Retry, Service};
use garenne_embedded::{Broker, Fault};
use garenne_tests::{SECONDS, eventually};
use garenne_topology::Topology;
use garenne_transport::Client;

use crate::workshop::{Diary, Job, Workshop};

/// More commands than the client sends from the first failure to the last acknowledgement.
const STEPS: u64 = 10;

pub(crate) async fn client(broker: &Broker) -> Client {
    let mut config = Config::from_url(broker.url()).expect("the broker's URL is valid");
    config.connection.reconnect = Retry::exponential(Duration::from_millis(1)..=Duration::from_millis(50));
    config.publish.confirm_timeout = Duration::from_millis(500);
    Client::connect(config).await.expect("the broker answers")
}

/// Fails twice, then succeeds; returns how often it succeeded.
async fn story(step: u64, fault: &Fault) -> usize {
    let work = Queue::quorum("work")
        .retry(Retry::exponential(Duration::from_secs(1)..=Duration::from_secs(2)).attempts(9))
        .dead_letter();
    let broker = Broker::builder().paused_clock().start().await.expect("the broker starts");
    let (service, other) = (client(&broker).await, client(&broker).await);
    service.apply(&Topology::new().queue(work.clone())).await.expect("it is declared");
    let (done, begun) = (Diary::default(), Diary::default());
    let handler = {
        let (done, begun) = (done.clone(), begun.clone());
        move |_: Job, cx: Context| {
            begun.note(cx.attempt().to_string());
            let outcome = if cx.attempt() < 3 { Err(Failure::retry("not yet")) } else { Ok(()) };
            if outcome.is_ok() {
                done.note("done");
            }
            std::future::ready(outcome)
        }
    };
    let running = Workshop::serve(Service::new(&service).consume(Consumer::of(&work).handle(handler)));
    broker.wait_until(|state| state.queue("work").is_some_and(|queue| queue.consumers.len() == 1)).await;
    let publisher = Publisher::new(&other);
    publisher.publish(&Job { number: 0 }).await.expect("the publishing connection is open");
    begun.reaches(1).await;
    broker.faults().on_nth_command(step, fault.clone());
    // The fault may strike this publish itself, which is told then.
    while publisher.publish(&Job { number: 1 }).await.is_err() {}
    eventually(60 * SECONDS, &format!("everything is handled, {fault:?} at {step}"), async || {
        broker.advance(Duration::from_secs(1));
        let state = broker.state();
        let depths = ["work", "work.dlq", "garenne.retry.v1.1000", "garenne.retry.v1.2000"]
            .map(|name| state.queue(name).map_or(0, garenne_embedded::inspect::QueueState::depth));
        let is_over = done.entries().len() >= 2 && depths == [0; 4];
        if is_over { Ok(()) } else { Err((depths, begun.entries(), done.entries())) }
    })
    .await;
    running.stop().await.ok();
    service.close().await;
    other.close().await;
    done.entries().len()
}

/// Returns the faults that may strike at any step.
pub(crate) fn faults() -> [Fault; 7] {
    let text = || "by the test".to_owned();
    [
        Fault::CutConnection,
        Fault::CutConnectionAfter,
        Fault::CloseChannel { code: 406, text: text() },
        Fault::CloseConnection { code: 320, text: text() },
        Fault::Redeliver,
        Fault::Nack,
        Fault::WithholdConfirm,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_at_any_step_of_a_retry_loses_a_message() {
    let mut duplicates = 0;
    for fault in &faults() {
        let stories = join_all((1..=STEPS).map(|step| story(step, fault))).await;
        duplicates += stories.into_iter().map(|done| done - 2).sum::<usize>();
    }
    // A copy that was stored, and whose confirm or acknowledgement was not, is there twice.
    assert!(duplicates > 0, "a test that never cuts between a copy and its acknowledgement proves nothing");
}
