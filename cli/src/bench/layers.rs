//! Layers that do nothing, to measure what a layer costs.

use async_trait::async_trait;
use garenne::{Layer, Next, Outcome, PublishError, PublishLayer, PublishNext, Receipt, prelude::*};

/// A layer that does nothing.
struct Nothing;

#[async_trait]
impl Layer for Nothing {
    async fn call(&self, cx: Context, next: Next<'_>) -> Outcome {
        next.run(cx).await
    }
}

#[async_trait]
impl PublishLayer for Nothing {
    async fn publish(&self, message: Outgoing, next: PublishNext<'_>) -> Result<Receipt, PublishError> {
        next.run(message).await
    }
}

/// Puts so many layers around handling.
pub(super) fn around_handling(service: Service, count: u8) -> Service {
    (0..count).fold(service, |service, _| service.layer(Nothing))
}

/// Puts so many layers around publishing.
pub(super) fn around_publishing(publisher: Publisher, count: u8) -> Publisher {
    (0..count).fold(publisher, |publisher, _| publisher.layer(Nothing))
}
