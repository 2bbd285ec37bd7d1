//! The safe order of declarations.

use std::collections::BTreeSet;

use garenne_shared::{ExchangeName, QueueName};

use crate::{
    Binding, Declaration, Destination, Exchange, QueueDefinition, RetryTier, Topology,
    binding::Source,
    routes::{Follow, Routes},
};

/// Declarations in the making; `done` keeps each object to one.
struct Order<'a> {
    routes: Routes<'a>,
    done_exchanges: BTreeSet<&'a ExchangeName>,
    out: Vec<Declaration>,
}

/// See [`Topology::declarations`].
pub(crate) fn declarations(topology: &Topology) -> Vec<Declaration> {
    let mut order = Order { routes: Routes::new(topology), done_exchanges: BTreeSet::new(), out: Vec::new() };
    for exchange in topology.exchanges() {
        order.exchange(exchange);
    }
    let tiers: BTreeSet<RetryTier> =
        topology.queues().iter().flat_map(QueueDefinition::retry_tiers).collect();
    order.out.extend(tiers.iter().map(|tier| tier.exchange_declaration()));
    for exchange in topology.exchanges() {
        order.bindings(&exchange.sources, &Destination::Exchange(exchange.name.clone()));
    }
    order.out.extend(tiers.iter().flat_map(|tier| tier.queue_declarations()));
    order.queues();
    order.out
}

// === impl Order ===

impl<'a> Order<'a> {
    /// Declares an exchange after its alternate. A circle of alternates ends at the exchange it started from.
    fn exchange(&mut self, exchange: &'a Exchange) {
        if !self.done_exchanges.insert(&exchange.name) {
            return;
        }
        let exchanges = self.routes.topology.exchanges();
        let alternate = exchange.alternate.as_ref();
        if let Some(alternate) = alternate.and_then(|name| exchanges.iter().find(|other| other.name == *name))
        {
            self.exchange(alternate);
        }
        self.out.push(Declaration::Exchange(exchange.declaration()));
    }

    fn queues(&mut self) {
        let queues: Vec<QueueDefinition> =
            self.routes.queues.iter().map(|queue| queue.clone().into_owned()).collect();
        let mut targets: BTreeSet<QueueName> = BTreeSet::new();
        for queue in &queues {
            targets.extend(self.routes.dead_letter_queues(queue, Follow::Possible));
        }
        let mut sorted = Vec::new();
        let mut seen = BTreeSet::new();
        for queue in &queues {
            self.visit(queue.name(), &mut seen, &mut sorted);
        }
        let (targets, others): (Vec<_>, Vec<_>) =
            sorted.into_iter().partition(|queue| targets.contains(queue.name()));
        for queue in &targets {
            self.out.push(Declaration::Queue(queue.declaration()));
            self.bindings(queue.sources(), &Destination::Queue(queue.name().clone()));
        }
        self.out.extend(others.iter().map(|queue| Declaration::Queue(queue.declaration())));
        for queue in &others {
            self.bindings(queue.sources(), &Destination::Queue(queue.name().clone()));
        }
    }

    /// Sorts a queue behind the queues that it dead-letters to.
    fn visit(&self, name: &QueueName, seen: &mut BTreeSet<QueueName>, sorted: &mut Vec<QueueDefinition>) {
        let Some(queue) = self.routes.queue(name) else { return };
        if !seen.insert(name.clone()) {
            return;
        }
        for target in self.routes.dead_letter_queues(queue, Follow::Possible) {
            self.visit(&target, seen, sorted);
        }
        sorted.push(queue.clone());
    }

    fn bindings(&mut self, sources: &[Source], destination: &Destination) {
        for source in sources {
            let binding = Declaration::Binding(Binding {
                source: source.exchange.clone(),
                destination: destination.clone(),
                routing_key: source.key.clone(),
                arguments: source.arguments(),
            });
            if !self.out.contains(&binding) {
                self.out.push(binding);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Queue;

    fn shown(topology: &Topology) -> Vec<String> {
        let show = |declaration: &Declaration| match declaration {
            Declaration::Exchange(exchange) => format!("exchange {}", exchange.name),
            Declaration::Queue(queue) => format!("queue {}", queue.name),
            Declaration::Binding(Binding { source, destination: Destination::Queue(queue), .. }) => {
                format!("{source} to queue {queue}")
            }
            Declaration::Binding(Binding {
                source, destination: Destination::Exchange(exchange), ..
            }) => {
                format!("{source} to exchange {exchange}")
            }
        };
        topology.declarations().iter().map(show).collect()
    }

    #[test]
    fn the_dead_letter_side_is_ready_before_anything_is_routed() {
        let topology = Topology::new()
            .exchange(Exchange::topic("orders").alternate("rest"))
            .exchange(Exchange::fanout("rest"))
            .exchange(Exchange::direct("dead").bind("orders", "dead"))
            .queue(Queue::quorum("billing").bind("orders", "#").dead_letter_through("dead"))
            .queue(Queue::quorum("graveyard").bind("dead", "#").dead_letter())
            .queue(Queue::quorum("audit").bind("orders", "#").bind("rest", "").dead_letter());
        let expected = [
            "exchange rest",
            "exchange orders",
            "exchange dead",
            "orders to exchange dead",
            "queue graveyard.dlq",
            "queue graveyard",
            "dead to queue graveyard",
            "queue audit.dlq",
            "queue billing",
            "queue audit",
            "orders to queue billing",
            "orders to queue audit",
            "rest to queue audit",
        ];
        assert_eq!(shown(&topology), expected);
    }

    #[test]
    fn tiers_are_declared_once_and_before_the_queues_that_use_them() {
        let second = Duration::from_secs(1);
        let policy = garenne_shared::Retry::exponential(second..=2 * second);
        let topology = Topology::new()
            .exchange(Exchange::topic("orders"))
            .queue(Queue::quorum("a").bind("orders", "#").retry(policy.clone()).without_dead_letter())
            .queue(Queue::classic("b").retry(policy));
        let expected = [
            "exchange orders",
            "exchange garenne.retry.v1.1000",
            "exchange garenne.retry.v1.2000",
            "queue garenne.retry.v1.1000",
            "garenne.retry.v1.1000 to queue garenne.retry.v1.1000",
            "queue garenne.retry.v1.2000",
            "garenne.retry.v1.2000 to queue garenne.retry.v1.2000",
            "queue a",
            "queue b",
            "orders to queue a",
        ];
        assert_eq!(shown(&topology), expected);
    }

    #[test]
    fn circles_are_ordered_somehow() {
        let wait = Queue::quorum("wait").message_ttl(Duration::from_secs(1)).dead_letter_to("", "work");
        let topology = Topology::new()
            .exchange(Exchange::fanout("a").alternate("b"))
            .exchange(Exchange::fanout("b").alternate("a"))
            .queue(Queue::quorum("work").dead_letter_to("", "wait"))
            .queue(wait);
        assert_eq!(shown(&topology), ["exchange b", "exchange a", "queue wait", "queue work"]);
    }

    #[test]
    fn an_own_definition_of_the_dead_letter_queue_takes_the_place_of_the_usual_one() {
        let own = Queue::stream("billing.dlq").max_age(Duration::from_secs(7 * 86400));
        let topology = Topology::new().queue(Queue::quorum("billing").dead_letter()).queue(own);
        let queues: Vec<_> = topology.declarations();
        let Some(Declaration::Queue(first)) = queues.first() else {
            panic!("a queue comes first: {queues:?}")
        };
        assert_eq!((first.name.as_str(), first.arguments.text("x-max-age")), ("billing.dlq", Some("7D")));
        assert_eq!(queues.len(), 2);
        let external = Topology::new().queue(Queue::quorum("q").dead_letter()).external_queue("q.dlq");
        assert_eq!(shown(&external), ["queue q"]);
    }
}
