//! Where the frames of a channel that are no answers go.

use std::{fmt, sync::Arc};

use bytes::Bytes;

/// Takes what the broker sends on a channel without having been asked. Called by the pump: must not block.
///
/// Every call comes in the order of the frames.
pub(crate) trait Sink: fmt::Debug + Send + Sync {
    /// `basic.ack` or `basic.nack`.
    fn confirmed(&self, confirm: Confirm) {
        let _ = confirm;
    }

    /// `basic.return` with its content.
    fn returned(&self, content: Content) {
        let _ = content;
    }

    /// Every `basic.deliver` with its content that was read at once; leaves the list empty.
    fn delivered(&self, deliveries: &mut Vec<Delivered>) {
        deliveries.clear();
    }

    /// `basic.cancel`: the broker ended the consumer, the channel stays open.
    fn cancelled(&self) {}

    /// The channel ended. Nothing follows.
    fn ended(&self, end: &End);
}

/// What the broker says of publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Confirm {
    /// The publish number, from 1; 0 with `multiple` means all.
    pub(crate) number: u64,
    /// Whether it speaks of every publish up to this one.
    pub(crate) multiple: bool,
    /// Whether the broker refuses.
    pub(crate) nacked: bool,
}

/// A message as it came from the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) exchange: Bytes,
    pub(crate) routing_key: Bytes,
    /// The property flags and the properties.
    pub(crate) properties: Bytes,
    pub(crate) body: Bytes,
}

/// A delivery as it came from the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivered {
    pub(crate) tag: u64,
    pub(crate) redelivered: bool,
    pub(crate) content: Content,
}

/// How a channel ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// The broker closed it.
    Refused { code: u16, text: Arc<str> },
    /// Its connection ended.
    Lost(Lost),
    /// We closed it.
    Closed,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) reason: Arc<str>,
    /// How many bytes were written to the socket before.
    pub(crate) written: u64,
    /// What the broker said, if it was the broker that ended it.
    pub(crate) refusal: Option<Arc<Refusal>>,
}

/// `connection.close` of the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    pub(crate) text: String,
    /// Class and method of the request that it is about; zero if it is about none.
    pub(crate) cause: (u16, u16),
}

// === impl End ===

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { code, text } => write!(f, "the broker closed the channel: {code} {text}"),
            Self::Lost(lost) => f.write_str(&lost.reason),
            Self::Closed => f.write_str("the channel was closed by this client"),
        }
    }
}
