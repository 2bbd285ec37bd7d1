//! Declaring, binding and deleting: the methods of the classes `exchange` and `queue`.

mod arguments;
mod bindings;
mod exchanges;
mod queues;

use amq_protocol::types::{AMQPValue, FieldTable};

pub(super) use self::arguments::check_consumer_arguments;
use super::access::Resource;
use super::queue::duration;
use super::{AmqpError, erlang, table};

/// Checks that a name does not begin as those of the broker do: `rabbit_channel.erl`, `check_name`.
fn check_name(kind: &str, name: &str) -> Result<(), AmqpError> {
    if name.starts_with("amq.") {
        return Err(AmqpError::access_refused(format!(
            "{kind} name '{name}' contains reserved prefix 'amq.*'"
        )));
    }
    Ok(())
}

/// Carriage returns and line feeds are taken out of names: `rabbit_channel.erl`, `strip_cr_lf`.
fn strip(name: &str) -> String {
    name.replace(['\r', '\n'], "")
}

/// Compares what was declared with what is: `rabbit_misc.erl`, `assert_field_equivalence`.
fn assert_equal(
    vhost: &str,
    resource: Resource<'_>,
    field: &str,
    (current, received): (&str, &str),
) -> Result<(), AmqpError> {
    if current == received { Ok(()) } else { Err(inequivalent(vhost, resource, field, (current, received))) }
}

fn inequivalent(
    vhost: &str,
    resource: Resource<'_>,
    field: &str,
    (current, received): (&str, &str),
) -> AmqpError {
    AmqpError::precondition_failed(format!(
        "inequivalent arg '{field}' for {}: received {received} but current is {current}",
        resource.describe(vhost)
    ))
}

/// Compares one argument: `rabbit_misc.erl`, `assert_args_equivalence1`.
fn assert_same_argument(
    vhost: &str,
    resource: Resource<'_>,
    key: &str,
    (current, received): (&FieldTable, &FieldTable),
) -> Result<(), AmqpError> {
    let value = |table: &FieldTable| table.inner().get(key).map(|value| in_force(key, value));
    let (current, received) = (value(current), value(received));
    let is_same = match (&current, &received) {
        (None, None) => true,
        (Some(current), Some(received)) => table::is_equal(current, received),
        _ => false,
    };
    if is_same {
        return Ok(());
    }
    let both_given = current.is_some() && received.is_some();
    let describe = |value: Option<AMQPValue>| describe(value.as_ref(), both_given);
    // The texts may be the same where the types are not.
    Err(inequivalent(vhost, resource, key, (&describe(current), &describe(received))))
}

/// Ages are compared in milliseconds: `1h` is `3600s`. RabbitMQ 4.3.6 does so, and says them so in its errors.
fn in_force(key: &str, value: &AMQPValue) -> AMQPValue {
    match table::string(value).filter(|_| key == "x-max-age").and_then(duration) {
        Some(age) => AMQPValue::LongString(age.to_string().into()),
        None => value.clone(),
    }
}

/// Two values are told apart without their types, one from none with it: `rabbit_misc.erl`, `val`.
fn describe(value: Option<&AMQPValue>, both_given: bool) -> String {
    match value {
        None => "none".to_owned(),
        Some(AMQPValue::Void) if both_given => "none".to_owned(),
        Some(value) if both_given => format!("'{}'", erlang::value(value)),
        Some(value) => {
            format!("the value '{}' of type '{}'", erlang::value(value), erlang::type_name(value))
        }
    }
}
