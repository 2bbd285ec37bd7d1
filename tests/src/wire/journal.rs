//! The last frames that went over a connection, for the message of a failure.

use std::collections::VecDeque;

use amq_protocol::frame::AMQPFrame;
use amq_protocol::protocol::{AMQPClass, connection};

use crate::wire::Wire;

/// How many frames are remembered.
const FRAMES: usize = 30;

/// The last frames, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Journal(VecDeque<String>);

impl Journal {
    pub(super) fn sent(&mut self, frame: &AMQPFrame) {
        self.note(format!("-> {}", show(frame)));
    }

    pub(super) fn received(&mut self, frame: &AMQPFrame) {
        self.note(format!("<- {}", show(frame)));
    }

    pub(super) fn note(&mut self, line: String) {
        if self.0.len() == FRAMES {
            self.0.pop_front();
        }
        self.0.push_back(line);
    }
}

fn show(frame: &AMQPFrame) -> String {
    match frame {
        // It holds the password.
        AMQPFrame::Method(_, AMQPClass::Connection(connection::AMQPMethod::StartOk(_))) => {
            "0: connection.start-ok ***".to_owned()
        }
        AMQPFrame::Method(_, AMQPClass::Connection(connection::AMQPMethod::UpdateSecret(_))) => {
            "0: connection.update-secret ***".to_owned()
        }
        AMQPFrame::Method(channel, class) => format!("{channel}: {class:?}"),
        AMQPFrame::Header(channel, header) => format!("{channel}: header, {} bytes", header.body_size),
        AMQPFrame::Body(channel, bytes) => format!("{channel}: body {:?}", String::from_utf8_lossy(bytes)),
        other => format!("{other:?}"),
    }
}

impl Wire {
    /// Fails the test.
    pub(super) fn fail(&self, why: &str) -> ! {
        let Self { caller, journal, .. } = self;
        let lines: Vec<_> = journal.0.iter().map(|line| line.chars().take(400).collect::<String>()).collect();
        panic!("{caller}: {why}\nthe last frames:\n  {}", lines.join("\n  "));
    }
}
