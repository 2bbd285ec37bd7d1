//! `basic.publish`: checks, routing, mandatory returns and confirms.
//!
//! <https://www.rabbitmq.com/docs/publishers>, <https://www.rabbitmq.com/docs/confirms>; `rabbit_channel.erl`, `handle_method(#'basic.publish'{})`.

use std::sync::Arc;

use bytes::Bytes;

use super::confirms::ack;
use super::effect::{Carrier, Output, PublishMethod};
use super::field::Table;
use super::history::Fate;
use super::properties::{Edit, Properties, Property};
use super::queue::Publish;
use super::state::Core;
use super::text::{latin1, printed};
use super::{AmqpError, ChannelId, ConnectionId, Key, Message, Millis, Name, erlang, reply_to};

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
        method: PublishMethod,
        mut properties: Properties,
        body: Bytes,
    ) -> Result<(), AmqpError> {
        if method.immediate {
            return Err(AmqpError::not_implemented("immediate=true"));
        }
        check_size(body.len())?;
        let exchange = self.check_allowed(connection, channel, &method.exchange)?;
        self.override_reply_to(connection, channel, &mut properties)?;
        read_expiration(&properties)?;
        let sequence =
            self.channel(connection, channel)?.confirms.as_mut().map(super::confirms::Confirms::next);
        self.check_user(connection, &properties)?;
        let address = (exchange, method.routing_key);
        let mut message = new_message(0, address, properties, body)?;
        if self.channel(connection, channel)?.transaction.is_some() {
            let mut queues = Vec::new();
            self.vhost_of(connection)?.0.route(&message.exchange, &message, &mut queues)?;
            if let Some(transaction) = &mut self.channel(connection, channel)?.transaction {
                transaction.publish(message, queues, method.mandatory);
            }
            return Ok(());
        }
        message.id = self.history.next_id();
        let message = Arc::new(message);
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
        self.enqueued += 1;
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

    /// Returns the exchange's name if the connection may publish to it; the answer is kept until something changes.
    fn check_allowed(
        &mut self,
        connection: ConnectionId,
        channel: ChannelId,
        exchange: &[u8],
    ) -> Result<Name, AmqpError> {
        let age = self.age;
        if let Some((allowed, then)) = &self.channel(connection, channel)?.allowed
            && allowed.as_bytes() == exchange
            && *then == age
        {
            return Ok(allowed.clone());
        }
        let (vhost, caller) = self.vhost_of(connection)?;
        let exchange = vhost.check_publish(&caller, exchange)?;
        self.channel(connection, channel)?.allowed = Some((exchange.clone(), age));
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.has_published = true;
        }
        Ok(exchange)
    }

    /// <https://www.rabbitmq.com/docs/validated-user-id>
    fn check_user(&self, connection: ConnectionId, properties: &Properties) -> Result<(), AmqpError> {
        let (Some(claimed), Some(open)) =
            (properties.raw(Property::UserId), self.connections.get(&connection))
        else {
            return Ok(());
        };
        let is_impersonator = || {
            self.users.get(&open.user).is_some_and(|user| user.tags.iter().any(|tag| tag == "impersonator"))
        };
        if claimed == open.user.as_bytes() || is_impersonator() {
            return Ok(());
        }
        Err(AmqpError::precondition_failed(format!(
            "user_id property set to '{}' but authenticated user was '{}'",
            printed(claimed),
            open.user
        )))
    }

    /// A message that no queue takes: a mandatory one goes back before its confirm.
    pub(super) fn unroutable(
        &mut self,
        connection: ConnectionId,
        channel: ChannelId,
        message: &Arc<Message>,
        is_mandatory: bool,
        sequence: Option<u64>,
    ) {
        if is_mandatory {
            self.history.returned(message);
            let carrier = Carrier::Return { reply_code: 312, reply_text: "NO_ROUTE" };
            let message = Arc::clone(message);
            self.effects.push((connection, Output::Content { channel, carrier, message, properties: None }));
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
        properties: &mut Properties,
    ) -> Result<(), AmqpError> {
        if properties.raw(Property::ReplyTo) != Some(reply_to::PSEUDO_QUEUE.as_bytes()) {
            return Ok(());
        }
        let Some(reply) = &self.channel(connection, channel)?.reply else {
            return Err(AmqpError::precondition_failed("fast reply consumer does not exist"));
        };
        *properties = properties.with(Property::ReplyTo, Some(reply.queue.as_bytes()));
        Ok(())
    }
}

/// Returns a name as the protocol writes it; names that came over the wire always fit.
pub(super) fn short(name: &str) -> amq_protocol::types::ShortString {
    amq_protocol::types::ShortString::try_new(name).unwrap_or_default()
}

/// Returns the time to live that a message asks for, in milliseconds: `rabbit_basic.erl`, `parse_expiration`.
pub(crate) fn expiration(properties: &Properties) -> Option<u64> {
    std::str::from_utf8(properties.raw(Property::Expiration)?).ok()?.parse().ok()
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
fn read_expiration(properties: &Properties) -> Result<Option<u64>, AmqpError> {
    let Some(bytes) = properties.raw(Property::Expiration) else { return Ok(None) };
    // Each byte is a character there, whatever its encoding.
    let text = latin1(bytes);
    let digits = text.strip_prefix(['-', '+']).unwrap_or(&text);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let reason = if end == 0 {
        "no_integer".to_owned()
    } else if end < digits.len() {
        format!("{{leftover_string,{}}}", erlang::string(&digits[end..]))
    } else if text.starts_with('-') && !digits.trim_start_matches('0').is_empty() {
        format!("{{value_negative,-{}}}", digits.trim_start_matches('0'))
    } else {
        match digits.parse() {
            Ok(ttl @ 0..=MAX_EXPIRY) => return Ok(Some(ttl)),
            _ => format!("{{value_too_large,{}}}", digits.trim_start_matches('0')),
        }
    };
    Err(AmqpError::precondition_failed(format!("invalid expiration '{}': {reason}", printed(bytes))))
}

/// Makes a message of what was published.
pub(super) fn new_message(
    id: u64,
    (exchange, routing_key): (Name, Key),
    mut properties: Properties,
    body: Bytes,
) -> Result<Message, AmqpError> {
    if let Some(ttl) = read_expiration(&properties)? {
        // Told as a number from here on: `mc_amqpl.erl`, `protocol_state`.
        let ttl = ttl.to_string();
        if properties.raw(Property::Expiration) != Some(ttl.as_bytes()) {
            properties = properties.with(Property::Expiration, Some(ttl.as_bytes()));
        }
    }
    let keys = header_routes(&mut properties)?;
    Ok(Message {
        id,
        exchange,
        routing_key,
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
    all: Vec<Key>,
    hidden: Vec<Key>,
}

/// Reads `CC` and `BCC` and takes `BCC` out: `rabbit_basic.erl`, `header_routes`.
fn header_routes(properties: &mut Properties) -> Result<HeaderRoutes, AmqpError> {
    let mut routes = HeaderRoutes { all: Vec::new(), hidden: Vec::new() };
    let headers = properties.headers();
    read_keys(headers, "CC", &mut routes.all)?;
    if read_keys(headers, "BCC", &mut routes.hidden)? {
        routes.all.extend_from_slice(&routes.hidden);
        let without: [Edit<'_>; 1] = [(b"BCC", None)];
        *properties = properties.with_headers(&without);
    }
    Ok(routes)
}

/// Returns whether there is such a header.
fn read_keys(headers: Table<'_>, header: &str, keys: &mut Vec<Key>) -> Result<bool, AmqpError> {
    let Some(found) = headers.get(header.as_bytes()) else { return Ok(false) };
    let Some(array) = found.array() else {
        return Err(AmqpError::precondition_failed(format!(
            "invalid message: {{unacceptable_type_in_header,{header:?},{}}}",
            found.type_name()
        )));
    };
    keys.extend(array.filter(|value| value.kind == b'S').map(|value| Key::from(value.bytes)));
    Ok(true)
}
