//! The handle for confirmed publishing: checks, the window, and the way to the lane.

use std::{
    borrow::Cow,
    collections::HashMap,
    future::pending,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use garenne_shared::{ExchangeName, Metadata, Outgoing, RoutingKey, TextProperty, escape};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot},
    time::{sleep, timeout},
};

use super::{
    PendingConfirm, PublishError, PublishErrorKind,
    command::{Command, Encoded, Failure, Identities, Waiter},
    generation::Overdue,
    lane::{Lane, Worker},
};
use crate::{content, convert::ConvertError, link::Link, problem::Problems, wire::Blocked};

/// How many exchanges get a lane of their own; further ones share the lane of the default exchange.
const LANES_MAX: usize = 16;

/// The handle for confirmed publishing. Cheap to clone; all clones share one window.
#[derive(Debug, Clone)]
pub struct ConfirmChannel(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    link: Link,
    window: Arc<Semaphore>,
    window_bytes: Arc<Semaphore>,
    overdue: Arc<Overdue>,
    /// Its clones are the publishes under way. The free places do not tell: draining takes them all.
    under_way: Arc<()>,
    // Locked for a look-up, never across an await.
    lanes: Mutex<HashMap<ExchangeName, Arc<Lane>>>,
    identities: Identities,
    problems: Problems,
    /// Told to all lanes when one of them finds no free channel.
    wanted: Arc<Notify>,
}

// === impl ConfirmChannel ===

impl ConfirmChannel {
    pub(crate) fn new(link: Link, problems: Problems) -> Self {
        let config = &link.config().publish;
        let bytes = usize::try_from(config.window_bytes).unwrap_or(usize::MAX);
        Self(Arc::new(Inner {
            window: Arc::new(Semaphore::new(config.window.clamp(1, Semaphore::MAX_PERMITS))),
            window_bytes: Arc::new(Semaphore::new(bytes.clamp(1, Semaphore::MAX_PERMITS))),
            overdue: Arc::default(),
            under_way: Arc::default(),
            lanes: Mutex::default(),
            identities: Identities::default(),
            problems,
            wanted: Arc::default(),
            link,
        }))
    }

    /// Sends a message as soon as the window has room, and returns its pending confirm.
    ///
    /// A mandatory message without a message id gets one: returns are recognized by it.
    ///
    /// # Errors
    ///
    /// Fails before anything is sent with [`TooLarge`](PublishErrorKind::TooLarge), [`Encode`](PublishErrorKind::Encode),
    /// [`Blocked`](PublishErrorKind::Blocked), [`NotSent`](PublishErrorKind::NotSent) or [`Closed`](PublishErrorKind::Closed). Headers that are
    /// larger than the frame of the connection are told by the pending confirm.
    ///
    /// # Cancel safety
    ///
    /// A dropped call has either sent nothing or the whole message.
    pub async fn send(&self, message: Outgoing) -> Result<PendingConfirm, PublishError> {
        let Outgoing { exchange, routing_key, mut metadata, body, mandatory } = message;
        if mandatory && metadata.message_id.is_none() {
            metadata.message_id = Some(Metadata::new_message_id());
        }
        let address = Address { exchange, routing_key };
        let message = self.encode(&address, &metadata, body, mandatory).map_err(|error| {
            address.fail(PublishErrorKind::Encode, format!("the metadata cannot be sent: {error}"))
        })?;
        self.check_size(&address, message.header_len(), message.body.len() as u64)?;
        let places = self.places(&address, message.body.len()).await?;
        let (reply, outcome) = oneshot::channel();
        let waiter = Waiter {
            reply: Some(reply),
            sent: Instant::now(),
            places,
            _counted: Arc::clone(&self.0.under_way),
        };
        self.lane(&address.exchange).submit(Command { message, waiter });
        Ok(PendingConfirm::new(outcome, address.exchange, address.routing_key))
    }

    fn encode(
        &self,
        address: &Address,
        metadata: &Metadata,
        body: Bytes,
        mandatory: bool,
    ) -> Result<Encoded, ConvertError> {
        let properties = Bytes::from(content::encode(metadata)?);
        let Address { exchange, routing_key } = address;
        let original = metadata.original.as_ref();
        // A key that was not text when it came goes out as it came.
        let shown = original.filter(|original| escape(original.routing_key()) == routing_key.as_str());
        let routing_key = shown.map_or_else(
            || Bytes::copy_from_slice(routing_key.as_str().as_bytes()),
            |original| original.routing_key().clone(),
        );
        let id = metadata.message_id.as_deref().unwrap_or_default();
        let raw_id = original
            .and_then(|original| original.text(TextProperty::MessageId))
            .filter(|raw| escape(raw) == id)
            .unwrap_or(id.as_bytes());
        let identity =
            mandatory.then(|| self.0.identities.of(raw_id, exchange.as_str().as_bytes(), &routing_key));
        Ok(Encoded { exchange: exchange.clone(), routing_key, properties, body, mandatory, identity })
    }

    /// Returns how many publishes await their confirm.
    pub(crate) fn unconfirmed(&self) -> usize {
        Arc::strong_count(&self.0.under_way) - 1
    }

    /// Takes no more publishes and waits until the last has its outcome, or for `limit`.
    pub(crate) async fn drain(&self, limit: Duration) {
        let everything = u32::try_from(self.window_size()).unwrap_or(u32::MAX);
        let drained = timeout(limit, self.0.window.acquire_many(everything)).await;
        if drained.is_err() {
            tracing::warn!(unconfirmed = self.unconfirmed(), ?limit, "closing with publishes unconfirmed");
        }
        self.0.window.close();
        self.0.window_bytes.close();
        // Not before: whoever queued behind would still get through.
        drop(drained);
    }

    fn window_size(&self) -> usize {
        self.0.link.config().publish.window.clamp(1, Semaphore::MAX_PERMITS)
    }

    /// A larger header kills the connection, a larger body the channel: both are refused here.
    fn check_size(&self, address: &Address, header_len: usize, body_len: u64) -> Result<(), PublishError> {
        let config = self.0.link.config();
        let body_max = config.publish.max_message_bytes;
        if body_len > body_max {
            let detail = format!(
                "a body is at most `publish.max_message_bytes`, {body_max} bytes, but this one has {body_len}"
            );
            return Err(address.fail(PublishErrorKind::TooLarge, detail));
        }
        let frame_max = config.connection.frame_max as usize;
        if header_len > frame_max {
            return Err(address.fail(PublishErrorKind::TooLarge, header_too_large(header_len, frame_max)));
        }
        Ok(())
    }

    /// Takes a place in the window by count and by bytes.
    async fn places(
        &self,
        address: &Address,
        body_len: usize,
    ) -> Result<[OwnedSemaphorePermit; 2], PublishError> {
        let Inner { link, window, window_bytes, .. } = &*self.0;
        // A handle may outlive the client; what it sends then must not race with the closing connection.
        if link.closed().is_cancelled() {
            return Err(closed(address));
        }
        let is_blocked = link.is_blocked();
        // A body above the whole window passes when nothing else is in it.
        let all_bytes = link.config().publish.window_bytes.clamp(1, Semaphore::MAX_PERMITS as u64);
        let bytes = u32::try_from((body_len as u64).min(all_bytes)).unwrap_or(u32::MAX);
        if !is_blocked
            && let Ok(place) = Arc::clone(window).try_acquire_owned()
            && let Ok(room) = Arc::clone(window_bytes).try_acquire_many_owned(bytes)
        {
            return Ok([place, room]);
        }
        let places = async {
            let mut blocked = link.blocked();
            // It fails only with the link itself; the window is closed then.
            let _ = blocked.wait_for(Option::is_none).await;
            let place = Arc::clone(window).acquire_owned().await.map_err(|_| closed(address))?;
            let room =
                Arc::clone(window_bytes).acquire_many_owned(bytes).await.map_err(|_| closed(address))?;
            Ok([place, room])
        };
        let limit = link.config().publish.confirm_timeout;
        tokio::select! {
            biased;
            places = places => places,
            // By then, whatever holds the places has been given up.
            () = link.unblocked_for(limit * 2) => {
                let detail = format!(
                    "the window (`publish.window`, `publish.window_bytes`) had no place for it within twice \
                     `publish.confirm_timeout`, {limit:?}; it was not sent; publish again later"
                );
                Err(address.fail(PublishErrorKind::NotSent, detail))
            }
            reason = blocked_too_long(link) => Err(address.fail(PublishErrorKind::Blocked, reason)),
            () = link.closed().cancelled() => Err(closed(address)),
        }
    }

    fn lane(&self, exchange: &ExchangeName) -> Arc<Lane> {
        let mut lanes = self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(exchange) {
            return Arc::clone(lane);
        }
        let key = if lanes.len() < LANES_MAX { exchange.clone() } else { ExchangeName::DEFAULT };
        let lane = lanes.entry(key.clone()).or_insert_with(|| {
            let lane = Arc::new(Lane::default());
            let worker = Worker {
                lane: Arc::clone(&lane),
                link: self.0.link.clone(),
                exchange: key,
                identities: self.0.identities.clone(),
                overdue: Arc::clone(&self.0.overdue),
                problems: self.0.problems.clone(),
                channels: Vec::new(),
                problem: None,
                overdue_before: 0,
                cause: None,
                complained: None,
                wanted: Arc::clone(&self.0.wanted),
            };
            self.0.link.spawn(worker.run());
            lane
        });
        Arc::clone(lane)
    }
}

/// Where a message goes.
struct Address {
    exchange: ExchangeName,
    routing_key: RoutingKey,
}

/// Waits until the broker has blocked the connection for longer than allowed; says so.
async fn blocked_too_long(link: &Link) -> String {
    let limit = link.config().publish.blocked_timeout;
    let mut blocked = link.blocked();
    loop {
        let Ok(reason) = blocked.wait_for(Option::is_some).await.map(|blocked| reason(&blocked)) else {
            return pending().await;
        };
        tokio::select! {
            () = sleep(limit) => {
                return format!(
                    "the broker has blocked publishers for more than `publish.blocked_timeout`, {limit:?} ({reason}); \
                     it was not sent; clear the alarm or publish again later"
                );
            }
            // Unblocked in time, or the link is gone: the loop finds out.
            _ = blocked.wait_for(Option::is_none) => {}
        }
    }
}

fn reason(blocked: &Option<Blocked>) -> String {
    blocked.as_ref().map_or_else(String::new, |blocked| blocked.reason.clone())
}

// === impl Address ===

impl Address {
    fn fail(&self, kind: PublishErrorKind, detail: impl Into<Cow<'static, str>>) -> PublishError {
        Failure::new(kind, detail).of(&self.exchange, &self.routing_key)
    }
}

fn closed(address: &Address) -> PublishError {
    address.fail(PublishErrorKind::Closed, "the client was closed; it was not sent")
}

/// Says that a content header does not fit a frame (AMQP 0-9-1 section 4.2.6: it is never split).
pub(super) fn header_too_large(header_len: usize, frame_max: usize) -> String {
    format!(
        "properties and headers together fit one frame of {frame_max} bytes, but these need {header_len}; \
         move data from the headers into the body"
    )
}
