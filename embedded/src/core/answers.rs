//! The methods that a broker sends, by name.

use amq_protocol::protocol::AMQPClass;

use super::Carrier;

const ANSWERS: [((u16, u16), &str); 34] = [
    ((10, 10), "connection.start"),
    ((10, 30), "connection.tune"),
    ((10, 41), "connection.open-ok"),
    ((10, 50), "connection.close"),
    ((10, 51), "connection.close-ok"),
    ((10, 60), "connection.blocked"),
    ((10, 61), "connection.unblocked"),
    ((10, 71), "connection.update-secret-ok"),
    ((20, 11), "channel.open-ok"),
    ((20, 21), "channel.flow-ok"),
    ((20, 40), "channel.close"),
    ((20, 41), "channel.close-ok"),
    ((30, 11), "access.request-ok"),
    ((40, 11), "exchange.declare-ok"),
    ((40, 21), "exchange.delete-ok"),
    ((40, 31), "exchange.bind-ok"),
    ((40, 51), "exchange.unbind-ok"),
    ((50, 11), "queue.declare-ok"),
    ((50, 21), "queue.bind-ok"),
    ((50, 31), "queue.purge-ok"),
    ((50, 41), "queue.delete-ok"),
    ((50, 51), "queue.unbind-ok"),
    ((60, 11), "basic.qos-ok"),
    ((60, 21), "basic.consume-ok"),
    ((60, 30), "basic.cancel"),
    ((60, 31), "basic.cancel-ok"),
    ((60, 72), "basic.get-empty"),
    ((60, 80), "basic.ack"),
    ((60, 111), "basic.recover-ok"),
    ((60, 120), "basic.nack"),
    ((85, 11), "confirm.select-ok"),
    ((90, 11), "tx.select-ok"),
    ((90, 21), "tx.commit-ok"),
    ((90, 31), "tx.rollback-ok"),
];

/// The methods that come with a message.
const CARRIERS: [&str; 3] = ["basic.deliver", "basic.get-ok", "basic.return"];

/// Returns whether a broker sends a method of this name.
pub(crate) fn is_answer(method: &str) -> bool {
    CARRIERS.contains(&method) || ANSWERS.iter().any(|(_, name)| *name == method)
}

/// Returns the name of a method that the broker sends.
pub(crate) fn answer_name(method: &AMQPClass) -> &'static str {
    let id = (method.get_amqp_class_id(), method.get_amqp_method_id());
    ANSWERS.iter().find(|(known, _)| *known == id).map_or("other", |(_, name)| name)
}

impl Carrier {
    /// Returns the name of the method.
    pub(crate) fn name(&self) -> &'static str {
        let [deliver, get_ok, returned] = CARRIERS;
        match self {
            Self::Deliver { .. } => deliver,
            Self::GetOk { .. } => get_ok,
            Self::Return { .. } => returned,
        }
    }
}
