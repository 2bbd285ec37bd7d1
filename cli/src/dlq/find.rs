//! Which dead-letter queues there are: as they are named, from a topology, or from the broker.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context as _, anyhow};
use garenne::{QueueName, Topology};
use garenne_management::{Management, ObservedDestination};

/// What the names of dead-letter queues end with, by Garenne's own convention.
const SUFFIXES: [&str; 2] = [".dlq", ".parked"];

/// Returns the dead-letter queues of a topology.
pub(super) fn of_topology(file: &Path) -> anyhow::Result<BTreeSet<QueueName>> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    let topology = Topology::from_toml(&text).map_err(|error| anyhow!("{shown}: {error}"))?;
    Ok(topology.queues().iter().filter_map(garenne::QueueDefinition::dead_letter_queue).collect())
}

/// Returns the dead-letter queues of a vhost: what other queues dead-letter to, and what is named like one.
pub(super) async fn of_broker(url: &str, vhost: &str) -> anyhow::Result<BTreeSet<QueueName>> {
    let management = Management::connect(url).await?;
    let observed = management.observe(vhost).await?;
    let mut exchanges = BTreeSet::new();
    let mut names = BTreeSet::new();
    for queue in &observed.queues {
        if SUFFIXES.iter().any(|suffix| queue.name.ends_with(suffix)) {
            names.insert(queue.name.clone());
        }
        let target = queue.arguments.text("x-dead-letter-exchange");
        match (target, queue.arguments.text("x-dead-letter-routing-key")) {
            (Some(""), Some(key)) => {
                names.insert(key.to_owned());
            }
            (Some(exchange), _) if !exchange.is_empty() => {
                exchanges.insert(exchange.to_owned());
            }
            _ => {}
        }
    }
    for binding in &observed.bindings {
        if let ObservedDestination::Queue(queue) = &binding.destination
            && exchanges.contains(&binding.source)
        {
            names.insert(queue.clone());
        }
    }
    let there: BTreeSet<_> = observed.queues.iter().map(|queue| queue.name.as_str()).collect();
    names.retain(|name| there.contains(name.as_str()));
    Ok(names.into_iter().filter_map(|name| QueueName::try_from(name).ok()).collect())
}
