//! Handlers behind one type: decode, then handle.

use std::{marker::PhantomData, pin::Pin};

use garenne_shared::{CodecErrorKind, Codecs, Message};
use serde::de::DeserializeOwned;

use crate::{Context, Failure, FailureKind, Handler};

/// A future without its type.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A handler without its message type.
pub(crate) trait Endpoint: Send + Sync {
    /// Decodes the body and handles the message.
    fn call<'a>(&'a self, cx: Context, codecs: &'a Codecs) -> BoxFuture<'a, Result<(), Failure>>;
}

/// A handler of one message type.
pub(crate) struct Typed<M, H> {
    handler: H,
    message: PhantomData<fn(M)>,
}

/// A handler of whatever comes, undecoded.
pub(crate) struct Raw<H>(pub(crate) H);

// === impl Typed ===

impl<M, H> Typed<M, H> {
    pub(crate) const fn new(handler: H) -> Self {
        Self { handler, message: PhantomData }
    }
}

impl<M: Message + DeserializeOwned, H: Handler<M>> Endpoint for Typed<M, H> {
    fn call<'a>(&'a self, cx: Context, codecs: &'a Codecs) -> BoxFuture<'a, Result<(), Failure>> {
        let incoming = cx.incoming();
        match codecs.decode(incoming.metadata.content_type.as_deref(), &incoming.body) {
            Ok(message) => self.handler.handle(message, cx),
            Err(error) => {
                let kind = match error.kind() {
                    CodecErrorKind::UnknownContentType => FailureKind::UnknownContentType,
                    _ => FailureKind::Undecodable,
                };
                Box::pin(std::future::ready(Err(Failure::dead_letter(error).of_kind(kind))))
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
    fn call<'a>(&'a self, cx: Context, _: &'a Codecs) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.0(cx))
    }
}
