//! Random walks of several channels through two queues: who gets what, what comes back, and in which order must agree at every step.
//!
//! `flow` walks one channel through one queue; here consumers of several channels compete, channels close and open again, tags are used
//! again, and queues are deleted under their consumers. Each step is taken on the embedded broker first.

use garenne_tests::wire::{AMQPClass, Consumer, Draft, Event, Queue, Table, Wire, basic, queue};
use garenne_tests::{SECONDS, Target};

use crate::dice::Dice;

const SEEDS: std::ops::Range<u64> = 1..25;
const STEPS: usize = 70;
/// So many channels consume, from 1 on.
const CHANNELS: u16 = 3;
const PUBLISHER: u16 = CHANNELS + 1;
/// The channel that looks.
const WATCHER: u16 = PUBLISHER + 1;
const QUEUES: [&str; 2] = ["a", "b"];

fn kinds(seed: u64) -> [Queue; 2] {
    let kind = |name: &str, kind| match kind {
        0 => Queue::classic(name),
        1 => Queue::classic(name).with("x-max-priority", 3),
        2 => Queue::classic(name).with("x-single-active-consumer", true),
        3 => Queue::quorum(name),
        4 => Queue::quorum(name).with("x-delivery-limit", 2),
        _ => Queue::quorum(name).with("x-single-active-consumer", true),
    };
    [kind("a", seed % 6), kind("b", seed / 6 % 6)]
}

#[tokio::test]
async fn random_crowds_agree() {
    for seed in SEEDS {
        let queues = kinds(seed);
        let mut embedded = Side::new(Target::embedded().await, &queues).await;
        let mut rabbitmq = Side::new(Target::rabbitmq().await, &queues).await;
        let arguments = queues.clone().map(|queue| Table(queue.0.arguments));
        let mut walk = Walk {
            dice: Dice(seed),
            held: Vec::new(),
            consumers: Vec::new(),
            published: 0,
            subscribed: 0,
            arguments: arguments.clone(),
        };
        let mut steps = Vec::new();
        for _ in 0..STEPS {
            let step = walk.step();
            let expected = embedded.take(&step).await;
            let found = rabbitmq.follow(&step, &expected).await;
            walk.note(&expected);
            steps.push(format!("{step:?}\n    -> {}", found.join("\n       ")));
            assert!(
                found == expected,
                "seed {seed}, {arguments:?}: RabbitMQ and the embedded broker differ:\n{}\nembedded -> {}",
                steps.join("\n"),
                expected.join("\n            ")
            );
        }
    }
}

/// One step of a walk; queues are 0 and 1.
#[derive(Debug, Clone)]
enum Step {
    Publish { number: u64, queue: usize, priority: Option<u8> },
    Consume { channel: u16, queue: usize, tag: String, no_ack: bool, prefetch: u16, priority: i32 },
    Cancel { channel: u16, tag: String },
    Get { channel: u16, queue: usize, no_ack: bool },
    Ack { channel: u16, tag: u64, multiple: bool },
    Nack { channel: u16, tag: u64, multiple: bool, requeue: bool },
    Reject { channel: u16, tag: u64, requeue: bool },
    Recover { channel: u16 },
    Reopen { channel: u16 },
    Purge { queue: usize },
    Delete { queue: usize },
}

/// A delivery that is not settled.
#[derive(Debug, Clone, PartialEq)]
struct Held {
    channel: u16,
    tag: u64,
    /// The queue, and the consumer; `-` if it was got.
    whose: (usize, String),
}

/// What a walk knows of both sides, which agree so far.
struct Walk {
    dice: Dice,
    held: Vec<Held>,
    /// The channel, tag and queue of each.
    consumers: Vec<(u16, String, usize)>,
    published: u64,
    subscribed: u64,
    arguments: [Table; 2],
}

impl Walk {
    fn step(&mut self) -> Step {
        let dice = &mut self.dice;
        let channel = 1 + u16::try_from(dice.below(CHANNELS.into())).expect("few");
        let queue = dice.below(2);
        let roll = dice.below(28);
        let (is_one, may_close) = (self.is_one(channel), self.may_close(channel));
        let is_single = self.is_single(queue);
        let dice = &mut self.dice;
        match roll {
            0..4 if self.consumers.len() < 7 => {
                self.subscribed += 1;
                let mut tag = dice.pick(&["x", "y", "", ""]).to_owned();
                let is_used = self.consumers.iter().any(|(on, used, _)| (*on, used) == (channel, &tag));
                // With a single active consumer of a quorum queue what a used tag does depends on who was active.
                if tag.is_empty() || is_used || is_single {
                    tag = format!("c{}", self.subscribed);
                }
                self.consumers.push((channel, tag.clone(), queue));
                Step::Consume {
                    channel,
                    queue,
                    tag,
                    no_ack: dice.one_in(6),
                    prefetch: dice.pick(&[1, 1, 2, 3, 0]),
                    priority: dice.pick(&[0, 0, 0, 1, -1]),
                }
            }
            4 if !self.consumers.is_empty() => {
                let (channel, tag, _) = self.consumers.remove(dice.below(self.consumers.len()));
                Step::Cancel { channel, tag }
            }
            5 | 6 if !is_single => Step::Get { channel, queue, no_ack: dice.one_in(3) },
            7 if dice.one_in(3) => Step::Purge { queue },
            7 => {
                self.held.retain(|held| held.whose.0 != queue);
                self.consumers.retain(|(.., from)| *from != queue);
                Step::Delete { queue }
            }
            8 if is_one => {
                self.held.retain(|held| held.channel != channel);
                Step::Recover { channel }
            }
            9 | 10 if may_close => {
                self.held.retain(|held| held.channel != channel);
                self.consumers.retain(|(on, ..)| *on != channel);
                Step::Reopen { channel }
            }
            11..20 if !self.held.is_empty() => {
                let index = dice.below(self.held.len());
                let Held { channel, tag, .. } = self.held[index].clone();
                let kind = dice.below(6);
                let is_before = |held: &&Held| held.channel == channel && held.tag <= tag;
                let upto: Vec<_> = self.held.iter().filter(is_before).cloned().collect();
                let multiple = kind < 4
                    && dice.one_in(3)
                    && upto.iter().all(|held| held.whose == upto[0].whose && held.whose.1 != "-");
                if multiple {
                    self.held.retain(|held| !upto.contains(held));
                } else {
                    self.held.remove(index);
                }
                match kind {
                    0 | 1 => Step::Ack { channel, tag, multiple },
                    2 | 3 => Step::Nack { channel, tag, multiple, requeue: kind == 2 },
                    _ => Step::Reject { channel, tag, requeue: kind == 4 },
                }
            }
            _ => {
                self.published += 1;
                Step::Publish {
                    number: self.published,
                    queue,
                    priority: dice.pick(&[None, None, Some(1), Some(3), Some(7)]),
                }
            }
        }
    }

    /// Whether a queue is a quorum queue with a single active consumer.
    fn is_single(&self, queue: usize) -> bool {
        let arguments = &self.arguments[queue];
        let is_quorum = arguments.text("x-queue-type").as_deref() == Some("quorum");
        is_quorum && arguments.get("x-single-active-consumer").is_some()
    }

    /// Whether what a channel holds is of one consumer: each consumer's part is a command of its own, and deliveries in between are a race.
    fn is_one(&self, channel: u16) -> bool {
        let mut held = self.held.iter().filter(|held| held.channel == channel);
        let Some(first) = held.next() else { return true };
        first.whose.1 != "-" && held.all(|other| other.whose == first.whose)
    }

    /// Whether what closing a channel makes possible comes from one queue: those of two queues race. On RabbitMQ a single active consumer
    /// that is to yield and whose channel ends stays in its queue, and may get messages.
    fn may_close(&self, channel: u16) -> bool {
        let held = self.held.iter().filter(|held| held.channel == channel).map(|held| held.whose.0);
        let consumed = self.consumers.iter().filter(|(on, ..)| *on == channel).map(|(.., queue)| *queue);
        let mut queues: Vec<_> = held.clone().chain(consumed).collect();
        queues.sort_unstable();
        queues.dedup();
        queues.len() < 2 && !held.clone().any(|queue| self.is_single(queue))
    }

    fn note(&mut self, outcome: &[String]) {
        for line in outcome {
            let words: Vec<_> = line.splitn(5, ' ').collect();
            if let ([channel, tag, queue, consumer, _], true) = (&words[..], line.starts_with('#')) {
                let number = |text: &str| text.trim_start_matches('#').parse::<u64>().expect("a number");
                let channel = u16::try_from(number(channel)).expect("a channel");
                let queue = usize::from(number(queue) == 1);
                self.held.push(Held { channel, tag: number(tag), whose: (queue, (*consumer).to_owned()) });
            }
        }
    }
}

/// One of the two brokers, with a connection.
struct Side {
    _target: Target,
    wire: Wire,
    queues: [Queue; 2],
    confirms: u64,
    no_ack: Vec<(u16, String)>,
}

impl Side {
    async fn new(target: Target, queues: &[Queue; 2]) -> Self {
        let mut wire = target.channel().await;
        for channel in 2..=WATCHER {
            wire.open_channel(channel).await;
        }
        for queue in queues {
            wire.declare_queue(1, queue.clone()).await;
        }
        wire.confirm_select(PUBLISHER).await;
        Self { _target: target, wire, queues: queues.clone(), confirms: 0, no_ack: Vec::new() }
    }

    async fn take(&mut self, step: &Step) -> Vec<String> {
        let mut outcome = Vec::new();
        self.act(step, &mut outcome).await;
        self.counts(&mut outcome).await;
        for channel in 1..=CHANNELS {
            while self.wire.has_more(channel) {
                outcome.push(self.event(channel).await);
            }
        }
        outcome
    }

    /// Takes the step after the other side did, and waits for as much.
    async fn follow(&mut self, step: &Step, expected: &[String]) -> Vec<String> {
        let mut outcome = Vec::new();
        self.act(step, &mut outcome).await;
        let before = outcome.len();
        let result = tokio::time::timeout(30 * SECONDS, async {
            loop {
                outcome.truncate(before);
                self.counts(&mut outcome).await;
                if expected.starts_with(&outcome) {
                    break;
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
        if result.is_err() {
            outcome.push("(counts)".to_owned());
        }
        for channel in 1..=CHANNELS {
            let count = expected[before..]
                .iter()
                .filter(|line| line.trim_start_matches('#').starts_with(&format!("{channel} ")))
                .count();
            let mut found = 0;
            while found < count || self.wire.has_more(channel) {
                match tokio::time::timeout(30 * SECONDS, self.event(channel)).await {
                    Ok(line) => outcome.push(line),
                    Err(_) => {
                        outcome.push(format!("nothing on {channel}"));
                        break;
                    }
                }
                found += 1;
            }
        }
        outcome
    }

    async fn act(&mut self, step: &Step, outcome: &mut Vec<String>) {
        let wire = &mut self.wire;
        match step.clone() {
            Step::Publish { number, queue, priority } => {
                let mut draft = Draft::to_queue(QUEUES[queue]).body(number.to_string());
                if let Some(priority) = priority {
                    draft = draft.priority(priority);
                }
                self.confirms += 1;
                wire.publish_confirmed(PUBLISHER, self.confirms, draft).await;
            }
            Step::Consume { channel, queue, tag, no_ack, prefetch, priority } => {
                wire.qos(channel, prefetch).await;
                let mut consumer = Consumer::new(QUEUES[queue]).tag(&tag);
                self.no_ack.retain(|(on, used)| (*on, used) != (channel, &tag));
                if no_ack {
                    consumer = consumer.no_ack();
                    self.no_ack.push((channel, tag));
                }
                if priority != 0 {
                    consumer = consumer.with("x-priority", priority);
                }
                wire.consume_with(channel, consumer).await;
            }
            Step::Cancel { channel, tag } => wire.cancel(channel, &tag).await,
            Step::Get { channel, queue, no_ack } => {
                let get = basic::Get { queue: QUEUES[queue].into(), no_ack };
                outcome.push(match wire.get_with(channel, get).await {
                    None => "empty".to_owned(),
                    Some(got) => format!(
                        "{}{channel} {} {queue} - : {}, redelivered {}, {} left, {:?}",
                        if no_ack { "" } else { "#" },
                        got.tag,
                        got.text(),
                        got.redelivered,
                        got.message_count,
                        got.headers()
                    )
                    .replace("#@", "#")
                    .replace('@', "got "),
                });
            }
            Step::Ack { channel, tag, multiple } => {
                wire.send(channel, basic::Ack { delivery_tag: tag, multiple }).await;
            }
            Step::Nack { channel, tag, multiple, requeue } => {
                wire.send(channel, basic::Nack { delivery_tag: tag, multiple, requeue }).await;
            }
            Step::Reject { channel, tag, requeue } => wire.reject(channel, tag, requeue).await,
            Step::Recover { channel } => {
                wire.call(channel, basic::Recover { requeue: true }).await;
            }
            Step::Reopen { channel } => {
                wire.close_channel(channel).await;
                wire.open_channel(channel).await;
            }
            Step::Purge { queue } => {
                let purge = queue::Purge { queue: QUEUES[queue].into(), nowait: false };
                outcome.push(format!("{} purged", wire.call(WATCHER, purge).await.message_count));
            }
            Step::Delete { queue } => {
                outcome.push(format!("{} deleted", wire.delete_queue(WATCHER, QUEUES[queue]).await));
                wire.declare_queue(WATCHER, self.queues[queue].clone()).await;
            }
        }
    }

    /// Two rounds over all channels: what a queue has sent by the first one has arrived by the second.
    async fn counts(&mut self, outcome: &mut Vec<String>) {
        for round in 0..2 {
            for queue in QUEUES {
                let found = self.wire.declare_queue(WATCHER, Queue::passive(queue)).await;
                if round == 1 {
                    outcome.push(format!(
                        "{queue}: {} ready, {} consumers",
                        found.message_count, found.consumer_count
                    ));
                }
            }
            for channel in 1..=CHANNELS {
                self.wire.ready(channel, "a").await;
            }
        }
    }

    async fn event(&mut self, channel: u16) -> String {
        if matches!(
            self.wire.peek(channel).await,
            Event::Method(AMQPClass::Basic(basic::AMQPMethod::Cancel(_)))
        ) {
            return format!("{channel} cancelled {}", self.wire.expect_cancel(channel).await);
        }
        let delivery = self.wire.expect_delivery(channel).await;
        let no_ack = self.no_ack.contains(&(channel, delivery.consumer_tag.clone()));
        let queue = QUEUES.iter().position(|name| *name == delivery.routing_key).expect("one of them");
        format!(
            "{}{channel} {} {queue} {} : {}, redelivered {}, {:?}",
            if no_ack { "" } else { "#" },
            delivery.tag,
            delivery.consumer_tag,
            delivery.text(),
            delivery.redelivered,
            delivery.headers()
        )
    }
}
