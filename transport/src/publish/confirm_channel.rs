//! The handle for confirmed publishing: checks, the window, and the way to the lane.

use std::{
    borrow::Cow,
    future::pending,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use garenne_shared::{ExchangeName, Metadata, Outgoing};
use tokio::sync::{Notify, oneshot};

use super::{
    PendingConfirm, PublishError, PublishErrorKind, Sent,
    command::{Command, Encoded, Failure, Identities, Waiter},
    generation::Overdue,
    lane::{Lane, Worker},
    window::{Place, Window},
};
use crate::{content::Stamp, link::Link, problem::Problems, wire::Blocked};

/// How many exchanges get a lane of their own; further ones share the lane of the default exchange.
const LANES_MAX: usize = 16;

/// The handle for confirmed publishing. Cheap to clone; all clones share one window.
#[derive(Debug, Clone)]
pub struct ConfirmChannel(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    link: Link,
    window: Arc<Window>,
    overdue: Arc<Overdue>,
    // Few, so that looking at each is faster than hashing. Locked for a look-up, never across an await.
    lanes: Mutex<Vec<(ExchangeName, Arc<Lane>)>>,
    identities: Identities,
    problems: Problems,
    /// Told to all lanes when one of them finds no free channel.
    wanted: Arc<Notify>,
}

// === impl ConfirmChannel ===

impl ConfirmChannel {
    pub(crate) fn new(link: Link, problems: Problems) -> Self {
        let config = &link.config().publish;
        Self(Arc::new(Inner {
            window: Arc::new(Window::new(config.window, config.window_bytes)),
            overdue: Arc::default(),
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
    pub async fn send(&self, mut message: Outgoing) -> Result<PendingConfirm, PublishError> {
        if message.mandatory && message.metadata.message_id.is_none() {
            message.metadata.message_id = Some(Metadata::new_message_id());
        }
        let sent = self.send_kept(&message, Stamp::default()).await?;
        Ok(PendingConfirm::new(sent, message.exchange, message.routing_key))
    }

    /// Sends a message that the caller keeps, for another attempt and for the address of an error. A mandatory one must have a message id
    /// of its own: returns are recognized by it.
    ///
    /// # Errors
    ///
    /// Fails as [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// As [`send`](Self::send).
    pub async fn send_kept(&self, message: &Outgoing, stamp: Stamp<'_>) -> Result<Sent, PublishError> {
        let encoded = Encoded::new(message, stamp, &self.0.identities).map_err(|error| {
            fail(message, PublishErrorKind::Encode, format!("the metadata cannot be sent: {error}"))
        })?;
        self.check_size(message, encoded.header_len())?;
        let place = match self.place_at_once(message)? {
            Some(place) => place,
            None => self.place(message).await?,
        };
        let (reply, outcome) = oneshot::channel();
        let waiter = Waiter { reply: Some(reply), sent: Instant::now(), place };
        self.lane(&message.exchange).submit(Command { message: encoded, waiter });
        Ok(Sent::new(outcome))
    }

    /// Returns how many publishes await their confirm.
    pub(crate) fn unconfirmed(&self) -> usize {
        self.0.window.under_way()
    }

    /// Takes no more publishes and waits until the last has its outcome, or for `limit`.
    pub(crate) async fn drain(&self, limit: Duration) {
        let window = &self.0.window;
        let drained = self.0.link.clock().timeout(limit, window.drained()).await;
        if drained.is_err() {
            tracing::warn!(unconfirmed = self.unconfirmed(), ?limit, "closing with publishes unconfirmed");
        }
        window.close();
        // Not before: whoever queued behind would still get through.
        drop(drained);
    }

    /// A larger header kills the connection, a larger body the channel: both are refused here.
    fn check_size(&self, message: &Outgoing, header_len: usize) -> Result<(), PublishError> {
        let config = self.0.link.config();
        let body_len = message.body.len() as u64;
        let body_max = config.publish.max_message_bytes;
        if body_len > body_max {
            let detail = format!(
                "a body is at most `publish.max_message_bytes`, {body_max} bytes, but this one has {body_len}"
            );
            return Err(fail(message, PublishErrorKind::TooLarge, detail));
        }
        let frame_max = config.connection.frame_max as usize;
        if header_len > frame_max {
            return Err(fail(message, PublishErrorKind::TooLarge, header_too_large(header_len, frame_max)));
        }
        Ok(())
    }

    /// Takes a place in the window, if it has one at once.
    fn place_at_once(&self, message: &Outgoing) -> Result<Option<Place>, PublishError> {
        let Inner { link, window, .. } = &*self.0;
        // A handle may outlive the client; what it sends then must not race with the closing connection.
        if link.closed().is_cancelled() {
            return Err(closed(message));
        }
        if link.is_blocked() {
            return Ok(None);
        }
        Ok(window.try_place(message.body.len()))
    }

    /// Waits for a place in the window.
    async fn place(&self, message: &Outgoing) -> Result<Place, PublishError> {
        let Inner { link, window, .. } = &*self.0;
        let place = async {
            let mut blocked = link.blocked();
            // It fails only with the link itself; the window is closed then.
            let _ = blocked.wait_for(Option::is_none).await;
            window.place(message.body.len()).await.map_err(|_| closed(message))
        };
        let limit = link.config().publish.confirm_timeout;
        tokio::select! {
            biased;
            place = place => place,
            // By then, whatever holds the places has been given up.
            () = link.unblocked_for(limit * 2) => {
                let detail = format!(
                    "the window (`publish.window`, `publish.window_bytes`) had no place for it within twice \
                     `publish.confirm_timeout`, {limit:?}; it was not sent; publish again later"
                );
                Err(fail(message, PublishErrorKind::NotSent, detail))
            }
            reason = blocked_too_long(link) => Err(fail(message, PublishErrorKind::Blocked, reason)),
            () = link.closed().cancelled() => Err(closed(message)),
        }
    }

    fn lane(&self, exchange: &ExchangeName) -> Arc<Lane> {
        let mut lanes = self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let find = |lanes: &[(ExchangeName, Arc<Lane>)], exchange: &ExchangeName| {
            lanes.iter().find(|(of, _)| of == exchange).map(|(_, lane)| Arc::clone(lane))
        };
        if let Some(lane) = find(&lanes, exchange) {
            return lane;
        }
        let exchange = if lanes.len() < LANES_MAX { exchange } else { &ExchangeName::DEFAULT };
        find(&lanes, exchange).unwrap_or_else(|| {
            let lane = self.begin_lane(exchange);
            lanes.push((exchange.clone(), Arc::clone(&lane)));
            lane
        })
    }

    fn begin_lane(&self, exchange: &ExchangeName) -> Arc<Lane> {
        let lane = Arc::new(Lane::default());
        let worker = Worker {
            lane: Arc::clone(&lane),
            link: self.0.link.clone(),
            exchange: exchange.clone(),
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
    }
}

/// Waits until the broker has blocked the connection for longer than allowed; says so.
async fn blocked_too_long(link: &Link) -> String {
    let limit = link.config().publish.blocked_timeout;
    let (clock, mut blocked) = (link.clock(), link.blocked());
    loop {
        let Ok(reason) = blocked.wait_for(Option::is_some).await.map(|blocked| reason(&blocked)) else {
            return pending().await;
        };
        tokio::select! {
            () = clock.sleep(limit) => {
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

fn fail(message: &Outgoing, kind: PublishErrorKind, detail: impl Into<Cow<'static, str>>) -> PublishError {
    Failure::new(kind, detail).of(&message.exchange, &message.routing_key)
}

fn closed(message: &Outgoing) -> PublishError {
    fail(message, PublishErrorKind::Closed, "the client was closed; it was not sent")
}

/// Says that a content header does not fit a frame (AMQP 0-9-1 section 4.2.6: it is never split).
pub(super) fn header_too_large(header_len: usize, frame_max: usize) -> String {
    format!(
        "properties and headers together fit one frame of {frame_max} bytes, but these need {header_len}; \
         move data from the headers into the body"
    )
}
