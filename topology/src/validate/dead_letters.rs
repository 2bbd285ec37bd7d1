//! Dead letters: they arrive, and they do not go round for ever.

use std::collections::BTreeSet;

use garenne_shared::QueueName;

use super::Findings;
use crate::{
    ClassicOverflow, DeadLetterStrategy, ProblemKind, QueueDefinition, WarningKind,
    queue::{DeadLetter, DeliveryLimit},
    routes::{Follow, Routes},
};

pub(super) fn check(routes: &Routes<'_>, findings: &mut Findings) {
    for queue in &routes.queues {
        arrives(routes, queue, findings);
    }
    let mut reported = BTreeSet::new();
    for queue in &routes.queues {
        if let Some(cycle) = cycle_from(routes, queue.name())
            && reported.insert(cycle.iter().cloned().collect::<BTreeSet<_>>())
        {
            report(routes, &cycle, findings);
        }
    }
}

/// Warns if dead letters certainly reach no queue: at most once, they are dropped; at least once, they stay where they are.
fn arrives(routes: &Routes<'_>, queue: &QueueDefinition, findings: &mut Findings) {
    let Some(DeadLetter::To { exchange, key }) = queue.dead_letter() else { return };
    let declared = routes.topology.exchanges().iter().find(|other| other.name == *exchange);
    // What others bind to it, or what its alternate does, is not known here.
    let known = declared.is_some_and(|exchange| !exchange.bound_elsewhere && exchange.alternate.is_none());
    if known && routes.reached(exchange, key.as_ref(), Follow::Possible).is_empty() {
        let name = queue.name();
        let with = key.as_ref().map(|key| format!(" with key `{key}`")).unwrap_or_default();
        let rule = format!(
            "queue `{name}` dead-letters to exchange `{exchange}`{with}, from where nothing reaches a queue"
        );
        let remedy = "bind a queue to it, or say `bound_elsewhere` if somebody else does";
        findings.warn(WarningKind::DeadLetterUnrouted, name, format!("{rule}; {remedy}"));
    }
}

/// Returns the shortest way of dead letters from a queue back to itself, itself first.
fn cycle_from(routes: &Routes<'_>, start: &QueueName) -> Option<Vec<QueueName>> {
    let (mut ways, mut seen) = (std::collections::VecDeque::from([vec![start.clone()]]), BTreeSet::new());
    while let Some(way) = ways.pop_front() {
        let Some(queue) = way.last().and_then(|name| routes.queue(name)) else { continue };
        for target in routes.dead_letter_queues(queue, Follow::Certain) {
            if target == *start {
                return Some(way);
            }
            if seen.insert(target.clone()) {
                let mut longer = way.clone();
                longer.push(target);
                ways.push_back(longer);
            }
        }
    }
    None
}

fn report(routes: &Routes<'_>, cycle: &[QueueName], findings: &mut Findings) {
    let Some(first) = cycle.first() else { return };
    let queues = || cycle.iter().filter_map(|name| routes.queue(name));
    let names: Vec<_> = cycle.iter().chain([first]).map(|name| format!("`{name}`")).collect();
    let way = names.join(" to ");
    if queues().all(passes_on) {
        let rule = format!(
            "dead letters go round from queue {way} without any consumer, and the broker drops them when they come back"
        );
        let remedy =
            "let one of these queues dead-letter elsewhere, or leave out its TTL or its drop-head limit";
        findings.problem(ProblemKind::DeadLetterCycle, first, format!("{rule}; {remedy}"));
    } else if let Some(limited) = queues().find(|queue| !passes_on(queue) && has_delivery_limit(queue)) {
        let name = limited.name();
        let rule = format!(
            "dead letters go round from queue {way}: the broker drops what comes back because of the delivery limit of queue `{name}`"
        );
        let remedy = "reject without requeue before the limit is reached, or say `without_delivery_limit`";
        findings.warn(WarningKind::DroppedInCycle, name, format!("{rule}; {remedy}"));
    }
}

/// Returns whether a queue dead-letters without a consumer having a part in it.
fn passes_on(queue: &QueueDefinition) -> bool {
    match queue {
        QueueDefinition::Quorum(queue) => {
            let limited = queue.max_length.is_some() || queue.max_length_bytes.is_some();
            // At least once goes with reject-publish: nothing is dropped from the head.
            let drops = queue.overflow != Some(crate::Overflow::RejectPublish)
                && queue.strategy() == Some(DeadLetterStrategy::AtMostOnce);
            queue.message_ttl.is_some() || (limited && drops)
        }
        QueueDefinition::Classic(queue) => {
            let limited = queue.max_length.is_some() || queue.max_length_bytes.is_some();
            let drops = matches!(queue.overflow, None | Some(ClassicOverflow::DropHead));
            queue.message_ttl.is_some() || (limited && drops)
        }
        QueueDefinition::Stream(_) => false,
    }
}

fn has_delivery_limit(queue: &QueueDefinition) -> bool {
    match queue {
        QueueDefinition::Quorum(queue) => queue.delivery_limit != Some(DeliveryLimit::Unlimited),
        QueueDefinition::Classic(_) | QueueDefinition::Stream(_) => false,
    }
}
