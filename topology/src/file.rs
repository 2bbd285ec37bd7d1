//! A topology as a TOML file.

mod binding;
mod exchange;
mod queue;
#[cfg(test)]
mod tests;

use garenne_shared::{ExchangeName, QueueName};
use serde::{Deserialize, Serialize};

use self::{exchange::ExchangeFile, queue::QueueFile};
use crate::{Problem, ProblemKind, Topology, TopologyError};

/// What a file holds.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "exchange", skip_serializing_if = "Vec::is_empty")]
    exchanges: Vec<ExchangeFile>,
    #[serde(default, rename = "queue", skip_serializing_if = "Vec::is_empty")]
    queues: Vec<QueueFile>,
    #[serde(default, skip_serializing_if = "External::is_empty")]
    external: External,
}

/// What somebody else declares.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct External {
    exchanges: Vec<ExchangeName>,
    queues: Vec<QueueName>,
}

// === impl Topology ===

impl Topology {
    /// Reads a topology from TOML. Durations are written like `90s`, `10m` or `7days`.
    ///
    /// ```
    /// use garenne_topology::Topology;
    ///
    /// let topology = Topology::from_toml(r##"
    /// [[exchange]]
    /// name = "orders"
    /// type = "topic"             # direct, topic, fanout, headers, consistent-hash, modulus-hash
    /// alternate = "unrouted"     # takes what no binding takes
    ///
    /// [[exchange]]
    /// name = "unrouted"
    /// type = "fanout"
    /// durable = true             # the default
    /// auto_delete = false        # the default
    /// internal = true            # only exchanges may publish to it; the default is false
    ///
    /// [[exchange]]
    /// name = "orders.by-customer"
    /// type = "consistent-hash"
    /// hash_by = { header = "customer" }   # or "routing_key" (the default), "message_id", "correlation_id", "timestamp"
    /// bindings = [{ exchange = "orders", key = "order.#" }]
    /// bound_elsewhere = true     # no warning that nothing is bound to it
    ///
    /// [[queue]]
    /// name = "billing"
    /// kind = "quorum"            # the default; classic, stream
    /// bindings = [{ exchange = "orders", key = "order.placed.*" }]
    /// message_ttl = "12h"
    /// expires = "14days"
    /// max_length = 1_000_000
    /// max_length_bytes = 1_073_741_824
    /// overflow = "reject-publish"    # or drop-head
    /// delivery_limit = 20            # or "unlimited"
    /// retry = { growth = "linear", min = "10s", max = "5m", attempts = 5 }   # or exponential, fixed; see `Retry`
    /// retry_after_max = "1h"         # tiers for delays that handlers ask for
    /// single_active_consumer = false
    /// initial_group_size = 3
    /// dead_letter = true             # to billing.dlq; false switches the warning off; or { exchange = "..", key = ".." }
    /// dead_letter_strategy = "at-least-once"     # the default where dead_letter is set; or at-most-once
    ///
    /// [[queue]]
    /// name = "dashboard"
    /// kind = "classic"
    /// bindings = [{ exchange = "documents", match = "all", headers = { format = "pdf" }, present = ["tenant"], with_x = false }]
    /// exclusive = false
    /// auto_delete = true         # goes with its last consumer: a warning, unless `exclusive` says so already
    /// max_priority = 5
    /// max_length = 1000
    /// overflow = "reject-publish-dlx"
    /// dead_letter = { exchange = "unrouted" }    # keeps the message's own routing key
    ///
    /// [[queue]]
    /// name = "log"
    /// kind = "stream"
    /// bindings = [{ exchange = "unrouted" }]
    /// max_age = "7days"
    /// max_length_bytes = 50_000_000_000
    /// max_segment_size_bytes = 100_000_000
    /// initial_group_size = 3
    ///
    /// [external]                 # declared by somebody else: must be there, is never declared here
    /// exchanges = ["documents"]
    /// queues = ["archive"]
    /// "##)?;
    /// let warnings = topology.validate()?;
    /// assert_eq!(warnings.len(), 1, "the auto-delete queue");
    /// assert_eq!(topology.queues().len(), 3);
    /// # Ok::<(), garenne_topology::TopologyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Fails if the text is not TOML of this shape, or if a queue has an argument that its kind does not support; the error names it.
    /// Whether the topology makes sense is up to [`validate`](Self::validate).
    pub fn from_toml(text: &str) -> Result<Self, TopologyError> {
        let file: File = toml::from_str(text).map_err(|error| syntax(text, &error))?;
        let mut topology = Self::new();
        let mut problems = Vec::new();
        for exchange in file.exchanges {
            match exchange.read() {
                Ok(exchange) => topology = topology.exchange(exchange),
                Err(found) => problems.extend(found),
            }
        }
        for queue in file.queues {
            match queue.read() {
                Ok(queue) => topology = topology.queue(queue),
                Err(found) => problems.extend(found),
            }
        }
        TopologyError::from_problems(problems)?;
        topology = file.external.exchanges.into_iter().fold(topology, Self::external_exchange);
        Ok(file.external.queues.into_iter().fold(topology, Self::external_queue))
    }

    /// Writes the topology as TOML, which [`from_toml`](Self::from_toml) reads as the same topology.
    ///
    /// # Errors
    ///
    /// Fails if a number exceeds 2^63 - 1, which TOML cannot express and [`validate`](Self::validate) refuses, or if a retry policy is code.
    pub fn to_toml(&self) -> Result<String, TopologyError> {
        let file = File {
            exchanges: self.exchanges().iter().map(ExchangeFile::write).collect(),
            queues: self.queues().iter().map(QueueFile::write).collect(),
            external: External {
                exchanges: self.external_exchanges().to_vec(),
                queues: self.external_queues().to_vec(),
            },
        };
        toml::to_string(&file).map_err(|error| {
            let message = format!(
                "the topology cannot be written as TOML: {error}; correct it, and see what `validate` says"
            );
            Problem::new(ProblemKind::OutOfRange, "", message).into()
        })
    }
}

// === impl External ===

impl External {
    fn is_empty(&self) -> bool {
        self.exchanges.is_empty() && self.queues.is_empty()
    }
}

fn syntax(text: &str, error: &toml::de::Error) -> TopologyError {
    let start = error.span().map(|span| span.start);
    let line = start.and_then(|start| text.get(..start)).map(|before| before.matches('\n').count() + 1);
    let at = line.map(|line| format!(" at line {line}")).unwrap_or_default();
    let message = format!("the topology cannot be read{at}: {}", error.message());
    Problem::new(ProblemKind::Syntax, "", message).into()
}

/// Tells serde to leave out what has its default value.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
