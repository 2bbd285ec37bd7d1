//! Single rules of queues, each as it was seen on RabbitMQ 4.3.6.

use amq_protocol::types::{AMQPValue, FieldTable};

use super::*;
use crate::core::ConsumerKey;

const NOW: Millis = Millis(1_000);

fn queue(kind: QueueKind, arguments: &[(&str, AMQPValue)]) -> Queue {
    let mut table = FieldTable::default();
    for (key, value) in arguments {
        table.insert((*key).into(), value.clone());
    }
    let settings = Settings::new(kind, &table, None);
    let declaration = Declaration {
        name: "q".into(),
        kind,
        durable: true,
        exclusive_to: None,
        auto_delete: false,
        arguments: table,
    };
    Queue::new(Millis(0), declaration, settings)
}

fn single(kind: QueueKind) -> Queue {
    queue(kind, &[("x-single-active-consumer", AMQPValue::Boolean(true))])
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.as_bytes().into())
}

fn key(tag: &str) -> ConsumerKey {
    ConsumerKey { connection: 1, channel: 1, tag: tag.into() }
}

/// A queue and what it discarded.
trait Steps {
    fn put(&mut self, body: &'static str) -> Vec<Discard>;
    fn put_with(&mut self, body: &'static str, properties: Properties) -> (Publish, Vec<Discard>);
    fn join(&mut self, tag: &str, prefetch: u32, priority: i32);
    fn next(&mut self) -> Option<(String, Entry)>;
    fn deliveries(&mut self) -> Vec<String>;
    fn take(&mut self) -> Option<Entry>;
}

impl Steps for Queue {
    fn put(&mut self, body: &'static str) -> Vec<Discard> {
        self.put_with(body, Properties::default()).1
    }

    fn put_with(&mut self, body: &'static str, properties: Properties) -> (Publish, Vec<Discard>) {
        let mut discards = Vec::new();
        let message = Message { body: body.into(), properties, ..Message::default() };
        (self.publish(NOW, Arc::new(message), true, &mut discards), discards)
    }

    fn join(&mut self, tag: &str, prefetch: u32, priority: i32) {
        let subscription = Subscription {
            key: key(tag),
            no_ack: false,
            exclusive: false,
            prefetch,
            priority,
            timeout: None,
            arguments: FieldTable::default(),
        };
        self.subscribe(NOW, 0, "/", subscription).expect("nothing refuses it");
    }

    fn next(&mut self) -> Option<(String, Entry)> {
        let assignment = self.assign(NOW, &mut Vec::new())?;
        Some((assignment.consumer.tag.to_string(), assignment.entry))
    }

    fn deliveries(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.next().map(|(tag, entry)| format!("{tag}:{}", body(&entry)))).collect()
    }

    fn take(&mut self) -> Option<Entry> {
        self.get(NOW, "/", false, &mut Vec::new()).expect("may be had by basic.get")
    }
}

fn body(entry: &Entry) -> String {
    String::from_utf8_lossy(&entry.message.body).into_owned()
}

fn bodies(discards: &[Discard]) -> Vec<(String, Reason)> {
    discards.iter().map(|discard| (body(&discard.entry), discard.reason)).collect()
}

#[test]
fn a_cancelled_single_active_consumer_is_followed_at_once_although_it_holds_deliveries() {
    for kind in [QueueKind::Classic, QueueKind::Quorum] {
        let mut queue = single(kind);
        queue.join("a", 2, 0);
        queue.join("b", 2, 0);
        for body in ["0", "1", "2"] {
            queue.put(body);
        }
        assert_eq!(queue.deliveries(), ["a:0", "a:1"]);
        queue.unsubscribe(NOW, &key("a"));
        assert_eq!(queue.deliveries(), ["b:2"], "{kind:?}");
    }
}

#[test]
fn the_active_consumer_of_a_quorum_queue_yields_to_a_higher_priority_once_it_holds_nothing() {
    let mut queue = single(QueueKind::Quorum);
    queue.join("low", 3, 0);
    queue.put("0");
    let (_, held) = queue.next().expect("low is active");
    queue.join("high", 3, 5);
    queue.put("1");
    assert_eq!(queue.deliveries(), [""; 0], "it gets nothing more");
    queue.ack(NOW, Some(&key("low")), held);
    assert_eq!(queue.deliveries(), ["high:1"]);
}

#[test]
fn the_active_consumer_of_a_classic_queue_stays_whatever_comes() {
    let mut queue = single(QueueKind::Classic);
    queue.join("low", 1, 0);
    queue.join("high", 1, 5);
    queue.put("0");
    assert_eq!(queue.deliveries(), ["low:0"]);
}

#[test]
fn a_quorum_queue_prefers_the_waiting_consumer_with_the_most_credit_and_a_classic_queue_the_oldest() {
    for (kind, expected) in [(QueueKind::Quorum, "c:0"), (QueueKind::Classic, "b:0")] {
        let mut queue = single(kind);
        queue.join("a", 5, 0);
        queue.join("b", 1, 0);
        queue.join("c", 10, 0);
        queue.unsubscribe(NOW, &key("a"));
        queue.put("0");
        assert_eq!(queue.deliveries(), [expected], "{kind:?}");
    }
}

#[test]
fn of_those_that_wait_the_highest_priority_comes_next_on_classic_queues_too() {
    let mut queue = single(QueueKind::Classic);
    queue.join("a", 5, 0);
    queue.join("b", 5, 0);
    queue.join("c", 5, 3);
    queue.unsubscribe(NOW, &key("a"));
    queue.put("0");
    assert_eq!(queue.deliveries(), ["c:0"]);
}

#[test]
fn declare_ok_counts_consumers_of_a_quorum_queue_by_what_they_hold() {
    let mut queue = single(QueueKind::Quorum);
    queue.join("a", 2, 0);
    queue.join("b", 2, 0);
    assert_eq!(queue.declared_consumers(), 1, "without those that wait");
    queue.put("0");
    queue.next().expect("a is active");
    queue.unsubscribe(NOW, &key("a"));
    assert_eq!(queue.declared_consumers(), 2, "with the cancelled one that holds a delivery");
}

#[test]
fn what_basic_get_holds_is_a_consumer_of_a_quorum_queue_and_keeps_it_from_expiring() {
    let mut queue = queue(QueueKind::Quorum, &[("x-expires", AMQPValue::LongInt(2_000))]);
    queue.put("0");
    let entry = queue.take().expect("one is there");
    assert_eq!(queue.declared_consumers(), 1);
    assert!(!queue.is_expired(Millis(60_000)));
    queue.ack(Millis(60_000), None, entry);
    assert_eq!(queue.declared_consumers(), 0);
    assert!(!queue.is_expired(Millis(61_000)) && queue.is_expired(Millis(62_000)));
}

#[test]
fn a_time_to_live_of_zero_lets_a_message_pass_to_a_waiting_consumer_only() {
    for kind in [QueueKind::Classic, QueueKind::Quorum] {
        let at_once = || Properties::default().with(Property::Expiration, Some(b"0"));
        let mut queue = queue(kind, &[]);
        queue.put_with("gone", at_once());
        let mut discards = Vec::new();
        queue.expire(NOW + 1, &mut discards);
        assert_eq!(bodies(&discards), [("gone".to_owned(), Reason::Expired)], "{kind:?}");
        queue.join("a", 1, 0);
        queue.put_with("seen", at_once());
        assert_eq!(queue.deliveries(), ["a:seen"], "{kind:?}");
    }
}

#[test]
fn delayed_messages_are_not_ready_but_count_towards_the_limits_and_are_purged() {
    let mut queue = queue(
        QueueKind::Quorum,
        &[
            ("x-delayed-retry-type", text("all")),
            ("x-delayed-retry-min", AMQPValue::LongInt(500)),
            ("x-max-length", AMQPValue::LongInt(2)),
            ("x-max-length-bytes", AMQPValue::LongInt(6)),
        ],
    );
    queue.put("one");
    let entry = queue.take().expect("one is there");
    queue.give_back(NOW, None, vec![entry], Return::Nack, &mut Vec::new());
    assert_eq!((queue.counts().ready, queue.counts().delayed), (0, 1));
    assert_eq!(queue.put("two").len(), 0);
    assert_eq!(bodies(&queue.put("six")), [("two".to_owned(), Reason::MaxLen)]);
    assert_eq!(queue.purge(NOW).len(), 2);
    assert_eq!(queue.counts(), Counts::default());
}

#[test]
fn every_delay_is_the_shortest_unless_a_longest_one_is_given() {
    let arguments =
        [("x-delayed-retry-type", text("failed")), ("x-delayed-retry-min", AMQPValue::LongInt(500))];
    let mut longer = arguments.to_vec();
    longer.push(("x-delayed-retry-max", AMQPValue::LongInt(1_200)));
    for (arguments, delays) in [(&arguments[..], [500, 500, 500]), (&longer[..], [500, 1_000, 1_200])] {
        let mut queue = queue(QueueKind::Quorum, arguments);
        queue.put("0");
        for delay in delays {
            let entry = queue.take().expect("it is back");
            queue.give_back(NOW, None, vec![entry], Return::Reject, &mut Vec::new());
            assert_eq!(queue.next_deadline(), Some(NOW + delay));
            queue.expire(NOW + delay, &mut Vec::new());
        }
    }
}

#[test]
fn a_quorum_queue_that_refused_accepts_again_when_its_limit_goes() {
    let mut queue = queue(
        QueueKind::Quorum,
        &[("x-max-length", AMQPValue::LongInt(2)), ("x-overflow", text("reject-publish"))],
    );
    let put = |queue: &mut Queue| queue.put_with("0", Properties::default()).0;
    assert_eq!([0; 3].map(|_| put(&mut queue)), [Publish::Stored; 3], "it notices one too late");
    assert_eq!(put(&mut queue), Publish::Refused);
    let settings = Settings { max_length: None, ..queue.settings.clone() };
    queue.set_settings(NOW, settings, &mut Vec::new());
    assert_eq!(put(&mut queue), Publish::Stored);
}

#[test]
fn a_quorum_queue_refuses_until_it_is_down_to_eighty_percent() {
    let mut queue = queue(
        QueueKind::Quorum,
        &[("x-max-length", AMQPValue::LongInt(10)), ("x-overflow", text("reject-publish"))],
    );
    while queue.put_with("0", Properties::default()).0 == Publish::Stored {}
    for (left, expected) in [(10, Publish::Refused), (9, Publish::Refused), (8, Publish::Stored)] {
        queue.take().expect("it is full");
        assert_eq!(queue.counts().ready, left);
        assert_eq!(queue.put_with("0", Properties::default()).0, expected, "{left}");
    }
}

#[test]
fn only_classic_queues_know_exclusive_consumers() {
    for (kind, is_refused) in [(QueueKind::Classic, true), (QueueKind::Quorum, false)] {
        let mut queue = queue(kind, &[]);
        queue.join("a", 1, 0);
        let subscription = Subscription {
            key: key("b"),
            no_ack: false,
            exclusive: true,
            prefetch: 1,
            priority: 0,
            timeout: None,
            arguments: FieldTable::default(),
        };
        let answer = queue.subscribe(NOW, 0, "/", subscription);
        assert_eq!(answer.is_err(), is_refused, "{kind:?}");
    }
}

#[test]
fn what_comes_back_goes_first_on_a_quorum_queue_and_to_its_old_place_on_a_classic_queue() {
    for (kind, expected) in
        [(QueueKind::Quorum, ["c", "a", "b", "d"]), (QueueKind::Classic, ["a", "b", "c", "d"])]
    {
        let mut queue = queue(kind, &[]);
        for body in ["a", "b", "c", "d"] {
            queue.put(body);
        }
        let mut taken: Vec<Entry> = (0..3).filter_map(|_| queue.take()).collect();
        let last = taken.pop().expect("three were there");
        queue.give_back(NOW, None, vec![last], Return::Nack, &mut Vec::new());
        queue.give_back(NOW, None, taken, Return::Nack, &mut Vec::new());
        let order: Vec<String> = std::iter::from_fn(|| queue.take()).map(|entry| body(&entry)).collect();
        assert_eq!(order, expected, "{kind:?}");
    }
}
