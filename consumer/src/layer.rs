//! What runs around the handling of every message.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::{Context, Outcome, pipeline::Pipeline};

/// Runs around the handling of every message of a consumer or a service: before it, after it, or instead of it.
///
/// The first one added is the outermost. Everything that a message can come to passes through the layers as an [`Outcome`]: what a handler
/// returned, unknown types, bodies that do not decode, panics and timeouts of the handler. A layer that panics is a failure itself.
///
/// A layer may hand values to what is inside ([`Context::extensions`]) and another body or other metadata
/// ([`Context::with_incoming`]), as one that decompresses does.
///
/// # Examples
///
/// ```
/// use async_trait::async_trait;
/// use garenne_consumer::{Context, Layer, Next, Outcome};
///
/// struct OnlyMyTenant;
///
/// #[async_trait]
/// impl Layer for OnlyMyTenant {
///     async fn call(&self, cx: Context, next: Next<'_>) -> Outcome {
///         if cx.metadata().headers.text("tenant") == Some("mine") {
///             next.run(cx).await
///         } else {
///             Outcome::done()
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait Layer: Send + Sync + 'static {
    /// Handles a message, usually by way of `next.run(cx)`.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped at the end of the drain, and if it goes on for more than a second after the consumer's timeout; the handler
    /// inside is dropped at the timeout itself.
    async fn call(&self, cx: Context, next: Next<'_>) -> Outcome;
}

/// What is inside a layer: the next one, or routing, decoding and the handler.
#[derive(Clone, Copy)]
pub struct Next<'a> {
    pub(crate) layers: &'a [Arc<dyn Layer>],
    pub(crate) pipeline: &'a Pipeline,
    /// When the handler must have ended.
    pub(crate) deadline: Option<Instant>,
}

// === impl Next ===

impl Next<'_> {
    /// Runs what is inside. A copy of it can be run again, for another attempt at once.
    ///
    /// # Cancel safety
    ///
    /// As that of the handler.
    pub async fn run(self, cx: Context) -> Outcome {
        match self.layers.split_first() {
            Some((first, rest)) => first.call(cx, Next { layers: rest, ..self }).await,
            None => self.pipeline.innermost(cx, self.deadline).await,
        }
    }
}

impl std::fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Next").field("layers", &self.layers.len()).finish_non_exhaustive()
    }
}
