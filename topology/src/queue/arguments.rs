//! The arguments of a `queue.declare`, as they are put together.

use std::time::Duration;

use garenne_shared::Headers;

use super::QueueKind;

/// Puts together the arguments of one queue; what is `None` is left out.
pub(super) struct Arguments(Headers);

// === impl Arguments ===

impl Arguments {
    pub(super) fn new(kind: QueueKind) -> Self {
        Self(Headers::new()).text("x-queue-type", Some(kind.as_str()))
    }

    pub(super) fn text(mut self, name: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            self.0.insert(name, value);
        }
        self
    }

    /// Numbers beyond the range of the wire are cut to it; validation refuses them before.
    pub(super) fn number(mut self, name: &str, value: Option<impl TryInto<i64>>) -> Self {
        if let Some(value) = value {
            self.0.insert(name, value.try_into().unwrap_or(i64::MAX));
        }
        self
    }

    pub(super) fn millis(self, name: &str, value: Option<Duration>) -> Self {
        self.number(name, value.map(|value| value.as_millis()))
    }

    pub(super) fn flag(mut self, name: &str, value: bool) -> Self {
        if value {
            self.0.insert(name, true);
        }
        self
    }

    pub(super) fn build(self) -> Headers {
        self.0
    }
}
