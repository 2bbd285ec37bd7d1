//! Channel 0: what lapin gets to see of it, and what is done here.

use std::{sync::Arc, time::Instant};

use amq_protocol::{
    frame::{AMQPFrame, parse_frame},
    protocol::AMQPClass,
};
use futures_util::io::{AsyncRead, AsyncWrite};

use super::{
    super::{
        Blocked, LAPIN_FRAME_MAX,
        dispatch::malformed,
        frame::{self, Frame, HEARTBEAT, METHOD},
        method,
        sink::{Lost, Refusal},
    },
    Pump,
};

impl<S: AsyncRead + AsyncWrite + Unpin> Pump<S> {
    /// Handles a frame of channel 0: what lapin need not know is kept from it.
    pub(super) fn handle_connection(&mut self, frame: Frame<'_>) -> Result<(), String> {
        match frame.kind {
            METHOD => {}
            HEARTBEAT => {
                self.for_lapin(frame.bytes);
                return Ok(());
            }
            kind => return Err(format!("a frame of the kind {kind} came on channel 0")),
        }
        let (id, fields) = method::split(frame.payload).ok_or("a method is too short")?;
        match id {
            method::CONNECTION_START => self.wire.introduced(frame.bytes),
            method::CONNECTION_TUNE => {
                let tune = method::read_tune(fields).ok_or_else(|| malformed(id))?;
                self.wire.agree(tune.frame_max);
                self.for_lapin(&method::with_frame_max(frame.bytes, LAPIN_FRAME_MAX));
                return Ok(());
            }
            // lapin would write nothing any more, not even a close.
            method::CONNECTION_BLOCKED => {
                let reason = method::read_blocked(fields).ok_or_else(|| malformed(id))?;
                self.wire.blocked.send_replace(Some(Blocked { since: Instant::now(), reason }));
                return Ok(());
            }
            method::CONNECTION_UNBLOCKED => {
                self.wire.unblocked.mark();
                self.wire.blocked.send_replace(None);
                return Ok(());
            }
            method::CONNECTION_CLOSE => {
                let close = method::read_close(fields).ok_or_else(|| malformed(id))?;
                let reason = format!("the broker closed the connection: {} {}", close.code, close.text);
                let reason = self.wire.reason.get_or_init(|| reason);
                let method::Close { code, text, cause } = close;
                let refusal = Some(Arc::new(Refusal { code, text, cause }));
                self.wire.lose_channels(Lost {
                    reason: reason.as_str().into(),
                    written: self.written,
                    refusal,
                });
            }
            _ => {}
        }
        let readable = method::readable(id, frame.payload).map(|payload| {
            let mut bytes = Vec::with_capacity(frame.bytes.len());
            frame::write(&mut bytes, METHOD, 0, |out| out.extend_from_slice(&payload));
            bytes
        });
        let bytes = readable.as_deref().unwrap_or(frame.bytes);
        // lapin's own error would be a dump of its parser.
        match parse_frame(bytes) {
            Ok((_, AMQPFrame::Method(0, AMQPClass::Connection(_)))) => self.for_lapin(bytes),
            _ => return Err(malformed(id)),
        }
        Ok(())
    }
}
