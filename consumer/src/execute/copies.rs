//! The copies of a message that could not be handled: body and properties as they were, the error in headers as far as they fit.

use std::time::{SystemTime, UNIX_EPOCH};

use garenne_shared::{
    ExchangeName, HeaderValue, Headers, NameError, Outgoing, QueueName, RoutingKey, fingerprint, header,
};

use garenne_topology::{DeadLetters, RetryTier};

use crate::{Consumer, Context, report::Report};

/// The longest error text that is kept, in bytes; all headers must fit one frame.
const TEXT_MAX: usize = 2048;
/// The longest where the message's own headers leave little room.
const SHORT_TEXT_MAX: usize = 160;
/// The longest name of a handler, which may be that of a type with many parameters.
const NAME_MAX: usize = 200;

/// How much a copy says of the failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// All of it.
    Whole,
    /// The kind, the beginning of the text and where it failed.
    Short,
    /// Nothing.
    Bare,
}

// === impl Form ===

impl Form {
    /// Returns the form to try when this one does not fit.
    pub(super) const fn next(self) -> Option<Self> {
        match self {
            Self::Whole => Some(Self::Short),
            Self::Short => Some(Self::Bare),
            Self::Bare => None,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Short => "short",
            Self::Bare => "bare",
        }
    }
}

/// Where copies for the dead-letter queue are published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    exchange: ExchangeName,
    /// `None` keeps the message's own.
    routing_key: Option<RoutingKey>,
}

// === impl Target ===

impl Target {
    /// Returns where the copies of a consumer go: to the queue that it names or has, through the exchange of its contract, or to the queue
    /// that is assumed. `None` if the contract says that there is no dead-letter queue.
    pub(super) fn of(consumer: &Consumer) -> Result<Option<Self>, NameError> {
        match consumer.contract.as_ref().map(|contract| &contract.dead_letters) {
            Some(DeadLetters::Through { exchange, routing_key }) if consumer.dead_letter_queue.is_none() => {
                Ok(Some(Self { exchange: exchange.clone(), routing_key: routing_key.clone() }))
            }
            Some(DeadLetters::None) if consumer.dead_letter_queue.is_none() => Ok(None),
            _ => Self::queue(&consumer.dead_letter_queue_name()?).map(Some),
        }
    }

    fn queue(queue: &QueueName) -> Result<Self, NameError> {
        let routing_key = Some(RoutingKey::try_from(queue.to_string())?);
        Ok(Self { exchange: ExchangeName::DEFAULT, routing_key })
    }
}

/// Makes the copy that waits at the end of the queue the message came from.
pub(super) fn put_back(cx: &Context, report: &Report) -> Result<Outgoing, NameError> {
    let mut copy = copy(Form::Whole, &Target::queue(cx.queue())?, cx, report)?;
    copy.metadata.headers.insert(header::PUT_BACK, true);
    Ok(copy)
}

/// Returns the failure of a message that was put back: it needs its dead-letter queue, and no handler.
pub(crate) fn put_back_report(cx: &Context) -> Option<Report> {
    is_put_back(cx).then(|| Report::recorded(&cx.metadata().headers))
}

/// A mark alone is not believed, since any peer can write it: it counts with the record of a failure in this very queue.
fn is_put_back(cx: &Context) -> bool {
    let headers = &cx.metadata().headers;
    matches!(headers.get(header::PUT_BACK), Some(HeaderValue::Bool(true)))
        && headers.get(header::ERROR_KIND).is_some()
        && headers.text(header::ORIGIN_QUEUE) == Some(cx.queue().as_str())
}

/// Makes the copy that waits in a retry tier: the tier hands it back to the queue that its routing key names.
///
/// `due` is when the next attempt is due, where the tier alone does not say; `failed` how many attempts have failed.
pub(super) fn for_tier(
    cx: &Context,
    report: &Report,
    failed: u32,
    (tier, due): (RetryTier, Option<SystemTime>),
) -> Result<Outgoing, NameError> {
    let mut to = Target::queue(cx.queue())?;
    to.exchange = tier.exchange();
    let mut copy = copy(Form::Whole, &to, cx, report)?;
    let headers = &mut copy.metadata.headers;
    headers.insert(header::ATTEMPTS, failed);
    headers.insert(header::RETRY, true);
    if let Some(due) = due.and_then(|due| due.duration_since(UNIX_EPOCH).ok()) {
        headers.insert(header::RETRY_AT, i64::try_from(due.as_millis()).unwrap_or(i64::MAX));
    }
    Ok(copy)
}

/// Makes a copy that says so much of the failure.
pub(super) fn copy(form: Form, to: &Target, cx: &Context, report: &Report) -> Result<Outgoing, NameError> {
    let routing_key = match &to.routing_key {
        Some(routing_key) => routing_key.clone(),
        None => RoutingKey::try_from(cx.routing_key().to_owned())?,
    };
    let mut copy = Outgoing::new(to.exchange.clone(), routing_key, cx.incoming().body.clone());
    copy.metadata = cx.metadata().clone();
    let metadata = &mut copy.metadata;
    // A copy must not expire, and the broker refuses a user id other than ours.
    let expiration = metadata.expiration.take();
    let user_id = metadata.user_id.take();
    let headers = &mut metadata.headers;
    // What belongs to deliveries before, and what would route the copy further.
    for name in
        header::COPIES.into_iter().chain(header::DEATHS).chain(header::COUNTS).chain([header::PUT_BACK])
    {
        headers.remove(name);
    }
    // What was put back describes its failure already.
    if form == Form::Whole && is_put_back(cx) {
        return Ok(copy);
    }
    header::RECORD.into_iter().for_each(|name| {
        headers.remove(name);
    });
    if form == Form::Bare {
        return Ok(copy);
    }
    if let Some(expiration) = expiration {
        headers.insert(header::ORIGIN_EXPIRATION, i64::try_from(expiration.as_millis()).unwrap_or(i64::MAX));
    }
    if let Some(user_id) = user_id {
        headers.insert(header::ORIGIN_USER_ID, user_id);
    }
    describe(headers, form, cx, report);
    Ok(copy)
}

fn describe(headers: &mut Headers, form: Form, cx: &Context, report: &Report) {
    headers.insert(header::ERROR_KIND, report.kind.as_str());
    headers.insert(header::ATTEMPTS, cx.attempt());
    headers.insert(header::ORIGIN_QUEUE, cx.queue().as_str());
    let message_type = cx.metadata().message_type.as_ref();
    headers.insert(header::FINGERPRINT, fingerprint(message_type, report.kind.as_str(), &report.message));
    if form == Form::Short {
        headers.insert(header::ERROR_MESSAGE, bounded(&report.text(), SHORT_TEXT_MAX));
        return;
    }
    headers.insert(header::ERROR_MESSAGE, bounded(&report.message, TEXT_MAX));
    let chain: Vec<_> =
        report.chain.iter().map(|source| HeaderValue::from(bounded(source, TEXT_MAX))).collect();
    if !chain.is_empty() {
        headers.insert(header::ERROR_CHAIN, chain);
    }
    // A replay comes by way of the default exchange; it says where it was published first.
    let first = |name: &str| {
        let headers = &cx.metadata().headers;
        headers.text(header::REPLAYED_FROM).and_then(|_| headers.text(name))
    };
    headers.insert(header::ORIGIN_EXCHANGE, first(header::ORIGIN_EXCHANGE).unwrap_or_else(|| cx.exchange()));
    headers.insert(
        header::ORIGIN_ROUTING_KEY,
        first(header::ORIGIN_ROUTING_KEY).unwrap_or_else(|| cx.routing_key()),
    );
    headers.insert(header::SERVICE, cx.service());
    headers.insert(header::HOST, cx.environment().host.as_str());
    if let Some(handler) = report.handler {
        headers.insert(header::HANDLER, bounded(handler, NAME_MAX));
    }
    let now = SystemTime::now();
    for (name, time) in
        [(header::FAILED_AT, now), (header::FIRST_FAILED_AT, cx.first_failed_at().unwrap_or(now))]
    {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        headers.insert(name, HeaderValue::Timestamp(since.as_secs()));
    }
}

/// Cuts a text at a character boundary.
fn bounded(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let end = (0..=max).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    format!("{}…", &text[..end])
}
