//! What runs around every handler.

use std::sync::Arc;

use async_trait::async_trait;
use garenne_shared::Codecs;

use crate::{Context, Failure, endpoint::Endpoint};

/// Runs around every handler of a consumer or a service: before it, after it, or instead of it.
///
/// The first one added is the outermost. Panics and timeouts are caught outside of all of them.
///
/// # Examples
///
/// ```
/// use async_trait::async_trait;
/// use garenne_consumer::{Context, Failure, Middleware, Next};
///
/// struct OnlyMyTenant;
///
/// #[async_trait]
/// impl Middleware for OnlyMyTenant {
///     async fn call(&self, cx: Context, next: Next<'_>) -> Result<(), Failure> {
///         if cx.metadata().headers.text("tenant") == Some("mine") {
///             next.run(cx).await
///         } else {
///             Ok(())
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait Middleware: Send + Sync + 'static {
    /// Handles a delivery, usually by way of `next.run(cx)`.
    ///
    /// # Errors
    ///
    /// A [`Failure`], its own or that of what it called.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped at the timeout and at the end of the drain, as that of a handler.
    async fn call(&self, cx: Context, next: Next<'_>) -> Result<(), Failure>;
}

/// What is inside a middleware: the next one, or the handler.
pub struct Next<'a> {
    pub(crate) middleware: &'a [Arc<dyn Middleware>],
    pub(crate) endpoint: &'a dyn Endpoint,
    pub(crate) codecs: &'a Codecs,
}

// === impl Next ===

impl Next<'_> {
    /// Runs what is inside.
    ///
    /// # Errors
    ///
    /// The [`Failure`] of the middleware or the handler inside.
    ///
    /// # Cancel safety
    ///
    /// As that of the handler.
    pub async fn run(self, cx: Context) -> Result<(), Failure> {
        match self.middleware.split_first() {
            Some((first, rest)) => first.call(cx, Next { middleware: rest, ..self }).await,
            None => self.endpoint.call(cx, self.codecs).await,
        }
    }
}

impl std::fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Next").field("middleware", &self.middleware.len()).finish_non_exhaustive()
    }
}
