//! The books balance: whatever clients do, every copy of every message is in exactly one place, and the queues agree with the books.

use std::collections::BTreeMap;

use amq_protocol::protocol::basic::{AMQPMethod as Basic, AMQPProperties};
use amq_protocol::protocol::{AMQPClass, basic, confirm, exchange, queue};
use amq_protocol::types::{AMQPValue, FieldTable};
use proptest::prelude::*;

use super::{
    Carrier, Command, ConnectionId, Core, CoreSettings, Fate, Millis, Opening, Output, Permissions,
    PublishMethod, User,
};

const QUEUES: [&str; 5] = ["classic", "quorum", "short", "full", "dead"];

/// What a client does next.
#[derive(Debug, Clone, Copy)]
enum Step {
    Publish { channel: usize, queue: usize, ttl: Option<u16>, priority: u8 },
    Broadcast { channel: usize },
    Consume { channel: usize, queue: usize, prefetch: u16, no_ack: bool },
    Cancel { channel: usize, consumer: usize },
    Get { channel: usize, queue: usize },
    Ack { channel: usize, nth: usize, multiple: bool },
    Nack { channel: usize, nth: usize, requeue: bool, multiple: bool },
    Reject { channel: usize, nth: usize, requeue: bool },
    Recover { channel: usize },
    Purge { queue: usize },
    CloseChannel { channel: usize },
    Disconnect { connection: usize },
    Advance { millis: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (channel, queue) = (0..4_usize, 0..QUEUES.len());
    let nth = 0..6_usize;
    let step = prop_oneof![
        6 => (channel.clone(), queue.clone(), proptest::option::of(0..200_u16), 0..12_u8)
            .prop_map(|(channel, queue, ttl, priority)| Step::Publish { channel, queue, ttl, priority }),
        2 => channel.clone().prop_map(|channel| Step::Broadcast { channel }),
        2 => (channel.clone(), queue.clone(), 0..4_u16, any::<bool>())
            .prop_map(|(channel, queue, prefetch, no_ack)| Step::Consume { channel, queue, prefetch, no_ack }),
        1 => (channel.clone(), 0..3_usize).prop_map(|(channel, consumer)| Step::Cancel { channel, consumer }),
        2 => (channel.clone(), queue.clone()).prop_map(|(channel, queue)| Step::Get { channel, queue }),
        4 => (channel.clone(), nth.clone(), any::<bool>())
            .prop_map(|(channel, nth, multiple)| Step::Ack { channel, nth, multiple }),
        3 => (channel.clone(), nth.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(channel, nth, requeue, multiple)| Step::Nack { channel, nth, requeue, multiple }),
        3 => (channel.clone(), nth, any::<bool>())
            .prop_map(|(channel, nth, requeue)| Step::Reject { channel, nth, requeue }),
        1 => channel.clone().prop_map(|channel| Step::Recover { channel }),
        1 => queue.prop_map(|queue| Step::Purge { queue }),
        1 => channel.prop_map(|channel| Step::CloseChannel { channel }),
        1 => (0..2_usize).prop_map(|connection| Step::Disconnect { connection }),
        2 => (0..400_u64).prop_map(|millis| Step::Advance { millis }),
    ];
    proptest::collection::vec(step, 1..120)
}

/// A core with two connections of two channels each, and what their clients know.
struct World {
    core: Core,
    now: Millis,
    connections: [ConnectionId; 2],
    /// Delivery tags that a channel has not settled.
    tags: BTreeMap<(ConnectionId, u16), Vec<u64>>,
}

impl World {
    fn new() -> Self {
        let permissions = [("/".into(), Permissions::all())].into();
        let user = User { name: "guest".into(), password: "guest".into(), tags: vec![], permissions };
        let settings =
            CoreSettings { users: vec![user], vhosts: vec!["/".into()], history: 10_000, started: 0 };
        let mut world =
            Self { core: Core::new(settings), now: Millis(0), connections: [0; 2], tags: BTreeMap::new() };
        for connection in 0..2 {
            world.connect(connection);
        }
        world.declare("classic", "classic", &[("x-max-priority", AMQPValue::LongInt(5))]);
        world.declare(
            "quorum",
            "quorum",
            &[
                ("x-delivery-limit", AMQPValue::LongInt(2)),
                ("x-delayed-retry-type", text("failed")),
                ("x-delayed-retry-min", AMQPValue::LongInt(50)),
            ],
        );
        world.declare("short", "classic", &[("x-max-length", AMQPValue::LongInt(3))]);
        let refuses = ("x-overflow", text("reject-publish"));
        let safe = ("x-dead-letter-strategy", text("at-least-once"));
        world.declare("full", "quorum", &[("x-max-length", AMQPValue::LongInt(4)), refuses, safe]);
        let limited = [("x-max-length", AMQPValue::LongInt(8)), ("x-overflow", text("reject-publish"))];
        world.declare("dead", "classic", &limited);
        for name in QUEUES {
            let method = queue::Bind {
                queue: name.into(),
                exchange: "amq.fanout".into(),
                routing_key: "".into(),
                nowait: false,
                arguments: FieldTable::default(),
            };
            world.command(0, AMQPClass::Queue(queue::AMQPMethod::Bind(method)));
        }
        let dead = exchange::Declare {
            exchange: "graveyard".into(),
            kind: "fanout".into(),
            passive: false,
            durable: true,
            auto_delete: false,
            internal: false,
            nowait: false,
            arguments: FieldTable::default(),
        };
        world.command(0, AMQPClass::Exchange(exchange::AMQPMethod::Declare(dead)));
        world
    }

    /// Opens a connection with two channels in confirm mode.
    fn connect(&mut self, connection: usize) {
        let opening = Opening {
            user: "guest".into(),
            vhost: "/".into(),
            name: String::new(),
            client_properties: FieldTable::default(),
            tuned: amq_protocol::protocol::connection::TuneOk::default(),
            at: self.now,
        };
        self.connections[connection] = self.core.connect(opening).expect("guest may");
        for channel in 1..=2 {
            self.open(connection, channel);
        }
    }

    fn open(&mut self, connection: usize, channel: u16) {
        self.core.open_channel(self.connections[connection], channel);
        let method = confirm::AMQPMethod::Select(confirm::Select { nowait: true });
        self.command(connection * 2 + usize::from(channel) - 1, AMQPClass::Confirm(method));
    }

    fn declare(&mut self, name: &str, kind: &str, arguments: &[(&str, AMQPValue)]) {
        let mut table = FieldTable::default();
        table.insert("x-queue-type".into(), text(kind));
        if name != "dead" {
            table.insert("x-dead-letter-exchange".into(), text(""));
            table.insert("x-dead-letter-routing-key".into(), text("dead"));
        }
        for (key, value) in arguments {
            table.insert((*key).into(), value.clone());
        }
        let method = queue::Declare {
            queue: name.into(),
            passive: false,
            durable: true,
            exclusive: false,
            auto_delete: false,
            nowait: false,
            arguments: table,
        };
        self.command(0, AMQPClass::Queue(queue::AMQPMethod::Declare(method)));
    }

    /// The connection and number of the channel of a step.
    fn place(&self, channel: usize) -> (ConnectionId, u16) {
        (self.connections[channel / 2], u16::try_from(channel % 2).expect("small") + 1)
    }

    fn command(&mut self, channel: usize, method: AMQPClass) {
        self.send(channel, Command::Method(method));
    }

    fn basic(&mut self, channel: usize, method: Basic) {
        self.command(channel, AMQPClass::Basic(method));
    }

    fn send(&mut self, channel: usize, command: Command) {
        let (connection, number) = self.place(channel);
        if self.core.receive(self.now, connection, number, command).is_err() {
            // As the shell does it: the channel is closed, and the client opens it again.
            self.close(channel);
        }
        self.core.end_of_batch(self.now, connection);
        self.listen();
    }

    fn close(&mut self, channel: usize) {
        let (connection, number) = self.place(channel);
        self.core.close_channel(self.now, connection, number);
        self.listen();
        self.tags.remove(&(connection, number));
        self.open(channel / 2, number);
    }

    /// Learns the delivery tags that went out.
    fn listen(&mut self) {
        let mut effects = std::collections::VecDeque::new();
        self.core.drain_effects(self.now, &mut effects);
        for (connection, output) in effects {
            let Output::Content { channel, carrier, .. } = output else { continue };
            let tag = match carrier {
                Carrier::Deliver { delivery_tag, .. } | Carrier::GetOk { delivery_tag, .. } => delivery_tag,
                Carrier::Return { .. } => continue,
            };
            self.tags.entry((connection, channel)).or_default().push(tag);
        }
    }

    fn take_tag(&mut self, channel: usize, nth: usize, multiple: bool) -> u64 {
        let tags = self.tags.entry(self.place(channel)).or_default();
        if tags.is_empty() {
            return 1_000;
        }
        let index = nth % tags.len();
        let tag = tags[index];
        if multiple {
            tags.drain(..=index);
        } else {
            tags.remove(index);
        }
        tag
    }

    fn publish(&mut self, channel: usize, exchange: &str, key: &str, properties: &AMQPProperties) {
        let method = PublishMethod {
            exchange: exchange.as_bytes().into(),
            routing_key: key.as_bytes().into(),
            mandatory: true,
            immediate: false,
        };
        let (properties, body) = (properties.into(), bytes::Bytes::from_static(b"body"));
        self.send(channel, Command::Publish { method, properties, body });
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Publish { channel, queue, ttl, priority } => {
                let mut properties = AMQPProperties::default().with_priority(priority);
                if let Some(ttl) = ttl {
                    properties = properties.with_expiration(ttl.to_string().into());
                }
                self.publish(channel, "", QUEUES[queue], &properties);
            }
            Step::Broadcast { channel } => {
                self.publish(channel, "amq.fanout", "", &AMQPProperties::default());
            }
            Step::Consume { channel, queue, prefetch, no_ack } => {
                self.basic(channel, Basic::Qos(basic::Qos { prefetch_count: prefetch, global: false }));
                let method = basic::Consume {
                    queue: QUEUES[queue].into(),
                    consumer_tag: "".into(),
                    no_local: false,
                    no_ack,
                    exclusive: false,
                    nowait: false,
                    arguments: FieldTable::default(),
                };
                self.basic(channel, Basic::Consume(method));
            }
            Step::Cancel { channel, consumer } => {
                let (connection, number) = self.place(channel);
                let tags = self.core.connections.get(&connection).and_then(|open| open.channels.get(&number));
                let mut tags: Vec<_> =
                    tags.into_iter().flat_map(|channel| channel.consumers.keys().cloned()).collect();
                tags.sort();
                if let Some(tag) = tags.get(consumer) {
                    let consumer_tag = tag.as_ref().into();
                    self.basic(channel, Basic::Cancel(basic::Cancel { consumer_tag, nowait: false }));
                }
            }
            Step::Get { channel, queue } => {
                self.basic(channel, Basic::Get(basic::Get { queue: QUEUES[queue].into(), no_ack: false }));
            }
            Step::Ack { channel, nth, multiple } => {
                let delivery_tag = self.take_tag(channel, nth, multiple);
                self.basic(channel, Basic::Ack(basic::Ack { delivery_tag, multiple }));
            }
            Step::Nack { channel, nth, requeue, multiple } => {
                let delivery_tag = self.take_tag(channel, nth, multiple);
                self.basic(channel, Basic::Nack(basic::Nack { delivery_tag, multiple, requeue }));
            }
            Step::Reject { channel, nth, requeue } => {
                let delivery_tag = self.take_tag(channel, nth, false);
                self.basic(channel, Basic::Reject(basic::Reject { delivery_tag, requeue }));
            }
            Step::Recover { channel } => {
                self.tags.remove(&self.place(channel));
                self.basic(channel, Basic::Recover(basic::Recover { requeue: true }));
            }
            Step::Purge { queue } => {
                let method = queue::Purge { queue: QUEUES[queue].into(), nowait: false };
                self.command(0, AMQPClass::Queue(queue::AMQPMethod::Purge(method)));
            }
            Step::CloseChannel { channel } => self.close(channel),
            Step::Disconnect { connection } => {
                self.core.disconnect(self.now, self.connections[connection]);
                self.listen();
                self.connect(connection);
            }
            Step::Advance { millis } => {
                let until = self.now + millis;
                while let Some(at) = self.core.next_deadline().filter(|at| *at <= until) {
                    self.now = self.now.max(at);
                    self.core.tick(self.now);
                }
                self.now = until;
                self.listen();
            }
        }
    }
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.as_bytes().into())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_copy_is_in_exactly_one_place(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.run(step);
            world.core.check_books(world.now);
        }
    }

    #[test]
    fn every_message_ends_when_everybody_leaves_and_the_queues_go(steps in steps()) {
        let mut world = World::new();
        steps.into_iter().for_each(|step| world.run(step));
        for name in QUEUES {
            let method = queue::Delete { queue: name.into(), if_unused: false, if_empty: false, nowait: false };
            world.command(0, AMQPClass::Queue(queue::AMQPMethod::Delete(method)));
        }
        for record in world.core.history.records() {
            for (queue, fate) in &record.copies {
                prop_assert!(
                    !matches!(fate, Fate::Ready | Fate::Unacked { .. }),
                    "a copy is left of {queue}: {fate:?}"
                );
            }
        }
    }
}
