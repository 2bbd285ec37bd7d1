//! Which handler a message type goes to.

use garenne_shared::{Message, MessageType, Retry};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Handler,
    endpoint::{Endpoint, Replying, Typed},
};

/// A message type and its handler, for [`Consumer::route`](crate::Consumer::route).
#[must_use = "a route does nothing until a consumer has it"]
pub struct Route {
    pub(crate) message_type: MessageType,
    pub(crate) endpoint: Box<dyn Endpoint>,
    /// Instead of the queue's.
    pub(crate) retry: Option<Retry>,
}

/// Makes routes from message types; every [`Message`] has it.
///
/// # Examples
///
/// One value that handles two types:
///
/// ```
/// use std::sync::Arc;
///
/// use async_trait::async_trait;
/// use garenne_consumer::{Consumer, Context, Failure, HandledBy as _, Handler};
/// # use garenne_shared::{ExchangeName, Message, MessageError, MessageType, RoutingKey};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize)] struct Placed;
/// # #[derive(Serialize, Deserialize)] struct Paid;
/// # impl Message for Placed {
/// #     const TYPE: MessageType = MessageType::from_static("placed.v1");
/// #     const EXCHANGE: ExchangeName = ExchangeName::from_static("orders");
/// #     fn routing_key(&self) -> Result<RoutingKey, MessageError> { Ok(RoutingKey::from_static("placed")) }
/// # }
/// # impl Message for Paid {
/// #     const TYPE: MessageType = MessageType::from_static("paid.v1");
/// #     const EXCHANGE: ExchangeName = ExchangeName::from_static("orders");
/// #     fn routing_key(&self) -> Result<RoutingKey, MessageError> { Ok(RoutingKey::from_static("paid")) }
/// # }
///
/// struct Billing;
///
/// #[async_trait]
/// impl Handler<Placed> for Billing {
///     async fn handle(&self, _: Placed, _: Context) -> Result<(), Failure> {
///         Ok(())
///     }
/// }
///
/// #[async_trait]
/// impl Handler<Paid> for Billing {
///     async fn handle(&self, _: Paid, _: Context) -> Result<(), Failure> {
///         Ok(())
///     }
/// }
///
/// let billing = Arc::new(Billing);
/// let consumer = Consumer::new("billing").route(Placed::handled_by(billing.clone())).route(Paid::handled_by(billing));
/// # let _ = consumer;
/// ```
pub trait HandledBy: Message {
    /// Says that messages of this type go to this handler.
    fn handled_by<H: Handler<Self>>(handler: H) -> Route
    where
        Self: DeserializeOwned,
    {
        Route { message_type: Self::TYPE, endpoint: Box::new(Typed::<Self, H>::new(handler)), retry: None }
    }

    /// Says that messages of this type go to this handler, whose replies go to whoever asked ([`Consumer::respond`](crate::Consumer::respond)).
    fn answered_by<R: Message + Serialize, H: Handler<Self, R>>(handler: H) -> Route
    where
        Self: DeserializeOwned,
    {
        Route {
            message_type: Self::TYPE,
            endpoint: Box::new(Replying::<Self, R, H>::new(handler)),
            retry: None,
        }
    }
}

impl<M: Message> HandledBy for M {}

// === impl Route ===

impl Route {
    /// Sets how a message that this handler fails is tried again, instead of the policy of the queue.
    ///
    /// The delivery limit of the queue still ends it. A delay waits in the retry tiers that the policy of the queue has, or, where it has
    /// none, in the consumer, for [`HOLD_MAX`](crate::HOLD_MAX) at most.
    pub fn retry(mut self, policy: Retry) -> Self {
        self.retry = Some(policy);
        self
    }
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Route").field("message_type", &self.message_type).finish_non_exhaustive()
    }
}
