//! The handle of a running broker.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime;
use tokio::sync::oneshot;

use crate::builder::{Builder, StartError};
use crate::faults::Faults;
use crate::io::{Hub, Stop, listen};

/// A running broker on a loopback socket.
///
/// It has a thread and a runtime of its own, so that it works the same in every test, whatever runtime the test uses and
/// however it treats the time there. It ends when it is dropped.
pub struct Broker {
    hub: Arc<Hub>,
    address: SocketAddr,
    url: String,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
    ended: oneshot::Receiver<()>,
    #[cfg(feature = "management")]
    management: Option<SocketAddr>,
}

// === impl Broker ===

impl Broker {
    /// Starts a broker with RabbitMQ's defaults: the user `guest` with the password `guest`, the vhost `/`, a free port.
    ///
    /// # Errors
    ///
    /// If there is no port or no thread for it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it does not wait.
    pub async fn start() -> Result<Self, StartError> {
        Self::builder().start().await
    }

    /// Returns a builder for a broker that differs from the defaults.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Returns the URL to connect to, with user, password and vhost.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the URL for another user or vhost. The parts are percent-encoded.
    #[must_use]
    pub fn url_for(&self, user: &str, password: &str, vhost: &str) -> String {
        url(self.address.port(), user, password, vhost)
    }

    /// Returns the address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address of the management API, if [`Builder::management`] asked for it.
    #[cfg(feature = "management")]
    #[must_use]
    pub fn management_address(&self) -> Option<SocketAddr> {
        self.management
    }

    /// Moves the broker's clock: times to live, delays and timeouts that end by then do so now, each at its own time and in
    /// their order.
    ///
    /// Heartbeats keep to the real time.
    pub fn advance(&self, by: Duration) {
        self.hub.advance(by);
    }

    /// Returns the handle by which a test asks for faults.
    #[must_use]
    pub fn faults(&self) -> Faults {
        Faults::new(Arc::clone(&self.hub))
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Stops the broker as RabbitMQ stops: clients are told with `connection.close`, code 320. Waits until everything has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: when cancelled, the broker ends at once, as when it is dropped.
    pub async fn stop(mut self) {
        self.stop.politely.cancel();
        // The thread drops its end when it is over, also by a panic.
        _ = (&mut self.ended).await;
    }

    pub(crate) fn launch(
        hub: Arc<Hub>,
        listener: std::net::TcpListener,
        (user, password, vhost): (&str, &str, &str),
        #[cfg(feature = "management")] management: Option<u16>,
    ) -> Result<Self, StartError> {
        let address = listener.local_addr().map_err(StartError::listen)?;
        listener.set_nonblocking(true).map_err(StartError::listen)?;
        let runtime =
            runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::thread)?;
        let listener = {
            let _guard = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(StartError::listen)?
        };
        let stop = Stop::default();
        let (end, ended) = oneshot::channel();
        #[cfg(feature = "management")]
        let (management, beside) = manage(&runtime, &hub, management)?;
        #[cfg(not(feature = "management"))]
        let beside = std::future::pending();
        let serving = listen(listener, Arc::clone(&hub), stop.clone(), beside);
        let thread = std::thread::Builder::new()
            .name("garenne-embedded".to_owned())
            .spawn(move || {
                runtime.block_on(serving);
                // Whatever is left of the tasks goes with the runtime.
                drop(runtime);
                _ = end.send(());
            })
            .map_err(StartError::thread)?;
        let url = url(address.port(), user, password, vhost);
        Ok(Self {
            hub,
            address,
            url,
            stop,
            thread: Some(thread),
            ended,
            #[cfg(feature = "management")]
            management,
        })
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop.now.cancel();
        // It never waits for anything but its sockets, so it ends within a batch.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the embedded broker's thread panicked");
        }
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("address", &self.address).finish_non_exhaustive()
    }
}

fn url(port: u16, user: &str, password: &str, vhost: &str) -> String {
    let host = Ipv4Addr::LOCALHOST;
    let [user, password, vhost] = [user, password, vhost].map(encode);
    if vhost == "%2F" {
        return format!("amqp://{user}:{password}@{host}:{port}");
    }
    format!("amqp://{user}:{password}@{host}:{port}/{vhost}")
}

/// Percent-encodes everything that is not unreserved in a URI.
fn encode(part: &str) -> String {
    let mut encoded = String::with_capacity(part.len());
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Binds the management API to a port, and returns what serves it; that never ends by itself.
#[cfg(feature = "management")]
fn manage(
    runtime: &runtime::Runtime,
    hub: &Arc<Hub>,
    port: Option<u16>,
) -> Result<(Option<SocketAddr>, impl Future<Output = ()> + use<>), StartError> {
    let bind = |port| {
        // Not by the runtime: the caller may be inside one already.
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let _guard = runtime.enter();
        tokio::net::TcpListener::from_std(listener)
    };
    let listener = port.map(|port| bind(port).map_err(|error| StartError::bind(port, error))).transpose()?;
    let address =
        listener.as_ref().map(tokio::net::TcpListener::local_addr).transpose().map_err(StartError::listen)?;
    let hub = Arc::clone(hub);
    let serving = async move {
        match listener {
            Some(listener) => crate::management::serve(listener, hub).await,
            None => std::future::pending().await,
        }
    };
    Ok((address, serving))
}
