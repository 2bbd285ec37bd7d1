//! Connecting for the first time: what is refused, how fast, and what it leaves behind.

use std::time::Duration;

use garenne_shared::{Config, Secret, config::Address};
use garenne_tests::{Mode, SECONDS, eventually};
use garenne_transport::{Client, ConnectionState, ErrorKind};
use tokio::{net::TcpListener, time::timeout};

/// Far below the timeouts of a connect, which these tests raise, and far above what an answer takes on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(60);

async fn refused(config: Config) -> garenne_transport::Error {
    let connecting = timeout(2 * AT_ONCE, Client::connect(config)).await;
    connecting.expect("connecting has an end").expect_err("it must be refused")
}

/// Counts lapin's threads in this process.
#[cfg(target_os = "linux")]
fn io_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux shows threads");
    let name =
        |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
    tasks.flatten().map(name).filter(|name| name.trim() == "lapin-io-loop").count()
}

#[tokio::test]
async fn the_capabilities_are_read_from_the_broker() {
    let vhost = crate::vhost().await;
    let client = vhost.connect().await;
    assert_eq!(client.capabilities().product, "RabbitMQ");
    let broker = vhost.read(async |management| management.broker().await).await;
    assert_eq!(broker.version, client.capabilities().version);
    client.close().await;
}

#[tokio::test]
async fn a_wrong_password_is_refused_at_once_and_not_shown() {
    let vhost = crate::vhost().await;
    let mut config = vhost.config();
    config.endpoints[0].password = Secret::new("wr0ng-passw0rd");
    config.connection.connect_timeout = 5 * AT_ONCE;
    let error = timeout(AT_ONCE, refused(config)).await.expect("it is not retried");
    assert_eq!(error.kind(), ErrorKind::AccessRefused, "{error}");
    assert!(!format!("{error} {error:?}").contains("wr0ng"), "{error:?}");
}

#[tokio::test]
async fn a_vhost_that_does_not_exist_is_refused_at_once() {
    let vhost = crate::vhost().await;
    let mut config = vhost.config();
    config.endpoints[0].vhost = "no-such-vhost".to_owned();
    config.connection.connect_timeout = 5 * AT_ONCE;
    let error = timeout(AT_ONCE, refused(config)).await.expect("it is not retried");
    assert_eq!(error.kind(), ErrorKind::AccessRefused, "{error}");
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_passed_over() {
    let vhost = crate::vhost().await;
    let dead = Address { host: "127.0.0.1".to_owned(), port: unused_port().await, ..Address::default() };
    for _ in 0..4 {
        let mut config = vhost.config();
        config.endpoints.push(dead.clone());
        let client = Client::connect(config).await.expect("the other endpoint is up");
        client.close().await;
    }
    let mut config = vhost.config();
    config.endpoints = vec![dead.clone()];
    let error = refused(config).await;
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains(&dead.authority()), "{error}");
}

async fn unused_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("its number").port()
}

#[tokio::test]
async fn a_peer_that_never_answers_is_given_up_at_the_deadline() {
    let vhost = crate::vhost().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let mut config = vhost.config();
    config.endpoints[0].port = silent.local_addr().expect("its number").port();
    config.connection.connect_timeout = Duration::from_millis(300);
    let error = refused(config).await;
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(error.to_string().contains("connect_timeout"), "{error}");
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused_by_name() {
    let vhost = crate::vhost().await;
    let mut config = vhost.config();
    config.publish.window = 0;
    let error = refused(config).await;
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("publish.window"), "{error}");
}

#[tokio::test]
async fn an_ipv6_literal_is_what_is_connected_to() {
    let vhost = crate::vhost().await;
    let Ok(listener) = TcpListener::bind("[::1]:0").await else {
        // The literal must not become another host, also where this machine has no IPv6.
        let mut config = vhost.config();
        config.endpoints[0].host = "::1".to_owned();
        assert_eq!(refused(config).await.kind(), ErrorKind::Unreachable);
        return;
    };
    let port = listener.local_addr().expect("its number").port();
    let upstream = vhost.config().endpoints[0].authority();
    let mut forwards = tokio::task::JoinSet::new();
    forwards.spawn(async move {
        let mut pairs = tokio::task::JoinSet::new();
        while let Ok((mut left, _)) = listener.accept().await {
            let upstream = upstream.clone();
            pairs.spawn(async move {
                let mut right = tokio::net::TcpStream::connect(upstream).await?;
                tokio::io::copy_bidirectional(&mut left, &mut right).await
            });
        }
    });
    let mut config = vhost.config();
    config.endpoints[0].host = "::1".to_owned();
    config.endpoints[0].port = port;
    let client = Client::connect(config).await.expect("the forwarder leads to the broker");
    client.close().await;
}

#[tokio::test]
async fn a_port_that_accepts_and_closes_during_an_outage_does_not_stall_the_return() {
    let vhost = crate::vhost().await;
    let proxy = vhost.proxy().await;
    let mut config = vhost.config_through(&proxy);
    config.connection.reconnect = garenne_shared::Retry::fixed(Duration::from_millis(50));
    let client = Client::connect(config).await.expect("the proxy forwards");
    proxy.set_mode(Mode::AcceptThenClose);
    proxy.cut();
    let before = proxy.accepted();
    eventually(60 * SECONDS, "a few attempts meet the closing port", async || {
        match proxy.accepted() - before {
            4.. => Ok(()),
            few => Err(few),
        }
    })
    .await;
    proxy.set_mode(Mode::Forward);
    // Each such attempt once cost the broker's own handshake timeout of 10 s.
    eventually(AT_ONCE, "the connection is back", async || match client.health().consume {
        up if up.state == ConnectionState::Connected => Ok(()),
        other => Err(other),
    })
    .await;
    client.close().await;
}

#[tokio::test]
async fn dropping_the_last_handle_closes_the_connections() {
    let vhost = crate::vhost().await;
    let client = vhost.connect().await;
    let publisher = garenne_producer::Publisher::new(&client);
    let _ = publisher.publish_raw(garenne_shared::Outgoing::new("", "nowhere", "x")).await;
    eventually(60 * SECONDS, "two connections are listed", async || match vhost.connections().await.len() {
        2 => Ok(()),
        other => Err(other),
    })
    .await;
    #[cfg(target_os = "linux")]
    assert!(io_threads() >= 2);
    drop(client);
    let still = publisher.publish_raw(garenne_shared::Outgoing::new("", "nowhere", "x")).await;
    assert!(still.is_err_and(|error| error.is_unroutable()), "a publisher is a handle as well");
    drop(publisher);
    eventually(60 * SECONDS, "no connection is left", async || match vhost.connections().await.len() {
        0 => Ok(()),
        other => Err(other),
    })
    .await;
}

#[tokio::test]
async fn a_broker_that_ends_every_connection_is_not_dialed_in_a_hot_loop() {
    let vhost = crate::vhost().await;
    let proxy = vhost.proxy().await;
    let mut config = vhost.config_through(&proxy);
    config.connection.reconnect = garenne_shared::Retry::fixed(SECONDS);
    let client = Client::connect(config).await.expect("the proxy forwards");
    let up = async |epoch| {
        eventually(60 * SECONDS, "the connection is up", async || match client.health().consume {
            up if up.epoch == epoch && up.state == ConnectionState::Connected => Ok(()),
            other => Err(other),
        })
        .await;
    };
    up(1).await;
    let started = tokio::time::Instant::now();
    for epoch in 2..5 {
        proxy.cut();
        up(epoch).await;
    }
    let took = started.elapsed();
    assert!(took >= 3 * SECONDS, "three times the policy's delay, but it took {took:?}");
    client.close().await;
}
