//! What the command line shares with the suites and the benchmarks: a TCP proxy that breaks connections on demand,
//! and how performance is measured.

pub mod measure;
mod proxy;

pub use crate::proxy::{Direction, Flow, Mode, Proxy};
