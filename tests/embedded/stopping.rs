//! Stopping at the moments that only a broker with fault hooks can hold still.

use std::future::ready;

use garenne::{Client, Consumer, Context, Failure, Publisher, Queue, Service, Topology};
use garenne_embedded::{AnswerFault, Broker, Fault};

use crate::workshop::{Job, Workshop};

/// The second publish is the copy. The broker has it and keeps its confirm back, so the stop comes between the two.
#[tokio::test]
async fn a_copy_that_is_under_way_at_the_stop_is_waited_for_and_its_original_acknowledged() {
    let broker = Broker::start().await.expect("the broker starts");
    let client = Client::connect(broker.url()).await.expect("it answers");
    let topology = Topology::new().queue(Queue::quorum("work").dead_letter());
    client.apply(&topology).await.expect("the topology is applied");
    broker.faults().on_nth_publish(2, Fault::WithholdConfirm);
    let decline = |_: Job, _: Context| ready(Err(Failure::dead_letter("no")));
    let running = Workshop::serve(Service::new(&client).consume(Consumer::new("work").handle(decline)));
    Publisher::new(&client).publish(&Job { number: 1 }).await.expect("the job is confirmed");
    broker.wait_until(|state| state.ready("work.dlq") == 1).await;
    running.ask();
    broker.wait_until(|state| state.queue("work").is_some_and(|work| work.consumers.is_empty())).await;
    assert_eq!(broker.state().unacked("work"), 1, "it is not handed back: its copy is there");
    broker.faults().release_confirms();
    running.stop().await.expect("it stops in order");
    let state = broker.state();
    assert_eq!(
        (state.queue("work").map(garenne_embedded::inspect::QueueState::depth), state.ready("work.dlq")),
        (Some(0), 1)
    );
    client.close().await;
}

/// A broker that does not answer the subscribe holds nobody up who wants to stop, and is not called ready.
#[tokio::test]
async fn a_stop_is_heard_while_a_queue_is_being_subscribed_to() {
    let broker = Broker::start().await.expect("the broker starts");
    let client = Client::connect(broker.url()).await.expect("it answers");
    let topology = Topology::new().queue(Queue::quorum("work").dead_letter());
    client.apply(&topology).await.expect("the topology is applied");
    broker.faults().on_answer(AnswerFault::hold("basic.consume-ok"));
    let accept = |_: Job, _: Context| ready(Ok(()));
    let running = Workshop::serve(Service::new(&client).consume(Consumer::new("work").handle(accept)));
    broker.wait_until(|state| state.queue("work").is_some_and(|work| work.consumers.len() == 1)).await;
    let health = client.health();
    assert_eq!((health.subscriptions, health.subscribed, health.is_ready()), (1, 0, false));
    running.stop().await.expect("nothing was begun");
    broker.wait_until(|state| state.queue("work").is_some_and(|work| work.consumers.is_empty())).await;
    client.close().await;
}
