//! The handle of a running broker.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{self, Handle};
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
    runtime: Handle,
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
    /// Works on a running clock as on a [paused](Builder::paused_clock) one. It counts in milliseconds; what is shorter adds up.
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

    /// Returns the broker's own runtime: its time is the real one, whatever a test does to the time of its own runtime.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
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
        #[cfg(feature = "management")]
        let management = management.map(bind).transpose()?;
        #[cfg(feature = "management")]
        let managed_at = management
            .as_ref()
            .map(std::net::TcpListener::local_addr)
            .transpose()
            .map_err(StartError::listen)?;
        let stop = Stop::default();
        let ((tell, told), (end, ended)) = (mpsc::channel(), oneshot::channel());
        let (served, stopping) = (Arc::clone(&hub), stop.clone());
        let serve = async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            #[cfg(feature = "management")]
            let beside = manage(management, &served, address)?;
            #[cfg(not(feature = "management"))]
            let beside = std::future::pending();
            Ok(listen(listener, served, stopping, beside))
        };
        // The runtime is made where it is dropped: whoever starts a broker may be inside another one, which must not drop it.
        let thread = std::thread::Builder::new()
            .name("garenne-embedded".to_owned())
            .spawn(move || {
                let made = runtime::Builder::new_current_thread().enable_all().build();
                let started =
                    made.and_then(|runtime| runtime.block_on(serve).map(|serving| (runtime, serving)));
                match started {
                    Ok((runtime, serving)) => {
                        _ = tell.send(Ok(runtime.handle().clone()));
                        runtime.block_on(serving);
                        // Whatever is left of the tasks goes with the runtime.
                        drop(runtime);
                    }
                    Err(error) => _ = tell.send(Err(error)),
                }
                _ = end.send(());
            })
            .map_err(StartError::thread)?;
        let runtime = told
            .recv()
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
            .map_err(StartError::thread)?;
        let url = url(address.port(), user, password, vhost);
        Ok(Self {
            hub,
            address,
            url,
            stop,
            runtime,
            thread: Some(thread),
            ended,
            #[cfg(feature = "management")]
            management: managed_at,
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

/// Binds the management API to a port.
#[cfg(feature = "management")]
fn bind(port: u16) -> Result<std::net::TcpListener, StartError> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .map_err(|error| StartError::bind(port, error))?;
    listener.set_nonblocking(true).map_err(StartError::listen)?;
    Ok(listener)
}

/// Returns what serves the management API; that never ends by itself.
#[cfg(feature = "management")]
fn manage(
    listener: Option<std::net::TcpListener>,
    hub: &Arc<Hub>,
    amqp: SocketAddr,
) -> std::io::Result<impl Future<Output = ()> + use<>> {
    let listener = listener.map(tokio::net::TcpListener::from_std).transpose()?;
    let hub = Arc::clone(hub);
    Ok(async move {
        match listener {
            Some(listener) => crate::management::serve(listener, hub, amqp).await,
            None => std::future::pending().await,
        }
    })
}
