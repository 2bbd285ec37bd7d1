//! From a delivery to the result of its handler: route, middleware, decode, handle. Whatever happens is a result.

use std::sync::Arc;

use garenne_shared::Codecs;
use tokio::time::timeout;

use crate::{
    Consumer, Context, Decision, FailureKind, Middleware, UnknownTypes, contained::Contained,
    middleware::Next, report::Report,
};

/// Everything between a delivery and its result.
pub(crate) struct Pipeline {
    consumer: Consumer,
    middleware: Vec<Arc<dyn Middleware>>,
    codecs: Codecs,
}

// === impl Pipeline ===

impl Pipeline {
    /// Makes the pipeline of a consumer; the service's middleware goes outside of the consumer's.
    pub(crate) fn new(mut consumer: Consumer, service: &[Arc<dyn Middleware>], codecs: Codecs) -> Self {
        let mut middleware = service.to_vec();
        middleware.append(&mut consumer.middleware);
        Self { consumer, middleware, codecs }
    }

    pub(crate) const fn consumer(&self) -> &Consumer {
        &self.consumer
    }

    /// Handles a delivery; panics and timeouts come back as failures.
    pub(crate) async fn handle(&self, cx: &Context) -> Result<(), Report> {
        let message_type = cx.metadata().message_type.as_ref();
        let Some(endpoint) = self.consumer.endpoint(message_type) else {
            return self.unknown_type(cx);
        };
        let next = Next { middleware: &self.middleware, endpoint, codecs: &self.codecs };
        let limit = self.consumer.timeout;
        let mut handling = Contained::new(next.run(cx.clone()), cx.pulse());
        match timeout(limit, &mut handling).await {
            Ok(result) => result,
            Err(_) => Err(handling.give_up(Report::too_long(limit))),
        }
    }

    fn unknown_type(&self, cx: &Context) -> Result<(), Report> {
        if self.consumer.unknown_types == UnknownTypes::Ignore {
            return Ok(());
        }
        let mut known: Vec<_> = self.consumer.routes.keys().map(|known| format!("`{known}`")).collect();
        known.sort();
        let found = match &cx.metadata().message_type {
            Some(message_type) => format!("has type `{message_type}`"),
            None => "has no type".to_owned(),
        };
        let error = format!(
            "a message in queue `{}` must be of a type with a handler ({}), but this one {found}",
            cx.queue(),
            known.join(", "),
        );
        Err(Report::new(Decision::DeadLetter, FailureKind::UnknownType, error))
    }
}
