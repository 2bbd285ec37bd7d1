//! Dead letters: messages that were given up, in the queues where they wait for somebody.
//!
//! [`DeadLetters`] looks at one dead-letter queue: it reads without removing, replays, discards and exports. [`DeadLetter`] is one message and what is known of its
//! [`End`]; [`Filter`] says which are meant; [`Groups`] counts those of one kind. The command `garenne dlq` shows what this does.
//!
//! # Reading
//!
//! Messages are read by a consumer and handed back in the end, in the order in which they came; nothing else changes. RabbitMQ before 4.3
//! counts what is handed back towards the delivery limit of the queue; a dead-letter queue that Garenne declares has none.
//!
//! A quorum queue without a delivery limit, as those are, puts what is handed back at its end. So the whole queue is taken for every look, up to
//! [`WINDOW`] messages: what is in it keeps its order. Of a longer queue the first [`WINDOW`] messages are seen, and stand behind the others then; and what
//! comes meanwhile stands before what is handed back. Until then nobody else can have it.
//!
//! A stream looks empty: it is read with the service `consumer` and its `--from`.
//!
//! # Removing
//!
//! A message that is replayed is published to its queue, confirmed, and only then acknowledged. Whatever breaks in between, nothing is lost;
//! what was confirmed and not acknowledged is in both queues, with the same message id.
//!
//! # Examples
//!
//! ```no_run
//! use garenne_deadletter::{DeadLetters, Filter, Replay};
//! use garenne_transport::Client;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("amqp://localhost").await?;
//! let dead = DeadLetters::new(&client, "billing.dlq".into());
//! let locked = Filter::new().text("is locked");
//! let summary = dead.replay(Replay::to_origin().filter(locked)).await?;
//! println!("{} were replayed, {} remain", summary.removed, summary.kept);
//! client.close().await;
//! # Ok(())
//! # }
//! ```

mod copy;
mod end;
mod error;
mod filter;
mod group;
mod letter;
mod pace;
mod queue;
mod record;
mod replay;
mod summary;
mod walk;

pub use self::{
    end::End,
    error::{DeadLetterError, DeadLetterErrorKind},
    filter::Filter,
    group::{Group, GroupBy, Groups},
    letter::DeadLetter,
    queue::DeadLetters,
    record::Record,
    replay::{Edit, Replay, parking_queue},
    summary::{Kept, Summary},
    walk::{Looked, Short, WINDOW},
};
