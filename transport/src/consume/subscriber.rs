//! The handle of a running subscription.

use std::{fmt, future::poll_fn, sync::Arc, task::ready, time::Duration};

use garenne_shared::{Chain, QueueName};
use tokio::{
    sync::watch,
    task::{JoinHandle, coop},
    time::Instant,
};

use super::{
    Delivery, Registry, Subscription,
    coalescer::Limits,
    intake::Intake,
    registry::Registration,
    settler::Settler,
    subscribe::{Live, Opener},
    supervisor::{Supervisor, Wish},
};
use crate::{Clock, Error, ErrorKind, link::Link};

/// A subscription that comes back by itself after cancels, channel errors and lost connections.
///
/// After such an end the broker redelivers what was not settled; a settlement that comes too late is dropped. Dropping the
/// subscriber closes its channel, and the broker takes back what is not settled.
pub struct Subscriber {
    queue: QueueName,
    intake: Arc<Intake>,
    wish: watch::Sender<Wish>,
    over: watch::Receiver<bool>,
    /// `None` once it was joined.
    task: Option<JoinHandle<Result<(), Error>>>,
    /// The limit for cancelling.
    limit: Duration,
    clock: Clock,
}

// === impl Subscriber ===

impl Subscriber {
    /// Subscribes, and keeps the subscription up from then on.
    pub(crate) async fn open(
        link: Link,
        subscription: Subscription,
        registry: Arc<Registry>,
    ) -> Result<Self, Error> {
        let connection = &link.config().connection;
        let limit = connection.rpc_timeout;
        let opener = Opener::new(&subscription, limit)?;
        let settle = subscription.settle;
        let limits = Limits::new(subscription.prefetch, settle.flush_count, settle.flush_interval);
        let queue = subscription.queue;
        let settler = Arc::new(Settler::new(queue.clone(), limits));
        let (over_tx, over) = watch::channel(false);
        let intake = Arc::new(Intake::new(settler.clone(), over_tx));
        // Wanted from now on: the health is not ready before it is up.
        let registration = Some(Registration::new(registry.clone()));
        let first = open_first(&link, &opener, &intake, &queue).await?;
        let (wish, wish_rx) = watch::channel(Wish::Run);
        let supervisor = Supervisor {
            link: link.clone(),
            queue: queue.clone(),
            opener,
            intake: intake.clone(),
            settler,
            wish: wish_rx,
            closing: registry.closing().clone(),
            registration,
            problem: None,
        };
        let task = Some(link.spawn(registry.track(supervisor.run(first))));
        Ok(Self { queue, intake, wish, over, task, limit, clock: link.clock() })
    }

    /// Returns the queue.
    #[must_use]
    pub const fn queue(&self) -> &QueueName {
        &self.queue
    }

    /// Waits for the next delivery; `None` once the subscription was cancelled and everything delivered before was returned,
    /// or the client was closed. Losses do not end it: it waits until the subscription is back.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no delivery is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Delivery> {
        poll_fn(|cx| {
            // A queue that is never empty must not keep the other tasks of this thread from running.
            let coop = ready!(coop::poll_proceed(cx));
            let next = self.intake.poll_next(cx);
            if next.is_ready() {
                coop.made_progress();
            }
            next
        })
        .await
    }

    /// Stops new deliveries (`basic.cancel`); what the broker has sent still comes from [`next`](Self::next).
    ///
    /// # Cancel safety
    ///
    /// A dropped call may have cancelled.
    pub async fn cancel(&self) {
        self.wish.send_if_modified(|wish| {
            let running = *wish == Wish::Run;
            if running {
                *wish = Wish::Cancel;
            }
            running
        });
        let mut over = self.over.clone();
        // The supervisor has its own limit for the request; this one only covers a runtime that is gone.
        let _ = self.clock.timeout(self.limit * 2, over.wait_for(|over| *over)).await;
    }

    /// Cancels, waits up to `deadline` until everything delivered is settled and written, and closes the channel.
    ///
    /// What was never returned by [`next`](Self::next) is handed back at once. The broker has read the last
    /// acknowledgement when this returns; the requests for that have the connection's `rpc_timeout` on top.
    ///
    /// # Errors
    ///
    /// Fails if deliveries were left unsettled at the deadline ([`ErrorKind::TimedOut`], naming how many), or if the
    /// connection was lost meanwhile; the broker redelivers them.
    ///
    /// # Cancel safety
    ///
    /// A dropped call closes the channel: unsettled deliveries are redelivered.
    pub async fn close(mut self, deadline: Duration) -> Result<(), Error> {
        self.wish.send_replace(Wish::Close(far_from(self.clock.now(), deadline)));
        let Some(task) = &mut self.task else { return Ok(()) };
        let result = match task.await {
            Ok(result) => result,
            Err(_) => Err(Error::new(
                ErrorKind::Closed,
                format!("the subscription to queue `{}` was ended with its client", self.queue),
            )),
        };
        self.task = None;
        result
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        // The task belongs to the link and ends soon; nobody waits for it here.
        self.wish.send_replace(Wish::Close(self.clock.now()));
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber").field("queue", &self.queue).finish_non_exhaustive()
    }
}

/// Returns the moment after this time, or one that nobody lives to see.
fn far_from(now: Instant, time: Duration) -> Instant {
    const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    now + time.min(LONGEST)
}

/// Subscribes for the first time: what waiting does not mend fails at once, the rest after a connect and a request timeout.
async fn open_first(
    link: &Link,
    opener: &Opener,
    intake: &Arc<Intake>,
    queue: &QueueName,
) -> Result<Live, Error> {
    let (connection, clock) = (&link.config().connection, link.clock());
    let limit = connection.connect_timeout + connection.rpc_timeout;
    let deadline = clock.now() + limit;
    let mut failed = 0;
    loop {
        let error = match clock.timeout_at(deadline, opener.open(link, intake, None)).await {
            Ok(Ok(live)) => return Ok(live),
            Ok(Err(error)) => error,
            Err(_) => {
                let message =
                    format!("could not subscribe to queue `{queue}` within {limit:?}: no connection");
                return Err(Error::new(ErrorKind::TimedOut, message));
            }
        };
        failed += 1;
        tracing::warn!(%queue, failed, error = %Chain(&error), "cannot subscribe yet");
        let delay = connection.reconnect.delay(failed).filter(|delay| clock.now() + *delay < deadline);
        match delay {
            Some(delay) if error.is_transient() => clock.sleep(delay).await,
            _ => return Err(error),
        }
    }
}
