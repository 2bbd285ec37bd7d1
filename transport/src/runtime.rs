//! The small runtime that lapin and the tasks of this crate run on.
//!
//! It is apart from the application's, so that a handler that blocks its thread starves no heartbeat: on a shared runtime a
//! few blocked seconds are enough for the broker to take the client for dead.

use std::{fmt, future::Future};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::JoinHandle,
};
use tokio_util::task::TaskTracker;

use crate::{Error, ErrorKind};

/// How many threads it has: one for the tasks that feed lapin, one so that none of them waits for another.
const THREADS: usize = 2;

/// The runtime, and the tasks on it.
pub(crate) struct IoRuntime {
    // Taken when dropped: a runtime cannot be dropped inside another one.
    runtime: Option<Runtime>,
    tasks: TaskTracker,
}

// === impl IoRuntime ===

impl IoRuntime {
    /// Starts the threads.
    pub(crate) fn start() -> Result<Self, Error> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("garenne-io")
            .enable_all()
            .build()
            .map_err(|error| {
                Error::new(ErrorKind::Config, "the threads for connections cannot be started")
                    .with_source(error)
            })?;
        Ok(Self { runtime: Some(runtime), tasks: TaskTracker::new() })
    }

    /// Returns the handle to enter it with.
    pub(crate) fn handle(&self) -> &Handle {
        self.runtime.as_ref().expect("taken only when dropped").handle()
    }

    /// Spawns a task that [`join`](Self::join) waits for.
    pub(crate) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn_on(task, self.handle())
    }

    /// Waits until every task has ended.
    pub(crate) async fn join(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for IoRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for IoRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IoRuntime").field("tasks", &self.tasks.len()).finish_non_exhaustive()
    }
}
