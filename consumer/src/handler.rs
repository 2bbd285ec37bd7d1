//! What a service author writes: the code that handles a message.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{Context, Failure, endpoint::BoxFuture};

/// Handles messages of one type, and returns nothing (`R = ()`) or a reply
/// ([`Consumer::respond`](crate::Consumer::respond)).
///
/// A struct implements it with `#[async_trait]`; an async function or a closure `Fn(M, Context) -> Future` is one as it is, and an `Arc` of a handler is
/// one, too.
/// What it returns decides what becomes of the delivery:
///
/// | returned | what happens |
/// |---|---|
/// | `Ok(())` | acknowledged, once [what it deferred](Context::defer) is confirmed |
/// | `Ok(reply)` | the same, once the reply is confirmed |
/// | [`Failure::retry`] | delivered again, up to the queue's delivery limit |
/// | [`Failure::dead_letter`] | a copy with the error goes to the dead-letter queue, then it is acknowledged |
/// | a panic, or more time than [`Consumer::timeout`](crate::Consumer::timeout) | as [`Failure::retry`] |
///
/// # Examples
///
/// ```
/// use async_trait::async_trait;
/// use garenne_consumer::{Context, Failure, Handler, OrFailure as _};
///
/// struct Count;
///
/// #[async_trait]
/// impl Handler<String> for Count {
///     async fn handle(&self, text: String, _: Context) -> Result<(), Failure> {
///         let _: u64 = text.parse().or_dead_letter()?;
///         Ok(())
///     }
/// }
/// ```
///
/// A bare `?` on an error that nobody classified does not compile:
///
/// ```compile_fail,E0277
/// use garenne_consumer::{Context, Failure};
///
/// async fn handle(text: String, _: Context) -> Result<(), Failure> {
///     let _: u64 = text.parse()?;
///     Ok(())
/// }
/// ```
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle messages of type `{M}`",
    label = "not a handler of `{M}`",
    note = "a handler is a type with `impl Handler<{M}>`, or an `async fn(message: {M}, cx: Context) -> Result<(), Failure>`"
)]
pub trait Handler<M, R = ()>: Send + Sync + 'static {
    /// Handles one message.
    ///
    /// # Errors
    ///
    /// A [`Failure`], which decides between another attempt and the dead-letter queue.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped at the timeout and at the end of the drain; the message is delivered again then.
    async fn handle(&self, message: M, cx: Context) -> Result<R, Failure>;
}

#[async_trait]
impl<M, R, F, Fut> Handler<M, R> for F
where
    M: Send + 'static,
    F: Fn(M, Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, Failure>> + Send + 'static,
{
    async fn handle(&self, message: M, cx: Context) -> Result<R, Failure> {
        self(message, cx).await
    }
}

/// No task and no box more: the future is that of the handler inside.
impl<M, R, H> Handler<M, R> for Arc<H>
where
    H: Handler<M, R> + ?Sized,
{
    fn handle<'handler, 'future>(
        &'handler self,
        message: M,
        cx: Context,
    ) -> BoxFuture<'future, Result<R, Failure>>
    where
        'handler: 'future,
        Self: 'future,
    {
        (**self).handle(message, cx)
    }
}
