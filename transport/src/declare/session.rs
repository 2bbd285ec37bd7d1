//! One conversation about a topology: a channel that is opened again after each refusal, which closes it.

use std::{sync::Arc, time::Duration};

use amq_protocol::{
    protocol::{AMQPClass, exchange as exchanges, queue as queues},
    types::{FieldTable, ShortString},
};
use garenne_shared::{ExchangeName, QueueName};
use garenne_topology::{Binding, Declaration, Destination, ExchangeDeclaration, QueueDeclaration};

use super::{exchange, queue, refusal};
use crate::{
    Clock, Error, ErrorKind,
    convert::{self, ConvertError},
    link::Link,
    report::show_declaration,
    wire::{Channel, End, Lost, Refusal, Wire},
};

/// One conversation with the broker.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    source: Source<'a>,
    /// The limit for each request.
    limit: Duration,
    clock: Clock,
    channel: Option<Channel>,
}

/// Where channels come from.
#[derive(Debug, Clone, Copy)]
enum Source<'a> {
    /// The connection of the time; a lost one is waited for.
    Link(&'a Link),
    /// This connection only.
    Wire(&'a Arc<Wire>),
}

/// What the broker is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Request<'a> {
    /// Whether an exchange exists.
    FindExchange(&'a ExchangeName),
    /// Whether a queue exists.
    FindQueue(&'a QueueName),
    /// To declare an object, or to agree that it is there just so.
    Declare(&'a Declaration),
    /// To delete an exchange; that there is none is no failure.
    DeleteExchange(&'a ExchangeName),
    /// To delete a queue with its messages; that there is none is no failure.
    DeleteQueue(&'a QueueName),
}

/// Why a request failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The broker refused, with this reply code and text.
    Refused { code: u16, text: String, error: Error },
    /// It did not get that far.
    Other(Error),
}

// === impl Session ===

impl<'a> Session<'a> {
    pub(crate) fn new(link: &'a Link) -> Self {
        let limit = link.config().connection.rpc_timeout;
        Self { source: Source::Link(link), limit, clock: link.clock(), channel: None }
    }

    /// Begins a conversation on one connection, and no other after it.
    pub(crate) fn on(wire: &'a Arc<Wire>, limit: Duration) -> Self {
        Self { source: Source::Wire(wire), limit, clock: wire.clock().clone(), channel: None }
    }

    async fn open(&self) -> Result<Channel, Error> {
        match self.source {
            Source::Link(link) => Ok(link.open_channel(None).await?.channel),
            Source::Wire(wire) => wire.open(None, self.limit).await,
        }
    }

    /// Performs a request within the limit for requests. A lost connection is waited for within it; a refusal is final.
    pub(crate) async fn perform(&mut self, request: Request<'_>) -> Result<(), Failure> {
        let limit = self.limit;
        let mut lost = None;
        let clock = self.clock.clone();
        clock.timeout(limit, self.attempts(request, &mut lost)).await.unwrap_or_else(|_| {
            Err(Failure::Other(lost.unwrap_or_else(|| {
                let what = request.what();
                let rule = format!("{what} took longer than `connection.rpc_timeout`, {limit:?}");
                Error::new(ErrorKind::TimedOut, format!("{rule}; try again, or allow more time"))
            })))
        })
    }

    async fn attempts(&mut self, request: Request<'_>, lost: &mut Option<Error>) -> Result<(), Failure> {
        let what = request.what();
        loop {
            let open = self.channel.take().filter(Channel::is_open);
            let channel = match open {
                Some(channel) => channel,
                None => self.open().await.map_err(Failure::Other)?,
            };
            let method = request.method().map_err(|error| {
                let message = format!("{what} cannot be put into AMQP: {error}");
                Failure::Other(Error::new(ErrorKind::InvalidTopology, message))
            })?;
            let ids = (method.get_amqp_class_id(), method.get_amqp_method_id());
            let Err(error) = channel.call(method, self.limit, &what).await else {
                self.channel = Some(channel);
                return Ok(());
            };
            match channel.end() {
                Some(End::Refused { code, text }) => {
                    return Err(Failure::Refused { code, text: text.as_ref().to_owned(), error });
                }
                // An unknown type of exchange closes the connection (503): asking again would do so again.
                Some(End::Lost(Lost { refusal: Some(refusal), .. }))
                    if request.is_refused_by(&refusal, ids) =>
                {
                    return Err(Failure::Refused { code: refusal.code, text: refusal.text.clone(), error });
                }
                _ => {
                    tracing::debug!(%error, "lost the connection, trying again");
                    *lost = Some(error);
                }
            }
        }
    }

    /// Closes the channel. What was declared stands, whatever becomes of it.
    pub(crate) async fn close(self) {
        if let Some(channel) = self.channel {
            channel.close(self.limit).await;
        }
    }
}

// === impl Request ===

impl Request<'_> {
    fn method(self) -> Result<AMQPClass, ConvertError> {
        match self {
            Self::FindExchange(name) => find_exchange(name),
            Self::FindQueue(name) => convert::short(name.as_str()).map(find_queue),
            Self::Declare(Declaration::Exchange(exchange)) => declare_exchange(exchange),
            Self::Declare(Declaration::Queue(queue)) => declare_queue(queue),
            Self::Declare(Declaration::Binding(binding)) => bind(binding),
            Self::DeleteExchange(name) => delete_exchange(name),
            Self::DeleteQueue(name) => delete_queue(name),
        }
    }

    /// Returns whether the broker closed the connection over this request, whose method is `ids`, and not over another of the same kind
    /// or for reasons that have nothing to do with it.
    fn is_refused_by(&self, refusal: &Refusal, ids: (u16, u16)) -> bool {
        /// `CONNECTION_FORCED` and `INTERNAL_ERROR`.
        const TRANSIENT: [u16; 2] = [320, 541];
        let is_about_a_type = refusal.text.contains("exchange type");
        let is_ours = match self {
            // The broker names no channel, only the type that it does not know; two declarations may be under way at the same time.
            Self::Declare(Declaration::Exchange(exchange)) => {
                !is_about_a_type || refusal.text.contains(&format!("'{}'", exchange.kind.as_str()))
            }
            _ => !is_about_a_type,
        };
        refusal.cause == ids && is_ours && !TRANSIENT.contains(&refusal.code)
    }

    /// Returns what is done, for a sentence.
    fn what(&self) -> String {
        match self {
            Self::FindExchange(name) => format!("looking for {}", exchange(name)),
            Self::FindQueue(name) => format!("looking for {}", queue(name)),
            Self::Declare(declaration @ Declaration::Binding(_)) => {
                format!("binding {}", show_declaration(declaration))
            }
            Self::Declare(declaration) => format!("declaring {}", show_declaration(declaration)),
            Self::DeleteExchange(name) => format!("deleting {}", exchange(name)),
            Self::DeleteQueue(name) => format!("deleting {}", queue(name)),
        }
    }
}

// === impl Failure ===

impl Failure {
    /// Returns the error as it came.
    pub(crate) fn error(self) -> Error {
        match self {
            Self::Refused { error, .. } | Self::Other(error) => error,
        }
    }

    /// Explains the failure to declare an object.
    pub(crate) fn into_error(self, declaration: &Declaration) -> Error {
        match self {
            Self::Refused { code, text, error } => {
                refusal::explain(declaration, code, &text).unwrap_or(error)
            }
            Self::Other(error) => error,
        }
    }
}

fn find_exchange(name: &ExchangeName) -> Result<AMQPClass, ConvertError> {
    // The broker ignores everything but the name.
    let declare = exchanges::Declare {
        exchange: convert::short(name.as_str())?,
        kind: "direct".into(),
        passive: true,
        durable: false,
        auto_delete: false,
        internal: false,
        nowait: false,
        arguments: FieldTable::default(),
    };
    Ok(AMQPClass::Exchange(exchanges::AMQPMethod::Declare(declare)))
}

/// Asks for a queue by a passive declare, which changes nothing.
pub(crate) fn find_queue(queue: ShortString) -> AMQPClass {
    let declare = queues::Declare {
        queue,
        passive: true,
        durable: false,
        exclusive: false,
        auto_delete: false,
        nowait: false,
        arguments: FieldTable::default(),
    };
    AMQPClass::Queue(queues::AMQPMethod::Declare(declare))
}

fn delete_exchange(name: &ExchangeName) -> Result<AMQPClass, ConvertError> {
    let delete =
        exchanges::Delete { exchange: convert::short(name.as_str())?, if_unused: false, nowait: false };
    Ok(AMQPClass::Exchange(exchanges::AMQPMethod::Delete(delete)))
}

fn delete_queue(name: &QueueName) -> Result<AMQPClass, ConvertError> {
    let queue = convert::short(name.as_str())?;
    let delete = queues::Delete { queue, if_unused: false, if_empty: false, nowait: false };
    Ok(AMQPClass::Queue(queues::AMQPMethod::Delete(delete)))
}

fn declare_exchange(exchange: &ExchangeDeclaration) -> Result<AMQPClass, ConvertError> {
    let declare = exchanges::Declare {
        exchange: convert::short(exchange.name.as_str())?,
        kind: convert::short(exchange.kind.as_str())?,
        passive: false,
        durable: exchange.durable,
        auto_delete: exchange.auto_delete,
        internal: exchange.internal,
        nowait: false,
        arguments: convert::table(&exchange.arguments)?,
    };
    Ok(AMQPClass::Exchange(exchanges::AMQPMethod::Declare(declare)))
}

fn declare_queue(queue: &QueueDeclaration) -> Result<AMQPClass, ConvertError> {
    let declare = queues::Declare {
        queue: convert::short(queue.name.as_str())?,
        passive: false,
        durable: queue.durable,
        exclusive: queue.exclusive,
        auto_delete: queue.auto_delete,
        nowait: false,
        arguments: convert::table(&queue.arguments)?,
    };
    Ok(AMQPClass::Queue(queues::AMQPMethod::Declare(declare)))
}

fn bind(binding: &Binding) -> Result<AMQPClass, ConvertError> {
    let source = convert::short(binding.source.as_str())?;
    let routing_key = convert::short(binding.routing_key.as_str())?;
    let arguments = convert::table(&binding.arguments)?;
    Ok(match &binding.destination {
        Destination::Queue(queue) => {
            let queue = convert::short(queue.as_str())?;
            let bind = queues::Bind { queue, exchange: source, routing_key, nowait: false, arguments };
            AMQPClass::Queue(queues::AMQPMethod::Bind(bind))
        }
        Destination::Exchange(exchange) => {
            let destination = convert::short(exchange.as_str())?;
            let bind = exchanges::Bind { destination, source, routing_key, nowait: false, arguments };
            AMQPClass::Exchange(exchanges::AMQPMethod::Bind(bind))
        }
    })
}
