//! What a queue is declared as, what it hands out, and what it answers.

use amq_protocol::types::FieldTable;

use crate::core::{ConnectionId, ConsumerKey, Entry, Name};

/// The type of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueKind {
    Classic,
    Quorum,
    Stream,
}

impl QueueKind {
    /// Returns its name as in `x-queue-type`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Quorum => "quorum",
            Self::Stream => "stream",
        }
    }

    /// Returns the type of a name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Classic, Self::Quorum, Self::Stream].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// What a queue was declared as.
#[derive(Debug, Clone)]
pub(crate) struct Declaration {
    pub(crate) name: Name,
    pub(crate) kind: QueueKind,
    pub(crate) durable: bool,
    pub(crate) exclusive_to: Option<ConnectionId>,
    pub(crate) auto_delete: bool,
    pub(crate) arguments: FieldTable,
}

/// Why a message leaves its queue unconsumed: <https://www.rabbitmq.com/docs/dlx>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    Rejected,
    Expired,
    MaxLen,
    DeliveryLimit,
}

impl Reason {
    /// Returns the word for it in `x-death`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::MaxLen => "maxlen",
            Self::DeliveryLimit => "delivery_limit",
        }
    }
}

/// A copy that leaves its queue unconsumed: to its dead-letter exchange, if there is one.
#[derive(Debug)]
pub(crate) struct Discard {
    pub(crate) entry: Entry,
    pub(crate) reason: Reason,
    pub(crate) progress: Progress,
}

impl Discard {
    pub(crate) fn new(entry: Entry, reason: Reason) -> Self {
        Self { entry, reason, progress: Progress::Unsent }
    }
}

/// How far a copy that leaves its queue has come. Only a queue that keeps its dead letters has any that are not new.
#[derive(Debug)]
pub(crate) enum Progress {
    /// There was no route so far.
    Unsent,
    /// Some queues refused it; these have it.
    Sent(Vec<Name>),
    /// Its queue is to keep dead letters no longer.
    Lost,
}

/// What a queue did with a new message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Publish {
    Stored,
    /// The queue is full and refuses: `basic.nack`.
    Refused,
}

/// How a delivery comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Return {
    /// `basic.nack` and `basic.recover`: given back, not its fault.
    Nack,
    /// `basic.reject`: the attempt failed.
    Reject,
    /// Its channel or connection is gone: the attempt failed.
    Lost,
    /// Its consumer took too long.
    TimedOut,
}

impl Return {
    /// Returns how the books call it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Nack => "nack",
            Self::Reject => "reject",
            Self::Lost => "lost",
            Self::TimedOut => "timeout",
        }
    }
}

/// A message for a consumer.
#[derive(Debug)]
pub(crate) struct Assignment {
    pub(crate) consumer: ConsumerKey,
    pub(crate) no_ack: bool,
    pub(crate) entry: Entry,
}

/// How much a queue holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// What waits for a consumer.
    pub(crate) ready: u64,
    /// The bytes of that and of what is delayed: `rabbit_fifo.erl`, `msg_bytes_enqueue`.
    pub(crate) ready_bytes: u64,
    /// What waits for its delayed retry.
    pub(crate) delayed: u64,
    /// Dead letters that wait for a queue that takes them.
    pub(crate) held: u64,
    pub(crate) unacked: u64,
}
