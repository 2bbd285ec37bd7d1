//! Every metric of this crate, by name. The facade is `metrics`; without an exporter they cost next to nothing.

use crate::Role;

/// Connections opened, by `role`.
pub(crate) fn connection_opened(role: Role) {
    metrics::counter!("garenne_connections_opened_total", "role" => role.as_str()).increment(1);
}

/// Connections lost, by `role`.
pub(crate) fn connection_lost(role: Role) {
    metrics::counter!("garenne_connections_lost_total", "role" => role.as_str()).increment(1);
}

/// Whether the broker blocks a connection (0 or 1), by `role`.
pub(crate) fn connection_blocked(role: Role, blocked: bool) {
    metrics::gauge!("garenne_connection_blocked", "role" => role.as_str()).set(if blocked {
        1.0
    } else {
        0.0
    });
}
