//! Which path is answered where.

use std::net::SocketAddr;

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::page::{Page, has_pages};
use super::{change, cluster, definitions, messages, objects};
use crate::core::{AmqpError, Core, Millis};

/// A request.
#[derive(Debug)]
pub(super) struct Call<'c> {
    pub(super) method: &'c Method,
    /// The decoded parts of the path under `/api`.
    pub(super) path: &'c [&'c str],
    /// What stands behind the `?`.
    pub(super) query: &'c str,
    pub(super) body: &'c Value,
    /// Who asks.
    pub(super) user: &'c str,
    /// Where AMQP is served.
    pub(super) amqp: SocketAddr,
}

/// A response.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Option<Value>,
}

impl Answer {
    pub(super) fn ok(body: Value) -> Self {
        Self { status: StatusCode::OK, body: Some(body) }
    }

    pub(super) fn no_content() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: None }
    }

    pub(super) fn created() -> Self {
        Self { status: StatusCode::CREATED, body: None }
    }

    /// Answers a `PUT`: 201 for what is new, 204 for what was there.
    pub(super) fn put(is_new: bool) -> Self {
        if is_new { Self::created() } else { Self::no_content() }
    }

    pub(super) fn error(status: StatusCode, error: &str, reason: &str) -> Self {
        Self { status, body: Some(json!({ "error": error, "reason": reason })) }
    }

    pub(super) fn not_found() -> Self {
        Self::error(StatusCode::NOT_FOUND, "Object Not Found", "Not Found")
    }

    pub(super) fn bad_request(reason: &str) -> Self {
        Self::error(StatusCode::BAD_REQUEST, "bad_request", reason)
    }

    /// Answers with an object, if it is there.
    pub(super) fn object(found: Option<Value>) -> Self {
        found.map_or_else(Self::not_found, Self::ok)
    }

    /// Answers a deletion.
    pub(super) fn deleted(was_there: bool) -> Self {
        if was_there { Self::no_content() } else { Self::not_found() }
    }

    /// Answers a change.
    pub(super) fn changed(result: Result<(), AmqpError>) -> Self {
        match result {
            Ok(()) => Self::created(),
            Err(error) if error.code == 404 => Self::not_found(),
            Err(error) => Self::bad_request(&error.text),
        }
    }
}

/// Answers a request.
pub(super) fn answer(core: &mut Core, now: Millis, call: &Call<'_>) -> Answer {
    match *call.method {
        Method::GET => paged(get(core, call), call),
        Method::PUT => put(core, now, call),
        Method::POST => post(core, now, call),
        Method::DELETE => delete(core, now, call),
        _ => Answer::error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method Not Allowed"),
    }
}

/// Cuts the page that is asked for out of a list that has pages.
fn paged(answer: Answer, call: &Call<'_>) -> Answer {
    match answer.body {
        Some(Value::Array(list)) if has_pages(call.path) => match Page::of_query(call.query) {
            Ok(Some(page)) => page.cut(list),
            Ok(None) => Answer::ok(Value::Array(list)),
            Err(refusal) => refusal,
        },
        body => Answer { body, ..answer },
    }
}

fn get(core: &Core, call: &Call<'_>) -> Answer {
    if let ["queues" | "exchanges" | "bindings" | "policies" | "consumers" | "vhosts", vhost, ..] = *call.path
        && !core.vhosts.contains_key(vhost)
    {
        return Answer::not_found();
    }
    match *call.path {
        ["overview"] => Answer::ok(cluster::overview(core, call.amqp)),
        ["nodes"] => Answer::ok(cluster::nodes()),
        ["health", "checks", ref check @ ..] => cluster::health(check, call.amqp),
        ["whoami"] => Answer::object(objects::user(core, call.user)),
        ["users"] => Answer::ok(objects::users(core)),
        ["users", name] => Answer::object(objects::user(core, name)),
        ["permissions"] => Answer::ok(objects::permissions(core)),
        ["permissions", vhost, user] => Answer::object(
            objects::permissions_where(core, "vhost", vhost).into_iter().find(|one| one["user"] == user),
        ),
        ["vhosts", vhost, "permissions"] => {
            Answer::ok(Value::Array(objects::permissions_where(core, "vhost", vhost)))
        }
        ["users", user, "permissions"] => {
            Answer::ok(Value::Array(objects::permissions_where(core, "user", user)))
        }
        ["vhosts"] => Answer::ok(objects::vhosts(core)),
        ["vhosts", name] => Answer::object(objects::vhost(core, name)),
        ["vhosts", vhost, "connections"] => Answer::ok(objects::connections(core, Some(vhost))),
        ["vhosts", vhost, "channels"] => Answer::ok(objects::channels(core, Some(vhost))),
        ["connections"] => Answer::ok(objects::connections(core, None)),
        ["channels"] => Answer::ok(objects::channels(core, None)),
        ["consumers"] => Answer::ok(objects::consumers(core, None)),
        ["consumers", vhost] => Answer::ok(objects::consumers(core, Some(vhost))),
        ["queues"] => Answer::ok(objects::queues(core, None)),
        ["queues", vhost] => Answer::ok(objects::queues(core, Some(vhost))),
        ["queues", vhost, name] => Answer::object(objects::queue(core, vhost, name)),
        ["queues", vhost, name, "bindings"] => Answer::ok(objects::bindings(core, Some(vhost), |binding| {
            binding["destination"] == name && binding["destination_type"] == "queue"
        })),
        ["exchanges"] => Answer::ok(objects::exchanges(core, None)),
        ["exchanges", vhost] => Answer::ok(objects::exchanges(core, Some(vhost))),
        ["exchanges", vhost, name] => Answer::object(objects::exchange(core, vhost, name)),
        ["exchanges", vhost, name, "bindings", end @ ("source" | "destination")] => {
            let is_exchange = |binding: &Value| end == "source" || binding["destination_type"] == "exchange";
            Answer::ok(objects::bindings(core, Some(vhost), |binding| {
                binding[end] == name && is_exchange(binding)
            }))
        }
        ["bindings"] => Answer::ok(objects::bindings(core, None, |_| true)),
        ["bindings", vhost] => Answer::ok(objects::bindings(core, Some(vhost), |_| true)),
        ["bindings", vhost, "e", source, kind @ ("q" | "e"), destination] => {
            let found = objects::bindings_between(core, vhost, (source, kind, destination));
            Answer::ok(Value::Array(found))
        }
        ["bindings", vhost, "e", source, kind @ ("q" | "e"), destination, key] => {
            Answer::object(objects::binding(core, vhost, (source, kind, destination), key))
        }
        ["policies"] => Answer::ok(objects::policies(core, None)),
        ["policies", vhost] => Answer::ok(objects::policies(core, Some(vhost))),
        ["policies", vhost, name] => Answer::object(objects::policy(core, vhost, name)),
        ["definitions"] => Answer::ok(definitions::export(core)),
        _ => Answer::not_found(),
    }
}

fn put(core: &mut Core, now: Millis, call: &Call<'_>) -> Answer {
    match *call.path {
        ["vhosts", name] => change::vhost(core, name, call.body),
        ["users", name] => change::user(core, name, call.body),
        ["permissions", vhost, user] => change::permissions(core, vhost, user, call.body),
        ["policies", vhost, name] => change::policy(core, now, vhost, name, call.body),
        ["queues", vhost, name] => {
            Answer::changed(change::queue(core, now, call.user, vhost, name, call.body))
        }
        ["exchanges", vhost, name] => {
            Answer::changed(change::exchange(core, call.user, vhost, name, call.body))
        }
        _ => Answer::not_found(),
    }
}

fn post(core: &mut Core, now: Millis, call: &Call<'_>) -> Answer {
    match *call.path {
        ["bindings", vhost, "e", source, kind @ ("q" | "e"), destination] => {
            let ends = (source, kind, destination);
            Answer::changed(change::bind(core, call.user, vhost, ends, call.body))
        }
        ["queues", vhost, name, "get"] => messages::get(core, now, vhost, name, call.body),
        ["exchanges", vhost, name, "publish"] => messages::publish(core, now, vhost, name, call.body),
        ["definitions"] => definitions::import(core, now, call.user, call.body),
        _ => Answer::not_found(),
    }
}

fn delete(core: &mut Core, now: Millis, call: &Call<'_>) -> Answer {
    match *call.path {
        ["vhosts", name] => Answer::deleted(core.delete_vhost(now, name)),
        ["users", name] => Answer::deleted(core.delete_user(name)),
        ["permissions", vhost, user] => Answer::deleted(core.clear_permissions(user, vhost)),
        ["policies", vhost, name] => Answer::deleted(core.delete_policy(now, vhost, name)),
        ["queues", vhost, name] => Answer::deleted(core.delete_queue_by_name(now, vhost, name)),
        ["queues", vhost, name, "contents"] => Answer::deleted(core.purge_queue_by_name(now, vhost, name)),
        ["exchanges", vhost, name] => Answer::deleted(core.delete_exchange_by_name(vhost, name)),
        ["bindings", vhost, "e", source, kind @ ("q" | "e"), destination, key] => {
            change::unbind(core, call.user, vhost, (source, kind, destination), key)
        }
        ["connections", name] => Answer::deleted(core.close_connection_by_name(name)),
        _ => Answer::not_found(),
    }
}
