//! Queues in a file: the arguments of all kinds in one, and which kind has which.

use std::time::Duration;

use garenne_shared::{ExchangeName, QueueName, Retry, RoutingKey};
use serde::{Deserialize, Serialize};

use super::{binding::BindingFile, is_default};
use crate::{
    ClassicOverflow, ClassicQueue, DeadLetterStrategy, Overflow, Problem, ProblemKind, QueueDefinition,
    QueueKind, QuorumQueue, StreamQueue,
    binding::Source,
    queue::{DeadLetter, DeliveryLimit},
};

macro_rules! queue_file {
    ($($(#[$meta:meta])* $argument:ident: $type:ty, $($kind:ident)|+;)*) => {
        /// A queue of any kind, with the arguments of all kinds.
        #[derive(Debug, Deserialize, Serialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct QueueFile {
            name: QueueName,
            #[serde(default)]
            kind: Kind,
            $(
                #[serde(default, skip_serializing_if = "is_default")]
                $(#[$meta])*
                $argument: $type,
            )*
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            bindings: Vec<BindingFile>,
        }

        impl QueueFile {
            fn new(name: QueueName, kind: Kind, sources: &[Source]) -> Self {
                Self { name, kind, $($argument: Default::default(),)* bindings: BindingFile::write_all(sources) }
            }

            /// Returns the arguments that are set although the kind does not have them, with the kinds that do.
            fn unsupported(&self) -> Vec<(&'static str, &'static [Kind])> {
                let mut found: Vec<(&'static str, &'static [Kind])> = Vec::new();
                $(
                    let kinds: &'static [Kind] = &[$(Kind::$kind),+];
                    if !is_default(&self.$argument) && !kinds.contains(&self.kind) {
                        found.push((stringify!($argument), kinds));
                    }
                )*
                found
            }
        }
    };
}

queue_file! {
    #[serde(with = "humantime_serde")]
    message_ttl: Option<Duration>, Quorum | Classic;
    #[serde(with = "humantime_serde")]
    expires: Option<Duration>, Quorum | Classic;
    #[serde(with = "humantime_serde")]
    max_age: Option<Duration>, Stream;
    max_length: Option<u64>, Quorum | Classic;
    max_length_bytes: Option<u64>, Quorum | Classic | Stream;
    max_segment_size_bytes: Option<u64>, Stream;
    overflow: Option<ClassicOverflow>, Quorum | Classic;
    delivery_limit: Option<Limit>, Quorum;
    retry: Option<Retry>, Quorum | Classic;
    #[serde(with = "humantime_serde")]
    retry_after_max: Option<Duration>, Quorum | Classic;
    max_priority: Option<u8>, Classic;
    single_active_consumer: bool, Quorum | Classic;
    exclusive: bool, Classic;
    auto_delete: bool, Classic;
    initial_group_size: Option<u32>, Quorum | Stream;
    dead_letter: Option<To>, Quorum | Classic;
    dead_letter_strategy: Option<DeadLetterStrategy>, Quorum;
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    #[default]
    Quorum,
    Classic,
    Stream,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged, expecting = "a number of failures or \"unlimited\" was expected")]
enum Limit {
    Failures(u32),
    Named(Named),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Named {
    Unlimited,
}

#[derive(Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged, expecting = "true, false or { exchange = \"..\", key = \"..\" } was expected")]
enum To {
    Own(bool),
    Exchange(Target),
}

#[derive(Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Target {
    exchange: ExchangeName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<RoutingKey>,
}

// === impl QueueFile ===

impl QueueFile {
    pub(super) fn read(mut self) -> Result<QueueDefinition, Vec<Problem>> {
        let mut problems = self.refused();
        let bindings = std::mem::take(&mut self.bindings);
        match BindingFile::read_all(bindings, &format!("queue `{}`", self.name), self.name.as_str()) {
            Ok(sources) if problems.is_empty() => Ok(match self.kind {
                Kind::Quorum => self.quorum(sources).into(),
                Kind::Classic => self.classic(sources).into(),
                Kind::Stream => self.stream(sources).into(),
            }),
            Ok(_) => Err(problems),
            Err(found) => {
                problems.extend(found);
                Err(problems)
            }
        }
    }

    fn refused(&self) -> Vec<Problem> {
        let Self { name, kind, .. } = self;
        let refuse = |message: String| Problem::new(ProblemKind::UnsupportedArgument, name.as_str(), message);
        let mut problems: Vec<_> = self
            .unsupported()
            .into_iter()
            .map(|(argument, kinds)| {
                let kinds: Vec<_> = kinds.iter().map(|kind| kind.as_str()).collect();
                let rule = format!("queue `{name}` of kind {} has the argument `{argument}`", kind.as_str());
                refuse(format!("{rule}, which only {} queues support; leave it out", kinds.join(" and ")))
            })
            .collect();
        if *kind == Kind::Quorum && self.overflow == Some(ClassicOverflow::RejectPublishDlx) {
            let rule = format!("queue `{name}` of kind quorum has `overflow` reject-publish-dlx");
            problems.push(refuse(format!("{rule}, which only classic queues support; use reject-publish")));
        }
        problems
    }

    fn quorum(self, sources: Vec<Source>) -> QuorumQueue {
        QuorumQueue {
            name: self.name,
            message_ttl: self.message_ttl,
            expires: self.expires,
            max_length: self.max_length,
            max_length_bytes: self.max_length_bytes,
            overflow: self.overflow.map(|overflow| match overflow {
                ClassicOverflow::DropHead => Overflow::DropHead,
                // The third was refused before.
                ClassicOverflow::RejectPublish | ClassicOverflow::RejectPublishDlx => Overflow::RejectPublish,
            }),
            delivery_limit: self.delivery_limit.map(|limit| match limit {
                Limit::Failures(failures) => DeliveryLimit::Failures(failures),
                Limit::Named(Named::Unlimited) => DeliveryLimit::Unlimited,
            }),
            retry: self.retry,
            retry_after_max: self.retry_after_max,
            single_active_consumer: self.single_active_consumer,
            initial_group_size: self.initial_group_size,
            dead_letter: self.dead_letter.map(To::read),
            dead_letter_strategy: self.dead_letter_strategy,
            sources,
        }
    }

    fn classic(self, sources: Vec<Source>) -> ClassicQueue {
        ClassicQueue {
            name: self.name,
            exclusive: self.exclusive,
            auto_delete: self.auto_delete,
            message_ttl: self.message_ttl,
            expires: self.expires,
            max_length: self.max_length,
            max_length_bytes: self.max_length_bytes,
            overflow: self.overflow,
            max_priority: self.max_priority,
            retry: self.retry,
            retry_after_max: self.retry_after_max,
            single_active_consumer: self.single_active_consumer,
            dead_letter: self.dead_letter.map(To::read),
            sources,
        }
    }

    fn stream(self, sources: Vec<Source>) -> StreamQueue {
        StreamQueue {
            name: self.name,
            max_age: self.max_age,
            max_length_bytes: self.max_length_bytes,
            max_segment_size_bytes: self.max_segment_size_bytes,
            initial_group_size: self.initial_group_size,
            sources,
        }
    }

    pub(super) fn write(queue: &QueueDefinition) -> Self {
        let file = |kind| Self::new(queue.name().clone(), kind, queue.sources());
        match queue {
            QueueDefinition::Quorum(queue) => Self {
                message_ttl: queue.message_ttl,
                expires: queue.expires,
                max_length: queue.max_length,
                max_length_bytes: queue.max_length_bytes,
                overflow: queue.overflow.map(ClassicOverflow::from),
                delivery_limit: queue.delivery_limit.map(|limit| match limit {
                    DeliveryLimit::Failures(failures) => Limit::Failures(failures),
                    DeliveryLimit::Unlimited => Limit::Named(Named::Unlimited),
                }),
                retry: queue.retry.clone(),
                retry_after_max: queue.retry_after_max,
                single_active_consumer: queue.single_active_consumer,
                initial_group_size: queue.initial_group_size,
                dead_letter: queue.dead_letter.as_ref().map(To::write),
                dead_letter_strategy: queue.dead_letter_strategy,
                ..file(Kind::Quorum)
            },
            QueueDefinition::Classic(queue) => Self {
                exclusive: queue.exclusive,
                auto_delete: queue.auto_delete,
                message_ttl: queue.message_ttl,
                expires: queue.expires,
                max_length: queue.max_length,
                max_length_bytes: queue.max_length_bytes,
                overflow: queue.overflow,
                max_priority: queue.max_priority,
                retry: queue.retry.clone(),
                retry_after_max: queue.retry_after_max,
                single_active_consumer: queue.single_active_consumer,
                dead_letter: queue.dead_letter.as_ref().map(To::write),
                ..file(Kind::Classic)
            },
            QueueDefinition::Stream(queue) => Self {
                max_age: queue.max_age,
                max_length_bytes: queue.max_length_bytes,
                max_segment_size_bytes: queue.max_segment_size_bytes,
                initial_group_size: queue.initial_group_size,
                ..file(Kind::Stream)
            },
        }
    }
}

// === impl Kind ===

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Quorum => QueueKind::Quorum.as_str(),
            Self::Classic => QueueKind::Classic.as_str(),
            Self::Stream => QueueKind::Stream.as_str(),
        }
    }
}

// === impl To ===

impl To {
    fn read(self) -> DeadLetter {
        match self {
            Self::Own(true) => DeadLetter::Own,
            Self::Own(false) => DeadLetter::Without,
            Self::Exchange(Target { exchange, key }) => DeadLetter::To { exchange, key },
        }
    }

    fn write(dead_letter: &DeadLetter) -> Self {
        match dead_letter {
            DeadLetter::Own => Self::Own(true),
            DeadLetter::Without => Self::Own(false),
            DeadLetter::To { exchange, key } => {
                Self::Exchange(Target { exchange: exchange.clone(), key: key.clone() })
            }
        }
    }
}
