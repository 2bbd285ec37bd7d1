//! The conformance suite: behaviours of a RabbitMQ 4.3 broker, each written once and run on every broker that claims it.
//!
//! A behaviour knows a URL and nothing of the broker behind it. `docs/embedded-conformance.md` is their table.

mod chain;
mod crowd;
mod dice;
mod dying;
mod flow;
mod kept_walk;
mod policy_walk;
mod router;
mod steps;
mod table;
mod walk;

mod at_least_once;
mod auto_delete;
mod binding;
mod channel;
mod confirm;
mod connection;
mod consume;
mod dead_letter;
mod dead_letter_history;
mod dead_letter_limits;
mod dead_letter_message;
mod dead_letter_routing;
mod delayed_retry;
mod exchange_declare;
mod exchange_graph;
mod foreign;
mod frames;
mod get;
mod max_length;
mod overflow;
mod permissions;
mod policy;
mod policy_merge;
mod prefetch;
mod priority;
mod publish;
mod queue_arguments;
mod queue_declare;
mod queue_life;
mod quorum;
mod reply_to;
mod routing;
mod routing_hash;
mod settle;
mod single_active;
mod stream;
mod stream_offsets;
mod transaction;
mod ttl;

/// One behaviour, for the table.
struct Behaviour {
    area: &'static str,
    name: &'static str,
    /// What RabbitMQ does, in one sentence.
    sentence: &'static str,
    /// Where that is written: a page, or a function of the server.
    source: &'static str,
}

/// Every behaviour, by area in the order of the table.
const BEHAVIOURS: &[&[Behaviour]] = &[
    connection::BEHAVIOURS,
    frames::BEHAVIOURS,
    foreign::BEHAVIOURS,
    channel::BEHAVIOURS,
    exchange_declare::BEHAVIOURS,
    binding::BEHAVIOURS,
    routing::BEHAVIOURS,
    routing_hash::BEHAVIOURS,
    exchange_graph::BEHAVIOURS,
    queue_declare::BEHAVIOURS,
    queue_arguments::BEHAVIOURS,
    queue_life::BEHAVIOURS,
    auto_delete::BEHAVIOURS,
    permissions::BEHAVIOURS,
    publish::BEHAVIOURS,
    confirm::BEHAVIOURS,
    transaction::BEHAVIOURS,
    policy::BEHAVIOURS,
    policy_merge::BEHAVIOURS,
    quorum::BEHAVIOURS,
    ttl::BEHAVIOURS,
    max_length::BEHAVIOURS,
    priority::BEHAVIOURS,
    stream::BEHAVIOURS,
    stream_offsets::BEHAVIOURS,
    reply_to::BEHAVIOURS,
    dead_letter::BEHAVIOURS,
    dead_letter_history::BEHAVIOURS,
    dead_letter_message::BEHAVIOURS,
    dead_letter_limits::BEHAVIOURS,
    dead_letter_routing::BEHAVIOURS,
    at_least_once::BEHAVIOURS,
    consume::BEHAVIOURS,
    settle::BEHAVIOURS,
    get::BEHAVIOURS,
    overflow::BEHAVIOURS,
    delayed_retry::BEHAVIOURS,
    single_active::BEHAVIOURS,
    prefetch::BEHAVIOURS,
];

/// Writes the behaviours of one area: each becomes a test on every broker, and a line of the table.
///
/// A behaviour has a sentence as its doc comment, and may have `#[source = ".."]` where the area's is not the one.
macro_rules! behaviours {
    (
        area = $area:literal, source = $default:literal;
        $(
            $(#[doc = $sentence:literal])+
            $(#[source = $source:literal])?
            async fn $name:ident($target:ident: Target) $body:block
        )+
    ) => {
        /// The behaviours of this area, for the table.
        pub(super) const BEHAVIOURS: &[crate::Behaviour] = &[$(crate::Behaviour {
            area: $area,
            name: stringify!($name),
            sentence: concat!($($sentence),+),
            source: [$($source,)? $default][0],
        }),+];

        mod behaviour {
            #[allow(unused_imports, reason = "what an area needs is written for all of it")]
            use super::*;

            $(
                $(#[doc = $sentence])+
                pub(super) async fn $name(
                    #[allow(unused_mut, reason = "few behaviours make users")]
                    mut $target: garenne_tests::Target,
                ) $body
            )+
        }

        mod rabbitmq {
            $(
                #[tokio::test]
                async fn $name() {
                    Box::pin(super::behaviour::$name(garenne_tests::Target::rabbitmq().await)).await;
                }
            )+
        }

        mod embedded {
            $(
                #[tokio::test]
                async fn $name() {
                    Box::pin(super::behaviour::$name(garenne_tests::Target::embedded().await)).await;
                }
            )+
        }
    };
}
use behaviours;
