//! Streams over AMQP 0-9-1: a log that consumers read from where they like.
//!
//! <https://www.rabbitmq.com/docs/streams>; `rabbit_stream_queue.erl`. RabbitMQ drops whole segments of the log; this broker drops single
//! messages as soon as they are too old or too many.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use amq_protocol::types::{AMQPValue, FieldTable};

use super::settings::{Settings, duration};
use crate::core::{AmqpError, ConsumerKey, Entry, Message, Millis, table};

/// One message of the log.
#[derive(Debug)]
struct Logged {
    message: Arc<Message>,
    at: Millis,
}

/// A log and where its readers are.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    log: VecDeque<Logged>,
    /// The offset of the first message that is still there.
    first: u64,
    bytes: u64,
    cursors: HashMap<ConsumerKey, u64>,
}

impl Stream {
    pub(crate) fn append(&mut self, now: Millis, message: Arc<Message>) {
        self.bytes += message.size();
        self.log.push_back(Logged { message, at: now });
    }

    /// Returns the messages that are too old or too many; the last one always stays.
    pub(crate) fn truncate(&mut self, now: Millis, settings: &Settings) -> Vec<Entry> {
        let mut gone = Vec::new();
        while self.log.len() > 1 {
            let is_over = settings.max_length_bytes.is_some_and(|max| self.bytes > max);
            let is_old = settings
                .max_age
                .is_some_and(|age| self.log.front().is_some_and(|first| first.at + age <= now));
            if !is_over && !is_old {
                break;
            }
            if let Some(logged) = self.log.pop_front() {
                self.bytes -= logged.message.size();
                gone.push(entry(&logged, self.first));
                self.first += 1;
            }
        }
        gone
    }

    pub(crate) fn len(&self) -> u64 {
        self.log.len() as u64
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn end(&self) -> u64 {
        self.first + self.log.len() as u64
    }

    /// Sets a reader to where its argument `x-stream-offset` says; without it, to the next message.
    pub(crate) fn attach(
        &mut self,
        now: Millis,
        started: u64,
        key: &ConsumerKey,
        arguments: &FieldTable,
    ) -> Result<(), AmqpError> {
        let cursor = match arguments.inner().get("x-stream-offset") {
            None => self.end(),
            Some(AMQPValue::Timestamp(seconds)) => {
                self.offset_at(Millis(seconds.saturating_sub(started).saturating_mul(1000)))
            }
            Some(value) => match (table::string(value), table::integer(value)) {
                (Some("first"), _) => self.first,
                (Some("last"), _) => self.end().saturating_sub(1).max(self.first),
                (Some("next"), _) => self.end(),
                (Some(text), _) => {
                    let age = duration(text).ok_or_else(|| invalid_offset(text))?;
                    self.offset_at(Millis(now.0.saturating_sub(age)))
                }
                // One beyond the end waits for that message.
                (None, Some(offset)) => u64::try_from(offset).unwrap_or(0).max(self.first),
                // The real reader crashes on a value of any other type.
                (None, None) => return Err(AmqpError::internal_error("")),
            },
        };
        self.cursors.insert(key.clone(), cursor);
        Ok(())
    }

    pub(crate) fn detach(&mut self, key: &ConsumerKey) {
        self.cursors.remove(key);
    }

    /// Returns whether a reader has something left to read.
    pub(crate) fn has_next(&self, key: &ConsumerKey) -> bool {
        self.cursors.get(key).is_some_and(|&cursor| cursor < self.end())
    }

    /// Reads on.
    pub(crate) fn read(&mut self, key: &ConsumerKey) -> Option<Entry> {
        let cursor = self.cursors.get_mut(key)?;
        let offset = (*cursor).max(self.first);
        let logged = self.log.get(usize::try_from(offset - self.first).ok()?)?;
        *cursor = offset + 1;
        Some(entry(logged, offset))
    }

    /// Takes the whole log.
    pub(crate) fn drain(&mut self) -> Vec<Entry> {
        let first = self.first;
        let entries =
            self.log.drain(..).zip(first..).map(|(logged, offset)| entry(&logged, offset)).collect();
        self.first = first + Vec::len(&entries) as u64;
        self.bytes = 0;
        entries
    }

    fn offset_at(&self, time: Millis) -> u64 {
        self.first + self.log.partition_point(|logged| logged.at < time) as u64
    }
}

fn entry(logged: &Logged, offset: u64) -> Entry {
    Entry {
        message: Arc::clone(&logged.message),
        position: offset,
        expires_at: None,
        has_grace: false,
        priority: 0,
        acquired: 0,
        failures: 0,
        redelivered: false,
    }
}

fn invalid_offset(found: &str) -> AmqpError {
    AmqpError::precondition_failed(format!("invalid arg 'x-stream-offset': {found}"))
}
