//! The one task that publishes to an exchange: owns the channel, collects confirms, tells outcomes.

mod generation;
mod opening;

use std::{collections::VecDeque, sync::Arc};

use garenne_shared::ExchangeName;
use lapin::{
    Channel, ExchangeKind,
    options::{ConfirmSelectOptions, ExchangeDeclareOptions},
    types::{FieldTable, ShortString},
};
use tokio::{sync::mpsc, time::timeout};

use self::{generation::Generation, opening::Opened};
use super::{
    PublishErrorKind,
    command::{Command, Failure},
    waiters::Overdue,
};
use crate::{
    Error, ErrorKind,
    fault::fault,
    link::{Link, OpenChannel},
};

/// The task behind one exchange.
#[derive(Debug)]
pub(super) struct Lane {
    link: Link,
    commands: mpsc::Receiver<Command>,
    /// Taken from `commands` and not sent yet.
    backlog: VecDeque<Command>,
    overdue: Arc<Overdue>,
    /// How many messages are sent one at a time, because the broker refused one of as many.
    careful: usize,
}

// === impl Lane ===

impl Lane {
    pub(super) const fn new(link: Link, commands: mpsc::Receiver<Command>, overdue: Arc<Overdue>) -> Self {
        Self { link, commands, backlog: VecDeque::new(), overdue, careful: 0 }
    }

    /// Runs until the client is closed or the last handle is dropped.
    pub(super) async fn run(mut self) {
        loop {
            if self.backlog.is_empty() {
                tokio::select! {
                    command = self.commands.recv() => match command {
                        Some(command) => self.backlog.push_back(command),
                        None => return,
                    },
                    () = self.link.closed().cancelled() => break,
                }
            }
            match self.open().await {
                Opened::Channel(open) => {
                    Generation::new(&mut self, &open).run(&open.channel).await;
                    self.leave(&open.channel).await;
                }
                Opened::Failed(error) => {
                    for command in self.backlog.drain(..) {
                        let detail = "no channel could be opened; it was not sent";
                        command.refuse(Failure::new(PublishErrorKind::Unknown, detail).because(copy(&error)));
                    }
                }
                Opened::Closed => break,
            }
            if self.link.closed().is_cancelled() {
                break;
            }
        }
        self.commands.close();
        while let Some(command) = self.backlog.pop_front().or_else(|| self.commands.try_recv().ok()) {
            command.refuse(Failure::new(PublishErrorKind::Closed, "the client was closed; it was not sent"));
        }
    }

    /// Closes a channel that is no longer used; a dead one takes no time.
    async fn leave(&self, channel: &Channel) {
        if channel.status().connected() {
            // What matters is that it does not stay open; a broker that does not answer loses the connection anyway.
            let _ =
                timeout(self.link.config().connection.rpc_timeout, channel.close(200, "done".into())).await;
        }
    }
}

/// Makes sure that an exchange exists, on a channel of its own, because a refusal closes that.
///
/// A publish to a missing exchange costs the channel and every confirm outstanding on it.
async fn look(link: Link, exchange: ExchangeName) -> Result<(), Error> {
    let limit = link.config().connection.rpc_timeout;
    let what = format!("looking for exchange `{exchange}`");
    let looking = async {
        let channel = link.open_channel().await?.channel;
        let passive = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
        let name = ShortString::from(exchange.as_str());
        channel
            .exchange_declare(name, ExchangeKind::Direct, passive, FieldTable::default())
            .await
            .map_err(|error| fault(&error, &what))?;
        // The answer stands, whatever becomes of the channel.
        let _ = channel.close(200, "found".into()).await;
        Ok(())
    };
    timeout(limit, looking)
        .await
        .map_err(|_| Error::new(ErrorKind::TimedOut, format!("{what} took longer than {limit:?}")))?
}

/// Opens a channel in confirm mode.
async fn confirming(link: &Link) -> Result<OpenChannel, Error> {
    let open = link.open_channel().await?;
    let limit = link.config().connection.rpc_timeout;
    let what = "turning on publisher confirms";
    timeout(limit, open.channel.confirm_select(ConfirmSelectOptions::default()))
        .await
        .map_err(|_| Error::new(ErrorKind::TimedOut, format!("{what} took longer than {limit:?}")))?
        .map_err(|error| fault(&error, what))?;
    Ok(open)
}

/// One cause, many publishes.
fn copy(error: &Error) -> Error {
    Error::new(error.kind(), error.to_string())
}
