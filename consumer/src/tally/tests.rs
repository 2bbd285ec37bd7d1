use garenne_shared::{Bytes, HeaderValue, Metadata};

use super::*;

fn message(id: &str, redelivered: bool, headers: &[(&str, HeaderValue)]) -> Incoming {
    let mut metadata = Metadata::default();
    metadata.message_id = Some(id.to_owned());
    metadata.headers = headers.iter().cloned().collect();
    Incoming {
        exchange: String::new(),
        routing_key: "q".to_owned(),
        redelivered,
        metadata,
        body: Bytes::from_static(b"{}"),
    }
}

fn written(id: &str, failed: i64, acquired: i64) -> Incoming {
    message(id, true, &[(DELIVERY_COUNT, failed.into()), (ACQUIRED_COUNT, acquired.into())])
}

#[track_caller]
fn check(tally: &Tally, incoming: &Incoming, failures: u32, counted: bool) {
    let count = tally.count(incoming);
    assert_eq!((count.failures, count.counted), (failures, counted), "{incoming:?}");
}

fn tally(counts: Option<bool>, writes_acquired: bool) -> Tally {
    let tally = Tally::new(counts);
    tally.writes_acquired(writes_acquired);
    tally
}

#[test]
fn a_quorum_queue_is_believed() {
    let tally = tally(None, true);
    check(&tally, &message("a", false, &[]), 0, true);
    check(&tally, &written("a", 1, 1), 1, true);
    check(&tally, &written("a", 2, 5), 2, true);
    // Handed back, not failed.
    check(&tally, &message("b", true, &[(ACQUIRED_COUNT, 1.into())]), 0, true);
}

#[test]
fn a_count_on_the_first_delivery_is_the_publishers() {
    let tally = tally(Some(true), true);
    let forged = [(DELIVERY_COUNT, HeaderValue::from(7)), (ACQUIRED_COUNT, 7.into())];
    check(&tally, &message("a", false, &forged), 0, true);
    // A quorum queue that only handed it back passes the publisher's count on, beside its own.
    check(&tally, &message("a", true, &[(DELIVERY_COUNT, 7.into()), (ACQUIRED_COUNT, 1.into())]), 1, true);
}

#[test]
fn a_redelivery_without_a_count_shows_that_the_queue_does_not_count() {
    for headers in [
        vec![],
        vec![(DELIVERY_COUNT, HeaderValue::from(-1))],
        vec![(DELIVERY_COUNT, HeaderValue::from("1"))],
    ] {
        let tally = tally(None, true);
        check(&tally, &message("a", true, &headers), 1, false);
        // From now on a publisher's count is known for what it is.
        check(&tally, &written("b", 0, 1), 1, false);
    }
    // Before RabbitMQ 4.3 there is one header only.
    let tally = tally(None, false);
    check(&tally, &message("a", true, &[(DELIVERY_COUNT, 3.into())]), 3, true);
    check(&tally, &message("a", true, &[]), 1, false);
}

#[test]
fn a_count_that_stands_still_is_not_the_queues() {
    let tally = tally(None, true);
    let mut delivery = message("a", false, &[(DELIVERY_COUNT, 1.into()), (ACQUIRED_COUNT, 1.into())]);
    let mut rounds = 0;
    while tally.count(&delivery).counted {
        tally.failed(&delivery, tally.count(&delivery));
        delivery.redelivered = true;
        rounds += 1;
        assert!(rounds < 10, "the publisher's count is believed for ever");
    }
}

#[test]
fn identical_messages_do_not_make_a_queue_that_counts_look_like_one_that_does_not() {
    let tally = tally(None, true);
    for count in 0..5 {
        for _twin in 0..2 {
            let delivery = written("a", count, count + 1);
            tally.failed(&delivery, tally.count(&delivery));
        }
    }
    assert!(tally.count(&written("a", 5, 6)).counted);
}

#[test]
fn what_went_stale_counts_until_the_message_is_done() {
    let tally = tally(Some(true), true);
    tally.went_stale(&message("a", false, &[]), false);
    let again = message("a", true, &[(ACQUIRED_COUNT, 1.into())]);
    assert_eq!(tally.count(&again), Count { failures: 1, stale: 1, counted: true, written: 0 });
    check(&tally, &message("b", true, &[(ACQUIRED_COUNT, 1.into())]), 0, true);
    tally.forget(&again);
    check(&tally, &again, 0, true);
}

#[test]
fn a_message_finished_late_is_recognized_once() {
    let tally = tally(None, true);
    tally.finished_late(&message("a", false, &[]));
    assert!(!tally.take_finished(&message("a", false, &[])), "a first delivery is another message");
    assert!(!tally.take_finished(&message("b", true, &[])));
    assert!(tally.take_finished(&message("a", true, &[])));
    assert!(!tally.take_finished(&message("a", true, &[])));
}

#[test]
fn memory_is_bounded() {
    let mut memory = Memory::default();
    for number in 0..50_000_u32 {
        memory.entry(&message(&number.to_string(), false, &[])).uncounted = number;
    }
    let kept =
        (0..50_000_u32).filter(|number| memory.get(&message(&number.to_string(), true, &[])).is_some());
    assert!((5_000..=10_000).contains(&kept.count()));
}
