//! What the core tells about itself.

use std::time::Duration;

use super::state::Core;
use super::text::shown;
use super::{Millis, Name};
use crate::inspect::{BindingState, ConnectionState, ConsumerState, Published, QueueState, State};

impl Core {
    /// Returns everything that the broker holds.
    pub(crate) fn snapshot(&self, now: Millis) -> State {
        let mut state = State { time: Duration::from(now), ..State::default() };
        let mut vhosts: Vec<_> = self.vhosts.values().collect();
        vhosts.sort_by(|a, b| a.name.cmp(&b.name));
        for vhost in vhosts {
            let mut queues: Vec<_> =
                vhost.queues.values().map(|queue| queue_state(&vhost.name, queue)).collect();
            queues.sort_by(|a, b| a.name.cmp(&b.name));
            state.queues.append(&mut queues);
            let mut bindings: Vec<BindingState> = vhost.bindings().collect();
            bindings.sort_by(|a, b| {
                let key = |binding: &BindingState| {
                    (binding.source.clone(), binding.destination.clone(), binding.routing_key.clone())
                };
                key(a).cmp(&key(b))
            });
            state.bindings.append(&mut bindings);
        }
        let mut connections: Vec<_> = self.connections.iter().collect();
        connections.sort_by_key(|(id, _)| **id);
        for (_, open) in connections {
            let mut channels: Vec<u16> = open.channels.keys().copied().collect();
            channels.sort_unstable();
            state.connections.push(ConnectionState {
                name: open.name.clone(),
                client_name: open.client_name().map(str::to_owned),
                user: open.user.clone(),
                vhost: open.vhost.clone(),
                channels,
            });
        }
        state
    }

    /// Returns the latest messages and what became of them, the oldest first.
    pub(crate) fn published(&self) -> Vec<Published> {
        let records = self.history.records().map(|record| Published {
            exchange: record.message.exchange.clone(),
            routing_key: shown(&record.message.routing_key).into(),
            routing_key_bytes: record.message.routing_key.to_vec().into(),
            properties: record.message.properties.readable(),
            properties_bytes: record.message.properties.encoded().to_vec().into(),
            body: record.message.body.clone(),
            is_returned: record.is_returned,
            is_dead_letter: record.is_dead_letter,
            fates: record.copies.clone(),
            requeues: record.requeues.clone(),
        });
        records.collect()
    }
}

fn queue_state(vhost: &Name, queue: &super::queue::Queue) -> QueueState {
    let counts = queue.counts();
    let consumers = queue.consumers().map(|consumer| ConsumerState {
        tag: consumer.subscription.key.tag.clone(),
        channel: consumer.subscription.key.channel,
        prefetch: consumer.subscription.prefetch,
        unacked: consumer.unacked.into(),
        is_active: consumer.is_active,
    });
    QueueState {
        vhost: vhost.clone(),
        name: queue.declaration.name.clone(),
        kind: queue.declaration.kind.as_str(),
        arguments: queue.declaration.arguments.clone(),
        ready: counts.ready,
        delayed: counts.delayed,
        held: counts.held,
        unacked: counts.unacked,
        consumers: consumers.collect(),
    }
}
