//! `basic.publish`: checks, routing, mandatory returns and confirms.
//!
//! <https://www.rabbitmq.com/docs/publishers>, <https://www.rabbitmq.com/docs/confirms>; `rabbit_channel.erl`, `handle_method(#'basic.publish'{})`.

use std::sync::Arc;

use amq_protocol::protocol::basic::{self, AMQPMethod, AMQPProperties, Return};
use amq_protocol::types::{AMQPValue, FieldTable};
use bytes::Bytes;

use super::confirms::ack;
use super::effect::Output;
use super::history::Fate;
use super::queue::Publish;
use super::state::Core;
use super::{AmqpError, ChannelId, ConnectionId, Message, Millis, Name, erlang, reply_to, table};

/// The largest time to live, ten years in milliseconds: `rabbit_misc.erl`, `check_expiry`.
const MAX_EXPIRY: u64 = 315_360_000_000;

/// The largest body: <https://www.rabbitmq.com/docs/limits>, `max_message_size`.
const MAX_MESSAGE_SIZE: usize = 16 << 20;

impl Core {
    /// Handles a published message.
    pub(super) fn publish(
        &mut self,
        now: Millis,
        (connection, channel): (ConnectionId, ChannelId),
        method: &basic::Publish,
        mut properties: AMQPProperties,
        body: Bytes,
    ) -> Result<(), AmqpError> {
        if method.immediate {
            return Err(AmqpError::not_implemented("immediate=true"));
        }
        check_size(body.len())?;
        self.check_allowed(connection, channel, method)?;
        self.override_reply_to(connection, channel, &mut properties)?;
        read_expiration(&properties)?;
        let sequence =
            self.channel(connection, channel)?.confirms.as_mut().map(super::confirms::Confirms::next);
        self.check_user(connection, &properties)?;
        let address = (method.exchange.as_str(), method.routing_key.as_str());
        let message = Arc::new(new_message(self.history.next_id(), address, properties, body)?);
        self.history.publish(Arc::clone(&message), false);
        if std::mem::take(&mut self.refuse_next) {
            self.refuse_publish(connection, channel, &message, sequence);
            return Ok(());
        }
        if self.publish_reply(connection, channel, &message, sequence)? {
            return Ok(());
        }
        let mut queues = std::mem::take(&mut self.routed);
        let (vhost, _) = self.vhost_of(connection)?;
        let vhost_name = vhost.name.clone();
        let routed = vhost.route(&message.exchange, &message, &mut queues);
        let outcome = routed.map(|()| {
            if queues.is_empty() {
                self.unroutable(connection, channel, &message, method.mandatory, sequence);
            } else {
                let is_refused = self.enqueue_all(now, &vhost_name, &message, &queues);
                self.confirm(connection, channel, sequence, !is_refused);
            }
        });
        queues.clear();
        self.routed = queues;
        outcome
    }

    /// Puts a message into queues; returns whether one of them refused it.
    pub(super) fn enqueue_all(
        &mut self,
        now: Millis,
        vhost: &Name,
        message: &Arc<Message>,
        queues: &[Name],
    ) -> bool {
        let mut is_refused = false;
        for name in queues {
            is_refused |= self.enqueue(now, vhost, message, name, true) == Publish::Refused;
        }
        is_refused
    }

    /// Puts a message into a queue. `is_tracked` is whether its sender waits for what becomes of it.
    pub(super) fn enqueue(
        &mut self,
        now: Millis,
        vhost: &Name,
        message: &Arc<Message>,
        name: &Name,
        is_tracked: bool,
    ) -> Publish {
        let Some(queue) = self.vhosts.get_mut(vhost).and_then(|vhost| vhost.queues.get_mut(name)) else {
            return Publish::Stored;
        };
        let mut discards = Vec::new();
        self.history.note(message, name, || Fate::Ready);
        let outcome = queue.publish(now, Arc::clone(message), is_tracked, &mut discards);
        if outcome == Publish::Refused && discards.is_empty() {
            self.history.note(message, name, || Fate::Refused);
        }
        self.discard(vhost, name, discards);
        self.touch_queue(vhost, name);
        outcome
    }

    /// Whether the connection may publish to the exchange; the answer is kept until something changes.
    fn check_allowed(
        &mut self,
        connection: ConnectionId,
        channel: ChannelId,
        method: &basic::Publish,
    ) -> Result<(), AmqpError> {
        let (age, exchange) = (self.age, method.exchange.as_str());
        let known = &self.channel(connection, channel)?.allowed;
        if known.as_ref().is_some_and(|(allowed, then)| allowed == exchange && *then == age) {
            return Ok(());
        }
        let (vhost, caller) = self.vhost_of(connection)?;
        vhost.check_publish(&caller, exchange)?;
        self.channel(connection, channel)?.allowed = Some((exchange.to_owned(), age));
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.has_published = true;
        }
        Ok(())
    }

    /// <https://www.rabbitmq.com/docs/validated-user-id>
    fn check_user(&self, connection: ConnectionId, properties: &AMQPProperties) -> Result<(), AmqpError> {
        let (Some(claimed), Some(open)) = (properties.user_id(), self.connections.get(&connection)) else {
            return Ok(());
        };
        let is_impersonator = || {
            self.users.get(&open.user).is_some_and(|user| user.tags.iter().any(|tag| tag == "impersonator"))
        };
        if claimed.as_str() == &*open.user || is_impersonator() {
            return Ok(());
        }
        Err(AmqpError::precondition_failed(format!(
            "user_id property set to '{claimed}' but authenticated user was '{}'",
            open.user
        )))
    }

    /// A message that no queue takes: a mandatory one goes back before its confirm.
    fn unroutable(
        &mut self,
        connection: ConnectionId,
        channel: ChannelId,
        message: &Arc<Message>,
        is_mandatory: bool,
        sequence: Option<u64>,
    ) {
        if is_mandatory {
            self.history.returned(message);
            let method = AMQPMethod::Return(Return {
                reply_code: 312,
                reply_text: "NO_ROUTE".into(),
                exchange: short(&message.exchange),
                routing_key: short(&message.routing_key),
            });
            let message = Arc::clone(message);
            self.effects.push((connection, Output::Content { channel, method, message, properties: None }));
        }
        match sequence {
            // At once, as RabbitMQ does it: nothing is to be waited for.
            Some(tag) if self.faults.is_confirming_at_once() => {
                self.send_basic(connection, channel, ack(tag, false));
            }
            _ => self.confirm(connection, channel, sequence, true),
        }
    }

    /// Notes the outcome of a publish that reached queues; it goes out at the end of the batch.
    pub(super) fn confirm(
        &mut self,
        connection: ConnectionId,
        channel: ChannelId,
        sequence: Option<u64>,
        is_stored: bool,
    ) {
        let Some(tag) = sequence else { return };
        let is_withheld = self.faults.withholds || std::mem::take(&mut self.withhold_next);
        let Ok(Some(confirms)) = self.channel(connection, channel).map(|channel| channel.confirms.as_mut())
        else {
            return;
        };
        if !is_stored {
            confirms.nack(tag);
        } else if is_withheld {
            confirms.withhold(tag);
        } else {
            confirms.ack(tag);
        }
        self.unflushed.insert((connection, channel));
    }

    /// Sends the confirms that were put off: the connection's input is used up for now.
    pub(crate) fn end_of_batch(&mut self, now: Millis, connection: ConnectionId) {
        if self.faults.confirm_delay > 0 {
            if !self.unflushed.is_empty() {
                self.timers.flush_by(now + self.faults.confirm_delay);
            }
            return;
        }
        while let Some(&(first, channel)) = self.unflushed.range((connection, 0)..).next() {
            if first != connection {
                break;
            }
            self.unflushed.remove(&(connection, channel));
            self.flush_confirms(connection, channel);
        }
    }

    /// Puts the name of this channel's direct replies in the place of the pseudo-queue's.
    fn override_reply_to(
        &mut self,
        connection: ConnectionId,
        channel: ChannelId,
        properties: &mut AMQPProperties,
    ) -> Result<(), AmqpError> {
        if properties.reply_to().as_ref().is_none_or(|to| to.as_str() != reply_to::PSEUDO_QUEUE) {
            return Ok(());
        }
        let Some(reply) = &self.channel(connection, channel)?.reply else {
            return Err(AmqpError::precondition_failed("fast reply consumer does not exist"));
        };
        *properties = std::mem::take(properties).with_reply_to(short(&reply.queue));
        Ok(())
    }
}

/// Returns a name as the protocol writes it; names that came over the wire always fit.
pub(super) fn short(name: &str) -> amq_protocol::types::ShortString {
    amq_protocol::types::ShortString::try_new(name).unwrap_or_default()
}

/// Returns the time to live that a message asks for, in milliseconds: `rabbit_basic.erl`, `parse_expiration`.
pub(crate) fn expiration(properties: &AMQPProperties) -> Option<u64> {
    properties.expiration().as_ref()?.as_str().parse().ok()
}

/// `rabbit_channel.erl`, `check_msg_size`.
fn check_size(size: usize) -> Result<(), AmqpError> {
    if size <= MAX_MESSAGE_SIZE {
        return Ok(());
    }
    let text = format!("message size {size} is larger than configured max size {MAX_MESSAGE_SIZE}");
    Err(AmqpError::precondition_failed(text))
}

/// Reads the time to live as Erlang's `string:to_integer` does: `rabbit_basic.erl`, `parse_expiration`.
fn read_expiration(properties: &AMQPProperties) -> Result<Option<u64>, AmqpError> {
    let Some(text) = properties.expiration() else { return Ok(None) };
    let text = text.as_str();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let reason = if end == 0 {
        "no_integer".to_owned()
    } else if end < digits.len() {
        format!("{{leftover_string,{:?}}}", &digits[end..])
    } else if text.starts_with('-') && !digits.trim_start_matches('0').is_empty() {
        format!("{{value_negative,-{}}}", digits.trim_start_matches('0'))
    } else {
        match digits.parse() {
            Ok(ttl @ 0..=MAX_EXPIRY) => return Ok(Some(ttl)),
            _ => format!("{{value_too_large,{}}}", digits.trim_start_matches('0')),
        }
    };
    Err(AmqpError::precondition_failed(format!("invalid expiration '{text}': {reason}")))
}

/// Makes a message of what was published.
pub(super) fn new_message(
    id: u64,
    (exchange, key): (&str, &str),
    mut properties: AMQPProperties,
    body: Bytes,
) -> Result<Message, AmqpError> {
    if let Some(ttl) = read_expiration(&properties)? {
        // Told as a number from here on: `mc_amqpl.erl`, `protocol_state`.
        properties = properties.with_expiration(short(&ttl.to_string()));
    }
    let keys = header_routes(&mut properties)?;
    Ok(Message {
        id,
        exchange: exchange.into(),
        routing_key: key.into(),
        hidden_keys: keys.hidden,
        further_keys: keys.all,
        deaths: Vec::new(),
        failures: 0,
        properties,
        body,
    })
}

/// The keys of the headers `CC` and `BCC`.
struct HeaderRoutes {
    all: Vec<Name>,
    hidden: Vec<Name>,
}

/// Reads `CC` and `BCC` and takes `BCC` out: `rabbit_basic.erl`, `header_routes`.
fn header_routes(properties: &mut AMQPProperties) -> Result<HeaderRoutes, AmqpError> {
    let mut routes = HeaderRoutes { all: Vec::new(), hidden: Vec::new() };
    let Some(headers) = properties.headers() else { return Ok(routes) };
    if !headers.contains_key("CC") && !headers.contains_key("BCC") {
        return Ok(routes);
    }
    read_keys(headers, "CC", &mut routes.all)?;
    read_keys(headers, "BCC", &mut routes.hidden)?;
    routes.all.extend_from_slice(&routes.hidden);
    if headers.contains_key("BCC") {
        let mut rest = headers.inner().clone();
        rest.remove("BCC");
        *properties = std::mem::take(properties).with_headers(FieldTable::from(rest));
    }
    Ok(routes)
}

fn read_keys(headers: &FieldTable, header: &str, keys: &mut Vec<Name>) -> Result<(), AmqpError> {
    match headers.inner().get(header) {
        None => Ok(()),
        Some(AMQPValue::FieldArray(array)) => {
            keys.extend(array.as_slice().iter().filter_map(table::string).map(Name::from));
            Ok(())
        }
        Some(other) => Err(AmqpError::precondition_failed(format!(
            "invalid message: {{unacceptable_type_in_header,{header:?},{}}}",
            erlang::type_name(other)
        ))),
    }
}
