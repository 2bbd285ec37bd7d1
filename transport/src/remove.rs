//! Deletes what a topology declares.

use amq_protocol::protocol::{AMQPClass, exchange as exchanges, queue as queues};
use garenne_topology::{Declaration, Topology};

use crate::{
    Error, ErrorKind,
    convert::{self, ConvertError},
    link::Link,
};

/// Deletes queues and exchanges, in the opposite order of their declaration; to delete what is not there succeeds.
pub(crate) async fn delete(link: &Link, topology: &Topology) -> Result<(), Error> {
    let limit = link.config().connection.rpc_timeout;
    let channel = link.open_channel(None).await?.channel;
    for declaration in topology.declarations().iter().rev() {
        let (what, method) = match declaration {
            Declaration::Binding(_) => continue,
            Declaration::Queue(queue) => {
                (format!("deleting queue `{}`", queue.name), delete_queue(queue.name.as_str()))
            }
            Declaration::Exchange(exchange) => {
                (format!("deleting exchange `{}`", exchange.name), delete_exchange(exchange.name.as_str()))
            }
        };
        let method = method.map_err(|error| {
            Error::new(ErrorKind::InvalidTopology, format!("{what} cannot be put into AMQP: {error}"))
        })?;
        channel.call(method, limit, &what).await?;
    }
    Ok(())
}

fn delete_queue(name: &str) -> Result<AMQPClass, ConvertError> {
    let queue = convert::short(name)?;
    let delete = queues::Delete { queue, if_unused: false, if_empty: false, nowait: false };
    Ok(AMQPClass::Queue(queues::AMQPMethod::Delete(delete)))
}

fn delete_exchange(name: &str) -> Result<AMQPClass, ConvertError> {
    let exchange = convert::short(name)?;
    let delete = exchanges::Delete { exchange, if_unused: false, nowait: false };
    Ok(AMQPClass::Exchange(exchanges::AMQPMethod::Delete(delete)))
}
