//! Handlers behind one type: decode, then handle.

use std::{
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
};

use garenne_shared::{CodecErrorKind, Codecs, Message, Outgoing};

use crate::{Context, Failure, FailureKind, Handler, Outcome, Response};

/// A future without its type.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A handler without its message type.
pub(crate) trait Endpoint: Send + Sync {
    /// Decodes the body and handles the message.
    fn call<'a>(&'a self, cx: Context, codecs: &'a Codecs) -> Handling<'a>;
}

/// The handling of one message by its handler. That of a handler without replies, the usual one, takes no box more.
pub enum Handling<'a> {
    /// It returns nothing.
    Plain(BoxFuture<'a, Result<(), Failure>>),
    /// It may return a reply.
    Replying(BoxFuture<'a, Result<Option<Outgoing>, Failure>>),
}

/// A handler of one message type.
pub(crate) struct Typed<M, R, H> {
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

impl std::fmt::Debug for Handling<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Replying(_) => "Replying",
        })
    }
}

// === impl Typed ===

impl<M, R, H> Typed<M, R, H> {
    pub(crate) const fn new(handler: H) -> Self {
        Self { handler, types: PhantomData }
    }
}

impl<M: Message, R: Response, H: Handler<M, R>> Endpoint for Typed<M, R, H> {
    fn call<'a>(&'a self, cx: Context, codecs: &'a Codecs) -> Handling<'a> {
        let incoming = cx.incoming();
        match codecs.decode(incoming.metadata.content_type.as_deref(), &incoming.body) {
            Ok(message) => R::handling(self.handler.handle(message, cx.clone()), cx),
            Err(error) => {
                let kind = match error.kind() {
                    CodecErrorKind::UnknownContentType => FailureKind::UnknownContentType,
                    _ => FailureKind::Undecodable,
                };
                let failure = Failure::dead_letter(error).of_kind(kind);
                Handling::Plain(Box::pin(std::future::ready(Err(failure))))
            }
        }
    }
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
}
