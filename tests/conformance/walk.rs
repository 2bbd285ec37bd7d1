//! Random walks: what nobody thought of writing down as a behaviour must agree too.
//!
//! A seed makes a sequence of declarations, bindings, publishes and gets, right ones and wrong ones. It runs on RabbitMQ and on the
//! embedded broker step by step, and each step must have the same outcome, down to the texts of errors.

use std::collections::BTreeSet;

use garenne_tests::Target;
use garenne_tests::table;
use garenne_tests::wire::{
    Binding, Call, Confirm, Draft, Event, Exchange, Queue, Scope, Table, Wire, basic, exchange, queue,
};

use crate::dice::Dice;

const SEEDS: std::ops::Range<u64> = 1..9;
const STEPS: usize = 250;

#[tokio::test]
async fn random_walks_agree() {
    for seed in SEEDS {
        let mut sides =
            [Side::new(Target::rabbitmq().await).await, Side::new(Target::embedded().await).await];
        let mut dice = Dice(seed);
        let mut steps = Vec::new();
        for _ in 0..STEPS {
            let step = dice.step();
            let outcomes = [sides[0].take(step.clone()).await, sides[1].take(step.clone()).await];
            steps.push(format!("{step:?}\n    -> {}", outcomes[0]));
            assert!(
                outcomes[0] == outcomes[1],
                "seed {seed}: RabbitMQ and the embedded broker differ after {} steps:\n{}\n embedded -> {}",
                steps.len(),
                steps[steps.len().saturating_sub(40)..].join("\n"),
                outcomes[1]
            );
        }
    }
}

/// One step of a walk.
#[derive(Debug, Clone)]
enum Step {
    DeclareQueue(Queue),
    DeleteQueue(queue::Delete),
    Purge(queue::Purge),
    DeclareExchange(Exchange),
    DeleteExchange(exchange::Delete),
    Bind(Binding),
    Unbind(Binding),
    BindExchange(Binding),
    UnbindExchange(Binding),
    Publish(Box<Draft>),
    /// Takes one message: for good, back into the queue, or rejected.
    Get(String, Option<bool>),
}

impl Dice {
    fn queue(&mut self) -> &'static str {
        self.pick(&["c1", "c2", "c3", "q1", "q2", ""])
    }

    fn exchange(&mut self) -> &'static str {
        self.pick(&["x1", "x2", "x3", "x4", "amq.topic", "amq.direct", ""])
    }

    fn key(&mut self) -> &'static str {
        self.pick(&["a", "a.b", "a.b.c", "*.b", "a.#", "1", "2", "", "c1", "q1"])
    }

    fn step(&mut self) -> Step {
        match self.below(20) {
            0..4 => Step::DeclareQueue(self.declare_queue()),
            4 => Step::DeleteQueue(queue::Delete {
                queue: self.queue().into(),
                if_unused: self.one_in(6),
                if_empty: self.one_in(6),
                nowait: false,
            }),
            5 => Step::Purge(queue::Purge { queue: self.queue().into(), nowait: false }),
            6..9 => Step::DeclareExchange(self.declare_exchange()),
            9 => Step::DeleteExchange(exchange::Delete {
                exchange: self.exchange().into(),
                if_unused: self.one_in(2),
                nowait: false,
            }),
            10..13 => Step::Bind(self.binding(true)),
            13 => Step::Unbind(self.binding(true)),
            14 => Step::BindExchange(self.binding(false)),
            15 => Step::UnbindExchange(self.binding(false)),
            16 | 17 => Step::Publish(Box::new(self.publish())),
            _ => Step::Get(self.queue().to_owned(), self.pick(&[None, None, Some(true), Some(false)])),
        }
    }

    fn declare_queue(&mut self) -> Queue {
        let name = self.queue();
        let mut queue = if self.one_in(4) { Queue::passive(name) } else { Queue::plain(name) };
        if name.starts_with('q') && !self.one_in(8) {
            queue = queue.with("x-queue-type", "quorum");
        } else if self.one_in(3) {
            queue = queue.with("x-queue-type", "classic");
        }
        if self.one_in(8) {
            queue = queue.exclusive();
        }
        if self.one_in(12) {
            queue = queue.auto_delete();
        }
        if self.one_in(12) {
            queue = queue.transient();
        }
        match self.below(24) {
            0 => queue.with("x-max-length", 2),
            1 => queue.with("x-max-length", "2"),
            2 => queue.with("x-max-length", -2),
            3 => queue.with("x-max-priority", 5),
            4 => queue.with("x-message-ttl", 3_600_000),
            5 => queue.with("x-message-ttl", false),
            6 => queue.with("x-single-active-consumer", true),
            7 => queue.with("x-delivery-limit", 5),
            8 => queue.with("x-dead-letter-exchange", "x1"),
            9 => queue.with("x-dead-letter-routing-key", "a"),
            10 => queue.with("x-overflow", "drop-head"),
            11 => queue.with("x-queue-type", "stack"),
            _ => queue,
        }
    }

    fn declare_exchange(&mut self) -> Exchange {
        let name = self.exchange();
        let kinds =
            ["direct", "fanout", "topic", "headers", "x-consistent-hash", "x-modulus-hash", "carrier-pigeon"];
        let kind = self.pick(&kinds);
        let mut exchange = if self.one_in(6) { Exchange::passive(name) } else { Exchange::new(kind, name) };
        if self.one_in(6) {
            exchange = exchange.auto_delete();
        }
        if self.one_in(12) {
            exchange = exchange.internal();
        }
        if self.one_in(12) {
            exchange = exchange.transient();
        }
        match self.below(12) {
            0 | 1 => exchange.with("alternate-exchange", self.exchange()),
            2 => exchange.with("alternate-exchange", 5_i64),
            3 => exchange.with("hash-header", "n"),
            _ => exchange,
        }
    }

    fn headers(&mut self) -> Table {
        match self.below(6) {
            0 => table! { "n" => 1 },
            1 => table! { "n" => 1_i64, "m" => "x" },
            2 => table! { "n" => "1" },
            3 => table! { "m" => "x", "x-n" => 1 },
            _ => table! {},
        }
    }

    fn binding(&mut self, is_queue: bool) -> Binding {
        let destination = if is_queue { self.queue() } else { self.exchange() };
        let mut arguments = self.headers();
        match self.below(8) {
            0 => arguments = arguments.with("x-match", "any"),
            1 => arguments = arguments.with("x-match", "all-with-x"),
            2 => arguments = arguments.with("x-match", "none"),
            _ => {}
        }
        if !self.one_in(3) {
            arguments = table! {};
        }
        Binding::new(self.exchange(), self.key(), destination).arguments(arguments)
    }

    fn publish(&mut self) -> Draft {
        let mut draft = Draft::to(self.exchange(), self.key()).headers(self.headers());
        draft = draft.body(format!("{}", self.below(1000)));
        match self.below(12) {
            0 => draft = draft.header("CC", vec!["c2", "q2"]),
            1 => draft = draft.header("BCC", vec!["c3"]),
            2 => draft = draft.header("CC", 1),
            3 => draft = draft.expiration("never"),
            4 => draft = draft.priority(3),
            _ => {}
        }
        if self.one_in(2) { draft.mandatory() } else { draft }
    }
}

/// One of the two brokers, with a connection whose channel 1 confirms.
struct Side {
    target: Target,
    wire: Wire,
    published: u64,
    queues: BTreeSet<String>,
}

impl Side {
    async fn new(target: Target) -> Self {
        let wire = target.channel().await;
        let mut side = Self { target, wire, published: 0, queues: BTreeSet::new() };
        side.wire.confirm_select(1).await;
        side
    }

    /// Opens again what an error has closed.
    async fn open(&mut self, scope: Scope) {
        match scope {
            Scope::Channel => self.wire.open_channel(1).await,
            Scope::Connection => {
                self.wire = self.target.channel().await;
                // The exclusive ones are gone.
                self.queues.clear();
            }
        }
        self.wire.confirm_select(1).await;
        self.published = 0;
    }

    /// Takes a step, and tells what came of it.
    async fn take(&mut self, step: Step) -> String {
        match step {
            Step::DeclareQueue(queue) => {
                let name = queue.0.queue.to_string();
                let is_quorum = name.starts_with('q');
                let outcome = self.call(queue, |ok| {
                    // The counts of a quorum queue may be a moment old, and names of the broker's are random.
                    let name: String = ok.queue.as_str().chars().take(7).collect();
                    if is_quorum {
                        name
                    } else {
                        format!("{name} {} {}", ok.message_count, ok.consumer_count)
                    }
                });
                let outcome = outcome.await;
                if outcome.starts_with("ok c") {
                    self.queues.insert(name);
                }
                outcome
            }
            Step::DeleteQueue(delete) => {
                let is_quorum = delete.queue.as_str().starts_with('q') || delete.queue.as_str().is_empty();
                // Declared again before it is counted again: it may have been the last one declared.
                if delete.queue.as_str().is_empty() {
                    self.queues.clear();
                } else {
                    self.queues.remove(delete.queue.as_str());
                }
                self.call(delete, |ok| if is_quorum { String::new() } else { ok.message_count.to_string() })
                    .await
            }
            Step::Purge(purge) => self.call(purge, |ok| ok.message_count.to_string()).await,
            Step::DeclareExchange(exchange) => self.call(exchange, |_| String::new()).await,
            Step::DeleteExchange(delete) => self.call(delete, |_| String::new()).await,
            Step::Bind(binding) => self.call(binding.queue(), |_| String::new()).await,
            Step::Unbind(binding) => self.call(binding.unbind_queue(), |_| String::new()).await,
            Step::BindExchange(binding) => self.call(binding.exchange(), |_| String::new()).await,
            Step::UnbindExchange(binding) => self.call(binding.unbind_exchange(), |_| String::new()).await,
            Step::Publish(draft) => self.publish(*draft).await,
            Step::Get(queue, settle) => self.get(&queue, settle).await,
        }
    }

    async fn call<C: Call>(&mut self, method: C, show: impl FnOnce(C::Answer) -> String) -> String {
        match self.wire.try_call(1, method).await {
            Ok(answer) => format!("ok {}", show(answer)),
            Err(closed) => {
                self.open(closed.scope).await;
                // The broker's own names of queues are random.
                let text = closed.to_string();
                text.split_once("amq.gen").map_or(text.clone(), |(before, _)| before.to_owned())
            }
        }
    }

    async fn publish(&mut self, draft: Draft) -> String {
        self.published += 1;
        self.wire.publish_draft(1, draft).await;
        let mut returned = String::new();
        match self.wire.peek(1).await {
            Event::Content(_) => {
                let back = self.wire.expect_return(1).await;
                returned = format!("returned {} {:?} ", back.code, back.headers());
            }
            Event::Method(class) if class.get_amqp_class_id() == 20 => {
                let closed = self.wire.expect_channel_error(1).await;
                self.open(closed.scope).await;
                return closed.to_string();
            }
            _ => {}
        }
        let verdict = match self.wire.expect_confirms_from(1, self.published, 1).await[0] {
            Confirm::Ack => "ack",
            Confirm::Nack => "nack",
        };
        format!("{returned}{verdict}{}", self.counts().await)
    }

    /// Tells how many messages are ready in each classic queue that is known to be there.
    async fn counts(&mut self) -> String {
        let mut counts = String::new();
        for queue in &self.queues {
            counts += &format!(", {} in {queue}", self.wire.ready(1, queue).await);
        }
        counts
    }

    async fn get(&mut self, queue: &str, settle: Option<bool>) -> String {
        let get = basic::Get { queue: queue.into(), no_ack: settle.is_none() };
        match self.wire.try_get(1, get).await {
            Err(closed) => {
                self.open(closed.scope).await;
                let text = closed.to_string();
                text.split_once("amq.gen").map_or(text.clone(), |(before, _)| before.to_owned())
            }
            Ok(None) => "empty".to_owned(),
            Ok(Some(got)) => {
                if let Some(requeue) = settle {
                    self.wire.nack(1, got.tag, requeue).await;
                }
                format!(
                    "{:?} from {:?} by {:?}, redelivered {}, {} more, {:?} {:?}",
                    got.text(),
                    got.exchange,
                    got.routing_key,
                    got.redelivered,
                    got.message_count,
                    got.headers(),
                    got.properties.priority()
                )
            }
        }
    }
}
