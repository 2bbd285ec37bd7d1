//! States as people read them: what is empty is left out, a line an object.

use std::fmt::{Display, Formatter, Result};
use std::sync::Arc;

use amq_protocol::types::{AMQPValue, FieldTable};

use super::{BindingState, ConnectionState, ConsumerState, Fate, Published, QueueState, Requeued, State};
use crate::core::table;

impl Display for State {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{:?} after its start", self.time)?;
        lines(f, "queue", &self.queues)?;
        lines(f, "binding", &self.bindings)?;
        lines(f, "connection", &self.connections)
    }
}

impl Display for QueueState {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "`{}`{} ({}): {} ready", self.name, In(&self.vhost), self.kind, self.ready)?;
        for (count, what) in [(self.unacked, "unacked"), (self.delayed, "delayed"), (self.held, "held")] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        for consumer in &self.consumers {
            write!(f, ", {consumer}")?;
        }
        // The type is said already.
        arguments(f, &self.arguments, &["x-queue-type"])
    }
}

impl Display for ConsumerState {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self { tag, channel, unacked, .. } = self;
        write!(f, "consumer `{tag}` on channel {channel} holding {unacked}")?;
        if self.prefetch > 0 {
            write!(f, " of {}", self.prefetch)?;
        }
        f.write_str(if self.is_active { "" } else { ", waiting to become active" })
    }
}

impl Display for BindingState {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let kind = if self.is_queue { "queue" } else { "exchange" };
        let Self { source, destination, routing_key, .. } = self;
        write!(f, "`{source}` to {kind} `{destination}` by `{routing_key}`{}", In(&self.vhost))?;
        arguments(f, &self.arguments, &[])
    }
}

impl Display for ConnectionState {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self { name, user, channels, .. } = self;
        let client = self.client_name.as_deref().unwrap_or("without a name");
        write!(f, "{client}, {name}, as `{user}`{}, channels {channels:?}", In(&self.vhost))
    }
}

impl Display for Published {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let what = if self.is_dead_letter { "dead letter" } else { "message" };
        let length = self.body.len();
        write!(f, "{what} of {length} B to `{}` by `{}`:", self.exchange, self.routing_key)?;
        match &self.fates[..] {
            [] if self.is_returned => f.write_str(" returned"),
            [] => f.write_str(" reached no queue"),
            fates => fates.iter().try_for_each(|(queue, fate)| write!(f, " {fate} in `{queue}`")),
        }?;
        self.requeues
            .iter()
            .try_for_each(|Requeued { queue, how, .. }| write!(f, ", back in `{queue}` ({how})"))
    }
}

impl Display for Fate {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let by = |consumer: &Option<Arc<str>>| match consumer {
            Some(tag) => format!("by `{tag}`"),
            None => "by basic.get".to_owned(),
        };
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Unacked { consumer } => write!(f, "held {}", by(consumer)),
            Self::Acked { consumer } => write!(f, "acked {}", by(consumer)),
            Self::DeadLettered { reason, to } => write!(f, "dead-lettered ({reason}) to {to:?}"),
            Self::Dropped { reason } => write!(f, "dropped ({reason})"),
            Self::Refused => f.write_str("refused"),
            Self::Purged => f.write_str("purged"),
            Self::Deleted => f.write_str("gone with its queue"),
        }
    }
}

/// A vhost, unless it is the usual one.
struct In<'v>(&'v str);

impl Display for In<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.0 == "/" { Ok(()) } else { write!(f, " in vhost `{}`", self.0) }
    }
}

fn lines(f: &mut Formatter<'_>, what: &str, objects: &[impl Display]) -> Result {
    if objects.is_empty() {
        return write!(f, "\nno {what}s");
    }
    objects.iter().try_for_each(|object| write!(f, "\n{what} {object}"))
}

/// Writes a table but for the keys that were said otherwise.
fn arguments(f: &mut Formatter<'_>, all: &FieldTable, said: &[&str]) -> Result {
    for (key, value) in all {
        if said.contains(&key.as_str()) {
            continue;
        }
        match (table::string(value), table::integer(value), value) {
            (Some(text), _, _) => write!(f, ", {key} `{text}`")?,
            (_, Some(number), _) => write!(f, ", {key} {number}")?,
            (_, _, AMQPValue::Boolean(flag)) => write!(f, ", {key} {flag}")?,
            _ => write!(f, ", {key} {value:?}")?,
        }
    }
    Ok(())
}
