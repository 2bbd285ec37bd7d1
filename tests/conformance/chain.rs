//! Random walks through queues that dead-letter to one another: where each message ends, and the history in its headers, must agree.
//!
//! A seed chooses four queues, each with at most one place for its dead letters, so that a message takes one way and nothing depends on
//! which of two was faster. After each step the same depths are waited for.

use garenne_tests::wire::{Draft, Got, Queue, Wire};
use garenne_tests::{SECONDS, Target, eventually};

use crate::dice::Dice;

const SEEDS: std::ops::Range<u64> = 1..25;
const STEPS: usize = 40;
const QUEUES: [&str; 4] = ["a", "b", "c", "d"];

#[tokio::test]
async fn random_chains_agree() {
    for seed in SEEDS {
        let mut dice = Dice(seed);
        let queues = QUEUES.map(|name| dice.chained(name));
        let mut pair = Pair {
            embedded: Side::new(Target::embedded().await, &queues).await,
            rabbitmq: Side::new(Target::rabbitmq().await, &queues).await,
            story: format!("seed {seed}, {queues:?}:"),
        };
        for number in 1..=STEPS {
            pair.take(&dice.link(number)).await;
        }
        // What is left is taken one by one, since that may move what lies behind it.
        while let Some(queue) = pair.filled().await {
            pair.take(&Step::Get(queue, Settle::Ack)).await;
        }
    }
}

/// Both brokers, and what they have been through.
struct Pair {
    embedded: Side,
    rabbitmq: Side,
    story: String,
}

impl Pair {
    /// Takes a step on both.
    async fn take(&mut self, step: &Step) {
        let Self { embedded, rabbitmq, story } = self;
        let expected = embedded.take(step).await;
        embedded.target.catch_up();
        let found = rabbitmq.take(step).await;
        story.push_str(&format!("\n{step:?}\n    -> {found}"));
        assert!(
            found == expected,
            "RabbitMQ and the embedded broker differ: {story}\nembedded -> {expected}"
        );
        eventually(60 * SECONDS, &format!("the queues are as deep: {story}"), async || {
            let depths = (embedded.depths().await, rabbitmq.depths().await);
            if depths.0 == depths.1 { Ok(()) } else { Err(depths) }
        })
        .await;
    }

    /// Returns a queue that has something.
    async fn filled(&mut self) -> Option<&'static str> {
        let depths = self.embedded.depths().await;
        depths.into_iter().zip(QUEUES).find_map(|(depth, queue)| (depth > 0).then_some(queue))
    }
}

/// One step of a walk.
#[derive(Debug)]
enum Step {
    /// Publishes to a queue, and says when the message expires.
    Publish(usize, &'static str, Option<&'static str>),
    /// Takes one message and settles it.
    Get(&'static str, Settle),
}

#[derive(Debug, Clone, Copy)]
enum Settle {
    Ack,
    Nack { requeue: bool },
    Reject { requeue: bool },
}

impl Dice {
    /// Draws a queue with one way out at most.
    ///
    /// Every move must show in the depths, or nobody can wait for it: what a full queue drops goes to `d`, which keeps everything, and
    /// only classic queues, which expire a message before anybody can see it, have a time to live of 0.
    fn chained(&mut self, name: &str) -> Queue {
        let is_quorum = self.one_in(2);
        let mut queue = if is_quorum { Queue::quorum(name) } else { Queue::classic(name) };
        if is_quorum && self.one_in(2) {
            queue = queue.with("x-delivery-limit", self.pick(&[0, 1, 2]));
        }
        if name == "d" {
            return queue;
        }
        let key = "x-dead-letter-routing-key";
        if self.one_in(3) {
            queue = queue.with("x-dead-letter-exchange", "").with(key, "d");
            queue = queue.with("x-max-length", self.pick(&[1, 2, 4]));
            if !is_quorum && self.one_in(3) {
                queue = queue.with("x-overflow", "reject-publish-dlx");
            }
        } else {
            queue = match self.below(5) {
                0 => queue,
                // Back to where it came from: the key is kept.
                1 => queue.with("x-dead-letter-exchange", ""),
                2 => queue.with("x-dead-letter-exchange", "amq.direct").with(key, self.pick(&QUEUES)),
                _ => queue.with("x-dead-letter-exchange", "").with(key, self.pick(&QUEUES)),
            };
        }
        if !is_quorum && self.one_in(4) {
            queue = queue.with("x-message-ttl", 0);
        }
        queue
    }

    fn link(&mut self, number: usize) -> Step {
        let queue = self.pick(&QUEUES);
        if self.one_in(2) {
            return Step::Publish(number, queue, self.pick(&[None, None, None, Some("0"), Some("86400000")]));
        }
        Step::Get(
            queue,
            match self.below(6) {
                0 => Settle::Ack,
                1 => Settle::Nack { requeue: true },
                2 => Settle::Nack { requeue: false },
                3 => Settle::Reject { requeue: true },
                _ => Settle::Reject { requeue: false },
            },
        )
    }
}

/// One of the two brokers.
struct Side {
    target: Target,
    wire: Wire,
    published: u64,
}

impl Side {
    async fn new(target: Target, queues: &[Queue]) -> Self {
        let mut wire = target.channel().await;
        for (queue, name) in queues.iter().zip(QUEUES) {
            wire.declare_queue(1, queue.clone()).await;
            wire.bind(1, "amq.direct", name, name).await;
        }
        wire.confirm_select(1).await;
        Self { target, wire, published: 0 }
    }

    async fn take(&mut self, step: &Step) -> String {
        match *step {
            Step::Publish(number, queue, expiration) => {
                self.published += 1;
                let mut draft = Draft::to_queue(queue).body(number.to_string()).header("number", 1);
                if let Some(expiration) = expiration {
                    draft = draft.expiration(expiration);
                }
                self.wire.publish_draft(1, draft).await;
                format!("{:?}", self.wire.expect_confirms_from(1, self.published, 1).await)
            }
            Step::Get(queue, settle) => {
                let Some(got) = self.wire.get(1, queue).await else { return "empty".to_owned() };
                match settle {
                    Settle::Ack => self.wire.ack(1, got.tag).await,
                    Settle::Nack { requeue } => self.wire.nack(1, got.tag, requeue).await,
                    Settle::Reject { requeue } => self.wire.reject(1, got.tag, requeue).await,
                }
                told(&got)
            }
        }
    }

    async fn depths(&mut self) -> [u32; QUEUES.len()] {
        let mut depths = [0; QUEUES.len()];
        for (depth, queue) in depths.iter_mut().zip(QUEUES) {
            *depth = self.wire.ready(1, queue).await;
        }
        depths
    }
}

/// Everything of a message but the times of its deaths.
fn told(got: &Got) -> String {
    let headers = got.headers();
    let deaths: Vec<_> = headers.tables("x-death").into_iter().map(|death| death.without("time")).collect();
    let (exchange, key) = (&got.exchange, &got.routing_key);
    let others = headers.without("x-death");
    format!(
        "{} by `{exchange}` `{key}`, redelivered {}, {:?}, {others:?}, {deaths:?}",
        got.text(),
        got.redelivered,
        got.properties.expiration()
    )
}
