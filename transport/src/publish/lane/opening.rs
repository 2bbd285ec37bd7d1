//! Waits for a channel while messages pile up and grow old.

use tokio::time::{Instant, sleep_until};

use super::{Lane, confirming};
use crate::{
    Error, ErrorKind,
    link::OpenChannel,
    publish::{
        PublishErrorKind,
        command::{Command, Failure},
    },
};

/// How waiting for a channel ended.
pub(super) enum Opened {
    Channel(OpenChannel),
    Failed(Error),
    Closed,
}

// === impl Lane ===

impl Lane {
    /// Opens a channel in confirm mode; messages that wait longer than the confirm timeout are refused meanwhile.
    pub(super) async fn open(&mut self) -> Opened {
        let limit = self.link.config().publish.confirm_timeout;
        let link = self.link.clone();
        let opening = confirming(&link);
        tokio::pin!(opening);
        loop {
            let Some(oldest) = self.backlog.front().map(|command| command.waiter.sent + limit) else {
                // Everyone gave up: wait for the next message before another attempt.
                return Opened::Failed(Error::new(ErrorKind::TimedOut, "no connection came up in time"));
            };
            tokio::select! {
                opened = &mut opening => return match opened {
                    Ok(open) => Opened::Channel(open),
                    Err(error) if error.kind() == ErrorKind::Closed => Opened::Closed,
                    Err(error) => Opened::Failed(error),
                },
                () = sleep_until(Instant::from_std(oldest)) => {
                    let command = self.backlog.pop_front();
                    if let Some(command) = command {
                        refuse_unsent(command, limit);
                    }
                }
                () = self.link.closed().cancelled() => return Opened::Closed,
            }
        }
    }
}

fn refuse_unsent(command: Command, limit: std::time::Duration) {
    let detail =
        format!("no connection came up within `publish.confirm_timeout`, {limit:?}; it was not sent");
    command.refuse(Failure::new(PublishErrorKind::Unknown, detail));
}
