//! The optional arguments of queues: which type takes which, and what values.
//!
//! <https://www.rabbitmq.com/docs/queues#optional-arguments>; `rabbit_amqqueue.erl`, `check_declare_arguments`; the `capabilities` of each
//! type's module.

use amq_protocol::types::{AMQPValue, FieldTable};

use crate::core::queue::QueueKind;
use crate::core::{AmqpError, erlang, table};

pub(super) const DEAD_LETTER_EXCHANGE: &str = "x-dead-letter-exchange";
/// The largest time to live: `rabbit_misc.erl`, `check_expiry`.
const MAX_EXPIRY: i64 = 315_360_000_000;
/// `rabbit_amqqueue.erl`, `MAX_SUPPORTED_PRIORITY`.
const MAX_PRIORITY: i64 = 255;
/// `rabbit_stream_queue.erl`, `MAX_STREAM_MAX_SEGMENT_SIZE`.
const MAX_SEGMENT: i64 = 3_000_000_000;
/// Why there is no `x-queue-master-locator` any more: `rabbit_deprecated_features.erl`, as much as fits into a reply text.
const MASTER_LOCATOR: &str = "Feature `queue_master_locator` is deprecated.\nBy default, this feature is not permitted anymore.\n\
     The feature will be removed from a future major RabbitMQ version, regardless of the configuration; actual version to be \
     determined.\nTo continue using this feature when it is not permitted by default, set the following parameter";

const CLASSIC: &[&str] = &[
    "x-expires",
    "x-message-ttl",
    DEAD_LETTER_EXCHANGE,
    "x-dead-letter-routing-key",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-overflow",
    "x-queue-mode",
    "x-queue-version",
    "x-single-active-consumer",
    "x-queue-type",
    "x-queue-master-locator",
    "x-queue-leader-locator",
];
const QUORUM: &[&str] = &[
    DEAD_LETTER_EXCHANGE,
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-expires",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    "x-overflow",
    "x-single-active-consumer",
    "x-queue-type",
    "x-quorum-initial-group-size",
    "x-delivery-limit",
    "x-message-ttl",
    "x-queue-leader-locator",
    "x-consumer-disconnected-timeout",
    "x-consumer-timeout",
    "x-delayed-retry-type",
    "x-delayed-retry-min",
    "x-delayed-retry-max",
];
const STREAM: &[&str] = &[
    "x-max-length-bytes",
    "x-queue-type",
    "x-max-age",
    "x-stream-max-segment-size-bytes",
    "x-stream-filter-size-bytes",
    "x-initial-cluster-size",
    "x-queue-leader-locator",
];

/// The arguments with values to check, in the order in which that is done: `rabbit_amqqueue.erl`, `declare_args`.
const CHECKED: &[&str] = &[
    "x-expires",
    "x-message-ttl",
    DEAD_LETTER_EXCHANGE,
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    "x-max-priority",
    "x-overflow",
    "x-queue-version",
    "x-single-active-consumer",
    "x-consumer-timeout",
    "x-consumer-disconnected-timeout",
    "x-quorum-initial-group-size",
    "x-max-age",
    "x-stream-max-segment-size-bytes",
    "x-stream-filter-size-bytes",
    "x-initial-cluster-size",
    "x-queue-leader-locator",
];

/// Returns the arguments that a type takes.
pub(super) fn allowed(kind: QueueKind) -> &'static [&'static str] {
    match kind {
        QueueKind::Classic => CLASSIC,
        QueueKind::Quorum => QUORUM,
        QueueKind::Stream => STREAM,
    }
}

/// Checks every argument and returns the type of the queue, which `what` names in errors.
pub(super) fn check(what: &str, arguments: &FieldTable) -> Result<QueueKind, AmqpError> {
    let invalid = |key: &str, why: &str| {
        AmqpError::precondition_failed(format!("invalid arg '{key}' for {what}: {why}"))
    };
    let kind = match arguments.inner().get("x-queue-type") {
        None => QueueKind::Classic,
        // `rabbit_amqqueue.erl`, `maybe_inject_default_queue_type_shortcut_into_args`.
        Some(AMQPValue::LongString(name)) if name.is_empty() => QueueKind::Classic,
        Some(AMQPValue::LongString(name)) => QueueKind::from_name(&name.to_string())
            .ok_or_else(|| invalid("x-queue-type", &format!("\"unsupported queue type '{name}'\"")))?,
        Some(other) => return Err(invalid("x-queue-type", &unacceptable(other))),
    };
    for key in CHECKED.iter().filter(|key| allowed(kind).contains(key)) {
        if let Some(value) = arguments.inner().get(*key) {
            check_value(key, value, arguments).map_err(|why| invalid(key, &why))?;
        }
    }
    let known = |key: &str| [CLASSIC, QUORUM, STREAM].iter().any(|keys| keys.contains(&key));
    for (key, _) in arguments {
        if known(key.as_str()) && !allowed(kind).contains(&key.as_str()) {
            return Err(AmqpError::precondition_failed(format!(
                "invalid arg '{key}' for {what} of queue type rabbit_{}_queue",
                kind.as_str()
            )));
        }
    }
    Ok(kind)
}

/// Checks what the type itself refuses once everything else is fine: `rabbit_classic_queue.erl`, `validate_arguments`;
/// `rabbit_stream_queue.erl`, `check_max_segment_size_bytes` and `check_filter_size`.
pub(super) fn check_late(kind: QueueKind, arguments: &FieldTable) -> Result<(), AmqpError> {
    if kind == QueueKind::Classic && arguments.contains_key("x-queue-master-locator") {
        return Err(AmqpError::internal_error(MASTER_LOCATOR));
    }
    if kind != QueueKind::Stream {
        return Ok(());
    }
    if table::get_integer(arguments, "x-stream-max-segment-size-bytes").is_some_and(|size| size > MAX_SEGMENT)
    {
        let text = "Exceeded max value for x-stream-max-segment-size-bytes";
        return Err(AmqpError::precondition_failed(text));
    }
    match table::get_integer(arguments, "x-stream-filter-size-bytes") {
        None | Some(16..=255) => Ok(()),
        Some(_) => Err(AmqpError::precondition_failed("Invalid value for x-stream-filter-size-bytes")),
    }
}

/// The arguments of consumers, by type: `consumer_arguments` in the `capabilities` of each type's module.
const OF_CONSUMERS: &[(&str, &[QueueKind])] = &[
    ("x-priority", &[QueueKind::Classic, QueueKind::Quorum]),
    ("x-consumer-timeout", &[QueueKind::Quorum]),
    ("x-stream-offset", &[QueueKind::Stream]),
    ("x-stream-filter", &[QueueKind::Stream]),
    ("x-stream-match-unfiltered", &[QueueKind::Stream]),
];

/// Checks the arguments of a consumer of the queue that `what` names: `rabbit_amqqueue.erl`, `check_consume_arguments`.
pub(crate) fn check_consumer_arguments(
    what: &str,
    kind: QueueKind,
    arguments: &FieldTable,
) -> Result<(), AmqpError> {
    for (key, kinds) in OF_CONSUMERS {
        let Some(value) = arguments.inner().get(*key).filter(|_| kinds.contains(&kind)) else { continue };
        let checked = match *key {
            "x-priority" => whole(value).map(drop),
            "x-consumer-timeout" => not_negative(value).map(drop),
            "x-stream-offset" => stream_offset(value),
            _ => Ok(()),
        };
        checked.map_err(|why| {
            AmqpError::precondition_failed(format!("invalid arg '{key}' for {what}: {why}"))
        })?;
    }
    for (key, _) in arguments {
        if OF_CONSUMERS.iter().any(|(known, kinds)| *known == key.as_str() && !kinds.contains(&kind)) {
            return Err(AmqpError::precondition_failed(format!(
                "invalid arg '{key}' for {what} of queue type rabbit_{}_queue",
                kind.as_str()
            )));
        }
    }
    Ok(())
}

fn stream_offset(value: &AMQPValue) -> Result<(), String> {
    match table::string(value) {
        None | Some("first" | "last" | "next") => Ok(()),
        Some(age) if crate::core::queue::duration(age).is_some_and(|age| age > 0) => Ok(()),
        Some(other) => Err(format!("{{invalid_stream_offset_arg,{{longstr,<<{other:?}>>}}}}")),
    }
}

fn check_value(key: &str, value: &AMQPValue, arguments: &FieldTable) -> Result<(), String> {
    match key {
        "x-expires" => {
            if whole(value)? == 0 {
                return Err("{value_zero,0}".to_owned());
            }
            expiry(value)
        }
        "x-message-ttl" => expiry(value),
        "x-max-priority" => match not_negative(value)? {
            0..=MAX_PRIORITY => Ok(()),
            above => Err(format!("{{max_value_exceeded,{above}}}")),
        },
        "x-quorum-initial-group-size" | "x-initial-cluster-size" => match not_negative(value)? {
            0 => Err("{value_zero,0}".to_owned()),
            _ => Ok(()),
        },
        "x-queue-version" => match not_negative(value)? {
            2 => Ok(()),
            other => Err(format!("\"unsupported queue version '{other}'\"")),
        },
        "x-max-length"
        | "x-max-length-bytes"
        | "x-max-in-memory-length"
        | "x-max-in-memory-bytes"
        | "x-consumer-timeout"
        | "x-consumer-disconnected-timeout"
        | "x-stream-max-segment-size-bytes"
        | "x-stream-filter-size-bytes" => not_negative(value).map(drop),
        "x-single-active-consumer" => match value {
            AMQPValue::Boolean(_) => Ok(()),
            other => Err(unacceptable(other)),
        },
        DEAD_LETTER_EXCHANGE => text(value).map(drop),
        "x-dead-letter-routing-key" => {
            text(value)?;
            if arguments.contains_key(DEAD_LETTER_EXCHANGE) {
                return Ok(());
            }
            Err("routing_key_but_no_dlx_defined".to_owned())
        }
        "x-dead-letter-strategy" => one_of(value, &["at-most-once", "at-least-once"], "invalid_dlx_strategy"),
        "x-overflow" => {
            one_of(value, &["drop-head", "reject-publish", "reject-publish-dlx"], "invalid_overflow")
        }
        "x-queue-leader-locator" => one_of(
            value,
            &["client-local", "balanced", "random", "least-leaders", "min-masters"],
            "invalid_queue_locator_arg",
        ),
        "x-max-age" => match crate::core::queue::duration(&text(value)?) {
            Some(1..) => Ok(()),
            _ => Err("invalid_max_age".to_owned()),
        },
        _ => Ok(()),
    }
}

fn unacceptable(value: &AMQPValue) -> String {
    format!("{{unacceptable_type,{}}}", erlang::type_name(value))
}

fn whole(value: &AMQPValue) -> Result<i64, String> {
    table::integer(value).ok_or_else(|| format!("\"expected integer, got {}\"", erlang::type_name(value)))
}

fn not_negative(value: &AMQPValue) -> Result<i64, String> {
    match whole(value)? {
        negative @ ..0 => Err(format!("{{value_negative,{negative}}}")),
        number => Ok(number),
    }
}

fn expiry(value: &AMQPValue) -> Result<(), String> {
    match not_negative(value)? {
        0..=MAX_EXPIRY => Ok(()),
        above => Err(format!("{{value_too_large,{above}}}")),
    }
}

fn text(value: &AMQPValue) -> Result<String, String> {
    match value {
        AMQPValue::LongString(text) => Ok(text.to_string()),
        other => Err(unacceptable(other)),
    }
}

fn one_of(value: &AMQPValue, known: &[&str], otherwise: &str) -> Result<(), String> {
    if known.contains(&text(value)?.as_str()) { Ok(()) } else { Err(otherwise.to_owned()) }
}
