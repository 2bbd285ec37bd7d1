//! A dead letter as data: a line of an export.

use std::time::UNIX_EPOCH;

use garenne_shared::{ExchangeName, Incoming, NameError, Outgoing, QueueName, RoutingKey};
use serde::{Deserialize, Serialize};

use crate::{DeadLetter, copy};

/// A dead letter as data: a line of an export.
///
/// Only `queue` and `message` are read back; the rest is for people and scripts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Record {
    /// The dead-letter queue.
    pub queue: QueueName,
    /// How it came there.
    #[serde(default)]
    pub end: String,
    /// What it has in common with failures of the same kind.
    #[serde(default)]
    pub fingerprint: String,
    /// The queue that it came from.
    #[serde(default)]
    pub origin: Option<String>,
    /// The error.
    #[serde(default)]
    pub error: Option<String>,
    /// What the sources of the error say.
    #[serde(default)]
    pub error_chain: Vec<String>,
    /// How many attempts failed.
    #[serde(default)]
    pub attempts: Option<u32>,
    /// How often it was replayed.
    #[serde(default)]
    pub replays: u32,
    /// When it was given up, in seconds since 1970.
    #[serde(default)]
    pub ended_at_s: Option<u64>,
    /// The message as it lies in the dead-letter queue, every byte of it.
    pub message: Outgoing,
}

// === impl Record ===

impl Record {
    /// Makes the data of a dead letter.
    #[must_use]
    pub fn of(letter: &DeadLetter) -> Self {
        let Incoming { exchange, routing_key, metadata, body, .. } = &letter.message;
        // What is no name is in the bytes of the peer, `Metadata::original`.
        let exchange = ExchangeName::try_from(exchange.clone()).unwrap_or(ExchangeName::DEFAULT);
        let routing_key =
            RoutingKey::try_from(routing_key.clone()).unwrap_or(const { RoutingKey::from_static("") });
        let mut message = Outgoing::new(exchange, routing_key, body.clone());
        message.metadata = metadata.clone();
        let since = letter.ended_at().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        Self {
            queue: letter.queue.clone(),
            end: letter.end.to_string(),
            fingerprint: letter.fingerprint(),
            origin: letter.origin().map(String::from),
            error: letter.error().map(str::to_owned),
            error_chain: letter.error_chain().into_iter().map(str::to_owned).collect(),
            attempts: letter.attempts(),
            replays: letter.replays(),
            ended_at_s: since.map(|since| since.as_secs()),
            message,
        }
    }

    /// Returns the dead letter that the data was made of.
    #[must_use]
    pub fn into_letter(self) -> DeadLetter {
        let Outgoing { exchange, routing_key, metadata, body, .. } = self.message;
        let message = Incoming {
            exchange: exchange.to_string(),
            routing_key: routing_key.to_string(),
            redelivered: false,
            metadata,
            body,
        };
        DeadLetter::new(self.queue, message)
    }

    /// Returns the message for a dead-letter queue: as it was there.
    ///
    /// # Errors
    ///
    /// Fails if the queue's name is too long for a routing key.
    pub fn for_queue(self, queue: &QueueName) -> Result<Outgoing, NameError> {
        copy::verbatim(&self.into_letter(), queue)
    }

    /// Returns the message for the queue that it came from, as a replay publishes it; `None` if nothing tells which that is.
    ///
    /// # Errors
    ///
    /// Fails if the queue's name is too long for a routing key.
    pub fn for_origin(self) -> Result<Option<Outgoing>, NameError> {
        let letter = self.into_letter();
        letter.origin().map(|origin| copy::replayed(&letter, &origin)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use garenne_shared::{Bytes, HeaderValue};
    use proptest::prelude::*;

    use super::*;
    use crate::letter::tests::letter;

    proptest! {
        #[test]
        fn a_line_holds_every_byte(body in proptest::collection::vec(any::<u8>(), 0..50), header in proptest::collection::vec(any::<u8>(), 0..20)) {
            let mut dead = letter([("tenant", HeaderValue::Bytes(Bytes::from(header))), ("garenne-origin-queue", "q".into())]);
            dead.message.body = Bytes::from(body);
            let record = Record::of(&dead);
            let line = serde_json::to_string(&record).unwrap();
            prop_assert!(!line.contains('\n'));
            let back: Record = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(&back, &record);
            prop_assert_eq!(back.into_letter(), dead);
        }
    }
}
