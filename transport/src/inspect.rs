//! Asks the broker about a queue.

use amq_protocol::protocol::{AMQPClass, queue as protocol};
use garenne_shared::QueueName;

use crate::{Error, ErrorKind, QueueInfo, convert, declare::find_queue, fault::unexpected, link::Link};

/// Declares a queue passively, on a channel of its own, because a refusal closes that.
pub(crate) async fn queue_info(link: &Link, queue: &QueueName) -> Result<QueueInfo, Error> {
    let limit = link.config().connection.rpc_timeout;
    let what = format!("asking about queue `{queue}`");
    let too_late = || {
        let rule = format!("{what} took longer than `connection.rpc_timeout`, {limit:?}");
        Error::new(ErrorKind::TimedOut, rule)
    };
    let asking = ask(link, queue, &what);
    link.clock().timeout(limit, asking).await.map_err(|_| too_late())?
}

async fn ask(link: &Link, queue: &QueueName, what: &str) -> Result<QueueInfo, Error> {
    let limit = link.config().connection.rpc_timeout;
    let channel = link.open_channel(None).await?.channel;
    let declare = convert::short(queue.as_str())
        .map(find_queue)
        .map_err(|error| Error::new(ErrorKind::Config, format!("{what} cannot be put into AMQP: {error}")))?;
    match channel.call(declare, limit, what).await? {
        AMQPClass::Queue(protocol::AMQPMethod::DeclareOk(declared)) => {
            Ok(QueueInfo { ready: declared.message_count, consumers: declared.consumer_count })
        }
        other => Err(unexpected(&other, what)),
    }
}
