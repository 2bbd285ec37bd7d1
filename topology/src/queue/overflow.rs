//! What a queue does when it is full.

use serde::{Deserialize, Serialize};

/// What a quorum queue does when it is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Overflow {
    /// Drops or dead-letters the oldest message (`drop-head`, the broker's default).
    DropHead,
    /// Refuses new messages: the publisher gets `basic.nack` (`reject-publish`).
    RejectPublish,
}

/// What a classic queue does when it is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ClassicOverflow {
    /// Drops or dead-letters the oldest message (`drop-head`, the broker's default).
    DropHead,
    /// Refuses new messages: the publisher gets `basic.nack` (`reject-publish`).
    RejectPublish,
    /// Refuses new messages and dead-letters them (`reject-publish-dlx`).
    RejectPublishDlx,
}

// === impl Overflow ===

impl Overflow {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::DropHead => "drop-head",
            Self::RejectPublish => "reject-publish",
        }
    }
}

// === impl ClassicOverflow ===

impl ClassicOverflow {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::DropHead => "drop-head",
            Self::RejectPublish => "reject-publish",
            Self::RejectPublishDlx => "reject-publish-dlx",
        }
    }
}

impl From<Overflow> for ClassicOverflow {
    fn from(overflow: Overflow) -> Self {
        match overflow {
            Overflow::DropHead => Self::DropHead,
            Overflow::RejectPublish => Self::RejectPublish,
        }
    }
}
