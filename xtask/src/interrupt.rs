//! Ctrl-C: children get it from the terminal themselves; the task waits for them, cleans up, and then ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

static REQUESTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Turns SIGINT into a flag. SIGTERM keeps its meaning: what was started is then removed by its reaper.
pub(crate) fn install() {
    if let Err(error) = signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::clone(&REQUESTED)) {
        eprintln!("note: Ctrl-C will end this task at once: {error}");
    }
}

/// Returns whether Ctrl-C was pressed.
pub(crate) fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// Fails if Ctrl-C was pressed.
pub(crate) fn check() -> anyhow::Result<()> {
    if requested() { Err(anyhow::anyhow!("interrupted")) } else { Ok(()) }
}
