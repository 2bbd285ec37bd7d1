//! Changes over the management API.

use amq_protocol::protocol::{exchange, queue};
use amq_protocol::types::ShortString;
use hyper::StatusCode;
use serde_json::Value;

use super::convert::{field, object, table};
use super::objects::{self, exchange_name};
use super::route::Answer;
use crate::core::{AmqpError, ApplyTo, Core, Millis, Permissions, PolicyRule, erlang};
use crate::inspect::BindingState;

pub(super) fn vhost(core: &mut Core, name: &str, body: &Value) -> Answer {
    if body["tracing"] == true {
        return Answer::bad_request(&format!(
            "`tracing` of vhost `{name}`: the embedded broker traces nothing to `amq.rabbitmq.trace`; look at `Broker::published` instead"
        ));
    }
    let is_new = !core.vhosts.contains_key(name);
    core.add_vhost(name);
    Answer::put(is_new)
}

pub(super) fn user(core: &mut Core, name: &str, body: &Value) -> Answer {
    let tags = match &body["tags"] {
        Value::Array(tags) => tags.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::String(tags) => {
            tags.split(',').map(|tag| tag.trim().to_owned()).filter(|tag| !tag.is_empty()).collect()
        }
        _ => Vec::new(),
    };
    let Some(password) = body["password"].as_str() else {
        return Answer::bad_request(
            "the user needs a `password`; hashes are not supported by the embedded broker",
        );
    };
    let is_new = !core.users.contains_key(name);
    core.put_user(name, password.to_owned(), tags);
    Answer::put(is_new)
}

pub(super) fn permissions(core: &mut Core, vhost: &str, user: &str, body: &Value) -> Answer {
    let pattern = |key: &str| body[key].as_str().unwrap_or_default();
    let is_new = core.users.get(user).is_none_or(|user| !user.permissions.contains_key(vhost));
    let set = Permissions::new(pattern("configure"), pattern("write"), pattern("read"))
        .and_then(|permissions| core.set_permissions(user, vhost, permissions));
    match set {
        Ok(()) => Answer::put(is_new),
        Err(reason) => Answer::bad_request(&reason),
    }
}

pub(super) fn policy(core: &mut Core, now: Millis, vhost: &str, name: &str, body: &Value) -> Answer {
    let missing = |key: &str| body[key].is_null().then(|| format!("{{key_missing,{key}}}"));
    let missing: Vec<_> = ["pattern", "definition"].into_iter().filter_map(missing).collect();
    if !missing.is_empty() {
        return Answer::bad_request(&format!("[{}]", missing.join(",")));
    }
    let invalid = |why: &str| Answer::bad_request(&format!("Validation failed\n\n{why}\n"));
    let was = |what: &str, key: &str| invalid(&format!("{key} {what} {}", erlang::term(&field(&body[key]))));
    // `rabbit_policy.erl`, `policy_validation`.
    let priority = &body["priority"];
    if !priority.is_null() && !priority.is_number() {
        return was("should be a number, actually was", "priority");
    }
    let Some(pattern) = body["pattern"].as_str() else {
        return was("should be a binary but was", "pattern");
    };
    let apply_to = body["apply-to"].as_str().unwrap_or("all");
    let Some(apply_to) = ApplyTo::from_name(apply_to) else {
        return invalid(&format!(
            "apply-to '{apply_to}' unrecognised; should be one of: 'queues', 'classic_queues',  'quorum_queues', 'streams', \
             'exchanges', or 'all'"
        ));
    };
    let priority = priority.as_i64().unwrap_or_default();
    let Some(is_new) = core.vhosts.get(vhost).map(|vhost| vhost.policies.get(name).is_none()) else {
        return Answer::error(StatusCode::NOT_FOUND, "not_found", "vhost_not_found");
    };
    let set = PolicyRule::new(name, pattern, apply_to, priority, table(&body["definition"]))
        .and_then(|policy| core.set_policy(now, vhost, policy));
    match set {
        Ok(()) => Answer::put(is_new),
        Err(why) => invalid(&why),
    }
}

fn short(text: &str) -> Result<ShortString, AmqpError> {
    ShortString::try_new(text)
        .map_err(|_| AmqpError::precondition_failed(format!("`{text}` has more than 255 bytes")))
}

pub(super) fn queue(
    core: &mut Core,
    now: Millis,
    user: &str,
    vhost: &str,
    name: &str,
    body: &Value,
) -> Result<(), AmqpError> {
    let mut arguments = table(&body["arguments"]);
    if let Some(kind) = body["type"].as_str() {
        arguments.insert(
            "x-queue-type".into(),
            amq_protocol::types::AMQPValue::LongString(kind.as_bytes().into()),
        );
    }
    let method = queue::Declare {
        queue: short(name)?,
        passive: false,
        durable: body["durable"].as_bool().unwrap_or(false),
        exclusive: false,
        auto_delete: body["auto_delete"].as_bool().unwrap_or(false),
        nowait: false,
        arguments,
    };
    let (vhost, caller) = core.vhost_for(user, vhost)?;
    vhost.declare_queue(now, &caller, &method).map(drop)
}

pub(super) fn exchange(
    core: &mut Core,
    user: &str,
    vhost: &str,
    name: &str,
    body: &Value,
) -> Result<(), AmqpError> {
    let method = exchange::Declare {
        exchange: short(name)?,
        kind: short(body["type"].as_str().unwrap_or("direct"))?,
        passive: false,
        durable: body["durable"].as_bool().unwrap_or(false),
        auto_delete: body["auto_delete"].as_bool().unwrap_or(false),
        internal: body["internal"].as_bool().unwrap_or(false),
        nowait: false,
        arguments: table(&body["arguments"]),
    };
    let (vhost, caller) = core.vhost_for(user, vhost)?;
    vhost.declare_exchange(&caller, &method)
}

/// `kind` is `q` for a queue, `e` for an exchange.
pub(super) fn bind(
    core: &mut Core,
    user: &str,
    vhost: &str,
    (source, kind, destination): (&str, &str, &str),
    body: &Value,
) -> Result<(), AmqpError> {
    let (source, destination) = (short(exchange_name(source))?, short(destination)?);
    let routing_key = short(body["routing_key"].as_str().unwrap_or_default())?;
    let arguments = table(&body["arguments"]);
    let (vhost, caller) = core.vhost_for(user, vhost)?;
    if kind == "q" {
        let method =
            queue::Bind { queue: destination, exchange: source, routing_key, nowait: false, arguments };
        return vhost.bind_queue(&caller, &method);
    }
    let method = exchange::Bind { destination, source, routing_key, nowait: false, arguments };
    vhost.bind_exchange(&caller, &method)
}

/// Removes the binding that `binding_object` tells by this key.
pub(super) fn unbind(
    core: &mut Core,
    user: &str,
    vhost: &str,
    ends: (&str, &str, &str),
    key: &str,
) -> Answer {
    let (source, kind, destination) = (exchange_name(ends.0), ends.1, ends.2);
    let is_it = |binding: &BindingState| {
        (&*binding.source, &*binding.destination, binding.is_queue) == (source, destination, kind == "q")
            && objects::properties_key(&binding.routing_key, &object(&binding.arguments)) == key
    };
    let Some(binding) = core.vhosts.get(vhost).and_then(|vhost| vhost.bindings().find(is_it)) else {
        return Answer::not_found();
    };
    match remove(core, user, vhost, binding) {
        Ok(()) => Answer::no_content(),
        Err(error) => Answer::bad_request(&error.text),
    }
}

/// Takes the binding as it is held: JSON does not tell one type of number from another.
fn remove(core: &mut Core, user: &str, vhost: &str, binding: BindingState) -> Result<(), AmqpError> {
    let (source, destination) = (short(&binding.source)?, short(&binding.destination)?);
    let (routing_key, arguments) = (short(&binding.routing_key)?, binding.arguments);
    let (vhost, caller) = core.vhost_for(user, vhost)?;
    if binding.is_queue {
        let method = queue::Unbind { queue: destination, exchange: source, routing_key, arguments };
        return vhost.unbind_queue(&caller, &method);
    }
    let method = exchange::Unbind { destination, source, routing_key, nowait: false, arguments };
    vhost.unbind_exchange(&caller, &method)
}
