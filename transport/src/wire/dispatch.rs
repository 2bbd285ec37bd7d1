//! What the frames of channels mean for the channels, and what lapin's own frames become.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use amq_protocol::{
    frame::{AMQPFrame, parse_frame},
    protocol::{AMQPClass, channel, connection},
};

use super::{
    Wire,
    channel::State,
    frame::{self, Frame, METHOD},
    method::{self, Id},
    outbox::Stage,
    sink::End,
};

// === impl Wire ===

impl Wire {
    /// Passes a frame of lapin on.
    pub(super) fn forward(&self, frame: Frame<'_>) {
        let id = (frame.kind == METHOD).then(|| method::split(frame.payload)).flatten();
        match id {
            Some((method::CONNECTION_TUNE_OK, fields)) => {
                if let Some(tune) = method::read_tune(fields) {
                    self.channel_max.store(tune.channel_max, Relaxed);
                }
                let frame_max = self.frame_max.load(Relaxed);
                self.outbox.append_connection(&method::with_frame_max(frame.bytes, frame_max));
            }
            _ => self.outbox.append_connection(frame.bytes),
        }
    }

    /// Agrees on the largest frame: the lower of what both want, where 0 is no limit.
    pub(super) fn agree(&self, theirs: u32) {
        let ours = self.frame_max.load(Relaxed);
        let agreed = match (ours, theirs) {
            (0, other) | (other, 0) => other,
            (ours, theirs) => ours.min(theirs),
        };
        self.frame_max.store(agreed, Relaxed);
    }

    pub(super) fn introduced(&self, bytes: &[u8]) {
        if let Ok((_, AMQPFrame::Method(0, AMQPClass::Connection(connection::AMQPMethod::Start(start))))) =
            parse_frame(bytes)
        {
            let _ = self.server.set(start.server_properties);
        }
    }

    pub(super) fn open_channel(&self, id: u16) -> Option<Arc<State>> {
        self.channel(id).filter(|state| self.outbox.stage(&state.life) == Stage::Open)
    }

    /// Handles a method of a channel that brings no content.
    pub(super) fn handle_method(&self, frame: Frame<'_>, id: Id, fields: &[u8]) -> Result<(), String> {
        let Some(state) = self.channel(frame.channel) else {
            tracing::debug!(channel = frame.channel, ?id, "a method came for a channel that is not open");
            return Ok(());
        };
        match id {
            method::CHANNEL_CLOSE => {
                let close = method::read_close(fields).ok_or_else(|| malformed(id))?;
                self.closed(&state, &close);
            }
            method::CHANNEL_CLOSE_OK => {
                if self.outbox.change(&state.life, &[Stage::Closing], Stage::Ended, |_| {}).is_err() {
                    return Err("channel.close-ok came for a channel that is not being closed".to_owned());
                }
                self.release(state.id);
                state.end(&End::Closed);
            }
            _ if self.outbox.stage(&state.life) == Stage::Closing => {}
            method::BASIC_ACK | method::BASIC_NACK => {
                let nacked = id == method::BASIC_NACK;
                let confirm = method::read_confirm(nacked, fields).ok_or_else(|| malformed(id))?;
                if let Some(sink) = state.sink() {
                    self.confirmed.mark();
                    sink.confirmed(confirm);
                }
            }
            method::BASIC_CANCEL => {
                let (wants_answer, tag) = method::read_cancel(fields).ok_or_else(|| malformed(id))?;
                if wants_answer {
                    let _ = self.outbox.append(&state.life, |out| {
                        frame::write(out, METHOD, state.id, |out| method::write_cancel_ok(out, tag));
                    });
                }
                if let Some(sink) = state.sink() {
                    sink.cancelled();
                }
            }
            method::CHANNEL_FLOW => {
                // RabbitMQ never asks for it. A broker that does gets the answer; the window limits what is sent.
                let active = fields.first().is_some_and(|bits| bits & 1 == 1);
                let flow = AMQPClass::Channel(channel::AMQPMethod::FlowOk(channel::FlowOk { active }));
                let _ = self.outbox.append(&state.life, |out| frame::write_method(out, state.id, flow));
            }
            _ => answered(&state, frame, id)?,
        }
        Ok(())
    }

    /// Answers the broker's `channel.close`; nothing of the channel follows the answer, and its id is free.
    ///
    /// Where our own `channel.close` is under way, the broker answers that too (`rabbit_reader.erl`): the id is free after that answer.
    fn closed(&self, state: &State, close: &method::Close) {
        let close_ok = |out: &mut Vec<u8>| {
            let close_ok = AMQPClass::Channel(channel::AMQPMethod::CloseOk(channel::CloseOk {}));
            frame::write_method(out, state.id, close_ok);
        };
        if self.outbox.change(&state.life, &[Stage::Opening, Stage::Open], Stage::Ended, close_ok).is_ok() {
            self.release(state.id);
        } else {
            let _ = self.outbox.change(&state.life, &[Stage::Closing], Stage::Closing, close_ok);
        }
        state.end(&End::Refused { code: close.code, text: close.text.as_str().into() });
    }
}

/// Gives an answer to the request that waits for it.
fn answered(state: &State, frame: Frame<'_>, id: Id) -> Result<(), String> {
    let mut bytes = Vec::new();
    let readable = method::readable(id, frame.payload);
    let bytes = match &readable {
        None => frame.bytes,
        Some(payload) => {
            frame::write(&mut bytes, METHOD, frame.channel, |out| out.extend_from_slice(payload));
            &bytes
        }
    };
    match parse_frame(bytes) {
        Ok((_, AMQPFrame::Method(_, method))) => {
            state.answer(method);
            Ok(())
        }
        _ => Err(malformed(id)),
    }
}

pub(super) fn malformed((class, method): Id) -> String {
    format!(
        "the peer does not speak AMQP 0-9-1: its method {class}.{method} is malformed, or on the wrong channel"
    )
}
