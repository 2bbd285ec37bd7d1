//! The proxy in front of an echo server.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Direction, Flow, Mode, Proxy};

const DEADLINE: Duration = Duration::from_secs(10);

struct Echo {
    proxy: Proxy,
    _server: JoinSet<()>,
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = listener.local_addr().unwrap().to_string();
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut socket, _)) = listener.accept().await {
                connections.spawn(async move {
                    let (mut read, mut write) = socket.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        Self { proxy: Proxy::start(upstream).await.unwrap(), _server: server }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.proxy.address()).await.unwrap()
    }

    /// A connection that is known to be forwarded: a byte went there and back.
    async fn connect_and_echo(&self) -> TcpStream {
        let mut client = self.connect().await;
        client.write_all(b"x").await.unwrap();
        assert_eq!(timeout(DEADLINE, client.read_u8()).await.unwrap().unwrap(), b'x');
        client
    }
}

/// Reads to the end; a reset counts as an end.
async fn read_all(client: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = timeout(DEADLINE, client.read_to_end(&mut bytes)).await.expect("the connection ends");
    bytes
}

#[tokio::test]
async fn a_cut_resets_open_connections_and_new_ones_work() {
    let echo = Echo::start().await;
    let mut first = echo.connect_and_echo().await;
    assert_eq!(echo.proxy.cut(), 1);
    let error = timeout(DEADLINE, first.read_u8()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    echo.connect_and_echo().await;
    assert_eq!(echo.proxy.accepted(), 2);
}

#[tokio::test]
async fn a_connection_is_cut_after_exactly_the_bytes_asked_for() {
    let echo = Echo::start().await;
    let mut client = echo.connect_and_echo().await;
    echo.proxy.cut_after(Direction::ToClient, 5);
    client.write_all(b"0123456789").await.unwrap();
    assert_eq!(read_all(&mut client).await, b"01234");
    echo.connect_and_echo().await;
}

#[tokio::test]
async fn held_bytes_arrive_after_the_release() {
    let echo = Echo::start().await;
    let mut client = echo.connect_and_echo().await;
    echo.proxy.hold(Direction::ToBroker);
    client.write_all(b"y").await.unwrap();
    assert!(timeout(Duration::from_millis(50), client.read_u8()).await.is_err(), "the byte is held");
    echo.proxy.release(Direction::ToBroker);
    assert_eq!(timeout(DEADLINE, client.read_u8()).await.unwrap().unwrap(), b'y');
}

#[tokio::test]
async fn swallowed_bytes_never_arrive_and_their_connection_is_dead_for_good() {
    let echo = Echo::start().await;
    let mut client = echo.connect_and_echo().await;
    echo.proxy.set_flow(Direction::ToBroker, Flow::Swallowed);
    client.write_all(b"y").await.unwrap();
    assert!(timeout(Duration::from_millis(50), client.read_u8()).await.is_err(), "the byte is lost");
    echo.proxy.set_flow(Direction::ToBroker, Flow::Free);
    client.write_all(b"z").await.unwrap();
    assert!(timeout(Duration::from_millis(50), client.read_u8()).await.is_err(), "what follows it, too");
    echo.connect_and_echo().await;
}

#[tokio::test]
async fn slow_bytes_arrive_whole() {
    let echo = Echo::start().await;
    let mut client = echo.connect_and_echo().await;
    echo.proxy.set_flow(Direction::ToClient, Flow::Slow { bytes_per_second: 100 });
    client.write_all(b"0123456789").await.unwrap();
    let mut bytes = [0; 10];
    timeout(DEADLINE, client.read_exact(&mut bytes)).await.expect("they trickle").unwrap();
    assert_eq!(&bytes, b"0123456789");
}

#[tokio::test]
async fn a_held_connection_can_be_cut() {
    let echo = Echo::start().await;
    let mut client = echo.connect_and_echo().await;
    echo.proxy.hold(Direction::ToClient);
    client.write_all(b"y").await.unwrap();
    echo.proxy.cut();
    assert_eq!(read_all(&mut client).await, b"");
}

#[tokio::test]
async fn refusing_leaves_open_connections_and_ends_with_the_mode() {
    let echo = Echo::start().await;
    let mut open = echo.connect_and_echo().await;
    echo.proxy.set_mode(Mode::Refuse);
    let refused = async { while TcpStream::connect(echo.proxy.address()).await.is_ok() {} };
    timeout(DEADLINE, refused).await.expect("connections are refused");
    open.write_all(b"z").await.unwrap();
    assert_eq!(open.read_u8().await.unwrap(), b'z');

    echo.proxy.set_mode(Mode::Forward);
    let accepted = async { while TcpStream::connect(echo.proxy.address()).await.is_err() {} };
    timeout(DEADLINE, accepted).await.expect("connections are accepted again");
    echo.connect_and_echo().await;
}

#[tokio::test]
async fn accept_then_close_sends_no_byte() {
    let echo = Echo::start().await;
    echo.proxy.set_mode(Mode::AcceptThenClose);
    assert_eq!(read_all(&mut echo.connect().await).await, b"");
    assert_eq!(echo.proxy.open(), 0);
}

#[tokio::test]
async fn shutdown_closes_the_port_and_the_connections() {
    let echo = Echo::start().await;
    let mut client = echo.connect_and_echo().await;
    let address = echo.proxy.address();
    echo.proxy.shutdown().await;
    assert_eq!(read_all(&mut client).await, b"");
    assert!(TcpStream::connect(address).await.is_err());
}
