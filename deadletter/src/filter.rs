//! Which dead letters are meant.

use std::{collections::BTreeSet, time::Duration};

use crate::DeadLetter;

/// Which dead letters are meant: those for which all that is set holds. Nothing set means all.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use garenne_deadletter::Filter;
///
/// let filter = Filter::new().message_type("order.placed.v1").end("timeout").newer_than(Duration::from_secs(3600));
/// # let _ = filter;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "a filter does nothing by itself"]
pub struct Filter {
    ids: BTreeSet<String>,
    fingerprint: Option<String>,
    message_type: Option<String>,
    end: Option<String>,
    origin: Option<String>,
    text: Option<String>,
    headers: Vec<(String, String)>,
    older_than: Option<Duration>,
    newer_than: Option<Duration>,
}

// === impl Filter ===

impl Filter {
    /// Makes a filter that lets everything pass.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a message id; a message with any of those that were added passes.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.ids.insert(id.into());
        self
    }

    /// Sets the fingerprint, or its beginning.
    pub fn fingerprint(mut self, fingerprint: impl Into<String>) -> Self {
        self.fingerprint = Some(fingerprint.into());
        self
    }

    /// Sets the message type.
    pub fn message_type(mut self, message_type: impl Into<String>) -> Self {
        self.message_type = Some(message_type.into());
        self
    }

    /// Sets the end as one word ([`End::as_str`](crate::End::as_str)), such as `timeout` or `expired`.
    pub fn end(mut self, end: impl Into<String>) -> Self {
        self.end = Some(end.into());
        self
    }

    /// Sets the queue that the message came from.
    pub fn origin(mut self, queue: impl Into<String>) -> Self {
        self.origin = Some(queue.into());
        self
    }

    /// Sets a text that the error, or one of its sources, contains, in any case.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into().to_lowercase());
        self
    }

    /// Adds a header and its value as text; all that were added must be there. Values that are no text count as they are shown in JSON.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets how long ago the message must have been given up, at least. One whose time is not known does not pass.
    pub fn older_than(mut self, age: Duration) -> Self {
        self.older_than = Some(age);
        self
    }

    /// Sets how long ago the message may have been given up, at most. One whose time is not known does not pass.
    pub fn newer_than(mut self, age: Duration) -> Self {
        self.newer_than = Some(age);
        self
    }

    /// Returns whether a dead letter passes.
    #[must_use]
    pub fn passes(&self, letter: &DeadLetter) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        let begins = || letter.fingerprint();
        (self.ids.is_empty() || letter.id().is_some_and(|id| self.ids.contains(id)))
            && is(&self.message_type, letter.message_type())
            && is(&self.end, letter.end.as_str())
            && self
                .origin
                .as_ref()
                .is_none_or(|origin| letter.origin().is_some_and(|found| found.as_str() == origin))
            && self.fingerprint.as_ref().is_none_or(|fingerprint| begins().starts_with(fingerprint))
            && self.has_text(letter)
            && self.headers.iter().all(|(name, value)| has_header(letter, name, value))
            && self.has_age(letter)
    }

    fn has_text(&self, letter: &DeadLetter) -> bool {
        let Some(text) = &self.text else { return true };
        letter
            .error()
            .into_iter()
            .chain(letter.error_chain())
            .any(|error| error.to_lowercase().contains(text))
    }

    fn has_age(&self, letter: &DeadLetter) -> bool {
        if self.older_than.is_none() && self.newer_than.is_none() {
            return true;
        }
        // What will end in the future, by another machine's clock, has just ended.
        let Some(age) = letter.ended_at().map(|at| at.elapsed().unwrap_or_default()) else { return false };
        self.older_than.is_none_or(|least| age >= least) && self.newer_than.is_none_or(|most| age <= most)
    }
}

fn has_header(letter: &DeadLetter, name: &str, value: &str) -> bool {
    use garenne_shared::HeaderValue::{Bool, Float, Int, Text, Timestamp};
    match letter.headers().get(name) {
        Some(Text(text)) => text == value,
        Some(Int(number)) => number.to_string() == value,
        Some(Bool(yes)) => yes.to_string() == value,
        Some(Float(number)) => number.to_string() == value,
        Some(Timestamp(seconds)) => seconds.to_string() == value,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use garenne_shared::HeaderValue;

    use super::*;
    use crate::letter::tests::letter;

    #[test]
    fn all_that_is_set_must_hold() {
        let hour_ago = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() - 3600;
        let mut dead = letter([
            ("garenne-error-kind", "handler".into()),
            ("garenne-error-message", "Account is LOCKED".into()),
            ("garenne-error-chain", vec![HeaderValue::from("by bob")].into()),
            ("garenne-fingerprint", "0123456789abcdef".into()),
            ("garenne-origin-queue", "q".into()),
            ("garenne-failed-at", HeaderValue::Timestamp(hour_ago)),
            ("tenant", 7.into()),
        ]);
        dead.message.metadata.message_id = Some("m-1".to_owned());
        dead.message.metadata.message_type = Some("order.v1".into());
        let new = Filter::new;
        let minute = Duration::from_secs(60);
        for (filter, passes) in [
            (new(), true),
            (new().id("m-2"), false),
            (new().id("m-2").id("m-1"), true),
            (new().fingerprint("0123"), true),
            (new().fingerprint("123"), false),
            (new().message_type("order.v1"), true),
            (new().message_type("order"), false),
            (new().end("handler"), true),
            (new().end("expired"), false),
            (new().origin("q"), true),
            (new().origin("p"), false),
            (new().text("locked"), true),
            (new().text("BOB"), true),
            (new().text("alice"), false),
            (new().header("tenant", "7"), true),
            (new().header("tenant", "8"), false),
            (new().header("other", "7"), false),
            (new().older_than(59 * minute), true),
            (new().older_than(61 * minute), false),
            (new().newer_than(61 * minute), true),
            (new().newer_than(59 * minute), false),
            (new().id("m-1").end("handler").text("alice"), false),
        ] {
            assert_eq!(filter.passes(&dead), passes, "{filter:?}");
        }
        assert!(!new().newer_than(Duration::MAX).passes(&letter([])));
    }
}
