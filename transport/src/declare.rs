//! Declares a topology, or checks it without changing anything.

mod refusal;
mod session;

use std::{sync::Arc, time::Duration};

use garenne_shared::{ExchangeName, QueueName};
use garenne_topology::{Declaration, Destination, QueueDeclaration, Topology, Warning};

pub(crate) use self::session::{Failure, Request, Session, find_queue};
use crate::{
    Applied, Declared, Error, ErrorKind, Verified,
    link::Link,
    report::{DeclaredAs, show},
    wire::Wire,
};

/// Declares everything in the safe order and stops at the first refusal.
///
/// External objects are looked for first: without them nothing is declared.
pub(crate) async fn apply(link: &Link, topology: &Topology) -> Result<Applied, Error> {
    let warnings = validate(topology)?;
    for warning in &warnings {
        tracing::warn!(object = warning.object(), %warning, "the topology has a weak point");
    }
    perform(Session::new(link), topology, warnings).await
}

/// Declares everything again on a connection that has just come up.
pub(crate) async fn apply_again(
    wire: &Arc<Wire>,
    limit: Duration,
    topology: &Topology,
) -> Result<Applied, Error> {
    perform(Session::on(wire, limit), topology, Vec::new()).await
}

async fn perform(
    mut session: Session<'_>,
    topology: &Topology,
    warnings: Vec<Warning>,
) -> Result<Applied, Error> {
    let external = externals(topology);
    let found = look_for(&mut session, &external).await?;
    complain(&found, "name them correctly, or have their owner declare them")?;
    let mut declared = Vec::new();
    for declaration in topology.declarations() {
        let how = declare(&mut session, &declaration).await?;
        declared.push(Declared { declaration, how });
    }
    session.close().await;
    Ok(Applied { declared, external, warnings })
}

/// Looks for every exchange and queue by a passive declare, which changes nothing.
pub(crate) async fn verify(link: &Link, topology: &Topology) -> Result<Verified, Error> {
    let warnings = validate(topology)?;
    let declarations = topology.declarations();
    let own = declarations.iter().filter_map(|declaration| match declaration {
        Declaration::Exchange(exchange) => Some(Destination::Exchange(exchange.name.clone())),
        Declaration::Queue(queue) => Some(Destination::Queue(queue.name.clone())),
        Declaration::Binding(_) => None,
    });
    let objects: Vec<_> = own.chain(externals(topology)).collect();
    let mut session = Session::new(link);
    let looked = look_for(&mut session, &objects).await?;
    complain(&looked, "apply the topology or correct the names")?;
    session.close().await;
    let unverified = declarations.into_iter().filter_map(|declaration| match declaration {
        Declaration::Binding(binding) => Some(binding),
        Declaration::Exchange(_) | Declaration::Queue(_) => None,
    });
    Ok(Verified { found: objects, unverified: unverified.collect(), warnings })
}

fn validate(topology: &Topology) -> Result<Vec<Warning>, Error> {
    topology.validate().map_err(|error| {
        let message = format!("the topology contradicts itself, so no broker was asked: {error}");
        Error::new(ErrorKind::InvalidTopology, message)
    })
}

fn externals(topology: &Topology) -> Vec<Destination> {
    let exchanges = topology.external_exchanges().iter().cloned().map(Destination::Exchange);
    exchanges.chain(topology.external_queues().iter().cloned().map(Destination::Queue)).collect()
}

/// Looks for one exchange within the limit for requests.
pub(crate) async fn look_for_exchange(link: &Link, exchange: &ExchangeName) -> Result<(), Error> {
    let mut session = Session::new(link);
    session.perform(Request::FindExchange(exchange)).await.map_err(Failure::error)
}

/// Declares one object. It is asked for first, to tell what was created from what was there already.
async fn declare(session: &mut Session<'_>, declaration: &Declaration) -> Result<DeclaredAs, Error> {
    let passive = match declaration {
        Declaration::Exchange(exchange) => Some(Request::FindExchange(&exchange.name)),
        Declaration::Queue(queue) => Some(Request::FindQueue(&queue.name)),
        Declaration::Binding(_) => None,
    };
    let how = match passive {
        None => DeclaredAs::Bound,
        Some(request) => match session.perform(request).await {
            Ok(()) => DeclaredAs::Found,
            Err(Failure::Refused { code: 404, .. }) => DeclaredAs::Created,
            Err(failure) => return Err(failure.into_error(declaration)),
        },
    };
    session
        .perform(Request::Declare(declaration))
        .await
        .map_err(|failure| failure.into_error(declaration))?;
    Ok(how)
}

/// Compares a queue with its declaration, by declaring it once it is there: the broker refuses what differs.
pub(crate) async fn compare(link: &Link, queue: &QueueDeclaration) -> Result<(), Error> {
    let mut session = Session::new(link);
    session.perform(Request::FindQueue(&queue.name)).await.map_err(Failure::error)?;
    let declaration = Declaration::Queue(queue.clone());
    let compared = session.perform(Request::Declare(&declaration)).await;
    compared.map_err(|failure| failure.into_error(&declaration))?;
    session.close().await;
    Ok(())
}

/// What became of looking for one object: `Some` is what the broker said instead of "here it is".
type Looked<'a> = (&'a Destination, Option<Error>);

async fn look_for<'a>(
    session: &mut Session<'_>,
    objects: &'a [Destination],
) -> Result<Vec<Looked<'a>>, Error> {
    let mut looked = Vec::new();
    for object in objects {
        let request = match object {
            Destination::Exchange(exchange) => Request::FindExchange(exchange),
            Destination::Queue(queue) => Request::FindQueue(queue),
        };
        match session.perform(request).await {
            Ok(()) => looked.push((object, None)),
            Err(Failure::Refused { error, .. }) => looked.push((object, Some(error))),
            Err(Failure::Other(error)) => return Err(error),
        }
    }
    Ok(looked)
}

/// Puts everything that was not found into one error.
fn complain(looked: &[Looked<'_>], remedy: &str) -> Result<(), Error> {
    let failed: Vec<_> =
        looked.iter().filter_map(|(object, error)| Some((object, error.as_ref()?))).collect();
    let missing: Vec<_> = failed
        .iter()
        .filter(|(_, error)| error.kind() == ErrorKind::NotFound)
        .map(|(object, _)| show(object))
        .collect();
    let others: Vec<_> = failed.iter().filter(|(_, error)| error.kind() != ErrorKind::NotFound).collect();
    let Some((_, first)) = failed.first() else { return Ok(()) };
    let mut parts = Vec::new();
    if !missing.is_empty() {
        let (missing, count, all) = (missing.join(", "), missing.len(), looked.len());
        parts.push(format!("{count} of {all} objects do not exist: {missing}; {remedy}"));
    }
    parts.extend(others.iter().map(|(_, error)| error.to_string()));
    let kind = if missing.is_empty() { first.kind() } else { ErrorKind::NotFound };
    Err(Error::new(kind, parts.join("; ")))
}

/// Returns the object as an error message names it.
fn exchange(name: &ExchangeName) -> String {
    show(&Destination::Exchange(name.clone()))
}

fn queue(name: &QueueName) -> String {
    show(&Destination::Queue(name.clone()))
}
