//! Deletes what a topology declares.

use garenne_topology::{Declaration, Topology};
use lapin::{
    options::{ExchangeDeleteOptions, QueueDeleteOptions},
    types::ShortString,
};
use tokio::time::timeout;

use crate::{Error, ErrorKind, fault::fault, link::Link};

/// Deletes queues and exchanges, in the opposite order of their declaration; to delete what is not there succeeds.
pub(crate) async fn delete(link: &Link, topology: &Topology) -> Result<(), Error> {
    let limit = link.config().connection.rpc_timeout;
    let open = link.open_channel().await?;
    for declaration in topology.declarations().iter().rev() {
        let (what, deleted) = match declaration {
            Declaration::Binding(_) => continue,
            Declaration::Queue(queue) => {
                let delete = async {
                    let name = ShortString::from(queue.name.as_str());
                    open.channel.queue_delete(name, QueueDeleteOptions::default()).await.map(|_| ())
                };
                (format!("deleting queue `{}`", queue.name), timeout(limit, delete).await)
            }
            Declaration::Exchange(exchange) => {
                let name = ShortString::from(exchange.name.as_str());
                let delete = open.channel.exchange_delete(name, ExchangeDeleteOptions::default());
                (format!("deleting exchange `{}`", exchange.name), timeout(limit, delete).await)
            }
        };
        deleted
            .map_err(|_| {
                Error::new(
                    ErrorKind::TimedOut,
                    format!("{what} took longer than `connection.rpc_timeout`, {limit:?}"),
                )
            })?
            .map_err(|error| fault(&error, &what))?;
    }
    // Everything is answered, whatever becomes of the channel.
    let _ = open.channel.close(200, "deleted".into()).await;
    Ok(())
}
