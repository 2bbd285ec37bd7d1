//! Entry points for fuzzing: hostile bytes and arbitrary sequences of methods, through the whole broker without sockets.
//!
//! Not part of the API. An input is any bytes; an entry point panics if the broker breaks a promise. `cargo test` runs the corpus
//! and mutations of it; the crate in `embedded/fuzz` goes on for as long as one likes, guided by coverage:
//!
//! ```text
//! cd embedded/fuzz && mkdir -p found && cargo run --release --bin methods found ../corpus/methods
//! ```

use std::collections::VecDeque;

use crate::core::Millis;
use crate::io::{Engine, HIGH, Limits, PeerId, bench_core};

mod methods;
#[cfg(test)]
mod tests;

pub use self::methods::methods;

/// The most that may wait to be written to a connection: what makes it full, and what the core hands out before it learns that.
const MAX_PENDING: usize = HIGH + (3 << 20);

/// A handshake up to `connection.open-ok`, and an open channel 1.
const OPENING: &[u8] = b"AMQP\0\0\x09\x01\
    \x01\0\0\0\0\0\x24\0\x0a\0\x0b\0\0\0\0\x05PLAIN\0\0\0\x0c\0guest\0guest\x05en_US\xce\
    \x01\0\0\0\0\0\x0c\0\x0a\0\x1f\x07\xff\0\x02\0\0\0\0\xce\
    \x01\0\0\0\0\0\x08\0\x0a\0\x28\x01/\0\0\xce\
    \x01\0\x01\0\0\0\x05\0\x14\0\x0a\0\xce";

/// Feeds bytes to the broker: the first says whether they come before or after the handshake, the second in which pieces.
pub fn frames(input: &[u8]) {
    let mut rest = Bytes { bytes: input };
    let is_open = rest.byte() & 1 == 1;
    let piece = usize::from(rest.byte()) + 1;
    let mut bench = Bench::new();
    let peer = bench.connect(is_open);
    let mut pending: &[u8] = rest.bytes;
    let mut given = 0;
    while given < pending.len() {
        given = pending.len().min(given + piece);
        let used = bench.receive(peer, &pending[..given]);
        pending = &pending[used..];
        given -= used;
    }
    bench.engine.lost(bench.now, peer);
    bench.check();
}

/// A broker without sockets, a clock that stands, and what its connections were sent.
pub(crate) struct Bench {
    engine: Engine,
    now: Millis,
    peers: Vec<PeerId>,
}

// === impl Bench ===

impl Bench {
    fn new() -> Self {
        Self {
            engine: Engine::new(bench_core(), Limits::default()),
            now: Millis::default(),
            peers: Vec::new(),
        }
    }

    fn connect(&mut self, is_open: bool) -> PeerId {
        let (peer, _) = self.engine.accept();
        self.peers.push(peer);
        if is_open {
            assert_eq!(self.receive(peer, OPENING), OPENING.len());
            assert_eq!(self.engine.channel(peer, 1), Some(true), "the handshake is taken");
        }
        peer
    }

    /// Feeds bytes and takes what is to be written; returns how many were used up.
    fn receive(&mut self, peer: PeerId, bytes: &[u8]) -> usize {
        let used = self.engine.receive(self.now, peer, "fuzz", bytes);
        assert!(used <= bytes.len(), "{used} of {} bytes used", bytes.len());
        self.check();
        used
    }

    /// Takes what is to be written to a connection, as its socket would.
    fn drain(&mut self, peer: PeerId) {
        let mut output = VecDeque::new();
        while self.engine.poll(peer, &mut output).is_some() && !output.is_empty() {
            let written = output.drain(..).map(|chunk| chunk.len()).sum();
            self.engine.written(self.now, peer, written);
        }
    }

    /// Lets time pass, as the broker's clock does.
    fn advance(&mut self, millis: u64) {
        let target = self.now + millis;
        for _ in 0..10_000 {
            let Some(next) = self.engine.core.next_deadline().filter(|next| *next <= target) else { break };
            self.now = self.now.max(next);
            self.engine.tick(self.now);
        }
        self.now = target;
        self.engine.tick(target);
        self.check();
    }

    /// Every copy of every message is in exactly one place.
    fn check_books(&self) {
        self.engine.core.check_books(self.now);
    }

    /// No connection has more to be written than it may.
    fn check(&self) {
        for peer in &self.peers {
            let pending = self.engine.pending(*peer);
            assert!(pending <= MAX_PENDING, "{pending} bytes wait for connection {peer}");
        }
    }
}

/// Reads an input; it goes on with zeros when it is used up.
#[derive(Debug, Clone, Copy)]
struct Bytes<'b> {
    bytes: &'b [u8],
}

// === impl Bytes ===

impl Bytes<'_> {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *first
    }

    fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::from(self.byte()) % from.len()]
    }
}
