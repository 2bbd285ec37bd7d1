//! Opens one connection: TCP, TLS and the AMQP handshake, each within a deadline.

pub(crate) mod hint;
pub(crate) mod wait;

use std::{
    fmt::Write as _,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_rs::{TokioRuntime, traits::Reactor};
use futures_rustls::TlsConnector;
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use garenne_shared::{Config, config::Address};
use lapin::{
    Connection, ConnectionProperties,
    tcp::AsyncTcpStream,
    uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo},
};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::TcpStream,
    runtime::Handle,
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    Error, ErrorKind, Role,
    fault::fault,
    runtime::IoRuntime,
    wire::{self, LAPIN_FRAME_MAX, Parts, Wire},
};

type Stream = AsyncTcpStream<<TokioRuntime as Reactor>::TcpStream>;

/// How long a silent peer is trusted at the TCP level, beside the heartbeats: idle time before the first probe.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// After this time without an answer another attempt begins beside the first.
const BESIDE_AFTER: Duration = Duration::from_millis(1500);

/// How many bytes the kernel takes that it has not sent yet: 128 KiB.
#[cfg(target_os = "linux")]
const NOTSENT_LOWAT: u32 = 128 << 10;

/// An open connection. Dropping it ends it, whatever state lapin is in.
#[derive(Debug)]
pub(crate) struct Dialed {
    pub(crate) connection: Arc<Connection>,
    pub(crate) wire: Arc<Wire>,
    /// Why somebody doubts that the peer lives.
    pub(crate) suspicions: mpsc::Receiver<String>,
    pub(crate) endpoint: Address,
    _kill: KillOnDrop,
}

/// Ends a connection: without it, lapin's thread lives as long as the peer's socket does.
#[derive(Debug)]
struct KillOnDrop(Arc<Wire>);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.0.kill("the connection is no longer wanted");
    }
}

/// The number of an attempt, counted from 0, and how it ended.
type Attempted<'a> = (usize, &'a Address, Result<Dialed, Error>);

/// Tries every endpoint once, in random order, the one that was lost last at the end.
///
/// A peer that accepts and then says nothing holds nobody up: after a while the next endpoint is tried beside it, and the first one again
/// where there is no other. The first connection that opens is taken.
pub(crate) async fn dial(
    config: &Config,
    role: Role,
    runtime: &Arc<IoRuntime>,
    last: Option<&Address>,
) -> Result<Dialed, Error> {
    let mut endpoints: Vec<&Address> = config.endpoints.iter().collect();
    fastrand::shuffle(&mut endpoints);
    endpoints.sort_by_key(|endpoint| Some(*endpoint) == last);
    let mut failures = Failures::default();
    let mut attempts: FuturesUnordered<BoxFuture<'_, Attempted<'_>>> = FuturesUnordered::new();
    let (mut begun, mut next_at) = (0, Instant::now());
    while failures.count < endpoints.len() {
        tokio::select! {
            biased;
            Some((number, endpoint, dialed)) = attempts.next() => match dialed {
                Ok(dialed) => return Ok(dialed),
                Err(error) if error.kind() == ErrorKind::Config => return Err(error),
                // Those that were tried beside others are tried again later anyway.
                Err(error) if number < endpoints.len() => {
                    failures.add(endpoint, error);
                    if begun < endpoints.len() {
                        next_at = Instant::now();
                    }
                }
                Err(_) => {}
            },
            () = sleep_until(next_at) => {
                let (number, endpoint) = (begun, endpoints[begun % endpoints.len()]);
                attempts.push(Box::pin(async move {
                    (number, endpoint, dial_one(config, endpoint, role, runtime).await)
                }));
                begun += 1;
                next_at = Instant::now() + BESIDE_AFTER;
            }
        }
    }
    Err(failures.into())
}

/// Why no endpoint could be reached.
#[derive(Default)]
struct Failures {
    count: usize,
    causes: String,
    refused: Option<Error>,
}

// === impl Failures ===

impl Failures {
    fn add(&mut self, endpoint: &Address, error: Error) {
        let separator = if self.causes.is_empty() { "" } else { "; " };
        let _ = write!(self.causes, "{separator}{endpoint}: {error}");
        self.count += 1;
        // Another node may take us: limits of connections are each node's own.
        if error.kind() == ErrorKind::AccessRefused {
            self.refused.get_or_insert(error);
        }
    }
}

impl From<Failures> for Error {
    fn from(failures: Failures) -> Self {
        let Failures { causes, refused, .. } = failures;
        if let Some(refused) = refused {
            return refused;
        }
        let message = if causes.is_empty() {
            "a client needs at least one endpoint, but the configuration has none".to_owned()
        } else {
            format!("no broker can be reached ({causes}); check the address and that the broker runs")
        };
        Self::new(ErrorKind::Unreachable, message)
    }
}

async fn dial_one(
    config: &Config,
    endpoint: &Address,
    role: Role,
    runtime: &Arc<IoRuntime>,
) -> Result<Dialed, Error> {
    let socket = open(config, endpoint, runtime.handle()).await?;
    let parts = wire::connect(socket, config.connection.frame_max, runtime);
    let Parts { wire, stream, runtime: kit, suspicions, pump } = parts;
    let kill = KillOnDrop(Arc::clone(&wire));
    runtime.spawn(pump);
    // lapin calls the closure once, on its own thread: its own recovery is off.
    let stream = Mutex::new(Some(stream));
    let connect = async move |_: AMQPUri, _: _| {
        wire::silence_this_thread();
        let stream = stream.lock().ok().and_then(|mut stream| stream.take());
        stream.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected).into())
    };
    let handshake = Connection::connector(uri(config, endpoint), kit, connect, properties(config, role));
    let what = format!("connecting to {endpoint} as user `{}`", endpoint.user);
    let connection =
        within(config, "the AMQP handshake", wire::silent(handshake)).await?.map_err(|error| {
            let cause = fault(&error, &what);
            match wire.reason() {
                // lapin only saw the end of its stream.
                Some(reason) if cause.kind() == ErrorKind::ConnectionLost => {
                    Error::new(ErrorKind::Unreachable, format!("the AMQP handshake failed: {reason}"))
                }
                _ => cause,
            }
        })?;
    Ok(Dialed { connection: Arc::new(connection), wire, suspicions, endpoint: endpoint.clone(), _kill: kill })
}

/// Opens a socket, encrypted if the endpoint asks for it.
async fn open(config: &Config, endpoint: &Address, runtime: &Handle) -> Result<Stream, Error> {
    let runtime = TokioRuntime::tokio_with_handle(runtime.clone());
    let connect = async {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
        for address in tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port)).await? {
            match runtime.tcp_connect_addr(address).await {
                Ok(tcp) => return Ok(tcp),
                Err(error) => last = error,
            }
        }
        Err(last)
    };
    let tcp = within(config, "the TCP connect", connect)
        .await?
        .map_err(|error| unreachable_by("the TCP connect failed", &error))?;
    prepare(tcp.get_ref()).map_err(|error| unreachable_by("the socket cannot be set up", &error))?;
    if !endpoint.tls {
        return Ok(Stream::Plain(tcp));
    }
    let name = garenne_tls::server_name(&config.tls, &endpoint.host)?;
    let connector = TlsConnector::from(Arc::new(garenne_tls::client_config(&config.tls)?));
    let encrypted =
        within(config, "the TLS handshake", connector.connect(name, tcp)).await?.map_err(|error| {
            match hint::of_tls(&error) {
                Some(hint) => unreachable_by(&format!("the TLS handshake failed: {hint}"), &error),
                None => unreachable_by("the TLS handshake failed", &error),
            }
        })?;
    Ok(Stream::Rustls(encrypted))
}

/// Puts the connect timeout around one step.
async fn within<T>(config: &Config, step: &str, work: impl Future<Output = T>) -> Result<T, Error> {
    let limit = config.connection.connect_timeout;
    timeout(limit, work).await.map_err(|_| {
        Error::new(
            ErrorKind::Unreachable,
            format!("{step} took longer than `connection.connect_timeout`, {limit:?}"),
        )
    })
}

/// Sets what makes a dead peer show.
fn prepare(tcp: &TcpStream) -> std::io::Result<()> {
    tcp.set_nodelay(true)?;
    let socket = SockRef::from(tcp);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 3))?;
    // Small, so that the peer's reading shows: what the kernel holds says nothing about it. No user timeout: Linux counts it also while
    // a broker that blocks publishers reads nothing, and heartbeats and probes find a dead peer.
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(NOTSENT_LOWAT)?;
    Ok(())
}

/// Built by hand, because lapin's parser turns IPv6 literals into `localhost`.
fn uri(config: &Config, endpoint: &Address) -> AMQPUri {
    let heartbeat = u16::try_from(config.connection.heartbeat.as_secs().max(1)).unwrap_or(u16::MAX);
    AMQPUri {
        // TLS is done before lapin sees the socket.
        scheme: AMQPScheme::AMQP,
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo {
                username: endpoint.user.clone(),
                password: endpoint.password.expose().to_owned(),
            },
            host: endpoint.host.clone(),
            port: endpoint.port,
        },
        vhost: endpoint.vhost.clone(),
        query: AMQPQueryString {
            // What is really agreed on is between the broker and the pump.
            frame_max: Some(LAPIN_FRAME_MAX),
            heartbeat: Some(heartbeat),
            ..AMQPQueryString::default()
        },
    }
}

fn properties(config: &Config, role: Role) -> ConnectionProperties {
    ConnectionProperties::default()
        .with_connection_name(format!("{}/{role}", config.service).into())
        .with_client_property("product".into(), "Garenne".into())
        .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into())
}

fn unreachable_by(what: &str, source: &io::Error) -> Error {
    Error::new(ErrorKind::Unreachable, format!("{what}: {source}"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
