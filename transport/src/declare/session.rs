//! One conversation about a topology: a channel that is opened again after each refusal, which closes it.

use garenne_shared::{ExchangeName, QueueName};
use garenne_topology::{Binding, Declaration, Destination, ExchangeDeclaration, QueueDeclaration};
use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::FieldTable,
};
use tokio::time::timeout;

use super::{exchange, queue, refusal};
use crate::{
    Error, ErrorKind,
    convert::{self, ConvertError},
    fault::fault,
    link::Link,
    report::show_declaration,
};

/// `CONNECTION_FORCED` and `INTERNAL_ERROR`: the connection ends for reasons that have nothing to do with the request.
const TRANSIENT: [u16; 2] = [320, 541];

/// One conversation with the broker.
#[derive(Debug)]
pub(super) struct Session<'a> {
    link: &'a Link,
    channel: Option<Channel>,
}

/// What the broker is asked.
#[derive(Debug, Clone, Copy)]
pub(super) enum Request<'a> {
    /// Whether an exchange exists.
    FindExchange(&'a ExchangeName),
    /// Whether a queue exists.
    FindQueue(&'a QueueName),
    /// To declare an object, or to agree that it is there just so.
    Declare(&'a Declaration),
}

/// Why a request failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The broker refused, with this reply code and text.
    Refused { code: u16, text: String, error: Error },
    /// It did not get that far.
    Other(Error),
}

/// Why an attempt failed.
enum AttemptError {
    Convert(ConvertError),
    Lapin(lapin::Error),
}

// === impl Session ===

impl<'a> Session<'a> {
    pub(super) const fn new(link: &'a Link) -> Self {
        Self { link, channel: None }
    }

    /// Performs a request within the limit for requests. A lost connection is waited for within it; a refusal is final.
    pub(super) async fn perform(&mut self, request: Request<'_>) -> Result<(), Failure> {
        let limit = self.link.config().connection.rpc_timeout;
        let mut lost = None;
        timeout(limit, self.attempts(request, &mut lost)).await.unwrap_or_else(|_| {
            Err(Failure::Other(lost.unwrap_or_else(|| {
                let what = request.what();
                let rule = format!("{what} took longer than `connection.rpc_timeout`, {limit:?}");
                Error::new(ErrorKind::TimedOut, format!("{rule}; try again, or allow more time"))
            })))
        })
    }

    async fn attempts(&mut self, request: Request<'_>, lost: &mut Option<Error>) -> Result<(), Failure> {
        loop {
            let open = self.channel.take().filter(|channel| channel.status().connected());
            let channel = match open {
                Some(channel) => channel,
                None => self.link.open_channel().await.map_err(Failure::Other)?.channel,
            };
            let error = match attempt(&channel, request).await {
                Ok(()) => {
                    self.channel = Some(channel);
                    return Ok(());
                }
                Err(AttemptError::Convert(error)) => {
                    let message = format!("{} cannot be put into AMQP: {error}", request.what());
                    return Err(Failure::Other(Error::new(ErrorKind::InvalidTopology, message)));
                }
                Err(AttemptError::Lapin(error)) => error,
            };
            let translated = fault(&error, &request.what());
            match error.kind() {
                lapin::ErrorKind::ProtocolError(refusal) if !TRANSIENT.contains(&refusal.kind().get_id()) => {
                    let (code, text) = (refusal.kind().get_id(), refusal.get_message().to_string());
                    return Err(Failure::Refused { code, text, error: translated });
                }
                _ => {
                    tracing::debug!(error = %translated, "lost the connection, trying again");
                    *lost = Some(translated);
                }
            }
        }
    }

    /// Closes the channel. What was declared stands, whatever becomes of it.
    pub(super) async fn close(self) {
        let limit = self.link.config().connection.rpc_timeout;
        if let Some(channel) = self.channel {
            let _ = timeout(limit, channel.close(200, "declared".into())).await;
        }
    }
}

// === impl Request ===

impl Request<'_> {
    /// Returns what is done, for a sentence.
    fn what(&self) -> String {
        match self {
            Self::FindExchange(name) => format!("looking for {}", exchange(name)),
            Self::FindQueue(name) => format!("looking for {}", queue(name)),
            Self::Declare(declaration @ Declaration::Binding(_)) => {
                format!("binding {}", show_declaration(declaration))
            }
            Self::Declare(declaration) => format!("declaring {}", show_declaration(declaration)),
        }
    }
}

// === impl Failure ===

impl Failure {
    /// Explains the failure to declare an object.
    pub(super) fn into_error(self, declaration: &Declaration) -> Error {
        match self {
            Self::Refused { code, text, error } => {
                refusal::explain(declaration, code, &text).unwrap_or(error)
            }
            Self::Other(error) => error,
        }
    }
}

impl From<ConvertError> for AttemptError {
    fn from(error: ConvertError) -> Self {
        Self::Convert(error)
    }
}

impl From<lapin::Error> for AttemptError {
    fn from(error: lapin::Error) -> Self {
        Self::Lapin(error)
    }
}

async fn attempt(channel: &Channel, request: Request<'_>) -> Result<(), AttemptError> {
    match request {
        Request::FindExchange(name) => {
            let passive = ExchangeDeclareOptions { passive: true, ..Default::default() };
            let name = convert::short(name.as_str())?;
            // The broker ignores everything but the name.
            channel.exchange_declare(name, ExchangeKind::Direct, passive, FieldTable::default()).await?;
        }
        Request::FindQueue(name) => {
            let passive = QueueDeclareOptions { passive: true, ..Default::default() };
            channel.queue_declare(convert::short(name.as_str())?, passive, FieldTable::default()).await?;
        }
        Request::Declare(Declaration::Exchange(exchange)) => declare_exchange(channel, exchange).await?,
        Request::Declare(Declaration::Queue(queue)) => declare_queue(channel, queue).await?,
        Request::Declare(Declaration::Binding(binding)) => bind(channel, binding).await?,
    }
    Ok(())
}

async fn declare_exchange(channel: &Channel, exchange: &ExchangeDeclaration) -> Result<(), AttemptError> {
    let options = ExchangeDeclareOptions {
        durable: exchange.durable,
        auto_delete: exchange.auto_delete,
        internal: exchange.internal,
        ..Default::default()
    };
    let name = convert::short(exchange.name.as_str())?;
    let kind = ExchangeKind::Custom(exchange.kind.clone());
    Ok(channel.exchange_declare(name, kind, options, convert::table(&exchange.arguments)?).await?)
}

async fn declare_queue(channel: &Channel, queue: &QueueDeclaration) -> Result<(), AttemptError> {
    let options = QueueDeclareOptions {
        durable: queue.durable,
        exclusive: queue.exclusive,
        auto_delete: queue.auto_delete,
        ..Default::default()
    };
    let name = convert::short(queue.name.as_str())?;
    channel.queue_declare(name, options, convert::table(&queue.arguments)?).await?;
    Ok(())
}

async fn bind(channel: &Channel, binding: &Binding) -> Result<(), AttemptError> {
    let source = convert::short(binding.source.as_str())?;
    let key = convert::short(binding.routing_key.as_str())?;
    let arguments = convert::table(&binding.arguments)?;
    match &binding.destination {
        Destination::Queue(queue) => {
            let queue = convert::short(queue.as_str())?;
            channel.queue_bind(queue, source, key, QueueBindOptions::default(), arguments).await?;
        }
        Destination::Exchange(exchange) => {
            let exchange = convert::short(exchange.as_str())?;
            channel.exchange_bind(exchange, source, key, ExchangeBindOptions::default(), arguments).await?;
        }
    }
    Ok(())
}
