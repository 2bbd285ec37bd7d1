//! What a handler returns: nothing, or a reply.

use garenne_shared::{ExchangeName, Message, Outgoing, RoutingKey};

use crate::{
    Context, Failure,
    endpoint::{BoxFuture, Handling},
};

/// What a handler returns on success: `()`, or a [`Reply`].
///
/// The trait is sealed: what a handler may return decides how its message is settled.
pub trait Response: sealed::Sealed + Send + Sized + 'static {
    #[doc(hidden)]
    fn handling(future: BoxFuture<'_, Result<Self, Failure>>, cx: Context) -> Handling<'_>;
}

/// A reply to whoever sent the message: published to its `reply_to` queue, with its correlation id (or, without one, its message id), and
/// confirmed before the message is acknowledged.
///
/// A message without `reply_to` gets none. A requester that is gone loses the reply: that is no failure of the handler.
///
/// # Examples
///
/// ```
/// use garenne_consumer::{Context, Failure, Reply};
///
/// async fn double(number: String, _: Context) -> Result<Reply<String>, Failure> {
///     Ok(Reply(format!("{number}{number}")))
/// }
/// # fn check<H: garenne_consumer::Handler<String, Reply<String>>>(_: H) {}
/// # check(double);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<T>(pub T);

mod sealed {
    pub trait Sealed {}
    impl Sealed for () {}
    impl<T> Sealed for super::Reply<T> {}
}

impl Response for () {
    fn handling(future: BoxFuture<'_, Result<Self, Failure>>, _: Context) -> Handling<'_> {
        Handling::Plain(future)
    }
}

impl<T: Message> Response for Reply<T> {
    fn handling(future: BoxFuture<'_, Result<Self, Failure>>, cx: Context) -> Handling<'_> {
        Handling::Replying(Box::pin(async move {
            let Self(reply) = future.await?;
            address(&reply, &cx)
        }))
    }
}

fn address<T: Message>(reply: &T, cx: &Context) -> Result<Option<Outgoing>, Failure> {
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
