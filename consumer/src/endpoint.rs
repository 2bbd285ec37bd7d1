//! Handlers behind one type: decode, then handle.

use std::{
    any,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
};

use garenne_shared::{CodecErrorKind, Codecs, Message, Outgoing};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Context, Failure, FailureKind, Handler, Outcome, reply};

/// A future without its type.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A handler without its message type.
pub(crate) trait Endpoint: Send + Sync {
    /// Decodes the body and handles the message.
    fn call<'a>(&'a self, cx: Context, codecs: &'a Codecs) -> Handling<'a>;

    /// Returns the name of the handler's type.
    fn name(&self) -> &'static str;
}

/// The handling of one message by its handler. That of a handler without replies, the usual one, takes no box more.
pub(crate) enum Handling<'a> {
    /// It returns nothing.
    Plain(BoxFuture<'a, Result<(), Failure>>),
    /// It may return a reply.
    Replying(BoxFuture<'a, Result<Option<Outgoing>, Failure>>),
}

/// A handler of one message type that returns nothing.
pub(crate) struct Typed<M, H> {
    handler: H,
    message: PhantomData<fn(M)>,
}

/// A handler of one message type that returns a reply.
pub(crate) struct Replying<M, R, H> {
    handler: H,
    types: PhantomData<fn(M) -> R>,
}

/// A handler of whatever comes, undecoded.
pub(crate) struct Raw<H>(pub(crate) H);

// === impl Handling ===

impl Future for Handling<'_> {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Outcome> {
        // The error is read and dropped in here, where its panics are caught: both are code of the service.
        Poll::Ready(match self.get_mut() {
            Self::Plain(handling) => ready!(handling.as_mut().poll(cx)).into(),
            Self::Replying(handling) => match ready!(handling.as_mut().poll(cx)) {
                Ok(reply) => Outcome::with_publishes(reply.into_iter().collect()),
                Err(failure) => Outcome::failed(&failure),
            },
        })
    }
}

// === impl Typed ===

impl<M, H> Typed<M, H> {
    pub(crate) const fn new(handler: H) -> Self {
        Self { handler, message: PhantomData }
    }
}

impl<M: Message + DeserializeOwned, H: Handler<M>> Endpoint for Typed<M, H> {
    fn call<'a>(&'a self, cx: Context, codecs: &'a Codecs) -> Handling<'a> {
        Handling::Plain(match decode(&cx, codecs) {
            Ok(message) => self.handler.handle(message, cx),
            Err(failure) => Box::pin(std::future::ready(Err(failure))),
        })
    }

    fn name(&self) -> &'static str {
        type_name_of::<H>()
    }
}

// === impl Replying ===

impl<M, R, H> Replying<M, R, H> {
    pub(crate) const fn new(handler: H) -> Self {
        Self { handler, types: PhantomData }
    }
}

impl<M, R, H> Endpoint for Replying<M, R, H>
where
    M: Message + DeserializeOwned,
    R: Message + Serialize,
    H: Handler<M, R>,
{
    fn call<'a>(&'a self, cx: Context, codecs: &'a Codecs) -> Handling<'a> {
        Handling::Replying(Box::pin(async move {
            let reply = self.handler.handle(decode(&cx, codecs)?, cx.clone()).await?;
            reply::address(&reply, &cx)
        }))
    }

    fn name(&self) -> &'static str {
        type_name_of::<H>()
    }
}

fn decode<M: Message + DeserializeOwned>(cx: &Context, codecs: &Codecs) -> Result<M, Failure> {
    let incoming = cx.incoming();
    codecs.decode(incoming.metadata.content_type.as_deref(), &incoming.body).map_err(|error| {
        let kind = match error.kind() {
            CodecErrorKind::UnknownContentType => FailureKind::UnknownContentType,
            _ => FailureKind::Undecodable,
        };
        Failure::dead_letter(error).of_kind(kind)
    })
}

// === impl Raw ===

impl<H, Fut> Endpoint for Raw<H>
where
    H: Fn(Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Failure>> + Send + 'static,
{
    fn call<'a>(&'a self, cx: Context, _: &'a Codecs) -> Handling<'a> {
        Handling::Plain(Box::pin(self.0(cx)))
    }

    fn name(&self) -> &'static str {
        type_name_of::<H>()
    }
}

/// Returns the name of a type as an operator would look for it in the source: without the `Arc` around it.
fn type_name_of<T>() -> &'static str {
    let mut name = any::type_name::<T>();
    while let Some(inner) = name.strip_prefix("alloc::sync::Arc<").and_then(|rest| rest.strip_suffix('>')) {
        name = inner;
    }
    name
}
