//! The integration suites on the embedded broker: the same tests as on RabbitMQ, in seconds and with nothing installed.
//!
//! Only what needs the real broker is missing: restarts, alarms, plugins, and the programs, which are tested beside RabbitMQ.

#[path = "../suite/attempts.rs"]
mod attempts;
mod clock;
#[path = "../suite/connecting.rs"]
mod connecting;
#[path = "../suite/consume_resume.rs"]
mod consume_resume;
#[path = "../suite/consume_settle.rs"]
mod consume_settle;
#[path = "../suite/consume_share.rs"]
mod consume_share;
#[path = "../suite/consuming.rs"]
mod consuming;
#[path = "../suite/contracts.rs"]
mod contracts;
#[path = "../suite/crash_loops.rs"]
mod crash_loops;
mod crash_points;
#[path = "../suite/dead_letter_copies.rs"]
mod dead_letter_copies;
#[path = "../suite/dead_letter_queue.rs"]
mod dead_letter_queue;
#[path = "../suite/dead_letters.rs"]
mod dead_letters;
#[path = "../suite/deferring.rs"]
mod deferring;
#[path = "../suite/endings.rs"]
mod endings;
#[path = "../suite/examples.rs"]
mod examples;
mod faults;
#[path = "../suite/foreign.rs"]
mod foreign;
#[path = "../suite/giving_up.rs"]
mod giving_up;
#[path = "../suite/handling.rs"]
mod handling;
mod kept;
mod late;
#[path = "../suite/layers.rs"]
mod layers;
mod management;
#[path = "../suite/observing.rs"]
mod observing;
#[path = "../suite/orders.rs"]
mod orders;
#[path = "../suite/panics.rs"]
mod panics;
#[path = "../suite/pausing.rs"]
mod pausing;
#[path = "../suite/policies.rs"]
mod policies;
#[path = "../suite/producer_library.rs"]
mod producer_library;
#[path = "../suite/producer_stream.rs"]
mod producer_stream;
#[path = "../suite/publish_layers.rs"]
mod publish_layers;
#[path = "../suite/publish_lost.rs"]
mod publish_lost;
#[path = "../suite/publish_refused.rs"]
mod publish_refused;
#[path = "../suite/publish_verdicts.rs"]
mod publish_verdicts;
#[path = "../suite/publishing.rs"]
mod publishing;
mod replay_points;
#[path = "../suite/retries.rs"]
mod retries;
#[path = "../suite/routing.rs"]
mod routing;
mod stopping;
#[path = "../suite/strange_bytes.rs"]
mod strange_bytes;
#[path = "../suite/survival.rs"]
mod survival;
#[path = "../suite/topology.rs"]
mod topology;
mod unanswered;
#[path = "../suite/watching.rs"]
mod watching;
#[path = "../suite/workshop.rs"]
mod workshop;

use garenne_tests::Vhost;

/// Makes the vhost of one test.
pub(crate) async fn vhost() -> Vhost {
    Vhost::embedded().await
}
