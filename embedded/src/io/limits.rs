//! What the broker offers in `connection.tune`.

use super::frame::FRAME_MIN_SIZE;
use crate::core::AmqpError;

/// The broker's side of the tuning: <https://www.rabbitmq.com/docs/connections>.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How many channels a connection may have.
    pub(crate) channel_max: u16,
    /// How large a frame may be, in bytes.
    pub(crate) frame_max: u32,
    /// Seconds between heartbeats; 0 is none.
    pub(crate) heartbeat: u16,
}

impl Default for Limits {
    /// The defaults of RabbitMQ 4.3: `deps/rabbit/Makefile`.
    fn default() -> Self {
        Self { channel_max: 2047, frame_max: 131_072, heartbeat: 60 }
    }
}

// === impl Limits ===

impl Limits {
    /// Checks what the client made of the offer: `rabbit_reader.erl`, `validate_negotiated_integer_value`.
    pub(crate) fn check(self, frame_max: u32, channel_max: u16) -> Result<(), AmqpError> {
        check("frame_max", FRAME_MIN_SIZE, self.frame_max, frame_max)?;
        check("channel_max", 1, self.channel_max.into(), channel_max.into())
    }
}

fn check(field: &str, min: u32, max: u32, value: u32) -> Result<(), AmqpError> {
    let fault = |comparison, which, limit| {
        let detail = if value == 0 { " (no limit)" } else { "" };
        Err(AmqpError::not_allowed(format!(
            "negotiated {field} = {value}{detail} is {comparison} than the {which} allowed value ({limit})"
        )))
    };
    if value != 0 && value < min {
        fault("lower", "minimum", min)
    } else if max != 0 && (value == 0 || value > max) {
        fault("higher", "maximum", max)
    } else {
        Ok(())
    }
}
