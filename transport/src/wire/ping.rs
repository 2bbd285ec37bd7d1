//! Asks a peer that has been silent for a sign of life.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use amq_protocol::protocol::{AMQPClass, basic};

use super::{Channel, Wire};
use crate::{Error, ErrorKind};

/// Asks on a channel of its own, which it opens when it is first needed.
#[derive(Debug)]
pub(crate) struct Pinger {
    wire: Arc<Wire>,
    channel: Option<Channel>,
}

// === impl Pinger ===

impl Pinger {
    pub(crate) const fn new(wire: Arc<Wire>) -> Self {
        Self { wire, channel: None }
    }

    /// Returns whether the peer gave a sign of life within the limit. Any frame but a heartbeat is one.
    ///
    /// A broker that blocks publishers does not read; it has the time until it does.
    pub(crate) async fn is_alive(&mut self, limit: Duration) -> bool {
        let asked = Instant::now();
        match self.ask(limit).await {
            Err(error) if error.kind() == ErrorKind::TimedOut => self.wire.silent_for() < asked.elapsed(),
            // An answer is a sign of life, whatever it says; the end of the connection shows elsewhere.
            _ => true,
        }
    }

    async fn ask(&mut self, limit: Duration) -> Result<(), Error> {
        let channel = match self.channel.take_if(|channel| channel.is_open()) {
            Some(channel) => channel,
            None => self.wire.open(None, limit).await?,
        };
        let channel = self.channel.insert(channel);
        let qos = basic::AMQPMethod::Qos(basic::Qos { prefetch_count: 1, global: false });
        channel.call(AMQPClass::Basic(qos), limit, "asking for a sign of life").await?;
        Ok(())
    }
}
