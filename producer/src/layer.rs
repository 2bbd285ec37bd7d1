//! What runs around the publishing of every message.

use std::sync::Arc;

use async_trait::async_trait;
use garenne_shared::Outgoing;
use garenne_transport::PublishError;

use crate::{Receipt, delivery::Delivery, draft::Draft, publisher::Shared, stage::Stage};

/// Runs around the publishing of every message of a [`Publisher`](crate::Publisher): before it is sent, after its verdict, or instead of
/// both.
///
/// The first one added is the outermost. It sees each message once, complete and encoded, and its final verdict: retries happen inside.
/// What cannot be encoded is no message, and fails before the layers.
///
/// A layer may change the message, wait, or fail with an error of its own. It cannot succeed by itself: only the broker's confirm makes
/// a [`Receipt`]. If it panics, the await of the publish panics.
///
/// # Examples
///
/// ```
/// use async_trait::async_trait;
/// use garenne_producer::{PublishError, PublishLayer, PublishNext, Receipt};
/// use garenne_shared::Outgoing;
///
/// struct OfTenant(String);
///
/// #[async_trait]
/// impl PublishLayer for OfTenant {
///     async fn publish(&self, mut message: Outgoing, next: PublishNext<'_>) -> Result<Receipt, PublishError> {
///         message.metadata.headers.insert("tenant", self.0.as_str());
///         next.run(message).await
///     }
/// }
/// ```
#[async_trait]
pub trait PublishLayer: Send + Sync + 'static {
    /// Publishes a message, by way of `next.run(message)`.
    ///
    /// # Errors
    ///
    /// Fails as what is inside does, or for a reason of the layer's own.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when the caller drops its await.
    async fn publish(&self, message: Outgoing, next: PublishNext<'_>) -> Result<Receipt, PublishError>;
}

/// What is inside a publish layer: the next one, or the sending.
#[derive(Clone, Copy)]
pub struct PublishNext<'a> {
    pub(crate) layers: &'a [Arc<dyn PublishLayer>],
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) allow_unroutable: bool,
    pub(crate) stage: &'a Stage,
}

// === impl PublishNext ===

impl PublishNext<'_> {
    /// Runs what is inside, until the message is confirmed or given up. A copy of it can be run again; that publishes another message.
    ///
    /// # Errors
    ///
    /// Fails as awaiting a [`Publish`](crate::Publish) does.
    ///
    /// # Cancel safety
    ///
    /// A dropped call has sent nothing or the whole message; retries are given up.
    pub async fn run(self, message: Outgoing) -> Result<Receipt, PublishError> {
        if let Some((first, rest)) = self.layers.split_first() {
            return first.publish(message, PublishNext { layers: rest, ..self }).await;
        }
        let mut draft = Draft::raw(message);
        draft.allow_unroutable = self.allow_unroutable;
        Delivery::new(Arc::clone(self.shared), draft).settle(Some(self.stage)).await
    }
}

impl std::fmt::Debug for PublishNext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PublishNext").field("layers", &self.layers.len()).finish_non_exhaustive()
    }
}
