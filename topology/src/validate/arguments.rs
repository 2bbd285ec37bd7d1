//! Arguments of queues: in range, and not against each other.

use std::time::Duration;

use garenne_shared::Retry;

use super::Findings;
use crate::{
    ClassicOverflow, ClassicQueue, DeadLetterStrategy, Overflow, ProblemKind, QueueDefinition, QuorumQueue,
    StreamQueue, WarningKind,
    queue::{DeadLetter, DeliveryLimit},
};

/// The largest segment of a stream, in bytes (`?MAX_STREAM_SEGMENT_SIZE` of the broker).
const MAX_SEGMENT_BYTES: u64 = 3_000_000_000;

/// The longest time the broker accepts: ten years of 365 days (`?MAX_EXPIRY_TIMER`).
const MAX_TIME: Duration = Duration::from_secs(10 * 365 * 86_400);

/// One queue under examination.
struct Examined<'a> {
    name: &'a str,
    findings: &'a mut Findings,
}

pub(super) fn check(queue: &QueueDefinition, findings: &mut Findings) {
    let examined = Examined { name: queue.name().as_str(), findings };
    match queue {
        QueueDefinition::Quorum(queue) => quorum(queue, examined),
        QueueDefinition::Classic(queue) => classic(queue, examined),
        QueueDefinition::Stream(queue) => stream(queue, examined),
    }
}

fn quorum(queue: &QuorumQueue, mut examined: Examined<'_>) {
    if let Some(policy) = &queue.retry {
        examined.retry(policy);
        if let (Some(attempts), Some(DeliveryLimit::Failures(limit))) =
            (policy.max_attempts(), queue.delivery_limit)
            && attempts > limit.saturating_add(1)
        {
            examined.conflict(&format!(
                "is retried up to {attempts} attempts (`retry`), but its `delivery_limit` {limit} ends them after {}; raise it to \
                 {attempts}, or leave it out",
                limit.saturating_add(1)
            ));
        }
    }
    examined.times(queue.message_ttl, queue.expires);
    examined.lengths(queue.max_length, queue.max_length_bytes);
    examined.nodes(queue.initial_group_size);
    let at_least_once = queue.strategy() == Some(DeadLetterStrategy::AtLeastOnce);
    if at_least_once && queue.overflow == Some(Overflow::DropHead) {
        examined.conflict(
            "dead-letters at least once but drops from its head when full (`overflow` is drop-head): the broker would \
             silently fall back to at most once; use reject-publish, or say `dead_letter_strategy` at-most-once",
        );
    }
    let limited = queue.max_length.is_some() || queue.max_length_bytes.is_some();
    if !limited
        && !at_least_once
        && let Some(overflow) = queue.overflow
    {
        examined.overflow_without_limit(overflow.as_str());
    }
    if let (Some(strategy), None) = (queue.dead_letter_strategy, queue.strategy()) {
        let strategy = strategy.as_str();
        examined.conflict(&format!(
            "has dead-letter strategy {strategy} but does not dead-letter; add `dead_letter` or leave the strategy out"
        ));
    }
    if queue.dead_letter.is_none() {
        let name = examined.name;
        let rule = format!(
            "quorum queue `{name}` has no dead-letter queue, so the broker drops what it gives up on"
        );
        let remedy = "add `dead_letter`, or say `without_dead_letter` if that is meant";
        examined.findings.warn(WarningKind::NoDeadLetter, name, format!("{rule}; {remedy}"));
    }
}

fn classic(queue: &ClassicQueue, mut examined: Examined<'_>) {
    if let Some(policy) = &queue.retry {
        examined.retry(policy);
    }
    examined.times(queue.message_ttl, queue.expires);
    examined.lengths(queue.max_length, queue.max_length_bytes);
    let limited = queue.max_length.is_some() || queue.max_length_bytes.is_some();
    let dead_letters = matches!(queue.dead_letter, Some(DeadLetter::Own | DeadLetter::To { .. }));
    if !limited && let Some(overflow) = queue.overflow {
        examined.overflow_without_limit(overflow.as_str());
    }
    if queue.overflow == Some(ClassicOverflow::RejectPublishDlx) && !dead_letters {
        examined.conflict("has `overflow` reject-publish-dlx but does not dead-letter; add `dead_letter` or use reject-publish");
    }
    if queue.max_priority == Some(0) {
        examined.range("max_priority", "0", "1 to 255");
    }
    if queue.exclusive && queue.single_active_consumer {
        examined.conflict(
            "is exclusive and has a single active consumer: another connection that could take over never gets in; \
             leave one of them out",
        );
    }
    if queue.exclusive {
        let name = examined.name;
        let rule = format!(
            "queue `{name}` is exclusive, so it goes with the connection that declares it, at every reconnect"
        );
        let remedy = "use a quorum queue, or `expires`, for what must survive one, or let the client own the topology (`Client::own`)";
        examined.findings.warn(WarningKind::ExclusiveQueue, name, format!("{rule}; {remedy}"));
    }
    if queue.auto_delete && !queue.exclusive {
        let name = examined.name;
        let rule = format!(
            "queue `{name}` is auto-delete, so it goes with its last consumer, at a lost connection too"
        );
        let remedy =
            "use `expires` for what must survive one, or let the client own the topology (`Client::own`)";
        examined.findings.warn(WarningKind::AutoDeleteQueue, name, format!("{rule}; {remedy}"));
    }
}

fn stream(queue: &StreamQueue, mut examined: Examined<'_>) {
    examined.nodes(queue.initial_group_size);
    if let Some(age) = queue.max_age
        && (age.is_zero() || age.subsec_nanos() != 0)
    {
        examined.range("max_age", &humantime::format_duration(age).to_string(), "whole seconds, 1 at least");
    }
    if queue.max_length_bytes == Some(0) {
        examined.range("max_length_bytes", "0", "1 at least");
    }
    if let Some(bytes) = queue.max_length_bytes.filter(|bytes| i64::try_from(*bytes).is_err()) {
        examined.range("max_length_bytes", &bytes.to_string(), "at most 2^63 - 1");
    }
    let segment = queue.max_segment_size_bytes;
    if let Some(bytes) = segment.filter(|bytes| !(1..=MAX_SEGMENT_BYTES).contains(bytes)) {
        examined.range("max_segment_size_bytes", &bytes.to_string(), &format!("1 to {MAX_SEGMENT_BYTES}"));
    }
    if let (Some(length), Some(segment)) = (queue.max_length_bytes, segment)
        && segment > length
    {
        examined.conflict(&format!(
            "keeps at most {length} bytes (`max_length_bytes`) but drops whole segments of {segment} bytes \
             (`max_segment_size_bytes`); make the segments smaller than the limit"
        ));
    }
}

// === impl Examined ===

impl Examined<'_> {
    fn conflict(&mut self, text: &str) {
        let name = self.name;
        self.findings.problem(ProblemKind::Conflict, name, format!("queue `{name}` {text}"));
    }

    fn range(&mut self, argument: &str, found: &str, allowed: &str) {
        let name = self.name;
        let message =
            format!("`{argument}` of queue `{name}` is {found}, but it must be {allowed}; correct it");
        self.findings.problem(ProblemKind::OutOfRange, name, message);
    }

    fn overflow_without_limit(&mut self, overflow: &str) {
        self.conflict(&format!(
            "has `overflow` {overflow} but no length limit, so it is never full; add `max_length` or \
             `max_length_bytes`, or leave the overflow out"
        ));
    }

    /// The broker counts delays in whole milliseconds.
    fn retry(&mut self, policy: &Retry) {
        let Some((first, longest)) = policy.linear_delays() else { return };
        for delay in [first, longest] {
            if delay.subsec_nanos() % 1_000_000 != 0 || delay > MAX_TIME {
                let found = humantime::format_duration(delay).to_string();
                return self.range("retry", &found, "whole milliseconds, 3650 days at most");
            }
        }
    }

    fn lengths(&mut self, messages: Option<u64>, bytes: Option<u64>) {
        for (argument, value) in [("max_length", messages), ("max_length_bytes", bytes)] {
            if let Some(value) = value.filter(|value| i64::try_from(*value).is_err()) {
                self.range(argument, &value.to_string(), "at most 2^63 - 1");
            }
        }
    }

    fn nodes(&mut self, nodes: Option<u32>) {
        if nodes == Some(0) {
            self.range("initial_group_size", "0", "1 at least");
        }
    }

    fn times(&mut self, ttl: Option<Duration>, expires: Option<Duration>) {
        for (argument, time) in [("message_ttl", ttl), ("expires", expires)] {
            let Some(time) = time else { continue };
            let found = humantime::format_duration(time).to_string();
            if time.subsec_nanos() % 1_000_000 != 0 || time > MAX_TIME {
                self.range(argument, &found, "whole milliseconds, 3650 days at most");
            } else if argument == "expires" && time.is_zero() {
                self.range(argument, &found, "1 ms at least");
            }
        }
        if let (Some(ttl), Some(expires)) = (ttl, expires)
            && ttl > expires
        {
            let (ttl, expires) = (humantime::format_duration(ttl), humantime::format_duration(expires));
            self.conflict(&format!(
                "expires unused after {expires} (`expires`), before its messages do ({ttl}, `message_ttl`): they would be \
                 deleted with it and not dead-lettered; make `expires` the longer one"
            ));
        }
    }
}
