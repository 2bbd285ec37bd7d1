//! Opens one connection: TCP, TLS and the AMQP handshake, each within a deadline.

mod hint;
pub(crate) mod wait;

use std::{
    fmt::Write as _,
    io,
    net::{Shutdown, TcpStream as StdStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_rs::{TokioRuntime, traits::Reactor};
use garenne_shared::{Config, config::Address};
use lapin::{
    Connection, ConnectionProperties,
    tcp::AsyncTcpStream,
    uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo},
};
use socket2::{SockRef, TcpKeepalive};
use tokio::{net::TcpStream, runtime::Handle, time::timeout};

use crate::{Capabilities, Error, ErrorKind, Role, fault::fault, introduce::server_properties, tls};

type Stream = AsyncTcpStream<<TokioRuntime as Reactor>::TcpStream>;

/// How long a silent peer is trusted at the TCP level, beside the heartbeats: idle time before the first probe.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// An open connection.
#[derive(Debug)]
pub(crate) struct Dialed {
    pub(crate) connection: Arc<Connection>,
    pub(crate) endpoint: Address,
    /// Held as long as the connection is wanted; dropping it ends lapin's thread.
    _kill: KillHandle,
}

/// Ends a connection whatever state lapin is in: without it, lapin's thread lives as long as the peer's socket does.
#[derive(Debug)]
pub(crate) struct KillHandle(StdStream);

impl Drop for KillHandle {
    fn drop(&mut self) {
        // It fails only if the peer was faster.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// Tries every endpoint once, in random order.
pub(crate) async fn dial(config: &Config, role: Role, runtime: &Handle) -> Result<Dialed, Error> {
    let mut endpoints: Vec<&Address> = config.endpoints.iter().collect();
    fastrand::shuffle(&mut endpoints);
    let mut causes = String::new();
    for endpoint in endpoints {
        match dial_one(config, endpoint, role, runtime).await {
            Ok(dialed) => return Ok(dialed),
            // Another node of the cluster would give the same answer.
            Err(error) if matches!(error.kind(), ErrorKind::AccessRefused | ErrorKind::Config) => {
                return Err(error);
            }
            Err(error) => {
                let separator = if causes.is_empty() { "" } else { "; " };
                let _ = write!(causes, "{separator}{endpoint}: {error}");
            }
        }
    }
    let message = if causes.is_empty() {
        "a client needs at least one endpoint, but the configuration has none".to_owned()
    } else {
        format!("no broker can be reached ({causes}); check the address and that the broker runs")
    };
    Err(Error::new(ErrorKind::Unreachable, message))
}

async fn dial_one(
    config: &Config,
    endpoint: &Address,
    role: Role,
    runtime: &Handle,
) -> Result<Dialed, Error> {
    let runtime = TokioRuntime::tokio_with_handle(runtime.clone());
    let (socket, kill) = open(config, endpoint, &runtime).await?;
    // lapin calls the closure once: its own recovery is off.
    let socket = Mutex::new(Some(socket));
    let connect = async move |_: AMQPUri, _: TokioRuntime| {
        let socket = socket.lock().ok().and_then(|mut socket| socket.take());
        socket.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected).into())
    };
    let handshake = Connection::connector(uri(config, endpoint), runtime, connect, properties(config, role));
    // A dropped handshake leaves lapin's thread waiting; dropping the kill handle on the way out ends it.
    let connection = within(config, "the AMQP handshake", handshake)
        .await?
        .map_err(|error| fault(&error, &format!("connecting to {endpoint} as user `{}`", endpoint.user)))?;
    Ok(Dialed { connection: Arc::new(connection), endpoint: endpoint.clone(), _kill: kill })
}

/// Asks the broker at an endpoint what it is; a broker that does not say gets the least capabilities.
pub(crate) async fn ask(config: &Config, endpoint: &Address, runtime: &Handle) -> Capabilities {
    let runtime = TokioRuntime::tokio_with_handle(runtime.clone());
    let asked = async {
        let (mut socket, _kill) = open(config, endpoint, &runtime).await?;
        within(config, "the introduction", server_properties(&mut socket, endpoint))
            .await?
            .map_err(|error| unreachable_by("the introduction failed", &error))
    };
    match asked.await {
        Ok(properties) => Capabilities::read(properties.as_ref()),
        Err(error) => {
            tracing::warn!(%endpoint, %error, "broker does not say what it is, assuming the least");
            Capabilities::read(None)
        }
    }
}

/// Opens a socket, encrypted if the endpoint asks for it.
async fn open(
    config: &Config,
    endpoint: &Address,
    runtime: &TokioRuntime,
) -> Result<(Stream, KillHandle), Error> {
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
    let kill = prepare(tcp.get_ref(), config.connection.heartbeat)
        .map_err(|error| unreachable_by("the socket cannot be set up", &error))?;
    if !endpoint.tls {
        return Ok((Stream::Plain(tcp), kill));
    }
    let name = tls::server_name(&config.tls, &endpoint.host)?;
    let encrypted = within(config, "the TLS handshake", tls::connector(&config.tls)?.connect(name, tcp))
        .await?
        .map_err(|error| match hint::of_tls(&error) {
            Some(hint) => unreachable_by(&format!("the TLS handshake failed: {hint}"), &error),
            None => unreachable_by("the TLS handshake failed", &error),
        })?;
    Ok((Stream::Rustls(encrypted), kill))
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

/// Sets what makes a dead peer show, and takes the kill handle.
fn prepare(tcp: &TcpStream, heartbeat: Duration) -> std::io::Result<KillHandle> {
    tcp.set_nodelay(true)?;
    let socket = SockRef::from(tcp);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 3))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(heartbeat * 2))?;
    Ok(KillHandle(socket.try_clone()?.into()))
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
            frame_max: Some(config.connection.frame_max),
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
