//! Definitions: everything that was declared, as one document. <https://www.rabbitmq.com/docs/definitions>
//!
//! Passwords are exported as hashes by RabbitMQ; the embedded broker neither exports nor imports hashes, so users need a `password`.

use serde_json::{Value, json};

use super::route::Answer;
use super::{change, objects};
use crate::core::{Core, Millis};

/// Returns the definitions of the whole broker.
pub(super) fn export(core: &Core) -> Value {
    let declared = |objects: Value, keep: fn(&Value) -> bool| -> Value {
        objects.as_array().into_iter().flatten().filter(|object| keep(object)).cloned().collect()
    };
    let own = |exchange: &Value| {
        exchange["name"].as_str().is_some_and(|name| !name.is_empty() && !name.starts_with("amq."))
    };
    json!({
        "rabbitmq_version": crate::io::RABBITMQ_VERSION,
        "product_name": "RabbitMQ",
        "users": objects::users(core),
        "vhosts": objects::vhosts(core),
        "permissions": objects::permissions(core),
        "policies": objects::policies(core, None),
        "queues": declared(objects::queues(core, None), |queue| queue["exclusive"] == false),
        "exchanges": declared(objects::exchanges(core, None), own),
        "bindings": declared(objects::bindings(core, None, |_| true), |binding| binding["source"] != ""),
    })
}

/// Adds what is missing; nothing is deleted. The first object that cannot be added ends the import.
pub(super) fn import(core: &mut Core, now: Millis, caller: &str, body: &Value) -> Answer {
    for (kind, add) in KINDS {
        for object in body[kind].as_array().into_iter().flatten() {
            let answer = add(core, now, caller, object);
            if !answer.status.is_success() {
                let reason = answer.body.map(|body| body["reason"].to_string()).unwrap_or_default();
                return Answer::bad_request(&format!("{kind}: {object}: {reason}"));
            }
        }
    }
    Answer::no_content()
}

/// Adds one object of a kind.
type Add = fn(&mut Core, Millis, &str, &Value) -> Answer;

/// In the order in which they need one another.
const KINDS: [(&str, Add); 7] = [
    ("users", |core, _, _, object| change::user(core, text(object, "name"), object)),
    ("vhosts", |core, _, caller, object| {
        let added = change::vhost(core, text(object, "name"), object);
        if added.status.is_client_error() {
            return added;
        }
        // Whoever imports may go on to fill it.
        change::permissions(
            core,
            text(object, "name"),
            caller,
            &json!({ "configure": ".*", "write": ".*", "read": ".*" }),
        )
    }),
    ("permissions", |core, _, _, object| {
        change::permissions(core, text(object, "vhost"), text(object, "user"), object)
    }),
    ("policies", |core, now, _, object| {
        change::policy(core, now, text(object, "vhost"), text(object, "name"), object)
    }),
    ("queues", |core, now, caller, object| {
        Answer::changed(change::queue(core, now, caller, text(object, "vhost"), text(object, "name"), object))
    }),
    ("exchanges", |core, _, caller, object| {
        Answer::changed(change::exchange(core, caller, text(object, "vhost"), text(object, "name"), object))
    }),
    ("bindings", |core, _, caller, object| {
        let kind = if object["destination_type"] == "exchange" { "e" } else { "q" };
        let ends = (text(object, "source"), kind, text(object, "destination"));
        Answer::changed(change::bind(core, caller, text(object, "vhost"), ends, object))
    }),
];

fn text<'v>(object: &'v Value, key: &str) -> &'v str {
    object[key].as_str().unwrap_or_default()
}
