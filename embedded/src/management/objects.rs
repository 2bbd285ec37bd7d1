//! What the broker holds, as the management API tells it.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Map, Value, json};

use super::convert::object;
use crate::core::{Core, Exchange, Queue, QueueKind, User, Vhost};

/// The only node.
pub(super) const NODE: &str = "garenne@embedded";

fn vhosts_of<'c>(core: &'c Core, name: Option<&'c str>) -> Vec<&'c Vhost> {
    let mut found: Vec<_> =
        core.vhosts.values().filter(|vhost| name.is_none_or(|name| &*vhost.name == name)).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

pub(super) fn users(core: &Core) -> Value {
    let mut users: Vec<_> = core.users.values().collect();
    users.sort_by(|a, b| a.name.cmp(&b.name));
    users.into_iter().map(user_object).collect()
}

pub(super) fn user(core: &Core, name: &str) -> Option<Value> {
    core.users.get(name).map(user_object)
}

fn user_object(user: &User) -> Value {
    json!({ "name": &*user.name, "tags": user.tags })
}

pub(super) fn permissions(core: &Core) -> Value {
    let mut all = Vec::new();
    for user in core.users.values() {
        for (vhost, permissions) in &user.permissions {
            all.push(json!({
                "user": &*user.name,
                "vhost": &**vhost,
                "configure": permissions.configure.as_str(),
                "write": permissions.write.as_str(),
                "read": permissions.read.as_str(),
            }));
        }
    }
    all.sort_by_key(|entry| (entry["user"].to_string(), entry["vhost"].to_string()));
    Value::Array(all)
}

/// Returns the permissions in one vhost, or of one user.
pub(super) fn permissions_where(core: &Core, key: &str, value: &str) -> Vec<Value> {
    let Value::Array(all) = permissions(core) else { return Vec::new() };
    all.into_iter().filter(|one| one[key] == value).collect()
}

pub(super) fn vhosts(core: &Core) -> Value {
    vhosts_of(core, None).into_iter().map(vhost_object).collect()
}

pub(super) fn vhost(core: &Core, name: &str) -> Option<Value> {
    core.vhosts.get(name).map(vhost_object)
}

fn vhost_object(vhost: &Vhost) -> Value {
    let kind = vhost.default_queue_type.as_str();
    json!({ "name": &*vhost.name, "default_queue_type": kind, "metadata": { "default_queue_type": kind } })
}

pub(super) fn queues(core: &Core, vhost: Option<&str>) -> Value {
    let mut found = Vec::new();
    for vhost in vhosts_of(core, vhost) {
        let mut queues: Vec<_> = vhost.queues.values().collect();
        queues.sort_by(|a, b| a.declaration.name.cmp(&b.declaration.name));
        found.extend(queues.into_iter().map(|queue| queue_object(vhost, queue)));
    }
    Value::Array(found)
}

pub(super) fn queue(core: &Core, vhost: &str, name: &str) -> Option<Value> {
    let vhost = core.vhosts.get(vhost)?;
    vhost.queues.get(name).map(|queue| queue_object(vhost, queue))
}

fn queue_object(vhost: &Vhost, queue: &Queue) -> Value {
    let (declaration, counts) = (&queue.declaration, queue.counts());
    let policy = queue.policy.as_ref().and_then(|name| vhost.policies.get(name));
    let mut object = json!({
        "name": &*declaration.name,
        "vhost": &*vhost.name,
        "type": declaration.kind.as_str(),
        "durable": declaration.durable,
        "auto_delete": declaration.auto_delete,
        "exclusive": declaration.exclusive_to.is_some(),
        "arguments": object(&declaration.arguments),
        "policy": queue.policy.as_deref(),
        "effective_policy_definition": policy.map_or_else(|| json!({}), |policy| object(&policy.definition)),
        "state": "running",
        "node": NODE,
        "messages": counts.ready + counts.delayed + counts.held + counts.unacked,
        "messages_ready": counts.ready,
        "messages_unacknowledged": counts.unacked,
        "messages_delayed": counts.delayed,
        "messages_dlx": counts.held,
        "message_bytes_ready": counts.ready_bytes,
        "consumers": queue.consumer_count(),
        "operator_policy": null,
    });
    if declaration.kind != QueueKind::Classic {
        object["leader"] = json!(NODE);
        object["members"] = json!([NODE]);
        object["online"] = json!([NODE]);
    }
    object
}

pub(super) fn exchanges(core: &Core, vhost: Option<&str>) -> Value {
    let mut found = Vec::new();
    for vhost in vhosts_of(core, vhost) {
        let mut exchanges: Vec<_> = vhost.exchanges.values().collect();
        exchanges.sort_by(|a, b| a.name.cmp(&b.name));
        found.extend(exchanges.into_iter().map(|exchange| exchange_object(vhost, exchange)));
    }
    Value::Array(found)
}

pub(super) fn exchange(core: &Core, vhost: &str, name: &str) -> Option<Value> {
    let vhost = core.vhosts.get(vhost)?;
    vhost.exchanges.get(exchange_name(name)).map(|exchange| exchange_object(vhost, exchange))
}

/// In paths the default exchange goes by another name.
pub(super) fn exchange_name(name: &str) -> &str {
    if name == "amq.default" { "" } else { name }
}

fn exchange_object(vhost: &Vhost, exchange: &Exchange) -> Value {
    json!({
        "name": &*exchange.name,
        "vhost": &*vhost.name,
        "type": exchange.kind.as_str(),
        "durable": exchange.durable,
        "auto_delete": exchange.auto_delete,
        "internal": exchange.internal,
        "arguments": object(&exchange.arguments),
        "policy": exchange.policy.as_deref(),
    })
}

pub(super) fn bindings(core: &Core, vhost: Option<&str>, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut found = Vec::new();
    for vhost in vhosts_of(core, vhost) {
        for queue in vhost.queues.keys() {
            found.push(binding_object(vhost, "", (queue, "queue"), queue, &json!({})));
        }
        for binding in vhost.bindings() {
            let kind = if binding.is_queue { "queue" } else { "exchange" };
            let arguments = object(&binding.arguments);
            let destination = (&*binding.destination, kind);
            found.push(binding_object(vhost, &binding.source, destination, &binding.routing_key, &arguments));
        }
    }
    found.retain(wanted);
    found.sort_by_key(Value::to_string);
    Value::Array(found)
}

fn binding_object(
    vhost: &Vhost,
    source: &str,
    (destination, kind): (&str, &str),
    key: &str,
    arguments: &Value,
) -> Value {
    json!({
        "source": source,
        "vhost": &*vhost.name,
        "destination": destination,
        "destination_type": kind,
        "routing_key": key,
        "arguments": arguments,
        "properties_key": properties_key(key, arguments),
    })
}

/// Names a binding among those of its two ends: its routing key, and a hash of its arguments if it has any.
///
/// `rabbit_mgmt_format.erl`, `pack_binding_props`; only the hash function is another one.
pub(super) fn properties_key(key: &str, arguments: &Value) -> String {
    let key = if key.is_empty() { "~" } else { key };
    if arguments.as_object().is_none_or(Map::is_empty) {
        return key.to_owned();
    }
    let mut hasher = DefaultHasher::new();
    arguments.to_string().hash(&mut hasher);
    format!("{key}~{:016x}", hasher.finish())
}

/// Returns the bindings between two ends; `kind` is `q` for a queue, `e` for an exchange.
pub(super) fn bindings_between(
    core: &Core,
    vhost: &str,
    (source, kind, destination): (&str, &str, &str),
) -> Vec<Value> {
    let source = exchange_name(source);
    let kind = if kind == "q" { "queue" } else { "exchange" };
    let between = |binding: &Value| {
        (&binding["source"], &binding["destination"], &binding["destination_type"])
            == (&json!(source), &json!(destination), &json!(kind))
    };
    match bindings(core, Some(vhost), between) {
        Value::Array(found) => found,
        _ => Vec::new(),
    }
}

/// Returns one of the bindings between two ends.
pub(super) fn binding(core: &Core, vhost: &str, ends: (&str, &str, &str), key: &str) -> Option<Value> {
    bindings_between(core, vhost, ends).into_iter().find(|binding| binding["properties_key"] == key)
}

pub(super) fn policies(core: &Core, vhost: Option<&str>) -> Value {
    let vhosts = vhosts_of(core, vhost).into_iter();
    vhosts.flat_map(|vhost| vhost.policies.iter().map(|policy| policy_object(vhost, policy))).collect()
}

pub(super) fn policy(core: &Core, vhost: &str, name: &str) -> Option<Value> {
    let vhost = core.vhosts.get(vhost)?;
    vhost.policies.get(name).map(|policy| policy_object(vhost, policy))
}

fn policy_object(vhost: &Vhost, policy: &crate::core::PolicyRule) -> Value {
    json!({
        "vhost": &*vhost.name,
        "name": &*policy.name,
        "pattern": policy.pattern.as_str(),
        "apply-to": policy.apply_to.as_str(),
        "priority": policy.priority,
        "definition": object(&policy.definition),
    })
}

pub(super) fn connections(core: &Core, vhost: Option<&str>) -> Value {
    let mut open: Vec<_> =
        core.connections.iter().filter(|(_, open)| vhost.is_none_or(|vhost| &*open.vhost == vhost)).collect();
    open.sort_by_key(|(id, _)| **id);
    let described = open.into_iter().map(|(_, open)| {
        let (peer, own) = open.name.split_once(" -> ").unwrap_or_default();
        let (peer, own) = (host_and_port(peer), host_and_port(own));
        json!({
            "name": open.name,
            "peer_host": peer.0,
            "peer_port": peer.1,
            "host": own.0,
            "port": own.1,
            "channel_max": open.tuned.channel_max,
            "frame_max": open.tuned.frame_max,
            "timeout": open.tuned.heartbeat,
            "connected_at": open.connected_at,
            "user": &*open.user,
            "vhost": &*open.vhost,
            "state": "running",
            "node": NODE,
            "protocol": "AMQP 0-9-1",
            "channels": open.channels.len(),
            "client_properties": object(&open.client_properties),
            "user_provided_name": object(&open.client_properties)["connection_name"],
        })
    });
    described.collect()
}

/// Splits an address as the name of a connection tells it.
fn host_and_port(address: &str) -> (&str, Option<u16>) {
    let (host, port) = address.rsplit_once(':').unwrap_or_default();
    (host.trim_matches(['[', ']']), port.parse().ok())
}

pub(super) fn channels(core: &Core, vhost: Option<&str>) -> Value {
    let mut found = Vec::new();
    for (id, open) in &core.connections {
        if vhost.is_some_and(|vhost| &*open.vhost != vhost) {
            continue;
        }
        for (number, channel) in &open.channels {
            let described = json!({
                "name": format!("{} ({number})", open.name),
                "number": number,
                "vhost": &*open.vhost,
                "user": &*open.user,
                "state": "running",
                "confirm": channel.confirms.is_some(),
                "prefetch_count": channel.prefetch,
                "consumer_count": channel.consumers.len(),
                "messages_unacknowledged": channel.unacked_count(),
                "connection_details": { "name": open.name },
            });
            found.push(((*id, *number), described));
        }
    }
    found.sort_by_key(|(key, _)| *key);
    found.into_iter().map(|(_, described)| described).collect()
}

pub(super) fn consumers(core: &Core, vhost: Option<&str>) -> Value {
    let mut found = Vec::new();
    for vhost in vhosts_of(core, vhost) {
        let mut queues: Vec<_> = vhost.queues.values().collect();
        queues.sort_by(|a, b| a.declaration.name.cmp(&b.declaration.name));
        for queue in queues {
            for consumer in queue.consumers() {
                let subscription = &consumer.subscription;
                let connection = core.connections.get(&subscription.key.connection);
                let name = connection.map(|open| open.name.as_str()).unwrap_or_default();
                let number = subscription.key.channel;
                found.push(json!({
                    "consumer_tag": &*subscription.key.tag,
                    "queue": { "name": &*queue.declaration.name, "vhost": &*vhost.name },
                    "ack_required": !subscription.no_ack,
                    "exclusive": subscription.exclusive,
                    "prefetch_count": subscription.prefetch,
                    "active": consumer.is_active,
                    "activity_status": if consumer.is_active { "up" } else { "waiting" },
                    "arguments": object(&subscription.arguments),
                    "channel_details": {
                        "name": format!("{name} ({number})"),
                        "number": number,
                        "connection_name": name,
                        "user": connection.map(|open| &*open.user),
                    },
                }));
            }
        }
    }
    Value::Array(found)
}
