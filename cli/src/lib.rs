//! What the command line shares with the integration suites: a TCP proxy that breaks connections on demand.

mod proxy;

pub use crate::proxy::{Direction, Mode, Proxy};
