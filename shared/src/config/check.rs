//! Which values of a configuration can work.

use std::time::Duration;

use super::{Config, ConfigError};

/// A deadline must be a moment that the clock can name.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// RabbitMQ 4.1 and later refuse clients that ask for smaller frames.
const FRAME_MAX_LEAST: u32 = 8192;

pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let Config { endpoints, service, connection, publish, tls } = config;
    require(!endpoints.is_empty(), "endpoints", "at least one URL", "none")?;
    let name_fits = !service.is_empty() && service.len() <= 200;
    require(name_fits, "service", "1 to 200 bytes long", format!("{} bytes", service.len()))?;
    let heartbeat = connection.heartbeat;
    let whole = heartbeat >= Duration::from_secs(1) && heartbeat <= Duration::from_secs(u64::from(u16::MAX));
    require(whole, "connection.heartbeat", "between 1 s and 65535 s", format!("{heartbeat:?}"))?;
    limit("connection.connect_timeout", connection.connect_timeout)?;
    limit("connection.rpc_timeout", connection.rpc_timeout)?;
    limit("connection.probe_after", connection.probe_after)?;
    limit("connection.probe_timeout", connection.probe_timeout)?;
    let wait = connection.wait;
    require(wait <= LONGEST, "connection.wait", "at most 365 days", format!("{wait:?}"))?;
    limit("publish.confirm_timeout", publish.confirm_timeout)?;
    // Zero is sensible here: not to wait for a blocked connection at all.
    let blocked = publish.blocked_timeout;
    require(blocked <= LONGEST, "publish.blocked_timeout", "at most 365 days", format!("{blocked:?}"))?;
    let frame_max = connection.frame_max;
    require(frame_max >= FRAME_MAX_LEAST, "connection.frame_max", "at least 8192 bytes", frame_max)?;
    require(publish.window > 0, "publish.window", "at least 1", publish.window)?;
    require(publish.window_bytes > 0, "publish.window_bytes", "at least 1", publish.window_bytes)?;
    require(
        publish.max_message_bytes > 0,
        "publish.max_message_bytes",
        "at least 1",
        publish.max_message_bytes,
    )?;
    let whole = tls.cert_file.is_some() == tls.key_file.is_some();
    let (setting, missing) = if tls.cert_file.is_some() {
        ("tls.cert_file", "tls.key_file")
    } else {
        ("tls.key_file", "tls.cert_file")
    };
    require(whole, setting, &format!("set together with `{missing}`"), "alone")
}

fn limit(setting: &str, time: Duration) -> Result<(), ConfigError> {
    let fits = !time.is_zero() && time <= LONGEST;
    require(fits, setting, "longer than 0 s and at most 365 days", format!("{time:?}"))
}

fn require(holds: bool, setting: &str, rule: &str, found: impl std::fmt::Display) -> Result<(), ConfigError> {
    if holds {
        return Ok(());
    }
    Err(ConfigError::Setting { setting: setting.to_owned(), rule: rule.to_owned(), found: found.to_string() })
}
