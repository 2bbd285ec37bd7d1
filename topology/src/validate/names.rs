//! Names: known, allowed, and each for one object.

use garenne_shared::{ExchangeName, QueueName};

use super::Findings;
use crate::{
    ProblemKind,
    binding::Source,
    queue::{DeadLetter, dead_letter_queue_name},
    routes::Routes,
};

/// What the broker keeps for itself (AMQP 0-9-1 sections 3.1.3 and 3.1.4): declaring it is refused with 403.
const RESERVED: &str = "amq.";

pub(super) fn check(routes: &Routes<'_>, findings: &mut Findings) {
    reserved(routes, findings);
    duplicates(routes, findings);
    sources(routes, findings);
    targets(routes, findings);
}

fn reserved(routes: &Routes<'_>, findings: &mut Findings) {
    let exchanges = routes.topology.exchanges().iter().map(|exchange| ("exchange", exchange.name.as_str()));
    let queues = routes.topology.queues().iter().map(|queue| ("queue", queue.name().as_str()));
    for (what, name) in exchanges.chain(queues) {
        if name.starts_with(RESERVED) {
            let rule =
                format!("{what} `{name}` cannot be declared: names with `{RESERVED}` belong to the broker");
            findings.problem(ProblemKind::InvalidName, name, format!("{rule}; choose another name"));
        } else if name.is_empty() {
            let rule = "exchange `` is the default exchange and cannot be declared: every vhost has it";
            findings.problem(
                ProblemKind::InvalidName,
                name,
                format!("{rule}; leave it out or choose a name"),
            );
        }
    }
}

fn duplicates(routes: &Routes<'_>, findings: &mut Findings) {
    let topology = routes.topology;
    for (at, exchange) in topology.exchanges().iter().enumerate() {
        let others = topology.exchanges().iter().skip(at + 1);
        let differs = others.filter(|other| other.name == exchange.name).any(|other| other != exchange);
        let external = topology.external_exchanges().contains(&exchange.name);
        duplicate("exchange", exchange.name.as_str(), differs, external, findings);
    }
    for (at, queue) in topology.queues().iter().enumerate() {
        let others = topology.queues().iter().skip(at + 1);
        let differs = others.filter(|other| other.name() == queue.name()).any(|other| other != queue);
        let external = topology.external_queues().contains(queue.name());
        duplicate("queue", queue.name().as_str(), differs, external, findings);
    }
}

fn duplicate(what: &str, name: &str, differs: bool, external: bool, findings: &mut Findings) {
    if differs {
        let rule = format!("{what} `{name}` is defined twice with different properties");
        findings.problem(
            ProblemKind::Duplicate,
            name,
            format!("{rule}; merge the definitions or rename one"),
        );
    }
    if external {
        let rule = format!("{what} `{name}` is both defined here and named as external");
        findings.problem(ProblemKind::Duplicate, name, format!("{rule}; leave one of them out"));
    }
}

fn sources(routes: &Routes<'_>, findings: &mut Findings) {
    let topology = routes.topology;
    for exchange in topology.exchanges() {
        known_sources(routes, "exchange", exchange.name.as_str(), &exchange.sources, findings);
    }
    for queue in topology.queues() {
        known_sources(routes, "queue", queue.name().as_str(), queue.sources(), findings);
    }
}

fn known_sources(routes: &Routes<'_>, what: &str, name: &str, sources: &[Source], findings: &mut Findings) {
    for source in sources {
        known_exchange(routes, &format!("{what} `{name}` is bound to"), name, &source.exchange, findings);
    }
}

fn known_exchange(
    routes: &Routes<'_>,
    who: &str,
    object: &str,
    exchange: &ExchangeName,
    findings: &mut Findings,
) {
    if !routes.knows_exchange(exchange) {
        let rule = format!("{who} exchange `{exchange}`, which nobody declares");
        let remedy = "define it, correct the name, or name it as external if somebody else declares it";
        findings.problem(ProblemKind::UnknownName, object, format!("{rule}; {remedy}"));
    }
}

/// Alternate exchanges and dead-letter targets.
fn targets(routes: &Routes<'_>, findings: &mut Findings) {
    for exchange in routes.topology.exchanges() {
        let Some(alternate) = &exchange.alternate else { continue };
        let name = exchange.name.as_str();
        known_exchange(
            routes,
            &format!("exchange `{name}` has as its alternate the"),
            name,
            alternate,
            findings,
        );
        if *alternate == exchange.name {
            let rule = format!("exchange `{name}` is its own alternate, so what it cannot route is dropped");
            findings.problem(ProblemKind::Conflict, name, format!("{rule}; name another exchange"));
        }
    }
    for queue in routes.topology.queues() {
        match queue.dead_letter() {
            Some(DeadLetter::Own) => own_name(queue.name(), findings),
            Some(DeadLetter::To { exchange, key }) => {
                let name = queue.name().as_str();
                known_exchange(routes, &format!("queue `{name}` dead-letters to"), name, exchange, findings);
                let queue = key.as_ref().filter(|_| *exchange == ExchangeName::DEFAULT);
                if let Some(target) = queue.filter(|target| !routes.knows_queue(target.as_str())) {
                    let rule =
                        format!("queue `{name}` dead-letters to queue `{target}`, which nobody declares");
                    let remedy =
                        "define it, correct the name, or name it as external if somebody else declares it";
                    findings.problem(ProblemKind::UnknownName, name, format!("{rule}; {remedy}"));
                }
            }
            Some(DeadLetter::Without) | None => {}
        }
    }
}

fn own_name(queue: &QueueName, findings: &mut Findings) {
    if dead_letter_queue_name(queue).is_none() {
        let bytes = queue.as_str().len();
        let rule = format!(
            "queue `{queue}` has {bytes} bytes, so the name of its dead-letter queue would exceed 255"
        );
        findings.problem(
            ProblemKind::InvalidName,
            queue,
            format!("{rule}; shorten it or use `dead_letter_to`"),
        );
    }
}
