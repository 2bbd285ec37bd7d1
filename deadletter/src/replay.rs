//! Publishes dead letters again.

use std::{collections::HashMap, num::NonZeroU32};

use garenne_producer::Publisher;
use garenne_shared::{Chain, NameError, Outgoing, QueueName, Retry};
use garenne_topology::{Queue, Topology};
use garenne_transport::Client;
use tokio::sync::{Mutex, OnceCell};

use crate::{
    DeadLetter, Filter, copy,
    summary::{Fate, Kept},
};

/// How often a message may be replayed unless set.
const REPLAYS_MAX: u32 = 3;

/// What becomes of a dead letter that was edited.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Edit {
    /// This is published.
    Publish(Box<Outgoing>),
    /// It stays, for this reason.
    Keep(String),
}

/// Looks at a message before it is published again.
pub(crate) type Editor<'a> = Box<dyn FnMut(&DeadLetter, Outgoing) -> Edit + Send + 'a>;

/// Which dead letters to publish again, where, and how fast.
#[must_use = "it does nothing until `DeadLetters::replay` carries it out"]
pub struct Replay<'a> {
    pub(crate) to: Option<QueueName>,
    pub(crate) filter: Filter,
    pub(crate) limit: Option<u64>,
    pub(crate) rate: Option<NonZeroU32>,
    pub(crate) max_replays: u32,
    pub(crate) dry_run: bool,
    pub(crate) editor: Option<Editor<'a>>,
}

/// What a replay publishes with.
pub(crate) struct Replayer<'a> {
    pub(crate) client: &'a Client,
    pub(crate) publisher: Publisher,
    pub(crate) parking: OnceCell<QueueName>,
    /// Whether the queues of a dry run are there: why not, if not.
    found: Mutex<HashMap<String, Option<String>>>,
}

// === impl Replay ===

impl<'a> Replay<'a> {
    /// Publishes each to the queue that it came from: that queue alone, by way of the default exchange, whatever exchange it was
    /// published to at first.
    pub fn to_origin() -> Self {
        Self {
            to: None,
            filter: Filter::new(),
            limit: None,
            rate: None,
            max_replays: REPLAYS_MAX,
            dry_run: false,
            editor: None,
        }
    }

    /// Publishes all to this queue.
    pub fn to(queue: QueueName) -> Self {
        Self { to: Some(queue), ..Self::to_origin() }
    }

    /// Sets which ones. The default is all.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Sets how many at most. The default is all that are in the queue when it begins.
    pub const fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Sets how many in a second. The default is no limit.
    pub const fn rate(mut self, per_second: NonZeroU32) -> Self {
        self.rate = Some(per_second);
        self
    }

    /// Sets how often a message may be replayed in all; one that was replayed so often goes to the [parking queue](parking_queue) instead. The default is 3.
    pub const fn max_replays(mut self, replays: u32) -> Self {
        self.max_replays = replays;
        self
    }

    /// Only tells what would be done.
    pub const fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Shows each message as it would be published to a function, which may change it or keep it back. It may take its time.
    pub fn edit(mut self, editor: impl FnMut(&DeadLetter, Outgoing) -> Edit + Send + 'a) -> Self {
        self.editor = Some(Box::new(editor));
        self
    }

    /// Decides what to do with a dead letter: what to publish, or why not.
    pub(crate) fn plan(&mut self, letter: &DeadLetter) -> Result<Plan, String> {
        if letter.replays() >= self.max_replays {
            return Ok(Plan::Park);
        }
        let to = self.to.clone().or_else(|| letter.origin());
        let to = to.ok_or("nothing tells which queue it came from; name one to replay it to")?;
        let copy = copy::replayed(letter, &to).map_err(|error| misnamed(&error))?;
        let Some(editor) = self.editor.as_mut().filter(|_| !self.dry_run) else {
            return Ok(Plan::Publish(Box::new(copy)));
        };
        match editor(letter, copy) {
            Edit::Publish(copy) => Ok(Plan::Publish(copy)),
            Edit::Keep(reason) => Err(reason),
        }
    }
}

/// What is to be done with a dead letter.
pub(crate) enum Plan {
    Publish(Box<Outgoing>),
    Park,
}

impl std::fmt::Debug for Replay<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay").field("to", &self.to).field("filter", &self.filter).finish_non_exhaustive()
    }
}

/// Returns the queue for messages that were replayed too often: the dead-letter queue's name and `.parked`.
///
/// # Errors
///
/// Fails if that is too long for a name.
pub fn parking_queue(dead_letter_queue: &QueueName) -> Result<QueueName, NameError> {
    QueueName::try_from(format!("{dead_letter_queue}.parked"))
}

// === impl Replayer ===

impl<'a> Replayer<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        // One attempt each: whatever is not confirmed stays, and is told.
        let publisher = Publisher::new(client).retry(Retry::never(), std::time::Duration::ZERO);
        Self { client, publisher, parking: OnceCell::new(), found: Mutex::default() }
    }

    pub(crate) async fn carry_out(&self, letter: DeadLetter, plan: Plan) -> Fate {
        let id = letter.id().map(str::to_owned);
        let done = match plan {
            Plan::Publish(copy) => self.publish(*copy).await.map(|()| Fate::Removed),
            Plan::Park => self.park(&letter).await.map(Fate::Parked),
        };
        done.unwrap_or_else(|reason| Fate::Kept(Kept { id, reason }))
    }

    /// Tells what would become of a dead letter.
    pub(crate) async fn try_out(&self, letter: DeadLetter, plan: Plan) -> Fate {
        let to = match &plan {
            Plan::Park => {
                return parking_queue(&letter.queue).map_or_else(
                    |error| Fate::Kept(Kept { id: letter.id().map(str::to_owned), reason: misnamed(&error) }),
                    Fate::Parked,
                );
            }
            Plan::Publish(copy) => copy.routing_key.as_str(),
        };
        match self.missing(to).await {
            None => Fate::Removed,
            Some(reason) => Fate::Kept(Kept { id: letter.id().map(str::to_owned), reason }),
        }
    }

    async fn missing(&self, queue: &str) -> Option<String> {
        let mut found = self.found.lock().await;
        if let Some(found) = found.get(queue) {
            return found.clone();
        }
        let asked = match QueueName::try_from(queue.to_owned()) {
            Ok(name) => self.client.queue_info(&name).await.err().map(|error| Chain(&error).to_string()),
            Err(error) => Some(misnamed(&error)),
        };
        found.insert(queue.to_owned(), asked.clone());
        asked
    }

    async fn publish(&self, copy: Outgoing) -> Result<(), String> {
        self.publisher.publish_raw(copy).await.map(|_| ()).map_err(|error| Chain(&error).to_string())
    }

    async fn park(&self, letter: &DeadLetter) -> Result<QueueName, String> {
        let queue = parking_queue(&letter.queue).map_err(|error| misnamed(&error))?;
        let declared = self.parking.get_or_try_init(|| async {
            let definition = Queue::quorum(queue.clone()).without_delivery_limit().without_dead_letter();
            self.client.apply(&Topology::new().queue(definition)).await.map(|_| queue.clone())
        });
        declared.await.map_err(|error| format!("the parking queue `{queue}` cannot be declared: {error}"))?;
        let mut copy = copy::verbatim(letter, &queue).map_err(|error| misnamed(&error))?;
        // Here nothing expires.
        copy.metadata.expiration = None;
        self.publish(copy).await?;
        Ok(queue)
    }
}

fn misnamed(error: &NameError) -> String {
    format!("its queue cannot be addressed: {error}")
}
