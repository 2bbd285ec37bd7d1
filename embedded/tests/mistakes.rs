//! What a test that holds the broker wrong is told.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use garenne_embedded::faults::ConnectFault;
use garenne_embedded::types::{AMQPValue, FieldTable};
use garenne_embedded::{Broker, Fault, Policy};
use lapin::options::{BasicConsumeOptions, QueueDeclareOptions};
use lapin::{Connection, ConnectionProperties};

/// Runs what panics, and returns the message.
async fn panic_of<T>(running: impl Future<Output = T>) -> String {
    let Err(panic) = AssertUnwindSafe(running).catch_unwind().await else { panic!("it does not panic") };
    panic.downcast_ref::<String>().map_or_else(
        || panic.downcast_ref::<&str>().map(ToString::to_string).unwrap_or_default(),
        Clone::clone,
    )
}

#[tokio::test]
async fn a_wait_that_fails_shows_the_state_and_what_struck() {
    let broker = Broker::start().await.expect("the broker starts");
    let connection = Connection::connect(broker.url(), ConnectionProperties::default()).await;
    let channel = connection.expect("guest may connect").create_channel().await.expect("a channel opens");
    broker.faults().on_nth_method("queue.declare", 1, Fault::Redeliver);
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare("orders".into(), options, FieldTable::default()).await.expect("declared");
    let consumer = channel.basic_consume(
        "orders".into(),
        "billing".into(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    let _consumer = consumer.await.expect("consuming");
    let waiting = broker.wait_until_within(Duration::from_millis(50), |state| state.ready("orders") == 7);
    let message = panic_of(waiting).await;
    for expected in [
        "tests/mistakes.rs",
        "not within 50ms",
        "queue `orders` (classic): 0 ready, consumer `billing` on channel 1",
        "fault at method 1 (queue.declare): Redeliver",
    ] {
        assert!(message.contains(expected), "`{expected}` is not in:\n{message}");
    }
}

#[tokio::test]
async fn a_wait_does_not_wake_itself() {
    let broker = Broker::start().await.expect("the broker starts");
    let mut looks = 0;
    let waiting = broker.wait_until_within(Duration::from_millis(100), |_| {
        looks += 1;
        false
    });
    panic_of(waiting).await;
    assert!(looks < 10, "it looked {looks} times while nothing happened");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_real_time_where_the_test_has_paused_its_own() {
    let broker = Broker::start().await.expect("the broker starts");
    let begin = Instant::now();
    panic_of(broker.wait_until_within(Duration::from_millis(100), |_| false)).await;
    let waited = begin.elapsed();
    assert!((100..5_000).contains(&waited.as_millis()), "{waited:?}");
}

#[test]
fn a_wait_needs_no_runtime() {
    let broker = Broker::start().now_or_never().expect("it does not wait").expect("the broker starts");
    let state = broker.wait_until(|state| state.queues.is_empty()).now_or_never();
    assert!(state.is_some());
}

#[tokio::test]
async fn a_fault_that_can_never_strike_is_a_panic() {
    let faults = Broker::start().await.expect("the broker starts").faults();
    let attempts: [(&str, &dyn Fn()); 6] = [
        ("number 0", &|| faults.on_nth_publish(0, Fault::Nack)),
        ("number 0", &|| faults.on_nth_command(0, Fault::CutConnection)),
        ("number 0", &|| faults.on_nth_connection(0, ConnectFault::Refuse)),
        ("`basic.publsh`", &|| faults.on_nth_method("basic.publsh", 1, Fault::Nack)),
        ("`basic.publish` only", &|| faults.on_nth_method("basic.ack", 1, Fault::Nack)),
        ("`on_nth_publish`", &|| faults.strike(&Fault::WithholdConfirm)),
    ];
    for (expected, attempt) in attempts {
        let panicked = panic_of(async { attempt() }).await;
        assert!(panicked.contains(expected), "{panicked}");
    }
    assert!(catch_unwind(AssertUnwindSafe(|| faults.on_nth_publish(1, Fault::Nack))).is_ok());
}

#[tokio::test]
async fn a_change_that_is_refused_names_its_object() {
    let broker = Broker::start().await.expect("the broker starts");
    let error = broker.set_permissions("guest", "/", ["(", "", ""]).expect_err("no expression");
    assert!(error.to_string().contains("`guest`") && error.to_string().contains("`(`"), "{error}");
    let mut definition = FieldTable::default();
    definition.insert("nonsense".into(), AMQPValue::Boolean(true));
    let error = broker.set_policy("/", Policy::new("limits", ".*", definition)).expect_err("no such setting");
    assert!(error.to_string().contains("`limits`") && error.to_string().contains("nonsense"), "{error}");
}
