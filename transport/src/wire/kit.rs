//! The runtime as lapin sees it: our own threads, a stream of ours in place of a socket, and silence.
//!
//! At the level `TRACE` lapin prints every frame that it sends, the password in `connection.start-ok` among them. So none of its
//! events leaves: its tasks run without a subscriber, and so does its thread, which sets itself up in [`silence_this_thread`].

use std::{
    cell::RefCell,
    future::Future,
    io::{self, Read, Write},
    net::SocketAddr,
    time::{Duration, Instant},
};

use async_rs::{
    Tokio, TokioRuntime,
    traits::{Executor, Reactor, RuntimeKit},
    util::Task,
};
use futures_util::{
    Stream,
    io::{AsyncRead, AsyncWrite},
};
use tokio::runtime::Handle;
use tracing::{
    dispatcher::{DefaultGuard, Dispatch, set_default},
    instrument::WithSubscriber as _,
};

use super::pipe::Pipe;

/// The runtime kit that lapin gets.
#[derive(Debug, Clone)]
pub(crate) struct Kit(TokioRuntime);

// === impl Kit ===

impl Kit {
    pub(super) fn new(handle: Handle) -> Self {
        Self(TokioRuntime::tokio_with_handle(handle))
    }
}

impl RuntimeKit for Kit {}

impl Executor for Kit {
    type Task<T: Send + 'static> = <Tokio as Executor>::Task<T>;

    fn block_on<T, F: Future<Output = T>>(&self, future: F) -> T {
        self.0.block_on(future)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        future: F,
    ) -> Task<Self::Task<T>> {
        self.0.spawn(silent(future))
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(
        &self,
        work: F,
    ) -> Task<Self::Task<T>> {
        self.0.spawn_blocking(move || tracing::dispatcher::with_default(&Dispatch::none(), work))
    }
}

impl Reactor for Kit {
    type TcpStream = Pipe;
    type Sleep = <Tokio as Reactor>::Sleep;

    /// lapin registers nothing: it is given the stream.
    fn register<H: Read + Write + Send + 'static>(
        &self,
        _: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<Pipe, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(duration)
    }

    /// lapin never dials: it is given the stream.
    fn tcp_connect_addr(&self, _: SocketAddr) -> impl Future<Output = io::Result<Pipe>> + Send + 'static {
        std::future::ready(Err(io::ErrorKind::Unsupported.into()))
    }
}

/// Keeps what a future logs from every subscriber.
pub(crate) fn silent<F: Future>(future: F) -> impl Future<Output = F::Output> {
    future.with_subscriber(Dispatch::none())
}

/// Keeps what the present thread logs from every subscriber, as long as the thread lives.
pub(crate) fn silence_this_thread() {
    thread_local! {
        static SILENCE: RefCell<Option<DefaultGuard>> = const { RefCell::new(None) };
    }
    SILENCE.with_borrow_mut(|silence| {
        silence.get_or_insert_with(|| set_default(&Dispatch::none()));
    });
}
