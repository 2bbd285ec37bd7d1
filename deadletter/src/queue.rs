//! One dead-letter queue.

use std::{fmt, io, sync::Arc};

use futures_util::FutureExt as _;
use garenne_shared::QueueName;
use garenne_transport::Client;
use tokio_util::sync::CancellationToken;

use crate::{
    DeadLetter, DeadLetterError, Filter, Looked, Replay, Summary,
    pace::Pace,
    replay::Replayer,
    summary::{Fate, Kept},
    walk::{Visit, Walk},
};

/// One dead-letter queue. Cheap to clone.
///
/// Every operation looks at what is ready in the queue when it begins, each message once.
///
/// # Cancel safety
///
/// Dropping a call hands back everything that was read. A message whose copy is on its way is then in its own queue, and stays here as well.
#[derive(Clone)]
pub struct DeadLetters {
    client: Client,
    queue: QueueName,
    stop: CancellationToken,
    progress: Option<Arc<dyn Fn(u64, u64) + Send + Sync>>,
}

// === impl DeadLetters ===

impl DeadLetters {
    /// Takes a dead-letter queue in hand; it need not be one by name.
    #[must_use]
    pub fn new(client: &Client, queue: QueueName) -> Self {
        Self { client: client.clone(), queue, stop: CancellationToken::new(), progress: None }
    }

    /// Tells how far it is: how many messages were looked at, of how many.
    #[must_use]
    pub fn progress(mut self, progress: impl Fn(u64, u64) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(progress));
        self
    }

    /// Ends what runs: what is on its way is waited for, the rest is handed back. What is called later ends at once.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Shows each dead letter that passes to a function, up to a limit; nothing is removed.
    ///
    /// # Errors
    ///
    /// Fails if the queue cannot be read, or the connection was lost meanwhile.
    pub async fn each(
        &self,
        filter: &Filter,
        limit: Option<u64>,
        mut show: impl FnMut(DeadLetter),
    ) -> Result<Looked, DeadLetterError> {
        let show = |letter| {
            show(letter);
            Visit::Keep
        };
        self.walk(filter, limit, false).run(show, |_| {}).await
    }

    /// Returns the dead letters that pass, up to a limit; nothing is removed.
    ///
    /// # Errors
    ///
    /// As those of [`each`](Self::each).
    pub async fn look(
        &self,
        filter: &Filter,
        limit: u64,
    ) -> Result<(Vec<DeadLetter>, Looked), DeadLetterError> {
        let mut letters = Vec::new();
        let looked = self.each(filter, Some(limit), |letter| letters.push(letter)).await?;
        Ok((letters, looked))
    }

    /// Publishes dead letters again; each is confirmed before it leaves this queue.
    ///
    /// A message that nobody takes stays, and the summary says why. Run it again for the rest when it was interrupted.
    ///
    /// # Errors
    ///
    /// As those of [`each`](Self::each), and if the queue is a stream.
    pub async fn replay(&self, mut replay: Replay<'_>) -> Result<Summary, DeadLetterError> {
        let replayer = Replayer::new(&self.client);
        let replayer = &replayer;
        let (filter, dry_run) = (replay.filter.clone(), replay.dry_run);
        let walk = self.walk(&filter, replay.limit, !dry_run);
        let walk = Walk { pace: replay.rate.map(Pace::per_second), ..walk };
        let visit = |letter: DeadLetter| {
            Visit::Act(match replay.plan(&letter) {
                Ok(plan) if dry_run => replayer.try_out(letter, plan).boxed(),
                Ok(plan) => replayer.carry_out(letter, plan).boxed(),
                Err(reason) => {
                    let id = letter.id().map(str::to_owned);
                    std::future::ready(Fate::Kept(Kept { id, reason })).boxed()
                }
            })
        };
        let mut summary = Summary::default();
        let looked = walk.run(visit, |fate| summary.note(fate)).await?;
        Ok(Summary { looked, ..summary })
    }

    /// Removes dead letters for good. Each is shown to a function first, which can save it; if that fails, it stays and nothing more is removed.
    ///
    /// # Errors
    ///
    /// As those of [`replay`](Self::replay).
    pub async fn discard(
        &self,
        filter: &Filter,
        limit: Option<u64>,
        mut save: impl FnMut(&DeadLetter) -> io::Result<()>,
    ) -> Result<Summary, DeadLetterError> {
        let visit = |letter: DeadLetter| match save(&letter) {
            Ok(()) => Visit::Act(std::future::ready(Fate::Removed).boxed()),
            Err(error) => Visit::End(Kept {
                id: letter.id().map(str::to_owned),
                reason: format!("it could not be saved: {error}"),
            }),
        };
        let mut summary = Summary::default();
        let looked = self.walk(filter, limit, true).run(visit, |fate| summary.note(fate)).await?;
        Ok(Summary { looked, ..summary })
    }

    fn walk<'a>(&'a self, filter: &'a Filter, limit: Option<u64>, removes: bool) -> Walk<'a> {
        Walk {
            client: &self.client,
            queue: &self.queue,
            filter,
            stop: &self.stop,
            progress: self.progress.as_deref(),
            pace: None,
            limit: limit.unwrap_or(u64::MAX),
            removes,
        }
    }
}

impl fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetters").field("queue", &self.queue).finish_non_exhaustive()
    }
}
