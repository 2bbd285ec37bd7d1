//! The integration suites, in one binary against one broker.

mod credentials;
mod fixture;
mod orders;
mod producer_service;
mod producer_stream;
