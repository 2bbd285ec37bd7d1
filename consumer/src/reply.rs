//! Replies: what a handler returns, on its way to whoever asked.

use garenne_shared::{ExchangeName, Message, Outgoing, RoutingKey};

use serde::Serialize;

use crate::{Context, Failure};

/// Addresses a reply to the `reply_to` queue of a message, with its correlation id or, without one, its message id.
///
/// A message without `reply_to` gets no reply. A requester that is gone loses it: that is no failure of the handler.
pub(crate) fn address<T: Message + Serialize>(reply: &T, cx: &Context) -> Result<Option<Outgoing>, Failure> {
    let (queue, id) = (cx.queue(), cx.message_id());
    let Some(reply_to) = cx.metadata().reply_to.as_deref() else {
        tracing::debug!(%queue, id, "message has no `reply_to`: its reply goes nowhere");
        return Ok(None);
    };
    let key = match RoutingKey::try_from(reply_to.to_owned()) {
        Ok(key) => key,
        Err(error) => {
            tracing::warn!(%queue, id, %error, "message has a `reply_to` that is no name of a queue: its reply goes nowhere");
            return Ok(None);
        }
    };
    let reply = cx.publish(reply).exchange(ExchangeName::DEFAULT).routing_key(key);
    let mut reply = reply.into_outgoing().map_err(Failure::dead_letter)?;
    reply.mandatory = false;
    Ok(Some(reply))
}
