//! Who is connected, and who consumes.

use crate::form;

/// An open connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObservedConnection {
    /// Its name, such as `127.0.0.1:40312 -> 127.0.0.1:5672`.
    pub name: String,
    /// The name that the client gave it (`connection_name`).
    pub client_name: Option<String>,
    /// The node that holds it.
    pub node: String,
    /// Its user.
    pub user: String,
    /// Its state as the broker names it, such as `running`, `blocked` or `flow`.
    pub state: Option<String>,
}

/// An open channel.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObservedChannel {
    /// The name of its connection.
    pub connection: String,
    /// Its number on that connection.
    pub number: u16,
    /// The deliveries on it that are not acknowledged; `None` while the broker has no count yet.
    pub unacked: Option<u64>,
}

/// A consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObservedConsumer {
    /// Its tag.
    pub tag: String,
    /// Its queue.
    pub queue: String,
    /// The name of its connection; `None` where the broker does not know it.
    pub connection: Option<String>,
    /// Whether it acknowledges what it gets.
    pub acknowledges: bool,
    /// Whether it is alone on its queue.
    pub exclusive: bool,
    /// How many deliveries it may hold; 0 is no limit.
    pub prefetch: u32,
    /// Whether it gets messages: of those of a single active consumer, only one does.
    pub active: bool,
}

impl From<form::Connection> for ObservedConnection {
    fn from(form: form::Connection) -> Self {
        Self {
            name: form.name,
            client_name: form.user_provided_name,
            node: form.node,
            user: form.user,
            state: form.state,
        }
    }
}

impl From<form::Channel> for ObservedChannel {
    fn from(form: form::Channel) -> Self {
        Self {
            connection: form.connection_details.map(|connection| connection.name).unwrap_or_default(),
            number: form.number,
            unacked: form.messages_unacknowledged,
        }
    }
}

impl From<form::Consumer> for ObservedConsumer {
    fn from(form: form::Consumer) -> Self {
        Self {
            tag: form.consumer_tag,
            queue: form.queue.name,
            connection: form.channel_details.map(|channel| channel.connection_name),
            acknowledges: form.ack_required,
            exclusive: form.exclusive,
            prefetch: form.prefetch_count,
            active: form.active.unwrap_or(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_whose_channel_is_not_known_is_read() {
        let json = r#"{"consumer_tag":"c","queue":{"name":"work"},"channel_details":[],"prefetch_count":7}"#;
        let consumer = ObservedConsumer::from(serde_json::from_str::<form::Consumer>(json).unwrap());
        assert_eq!((consumer.queue.as_str(), consumer.connection, consumer.prefetch), ("work", None, 7));
        let json =
            r#"{"consumer_tag":"c","queue":{"name":"work"},"channel_details":{"connection_name":"a -> b"}}"#;
        let consumer = ObservedConsumer::from(serde_json::from_str::<form::Consumer>(json).unwrap());
        assert_eq!(consumer.connection.as_deref(), Some("a -> b"));
    }
}
