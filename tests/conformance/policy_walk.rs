//! Random walks of policies over a queue of each kind: what their changes drop, dead-letter, refuse and let through must agree.
//!
//! A seed chooses the arguments of two queues. No two policies have the same priority, since RabbitMQ does not say which of them holds,
//! and only classic queues refuse or count bytes, since quorum queues do both roughly.

use garenne_tests::wire::{Draft, Exchange, Queue, Wire};
use garenne_tests::{SECONDS, Target, eventually};
use serde_json::{Map, Value, json};

use crate::dice::Dice;

const SEEDS: std::ops::Range<u64> = 1..9;
const STEPS: usize = 60;
const QUEUES: [&str; 4] = ["c", "q", "dead 1", "dead 2"];
const POLICIES: [&str; 3] = ["a", "b", "c"];

#[tokio::test]
async fn random_policies_agree() {
    for seed in SEEDS {
        let mut dice = Dice(seed);
        let queues = [dice.arguments(Queue::classic("c")), dice.arguments(Queue::quorum("q"))];
        let mut story = format!("seed {seed}, {queues:?}:");
        let mut embedded = Side::new(Target::embedded().await, &queues).await;
        let mut rabbitmq = Side::new(Target::rabbitmq().await, &queues).await;
        for number in 1..=STEPS {
            let step = dice.change(number);
            let (expected, found) = (embedded.take(&step).await, rabbitmq.take(&step).await);
            story.push_str(&format!("\n{step:?}\n    -> {found}"));
            assert!(found == expected, "the brokers differ: {story}\nembedded -> {expected}");
            eventually(60 * SECONDS, &format!("the queues are as deep: {story}"), async || {
                let depths = (embedded.depths().await, rabbitmq.depths().await);
                if depths.0 == depths.1 { Ok(()) } else { Err(depths) }
            })
            .await;
        }
        assert_eq!(embedded.left().await, rabbitmq.left().await, "{story}");
    }
}

/// One step of a walk.
#[derive(Debug)]
enum Step {
    Set {
        policy: &'static str,
        pattern: &'static str,
        apply_to: &'static str,
        priority: i32,
        definition: Value,
    },
    Delete(&'static str),
    Publish {
        number: usize,
        exchange: &'static str,
        key: &'static str,
    },
    /// Takes one message and refuses or requeues it.
    Get {
        queue: &'static str,
        requeue: bool,
    },
    Purge(&'static str),
}

impl Dice {
    /// Adds arguments that policies are merged with.
    fn arguments(&mut self, mut queue: Queue) -> Queue {
        if self.one_in(3) {
            queue = queue.with("x-max-length", self.pick(&[1, 3]));
        }
        if self.one_in(3) {
            queue = queue.with("x-dead-letter-exchange", self.pick(&["dead 1", "dead 2"]));
        }
        if self.one_in(3) && queue.0.queue.as_str() == "c" {
            queue =
                queue.with("x-overflow", self.pick(&["drop-head", "reject-publish", "reject-publish-dlx"]));
        }
        queue
    }

    fn change(&mut self, number: usize) -> Step {
        let key = self.pick(&["c", "q"]);
        match self.below(12) {
            0..=2 => self.policy(),
            3 => Step::Delete(self.pick(&POLICIES)),
            4..=8 => {
                let exchange = self.pick(&["", "x"]);
                let key = if exchange == "x" && self.one_in(3) { "nowhere" } else { key };
                Step::Publish { number, exchange, key }
            }
            9..=10 => Step::Get { queue: key, requeue: self.one_in(3) },
            _ => Step::Purge(key),
        }
    }

    fn policy(&mut self) -> Step {
        let index = self.below(POLICIES.len());
        let apply_to = self.pick(&["queues", "classic_queues", "quorum_queues", "all", "exchanges"]);
        let mut definition = Map::new();
        let mut settings = vec![
            ("max-length", json!(self.below(5))),
            ("dead-letter-exchange", json!(self.pick(&["dead 1", "dead 2", "missing"]))),
            ("dead-letter-routing-key", json!("by policy")),
            ("alternate-exchange", json!(self.pick(&["dead 1", "dead 2"]))),
            ("delivery-limit", json!(self.below(3))),
        ];
        if apply_to == "classic_queues" {
            settings
                .push(("overflow", json!(self.pick(&["drop-head", "reject-publish", "reject-publish-dlx"]))));
            settings.push(("max-length-bytes", json!(10 * self.below(5))));
        }
        let first = self.below(settings.len());
        for (number, (key, value)) in settings.into_iter().enumerate() {
            if number == first || self.one_in(3) {
                definition.insert(key.to_owned(), value);
            }
        }
        Step::Set {
            policy: POLICIES[index],
            pattern: self.pick(&["^c$", "^q$", "^[cqx]$", "^[^d]", "x"]),
            apply_to,
            priority: i32::try_from(self.below(4) * POLICIES.len() + index).expect("it is small"),
            definition: definition.into(),
        }
    }
}

/// One of the two brokers.
struct Side {
    target: Target,
    wire: Wire,
    published: u64,
    policies: Vec<&'static str>,
}

impl Side {
    async fn new(target: Target, queues: &[Queue]) -> Self {
        let mut wire = target.channel().await;
        for queue in queues {
            wire.declare_queue(1, queue.clone()).await;
        }
        wire.declare_exchange(1, Exchange::new("direct", "x")).await;
        for key in ["c", "q"] {
            wire.bind(1, "x", key, key).await;
        }
        for dead in ["dead 1", "dead 2"] {
            wire.declare_exchange(1, Exchange::new("fanout", dead)).await;
            wire.declare_queue(1, Queue::classic(dead)).await;
            wire.bind(1, dead, "", dead).await;
        }
        wire.confirm_select(1).await;
        Self { target, wire, published: 0, policies: Vec::new() }
    }

    async fn take(&mut self, step: &Step) -> String {
        match step {
            Step::Set { policy, pattern, apply_to, priority, definition } => {
                self.target.set_policy(policy, pattern, definition.clone(), apply_to, *priority).await;
                self.policies.push(policy);
                String::new()
            }
            Step::Delete(policy) => {
                if self.policies.contains(policy) {
                    self.target.delete_policy(policy).await;
                    self.policies.retain(|known| known != policy);
                }
                String::new()
            }
            Step::Publish { number, exchange, key } => {
                self.published += 1;
                self.wire
                    .publish_draft(1, Draft::to(exchange, key).body(format!("message {number:02}")))
                    .await;
                format!("{:?}", self.wire.expect_confirms_from(1, self.published, 1).await)
            }
            Step::Get { queue, requeue } => {
                let Some(got) = self.wire.get(1, queue).await else { return "empty".to_owned() };
                self.wire.reject(1, got.tag, *requeue).await;
                format!("{} {:?}", got.text(), got.headers())
            }
            Step::Purge(queue) => self.wire.purge(1, queue).await.to_string(),
        }
    }

    async fn depths(&mut self) -> [u32; QUEUES.len()] {
        let mut depths = [0; QUEUES.len()];
        for (depth, queue) in depths.iter_mut().zip(QUEUES) {
            *depth = self.wire.ready(1, queue).await;
        }
        depths
    }

    /// Takes out what is left, sorted: two queues that change at once may dead-letter in any order.
    async fn left(&mut self) -> Vec<String> {
        let mut left = Vec::new();
        for queue in QUEUES {
            while let Some(got) = self.wire.get(1, queue).await {
                self.wire.ack(1, got.tag).await;
                let reason = got.headers().text("x-last-death-reason");
                let source = got.headers().text("x-last-death-queue");
                left.push(format!(
                    "{queue}: {} by {:?}, {reason:?} in {source:?}",
                    got.text(),
                    got.routing_key
                ));
            }
        }
        left.sort();
        left
    }
}
