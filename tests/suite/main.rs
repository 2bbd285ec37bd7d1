//! The integration suites, in one binary against one RabbitMQ. Most of them also run on the embedded broker: `embedded/main.rs`.

mod attempts;
mod connecting;
mod consume_resume;
mod consume_settle;
mod consume_share;
mod consumer_service;
mod consuming;
mod contracts;
mod crash_loops;
mod credentials;
mod dead_letter_copies;
mod dead_letter_program;
mod dead_letter_queue;
mod dead_letters;
mod deferring;
mod endings;
mod examples;
mod fixture;
mod foreign;
mod giving_up;
mod handling;
mod heartbeats;
mod layers;
mod observing;
mod orders;
mod outages;
mod panics;
mod pausing;
mod plugins;
mod policies;
mod producer_library;
mod producer_service;
mod producer_stream;
mod publish_blocked;
mod publish_layers;
mod publish_lost;
mod publish_refused;
mod publish_verdicts;
mod publishing;
mod retries;
mod routing;
mod strange_bytes;
mod survival;
mod topology;
mod watching;
mod workshop;

use garenne_tests::Vhost;

/// Makes the vhost of one test.
pub(crate) async fn vhost() -> Vhost {
    Vhost::new().await
}
