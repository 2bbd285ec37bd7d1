//! Deletes what a topology declares.

use garenne_topology::{Declaration, Topology};

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
            Declaration::Queue(queue) => Request::DeleteQueue(&queue.name),
            Declaration::Exchange(exchange) => Request::DeleteExchange(&exchange.name),
        };
        session.perform(request).await.map_err(Failure::error)?;
    }
    session.close().await;
    Ok(())
}
