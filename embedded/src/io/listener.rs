//! Accepts connections; every task belongs to it and ends with it.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::connection::serve;
use super::engine::Engine;
use super::hub::Hub;

/// How long nothing is accepted after a failure, such as too many open files.
const PAUSE: Duration = Duration::from_millis(10);
/// How long a stopping broker waits for its clients to take their last frames.
const GRACE: Duration = Duration::from_millis(500);

/// Says when to stop.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    /// Everything ends at once.
    pub(crate) now: CancellationToken,
    /// The clients are told first.
    pub(crate) politely: CancellationToken,
}

/// Serves clients until it is stopped.
///
/// `beside` is served with them and never ends by itself: the management API.
pub(crate) async fn listen(
    listener: TcpListener,
    hub: Arc<Hub>,
    stop: Stop,
    beside: impl Future<Output = ()>,
) {
    let mut tasks = JoinSet::new();
    let serving = async {
        tokio::select! {
            () = accept(&listener, &hub, &mut tasks) => {}
            () = hub.keep_time() => {}
            () = beside => {}
            () = stop.politely.cancelled() => {}
        }
        drop(listener);
        hub.with(Engine::close_all);
        let ended = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            tracing::debug!("clients did not take their last frames");
        }
    };
    tokio::select! {
        () = stop.now.cancelled() => {}
        () = serving => {}
    }
}

async fn accept(listener: &TcpListener, hub: &Arc<Hub>, tasks: &mut JoinSet<()>) {
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tasks.spawn(serve(Arc::clone(hub), stream));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a connection's task failed");
                }
            }
        }
    }
}
