//! Which values of a configuration can work.

use std::time::Duration;

use super::{Config, ConfigError};

/// RabbitMQ 4.1 and later refuse clients that ask for smaller frames.
const FRAME_MAX_LEAST: u32 = 8192;

pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let Config { endpoints, service, connection, publish, .. } = config;
    require(!endpoints.is_empty(), "endpoints", "at least one URL", "none")?;
    let name_fits = !service.is_empty() && service.len() <= 200;
    require(name_fits, "service", "1 to 200 bytes long", format!("{} bytes", service.len()))?;
    let heartbeat = connection.heartbeat;
    let whole = heartbeat >= Duration::from_secs(1) && heartbeat <= Duration::from_secs(u64::from(u16::MAX));
    require(whole, "connection.heartbeat", "between 1 s and 65535 s", format!("{heartbeat:?}"))?;
    positive("connection.connect_timeout", connection.connect_timeout)?;
    positive("connection.rpc_timeout", connection.rpc_timeout)?;
    positive("publish.confirm_timeout", publish.confirm_timeout)?;
    let frame_max = connection.frame_max;
    require(frame_max >= FRAME_MAX_LEAST, "connection.frame_max", "at least 8192 bytes", frame_max)?;
    require(publish.window > 0, "publish.window", "at least 1", publish.window)?;
    require(publish.window_bytes > 0, "publish.window_bytes", "at least 1", publish.window_bytes)?;
    require(
        publish.max_message_bytes > 0,
        "publish.max_message_bytes",
        "at least 1",
        publish.max_message_bytes,
    )
}

fn positive(setting: &str, time: Duration) -> Result<(), ConfigError> {
    require(!time.is_zero(), setting, "longer than 0 s", format!("{time:?}"))
}

fn require(holds: bool, setting: &str, rule: &str, found: impl ToString) -> Result<(), ConfigError> {
    if holds {
        return Ok(());
    }
    Err(ConfigError::Setting { setting: setting.to_owned(), rule: rule.to_owned(), found: found.to_string() })
}
