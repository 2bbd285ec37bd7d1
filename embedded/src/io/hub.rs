//! The engine and the clock, shared between the tasks and the handle that tests hold.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::engine::Engine;
use crate::clock::Clock;
use crate::core::Millis;

/// The engine and the clock under one lock. The lock is held for a batch of frames and never while waiting.
#[derive(Debug)]
pub(crate) struct Hub {
    state: Mutex<State>,
    /// A timer is due earlier than the timer task knows.
    earlier: Notify,
    /// Tells those who wait for a state that something happened.
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct State {
    engine: Engine,
    clock: Clock,
    /// What the timer task waits for.
    armed: Option<Millis>,
}

/// The most timers that fire at one instant before [`Hub::advance`] moves the clock on: timers that set each other must not stop
/// it.
const STEPS: u32 = 100_000;

// === impl Hub ===

impl Hub {
    /// A hub whose clock begins now.
    pub(crate) fn new(engine: Engine, clock: Clock) -> Self {
        Self {
            state: Mutex::new(State { engine, clock, armed: None }),
            earlier: Notify::new(),
            changed: watch::Sender::new(()),
        }
    }

    /// Does something with the engine; what the core wants to have written must be flushed by then.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Engine, Millis) -> T) -> T {
        let mut state = self.lock();
        let State { engine, clock, armed } = &mut *state;
        let result = act(engine, clock.now());
        if let Some(next) = engine.core.next_deadline()
            && armed.is_none_or(|armed| next < armed)
        {
            *armed = Some(next);
            self.earlier.notify_one();
        }
        drop(state);
        self.tell();
        result
    }

    /// Looks at the engine, and changes nothing: those who wait for a change look at every one, and must not wake themselves.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Engine, Millis) -> T) -> T {
        let state = self.lock();
        look(&state.engine, state.clock.now())
    }

    /// Returns what changes whenever something may have happened.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn tell(&self) {
        if self.changed.receiver_count() > 0 {
            self.changed.send_replace(());
        }
    }

    /// Moves the clock, step by step: everything happens at its own time.
    pub(crate) fn advance(&self, by: Duration) {
        let mut state = self.lock();
        let State { engine, clock, .. } = &mut *state;
        let mut now = clock.now();
        let target = now + Millis::from(by).0;
        let mut steps = 0;
        while let Some(next) = engine.core.next_deadline().filter(|next| *next <= target) {
            steps = if next > now { 0 } else { steps + 1 };
            now = now.max(next);
            if steps > STEPS {
                now = now + 1;
                steps = 0;
            }
            if now > target {
                break;
            }
            engine.tick(now);
        }
        clock.advance(by);
        let now = clock.now();
        engine.tick(now);
        state.armed = None;
        drop(state);
        self.earlier.notify_one();
        self.tell();
    }

    /// Does what is due, at its time, for as long as it is polled.
    pub(crate) async fn keep_time(&self) {
        loop {
            let wait = {
                let mut state = self.lock();
                let State { engine, clock, armed } = &mut *state;
                let now = clock.now();
                if engine.core.next_deadline().is_some_and(|next| next <= now) {
                    engine.tick(now);
                    self.tell();
                }
                *armed = engine.core.next_deadline();
                armed.and_then(|next| clock.until(next))
            };
            match wait {
                // Not again in the same turn, whatever the core says: the others must get theirs.
                Some(Duration::ZERO) => tokio::task::yield_now().await,
                Some(wait) => tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = self.earlier.notified() => {}
                },
                None => self.earlier.notified().await,
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // A panic in a test's own closure must not hide behind a second one here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
