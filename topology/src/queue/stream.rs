//! Streams.

use std::time::Duration;

use garenne_shared::QueueName;

use super::{QueueKind, arguments::Arguments, macros::binding_methods};
use crate::{QueueDeclaration, binding::Source};

/// A stream: a replicated log that is read without being emptied. See <https://www.rabbitmq.com/docs/streams>.
///
/// Without an age or a length limit it keeps everything.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a definition does nothing until it is part of a topology"]
pub struct StreamQueue {
    pub(crate) name: QueueName,
    pub(crate) max_age: Option<Duration>,
    pub(crate) max_length_bytes: Option<u64>,
    pub(crate) max_segment_size_bytes: Option<u64>,
    pub(crate) initial_group_size: Option<u32>,
    pub(crate) sources: Vec<Source>,
}

// === impl StreamQueue ===

impl StreamQueue {
    pub(crate) const fn new(name: QueueName) -> Self {
        Self {
            name,
            max_age: None,
            max_length_bytes: None,
            max_segment_size_bytes: None,
            initial_group_size: None,
            sources: Vec::new(),
        }
    }

    binding_methods!();

    /// Drops segments whose newest message is older than this (`x-max-age`, whole seconds).
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Drops the oldest segments above this size (`x-max-length-bytes`).
    pub const fn max_length_bytes(mut self, bytes: u64) -> Self {
        self.max_length_bytes = Some(bytes);
        self
    }

    /// Starts a new segment at this size (`x-stream-max-segment-size-bytes`; the broker's default is 500 MB, the most is 3 GB).
    pub const fn max_segment_size_bytes(mut self, bytes: u64) -> Self {
        self.max_segment_size_bytes = Some(bytes);
        self
    }

    /// Replicates it to this many nodes (`x-initial-cluster-size`).
    pub const fn initial_group_size(mut self, nodes: u32) -> Self {
        self.initial_group_size = Some(nodes);
        self
    }

    /// Returns the stream's name.
    #[must_use]
    pub const fn name(&self) -> &QueueName {
        &self.name
    }

    pub(super) fn declaration(&self) -> QueueDeclaration {
        let arguments = Arguments::new(QueueKind::Stream)
            .text("x-max-age", self.max_age.map(age).as_deref())
            .number("x-max-length-bytes", self.max_length_bytes)
            .number("x-stream-max-segment-size-bytes", self.max_segment_size_bytes)
            .number("x-initial-cluster-size", self.initial_group_size)
            .build();
        QueueDeclaration {
            name: self.name.clone(),
            durable: true,
            exclusive: false,
            auto_delete: false,
            arguments,
        }
    }
}

/// Writes an age as the broker reads it, in the largest unit that fits: people write `7D`, and a re-declaration compares the text.
fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    let units = [(86400, 'D'), (3600, 'h'), (60, 'm')];
    let unit = units.into_iter().find(|(size, _)| seconds >= *size && seconds.is_multiple_of(*size));
    let (size, letter) = unit.unwrap_or((1, 's'));
    format!("{}{letter}", seconds / size)
}
