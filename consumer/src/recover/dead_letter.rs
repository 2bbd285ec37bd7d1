//! The copy that goes to the dead-letter queue: body and properties as they were, the error in headers.

use std::{
    error::Error,
    time::{SystemTime, UNIX_EPOCH},
};

use garenne_shared::{
    ExchangeName, HeaderValue, Headers, NameError, Outgoing, QueueName, RoutingKey, header,
};

use crate::{Context, Failure};

/// The longest error text that is kept, in bytes; all headers must fit one frame.
const TEXT_MAX: usize = 2048;
/// How many sources of an error are kept.
const CHAIN_MAX: usize = 8;

/// Headers that the broker reads or writes on the way: `CC` and `BCC` would route the copy to further queues, the others
/// belong to deliveries before (<https://www.rabbitmq.com/docs/dlx#effects>, <https://www.rabbitmq.com/docs/sender-selected>).
const STRIPPED: [&str; 10] = [
    "CC",
    "BCC",
    "x-death",
    "x-first-death-exchange",
    "x-first-death-queue",
    "x-first-death-reason",
    "x-last-death-exchange",
    "x-last-death-queue",
    "x-delivery-count",
    "x-acquired-count",
];

/// Makes the copy, addressed to the dead-letter queue through the default exchange.
pub(super) fn message(
    to: Option<&QueueName>,
    cx: &Context,
    failure: &Failure,
) -> Result<Outgoing, NameError> {
    let queue = match to {
        Some(queue) => queue.to_string(),
        None => format!("{}.dlq", cx.queue()),
    };
    let routing_key = RoutingKey::try_from(queue)?;
    let mut copy = Outgoing::new(ExchangeName::DEFAULT, routing_key, cx.incoming().body.clone());
    copy.metadata = cx.metadata().clone();
    let metadata = &mut copy.metadata;
    // A copy must not expire, and the broker refuses a user id other than ours.
    let expiration = metadata.expiration.take();
    let user_id = metadata.user_id.take();
    let headers = &mut metadata.headers;
    for name in STRIPPED.into_iter().chain(["x-last-death-reason"]) {
        headers.remove(name);
    }
    if let Some(expiration) = expiration {
        headers.insert(header::ORIGIN_EXPIRATION, i64::try_from(expiration.as_millis()).unwrap_or(i64::MAX));
    }
    if let Some(user_id) = user_id {
        headers.insert(header::ORIGIN_USER_ID, user_id);
    }
    describe(headers, cx, failure);
    Ok(copy)
}

fn describe(headers: &mut Headers, cx: &Context, failure: &Failure) {
    headers.insert(header::ERROR_KIND, failure.kind().as_str());
    headers.insert(header::ERROR_MESSAGE, bounded(&failure.to_string()));
    let chain: Vec<_> = sources(failure.error()).map(HeaderValue::from).collect();
    if !chain.is_empty() {
        headers.insert(header::ERROR_CHAIN, chain);
    }
    headers.insert(header::ATTEMPTS, cx.attempt());
    headers.insert(header::ORIGIN_QUEUE, cx.queue().as_str());
    headers.insert(header::ORIGIN_EXCHANGE, cx.exchange());
    headers.insert(header::ORIGIN_ROUTING_KEY, cx.routing_key());
    headers.insert(header::SERVICE, cx.service());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    headers.insert(header::FAILED_AT, HeaderValue::Timestamp(now.as_secs()));
}

fn sources(error: &(dyn Error + Send + Sync + 'static)) -> impl Iterator<Item = String> {
    let mut next = error.source();
    std::iter::from_fn(move || {
        let source = next?;
        next = source.source();
        Some(bounded(&source.to_string()))
    })
    .take(CHAIN_MAX)
}

/// Cuts a text at a character boundary.
fn bounded(text: &str) -> String {
    if text.len() <= TEXT_MAX {
        return text.to_owned();
    }
    let end = (0..=TEXT_MAX).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    format!("{}…", &text[..end])
}
