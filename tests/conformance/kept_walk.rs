//! Random walks of dead letters that a quorum queue keeps until somebody has them: which arrive, where, in which order, and when.
//!
//! Routes come and go, and dead-letter queues fill up and refuse. A route comes with a change of policy, which has what is kept tried
//! again: without it a dead letter that is still on its way would find the route, and one that came before would not. And the queue
//! that refuses has one beside it that does not, to show that the dead letter has been sent.

use garenne_tests::wire::{Binding, Draft, Exchange, Queue, Wire};
use garenne_tests::{SECONDS, Target, eventually};
use serde_json::json;

use crate::dice::Dice;

const SEEDS: std::ops::Range<u64> = 1..9;
const STEPS: usize = 50;
/// The first keeps its dead letters, the others get them.
const QUEUES: [&str; 4] = ["q", "full", "classic", "quorum"];

#[tokio::test]
async fn random_dead_letters_are_kept_alike() {
    for seed in SEEDS {
        let mut dice = Dice(seed);
        let mut story = format!("seed {seed}:");
        let mut embedded = Side::new(Target::embedded().await).await;
        let mut rabbitmq = Side::new(Target::rabbitmq().await).await;
        for number in 1..=STEPS {
            let step = dice.event(number);
            let (expected, found) = (embedded.take(&step).await, rabbitmq.take(&step).await);
            story.push_str(&format!("\n{step:?}\n    -> {found}"));
            assert!(found == expected, "the brokers differ: {story}\nembedded -> {expected}");
            eventually(60 * SECONDS, &format!("the queues are as deep: {story}"), async || {
                let depths = (embedded.depths().await, rabbitmq.depths().await);
                if depths.0 == depths.1 { Ok(()) } else { Err(depths) }
            })
            .await;
        }
    }
}

/// One step of a walk.
#[derive(Debug)]
enum Step {
    Publish(usize),
    /// Takes one message of the first queue and refuses or requeues it.
    Die {
        requeue: bool,
    },
    /// Takes one message of another for good.
    Take(&'static str),
    /// Binds a queue, and sets a policy that changes nothing but itself.
    Bind(usize, &'static str),
    Unbind(&'static str),
}

impl Dice {
    fn event(&mut self, number: usize) -> Step {
        let queue = self.pick(&QUEUES[1..]);
        match self.below(11) {
            0..=3 => Step::Publish(number),
            4..=6 => Step::Die { requeue: self.one_in(4) },
            7..=8 => Step::Take(queue),
            9 => Step::Bind(number, queue),
            _ => Step::Unbind(queue),
        }
    }
}

/// One of the two brokers.
struct Side {
    target: Target,
    wire: Wire,
    published: u64,
}

impl Side {
    async fn new(target: Target) -> Self {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("fanout", "dlx")).await;
        let keeping =
            Queue::quorum("q").with("x-dead-letter-strategy", "at-least-once").with("x-delivery-limit", 1);
        let keeping = keeping.with("x-overflow", "reject-publish").with("x-dead-letter-exchange", "dlx");
        let full = Queue::classic("full").with("x-max-length", 2).with("x-overflow", "reject-publish");
        for queue in [keeping, full, Queue::classic("classic"), Queue::quorum("quorum")] {
            wire.declare_queue(1, queue).await;
        }
        wire.declare_exchange(1, Exchange::new("fanout", "both")).await;
        for queue in ["full", "classic"] {
            wire.bind(1, "both", "", queue).await;
        }
        wire.confirm_select(1).await;
        Self { target, wire, published: 0 }
    }

    async fn take(&mut self, step: &Step) -> String {
        match *step {
            Step::Publish(number) => {
                self.published += 1;
                self.wire.publish_draft(1, Draft::to_queue("q").body(number.to_string())).await;
                format!("{:?}", self.wire.expect_confirms_from(1, self.published, 1).await)
            }
            Step::Die { requeue } => {
                let Some(got) = self.wire.get(1, "q").await else { return "empty".to_owned() };
                self.wire.reject(1, got.tag, requeue).await;
                format!("{} {:?}", got.text(), got.headers())
            }
            Step::Take(queue) => {
                let Some(got) = self.wire.get(1, queue).await else { return "empty".to_owned() };
                self.wire.ack(1, got.tag).await;
                let deaths = got.headers().tables("x-death").into_iter().map(|death| death.without("time"));
                let deaths: Vec<_> = deaths.collect();
                format!(
                    "{} {} {:?} {deaths:?}",
                    got.text(),
                    got.redelivered,
                    got.headers().without("x-death")
                )
            }
            Step::Bind(number, queue) => {
                if queue == "full" {
                    self.wire.bind_exchange(1, "dlx", "", "both").await;
                } else {
                    self.wire.bind(1, "dlx", "", queue).await;
                }
                let definition = json!({ "max-length": 1000 + number });
                self.target.set_policy("any", "^q$", definition, "queues", 0).await;
                String::new()
            }
            Step::Unbind("full") => {
                self.wire.call(1, Binding::new("dlx", "", "both").unbind_exchange()).await;
                String::new()
            }
            Step::Unbind(queue) => {
                self.wire.unbind(1, "dlx", "", queue).await;
                String::new()
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
