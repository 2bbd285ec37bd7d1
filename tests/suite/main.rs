//! The integration suites, in one binary against one broker.

mod credentials;
mod fixture;
