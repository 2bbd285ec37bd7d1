//! The broker as a whole: a cluster of one node.

use std::net::SocketAddr;

use hyper::StatusCode;
use serde_json::{Value, json};

use super::objects::NODE;
use super::route::Answer;
use crate::core::{Core, ExchangeKind};

/// What tools read to know which broker they talk to; the same as in the handshake.
const VERSION: &str = crate::io::RABBITMQ_VERSION;

pub(super) fn overview(core: &Core, amqp: SocketAddr) -> Value {
    let (mut ready, mut unacked, mut queues, mut exchanges) = (0, 0, 0, 0);
    for vhost in core.vhosts.values() {
        exchanges += vhost.exchanges.len();
        queues += vhost.queues.len();
        for queue in vhost.queues.values() {
            let counts = queue.counts();
            ready += counts.ready;
            unacked += counts.unacked;
        }
    }
    let open = core.connections.values();
    let channels: usize = open.clone().map(|open| open.channels.len()).sum();
    let consumers: usize =
        open.flat_map(|open| open.channels.values()).map(|channel| channel.consumers.len()).sum();
    json!({
        "management_version": VERSION,
        "rabbitmq_version": VERSION,
        "product_version": VERSION,
        "product_name": "RabbitMQ",
        "cluster_name": NODE,
        "node": NODE,
        "exchange_types": exchange_types(),
        "listeners": [{ "node": NODE, "protocol": "amqp", "ip_address": amqp.ip(), "port": amqp.port() }],
        "object_totals": {
            "connections": core.connections.len(),
            "channels": channels,
            "consumers": consumers,
            "queues": queues,
            "exchanges": exchanges,
        },
        "queue_totals": {
            "messages": ready + unacked,
            "messages_ready": ready,
            "messages_unacknowledged": unacked,
        },
    })
}

fn exchange_types() -> Value {
    let described =
        |kind: &ExchangeKind| json!({ "name": kind.as_str(), "description": "", "enabled": true });
    ExchangeKind::ALL.iter().map(described).collect()
}

pub(super) fn nodes() -> Value {
    json!([{ "name": NODE, "type": "disc", "running": true, "being_drained": false, "mem_alarm": false, "disk_free_alarm": false }])
}

/// Answers the health checks: there are no alarms, for nothing here runs out before the process does.
pub(super) fn health(check: &[&str], amqp: SocketAddr) -> Answer {
    match *check {
        ["alarms" | "local-alarms"] => Answer::ok(json!({ "status": "ok" })),
        ["port-listener", port] if port == amqp.port().to_string() => {
            Answer::ok(json!({ "status": "ok", "port": amqp.port() }))
        }
        ["port-listener", port] => {
            let Ok(port) = port.parse::<u16>() else { return Answer::bad_request("Invalid port number") };
            let failed = json!({ "status": "failed", "reason": "No active listener", "missing": port, "ports": [amqp.port()] });
            Answer { status: StatusCode::SERVICE_UNAVAILABLE, body: Some(failed) }
        }
        _ => Answer::not_found(),
    }
}
