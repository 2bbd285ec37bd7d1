//! From a delivery to the outcome of its handling: layers, route, decode, handle. Whatever happens is an outcome.

use std::{sync::Arc, task::Poll, time::Duration};

use garenne_shared::Codecs;
use garenne_transport::{Client, Clock};
use tokio::time::Instant;

use crate::{
    Consumer, Context, Decision, FailureKind, Layer, Outcome, UnknownTypes, contained::Contained,
    layer::Next, report::Report,
};

/// How long layers may go on after the handler inside was dropped at its timeout.
const LAYERS_GRACE: Duration = Duration::from_secs(1);

/// Everything between a delivery and its outcome.
pub(crate) struct Pipeline {
    consumer: Consumer,
    layers: Vec<Arc<dyn Layer>>,
    codecs: Codecs,
    clock: Clock,
}

// === impl Pipeline ===

impl Pipeline {
    /// Makes the pipeline of a consumer; the service's layers go outside of the consumer's.
    pub(crate) fn new(mut consumer: Consumer, service: &[Arc<dyn Layer>], client: &Client) -> Self {
        let mut layers = service.to_vec();
        layers.append(&mut consumer.layers);
        Self { consumer, layers, codecs: client.codecs().clone(), clock: client.clock() }
    }

    pub(crate) const fn consumer(&self) -> &Consumer {
        &self.consumer
    }

    /// Handles a delivery.
    pub(crate) async fn handle(&self, cx: &Context) -> Outcome {
        // A timeout beyond the end of the clock is none.
        let deadline = self.clock.now().checked_add(self.consumer.timeout);
        if self.layers.is_empty() {
            return self.innermost(cx.clone(), deadline).await;
        }
        let next = Next { layers: &self.layers, pipeline: self, deadline };
        let handling = Contained::new(|| Box::pin(next.run(cx.clone())), Some(cx.pulse()), "a layer");
        let limit = deadline.and_then(|deadline| deadline.checked_add(LAYERS_GRACE));
        self.within(limit, "a layer", handling).await
    }

    /// Handles a delivery inside of all layers.
    pub(crate) async fn innermost(&self, cx: Context, deadline: Option<Instant>) -> Outcome {
        let message_type = cx.metadata().message_type.as_ref();
        let Some(endpoint) = self.consumer.endpoint(message_type) else {
            return self.unknown_type(&cx);
        };
        // Inside of layers their pulse tells.
        let pulse = self.layers.is_empty().then(|| cx.pulse());
        let handling = Contained::new(|| endpoint.call(cx.clone(), &self.codecs), pulse, "the handler");
        let outcome = self.within(deadline, "the handler", handling).await;
        cx.take_deferred(outcome).of_handler(endpoint.name())
    }

    async fn within<F>(
        &self,
        deadline: Option<Instant>,
        what: &str,
        handling: Result<Contained<'_, F>, Report>,
    ) -> Outcome
    where
        F: Future<Output: Into<Outcome>> + Unpin,
    {
        let mut handling = match handling {
            Ok(handling) => handling,
            Err(panic) => return panic.into(),
        };
        // Most handlers end at once, and need no timer.
        if let Poll::Ready(outcome) = futures_util::poll!(&mut handling) {
            return outcome;
        }
        let Some(deadline) = deadline else { return handling.await };
        match self.clock.timeout_at(deadline, &mut handling).await {
            Ok(outcome) => outcome,
            Err(_) => handling.give_up(Report::too_long(what, self.consumer.timeout)).into(),
        }
    }

    fn unknown_type(&self, cx: &Context) -> Outcome {
        if self.consumer.unknown_types == UnknownTypes::Ignore {
            return Outcome::done();
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
        Report::new(Decision::DeadLetter, FailureKind::UnknownType, error).into()
    }
}
