//! The integration suites, in one binary against one broker.

mod connecting;
mod consume_resume;
mod consume_settle;
mod consume_share;
mod consumer_service;
mod consuming;
mod credentials;
mod dead_letters;
mod examples;
mod fixture;
mod giving_up;
mod handling;
mod orders;
mod outages;
mod producer_library;
mod producer_service;
mod producer_stream;
mod publish_blocked;
mod publish_lost;
mod publish_refused;
mod publish_verdicts;
mod publishing;
mod routing;
mod topology;
mod workshop;
