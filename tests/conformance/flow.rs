//! Random walks through one queue: what is delivered to whom, in which order, with which headers, must agree at every step.
//!
//! A seed chooses a kind of queue and a sequence of publishes, consumers and settlements. Each step is taken on the embedded broker,
//! which answers at once, and then on RabbitMQ, where as many deliveries are waited for.

use garenne_tests::wire::{Consumer, Draft, Queue, Table, Wire, basic, queue};
use garenne_tests::{SECONDS, Target, eventually};

use crate::dice::Dice;

const SEEDS: std::ops::Range<u64> = 1..33;
const STEPS: usize = 60;

/// The queue `q` of a walk; what it dead-letters goes to `dead`.
fn queue_of(seed: u64) -> Queue {
    let dead_letter =
        |queue: Queue| queue.with("x-dead-letter-exchange", "").with("x-dead-letter-routing-key", "dead");
    match seed % 16 {
        0 | 1 => Queue::classic("q"),
        2 => Queue::classic("q").with("x-max-length", 3),
        3 | 4 => Queue::classic("q").with("x-max-priority", 3),
        5 => dead_letter(Queue::classic("q")),
        6 => dead_letter(Queue::classic("q").with("x-max-length", 2)),
        7 => Queue::classic("q").with("x-single-active-consumer", true),
        8 | 9 => Queue::quorum("q"),
        10 => dead_letter(Queue::quorum("q").with("x-max-length", 3)),
        11 | 12 => dead_letter(Queue::quorum("q").with("x-delivery-limit", 2)),
        13 => dead_letter(Queue::quorum("q")),
        14 => Queue::quorum("q").with("x-single-active-consumer", true),
        _ => Queue::quorum("q").with("x-delivery-limit", 1),
    }
}

#[tokio::test]
async fn random_flows_agree() {
    for seed in SEEDS {
        let queue = queue_of(seed);
        let arguments = Table(queue.0.arguments.clone());
        let single = arguments.get("x-single-active-consumer").is_some();
        let is_quorum = arguments.text("x-queue-type").as_deref() == Some("quorum");
        let mut embedded = Side::new(Target::embedded().await, &queue).await;
        let mut rabbitmq = Side::new(Target::rabbitmq().await, &queue).await;
        let mut walk = Walk {
            dice: Dice(seed),
            outstanding: Vec::new(),
            consumers: Vec::new(),
            published: 0,
            subscribed: 0,
            is_quorum,
        };
        let mut steps = Vec::new();
        for _ in 0..STEPS {
            let step = walk.step(single);
            let expected = embedded.take(&step, 0).await;
            let found = rabbitmq.take(&step, expected.len()).await;
            walk.note(&expected);
            steps.push(format!("{step:?}\n    -> {}", found.join("\n       ")));
            assert!(
                found == expected,
                "seed {seed}, {queue:?}: RabbitMQ and the embedded broker differ:\n{}\nembedded -> {}",
                steps.join("\n"),
                expected.join("\n            ")
            );
        }
        let expected = embedded.rest(0).await;
        let found = rabbitmq.rest(expected.len()).await;
        assert_eq!(found, expected, "seed {seed}: what was dead-lettered:\n{}", steps.join("\n"));
    }
}

/// One step of a walk.
#[derive(Debug, Clone)]
enum Step {
    Publish(u64, Option<u8>),
    Consume { tag: u64, no_ack: bool, prefetch: u16, priority: i32 },
    Cancel(u64),
    Get { no_ack: bool },
    Ack { tag: u64, multiple: bool },
    Nack { tag: u64, multiple: bool, requeue: bool },
    Reject { tag: u64, requeue: bool },
    Purge,
}

/// What a walk knows of both sides, which agree so far.
struct Walk {
    dice: Dice,
    /// Delivery tags that are not settled, the oldest first.
    outstanding: Vec<u64>,
    consumers: Vec<u64>,
    published: u64,
    subscribed: u64,
    is_quorum: bool,
}

impl Walk {
    fn step(&mut self, single: bool) -> Step {
        let dice = &mut self.dice;
        match dice.below(16) {
            0 | 1 if self.consumers.len() < 3 => {
                self.subscribed += 1;
                let tag = self.subscribed;
                self.consumers.push(tag);
                let prefetch = dice.pick(&[1, 1, 2, 3, 0]);
                Step::Consume { tag, no_ack: dice.one_in(5), prefetch, priority: dice.pick(&[0, 0, 1]) }
            }
            2 if !self.consumers.is_empty() => {
                Step::Cancel(self.consumers.remove(dice.below(self.consumers.len())))
            }
            // Of a queue with a single active consumer nobody may get.
            3 if !single => Step::Get { no_ack: dice.one_in(2) },
            4 if dice.one_in(4) => Step::Purge,
            5..11 if !self.outstanding.is_empty() => {
                let index = dice.below(self.outstanding.len());
                let (tag, kind) = (self.outstanding[index], dice.below(6));
                // On a quorum queue each consumer's part is a command of its own, and which deliveries come first is a race.
                let multiple = !self.is_quorum && kind < 4 && dice.one_in(4);
                if multiple {
                    self.outstanding.drain(..=index);
                } else {
                    self.outstanding.remove(index);
                }
                match kind {
                    0 | 1 => Step::Ack { tag, multiple },
                    2 | 3 => Step::Nack { tag, multiple, requeue: kind == 2 },
                    _ => Step::Reject { tag, requeue: kind == 4 },
                }
            }
            _ => {
                self.published += 1;
                Step::Publish(self.published, dice.pick(&[None, None, None, Some(1), Some(2), Some(5)]))
            }
        }
    }

    fn note(&mut self, outcome: &[String]) {
        let tags =
            outcome.iter().filter_map(|line| line.strip_prefix('#')?.split(' ').next()?.parse::<u64>().ok());
        self.outstanding.extend(tags);
    }
}

/// One of the two brokers, with a connection whose channel 1 confirms.
struct Side {
    _target: Target,
    wire: Wire,
    no_ack: Vec<String>,
}

impl Side {
    async fn new(target: Target, queue: &Queue) -> Self {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("dead")).await;
        wire.declare_queue(1, queue.clone()).await;
        wire.confirm_select(1).await;
        Self { _target: target, wire, no_ack: Vec::new() }
    }

    /// Takes a step and returns what came of it, and every delivery after it: at least so many lines are waited for.
    async fn take(&mut self, step: &Step, lines: usize) -> Vec<String> {
        let mut outcome = Vec::new();
        match step {
            Step::Publish(number, priority) => {
                let mut draft = Draft::to_queue("q").body(number.to_string());
                if let Some(priority) = priority {
                    draft = draft.priority(*priority);
                }
                self.wire.publish_confirmed(1, *number, draft).await;
            }
            Step::Consume { tag, no_ack, prefetch, priority } => {
                self.wire.qos(1, *prefetch).await;
                let mut consumer = Consumer::new("q").tag(&format!("c{tag}"));
                if *no_ack {
                    consumer = consumer.no_ack();
                    self.no_ack.push(format!("c{tag}"));
                }
                if *priority > 0 {
                    consumer = consumer.with("x-priority", *priority);
                }
                self.wire.consume_with(1, consumer).await;
            }
            Step::Cancel(tag) => self.wire.cancel(1, &format!("c{tag}")).await,
            Step::Get { no_ack } => {
                let get = basic::Get { queue: "q".into(), no_ack: *no_ack };
                outcome.push(match self.wire.get_with(1, get).await {
                    None => "empty".to_owned(),
                    Some(got) => format!(
                        "{}{} got {}, redelivered {}, {:?}",
                        if *no_ack { "" } else { "#" },
                        got.tag,
                        got.text(),
                        got.redelivered,
                        got.headers()
                    ),
                });
            }
            Step::Ack { tag, multiple } => {
                self.wire.send(1, basic::Ack { delivery_tag: *tag, multiple: *multiple }).await;
            }
            Step::Nack { tag, multiple, requeue } => {
                let nack = basic::Nack { delivery_tag: *tag, multiple: *multiple, requeue: *requeue };
                self.wire.send(1, nack).await;
            }
            Step::Reject { tag, requeue } => self.wire.reject(1, *tag, *requeue).await,
            Step::Purge => {
                let purge = queue::Purge { queue: "q".into(), nowait: false };
                outcome.push(format!("{} purged", self.wire.call(1, purge).await.message_count));
            }
        }
        // Two round trips: what a classic queue has sent by the first one has arrived by the second.
        self.wire.ready(1, "q").await;
        self.wire.ready(1, "dead").await;
        while outcome.len() < lines || self.wire.has_more(1) {
            let delivery = self.wire.expect_delivery(1).await;
            let mark = if self.no_ack.contains(&delivery.consumer_tag) { "" } else { "#" };
            outcome.push(format!(
                "{mark}{} to {}: {}, redelivered {}, {:?}",
                delivery.tag,
                delivery.consumer_tag,
                delivery.text(),
                delivery.redelivered,
                delivery.headers()
            ));
        }
        outcome
    }

    /// Returns the bodies in `dead`, in order, and why each is there: at least so many are waited for.
    async fn rest(&mut self, count: usize) -> Vec<String> {
        let mut rest = Vec::new();
        eventually(60 * SECONDS, "what is dead-lettered has arrived", async || {
            match self.wire.ready(1, "dead").await {
                ready if ready as usize >= count => Ok(()),
                ready => Err(ready),
            }
        })
        .await;
        while let Some(got) = self.wire.get_with(1, basic::Get { queue: "dead".into(), no_ack: true }).await {
            rest.push(format!("{} {:?}", got.text(), got.headers().without("x-death")));
        }
        rest
    }
}
