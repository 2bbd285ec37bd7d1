//! The runtime of the fixture itself: it outlives the runtimes of the single tests.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("fixture")
        .enable_all()
        .build()
        .expect("the fixture's runtime starts")
});

/// How long cleaning up may block the end of a test.
const CLEANUP_LIMIT: Duration = Duration::from_secs(20);

/// Runs on the fixture's runtime and waits for the result.
pub(crate) async fn run<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> T {
    match RUNTIME.spawn(task).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Runs a cleanup on the fixture's runtime and blocks until it is done: for `Drop`, which cannot await.
pub(crate) fn cleanup(task: impl Future<Output = ()> + Send + 'static) {
    let (done, wait) = std::sync::mpsc::sync_channel(1);
    RUNTIME.spawn(async move {
        task.await;
        let _ = done.send(());
    });
    // Too late is no failure of the test: what remains goes with the container, or is swept by the next run.
    let _ = wait.recv_timeout(CLEANUP_LIMIT);
}
