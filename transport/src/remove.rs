//! Deletes what a topology declares.

use garenne_topology::{Declaration, RetryTier, Topology};

use crate::{
    Error,
    declare::{Failure, Request, Session},
    link::Link,
};

/// Deletes queues and exchanges, in the opposite order of their declaration; to delete what is not there succeeds.
pub(crate) async fn delete(link: &Link, topology: &Topology) -> Result<(), Error> {
    let mut session = Session::new(link);
    for declaration in topology.declarations().iter().rev() {
        let request = match declaration {
            Declaration::Binding(_) => continue,
            // Messages of other queues and services may wait in there.
            Declaration::Queue(queue) if RetryTier::is_tier(queue.name.as_str()) => continue,
            Declaration::Exchange(exchange) if RetryTier::is_tier(exchange.name.as_str()) => continue,
            Declaration::Queue(queue) => Request::DeleteQueue(&queue.name),
            Declaration::Exchange(exchange) => Request::DeleteExchange(&exchange.name),
        };
        session.perform(request).await.map_err(Failure::error)?;
    }
    session.close().await;
    Ok(())
}
