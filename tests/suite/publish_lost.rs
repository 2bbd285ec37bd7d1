//! When the connection or a confirm is lost: `Unknown`, at once or after the timeout, and nothing leaks.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use garenne_shared::Config;
use garenne_tests::{Direction, Mode, SECONDS, Vhost, eventually};
use garenne_transport::{Client, PublishErrorKind, UnknownCause};
use serde_json::json;
use tokio::time::timeout;

use crate::publishing::{QUEUE, SOON, direct, holds, idle, publish};

/// Soon over where nothing comes, and more than a busy machine needs for what does come.
const LIMIT: Duration = Duration::from_secs(3);

async fn vhost() -> Vhost {
    let vhost = crate::vhost().await;
    vhost.declare_queue(QUEUE, json!({ "x-queue-type": "quorum" })).await;
    vhost
}

fn confirm_within(mut config: Config, limit: Duration) -> Config {
    config.publish.confirm_timeout = limit;
    config
}

/// With lapin's own recovery pending confirms hang for as long as the outage lasts.
#[tokio::test(flavor = "multi_thread")]
async fn publishes_pending_at_a_cut_are_unknown_at_once() {
    let vhost = vhost().await;
    let proxy = vhost.proxy().await;
    let client = Client::connect(vhost.config_through(&proxy)).await.expect("the broker is there");
    let channel = client.confirm_channel();
    publish(&channel, direct("first")).await.expect("the connection is up");
    proxy.hold(Direction::ToClient);
    let mut pending = Vec::new();
    for n in 0..500_u32 {
        pending.push(channel.send(direct(n.to_string())).await.expect("the window has room"));
    }
    // All of them are stored; only their confirms are missing.
    holds(&vhost, 501).await;
    let cut = Instant::now();
    proxy.cut();
    for outcome in timeout(SOON, join_all(pending)).await.expect("nobody waits for the timeout") {
        let error = outcome.expect_err("its confirm was lost");
        assert_eq!(error.unknown_cause(), Some(UnknownCause::ConnectionLost), "{error}");
        assert!(error.is_transient());
    }
    assert!(cut.elapsed() < client.config().publish.confirm_timeout / 2, "{:?}", cut.elapsed());
    proxy.release(Direction::ToClient);
    publish(&channel, direct("last")).await.expect("it goes on over a new connection");
    assert_eq!(client.health().publish.epoch, 2);
    idle(&client).await;
    client.close().await;
}

/// A message that is cut in the middle of its frames is `Unknown` as well, and no publish hangs.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_while_bytes_are_unsent_leaves_no_publish_without_an_outcome() {
    let vhost = vhost().await;
    let proxy = vhost.proxy().await;
    let mut config = vhost.config_through(&proxy);
    config.connection.reconnect = garenne_shared::Retry::fixed(SECONDS / 20);
    let client = Client::connect(config).await.expect("the broker is there");
    let channel = client.confirm_channel();
    let mut confirmed = 0;
    for round in 0..5 {
        proxy.cut_after(Direction::ToBroker, 150_000 + round);
        let outcomes = join_all((0..32).map(|_| publish(&channel, direct(vec![7; 10_000])))).await;
        for outcome in outcomes {
            match outcome {
                Ok(_) => confirmed += 1,
                Err(error) => assert_eq!(error.kind(), PublishErrorKind::Unknown, "{error}"),
            }
        }
    }
    idle(&client).await;
    eventually(SOON, "what was confirmed is there", async || match vhost.depth(QUEUE).await {
        depth if depth >= confirmed => Ok(()),
        depth => Err((depth, confirmed)),
    })
    .await;
    client.close().await;
}

/// A confirm that is dropped unresolved leaks in lapin for the life of the channel, so it is kept; and the places of the window
/// come back with the confirms.
#[tokio::test(flavor = "multi_thread")]
async fn withheld_confirms_are_unknown_after_the_timeout_and_free_their_places_when_they_come() {
    let vhost = vhost().await;
    let proxy = vhost.proxy().await;
    let config = confirm_within(vhost.config_through(&proxy), LIMIT);
    let client = Client::connect(config).await.expect("the broker is there");
    let channel = client.confirm_channel();
    publish(&channel, direct("first")).await.expect("the connection is up");
    proxy.hold(Direction::ToClient);
    let sent = Instant::now();
    let outcomes = join_all((0..100).map(|_| publish(&channel, direct("late")))).await;
    for outcome in outcomes {
        let error = outcome.expect_err("no confirm comes");
        assert_eq!(error.unknown_cause(), Some(UnknownCause::ConfirmTimeout), "{error}");
        assert!(error.to_string().contains("confirm_timeout"), "{error}");
    }
    assert!(sent.elapsed() >= LIMIT, "{:?}", sent.elapsed());
    assert_eq!(client.health().unconfirmed, 100, "their places are taken until the broker confirms");
    proxy.release(Direction::ToClient);
    idle(&client).await;
    publish(&channel, direct("last")).await.expect("the same channel goes on");
    assert_eq!(client.health().publish.epoch, 1);
    holds(&vhost, 102).await;
    client.close().await;
}

/// Confirms that never come must not hold the whole window for ever: that would be a silent stop.
#[tokio::test(flavor = "multi_thread")]
async fn confirms_that_never_come_do_not_stop_the_window_for_good() {
    let vhost = vhost().await;
    let proxy = vhost.proxy().await;
    for (window, window_bytes) in [(8, 1 << 20), (1000, 4096)] {
        let mut config = confirm_within(vhost.config_through(&proxy), LIMIT);
        config.publish.window = window;
        config.publish.window_bytes = window_bytes;
        config.connection.rpc_timeout = LIMIT;
        let client = Client::connect(config).await.expect("the broker is there");
        let channel = client.confirm_channel();
        publish(&channel, direct("first")).await.expect("the connection is up");
        proxy.hold(Direction::ToClient);
        let outcomes = join_all((0..16).map(|_| publish(&channel, direct(vec![0; 1024])))).await;
        let kinds: Vec<_> =
            outcomes.into_iter().map(|outcome| outcome.expect_err("no confirm").kind()).collect();
        let count = |kind| kinds.iter().filter(|found| **found == kind).count();
        let (unknown, not_sent) = (count(PublishErrorKind::Unknown), count(PublishErrorKind::NotSent));
        assert_eq!(unknown + not_sent, 16, "{kinds:?}");
        assert!(unknown > 0, "{kinds:?}");
        proxy.release(Direction::ToClient);
        idle(&client).await;
        publish(&channel, direct("last")).await.expect("it goes on");
        client.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_confirm_does_not_withdraw_the_message_and_leaks_nothing() {
    let vhost = vhost().await;
    let client = vhost.connect().await;
    let channel = client.confirm_channel();
    for n in 0..5_000_u32 {
        // Five times the window: every place must come back.
        drop(channel.send(direct(n.to_string())).await.expect("it is sent"));
    }
    idle(&client).await;
    holds(&vhost, 5_000).await;
    client.close().await;
}

#[tokio::test]
async fn without_a_connection_a_publish_fails_within_the_timeout_and_says_that_nothing_was_sent() {
    let vhost = vhost().await;
    let proxy = vhost.proxy().await;
    let config = confirm_within(vhost.config_through(&proxy), LIMIT);
    let client = Client::connect(config).await.expect("the broker is there");
    let channel = client.confirm_channel();
    proxy.set_mode(Mode::Refuse);
    proxy.cut();
    let error = publish(&channel, direct("lost")).await.expect_err("nobody answers");
    assert_eq!(error.kind(), PublishErrorKind::NotSent);
    assert!(error.is_transient() && !error.may_be_stored(), "{error}");
    proxy.set_mode(Mode::Forward);
    eventually(SOON, "it goes on", async || {
        publish(&channel, direct("kept")).await.map_err(|e| e.to_string())
    })
    .await;
    client.close().await;
    let error = channel.send(direct("late")).await.expect_err("the client is closed");
    assert_eq!(error.kind(), PublishErrorKind::Closed);
    assert!(!error.is_transient());
    holds(&vhost, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_waits_for_outstanding_confirms() {
    let vhost = vhost().await;
    let client = vhost.connect().await;
    let channel = client.confirm_channel();
    let mut pending = Vec::new();
    for n in 0..800_u32 {
        pending.push(channel.send(direct(n.to_string())).await.expect("it is sent"));
    }
    client.close().await;
    for outcome in join_all(pending).await {
        assert!(outcome.expect("it was confirmed before the connection closed").routed);
    }
    holds(&vhost, 800).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_window_is_bounded_by_count_and_by_bytes() {
    let vhost = vhost().await;
    let proxy = vhost.proxy().await;
    let mut config = vhost.config_through(&proxy);
    config.publish.window = 10;
    config.publish.window_bytes = 10_000;
    let client = Client::connect(config).await.expect("the broker is there");
    let channel = client.confirm_channel();
    let large = publish(&channel, direct(vec![0; 50_000])).await;
    large.expect("a body larger than the whole window passes when nothing else is in it");
    for (size, room) in [(1, 10), (4_000, 2), (50_000, 1)] {
        proxy.hold(Direction::ToClient);
        let mut pending = Vec::new();
        let full = timeout(SECONDS, async {
            loop {
                pending.push(channel.send(direct(vec![0; size])).await.expect("it is sent"));
            }
        });
        assert!(full.await.is_err(), "the window has an end");
        assert_eq!((pending.len(), client.health().unconfirmed), (room, room), "bodies of {size} bytes");
        proxy.release(Direction::ToClient);
        for outcome in join_all(pending).await {
            outcome.expect("it is confirmed");
        }
        idle(&client).await;
    }
    client.close().await;
}

/// Little is overdue, far from half the window: but a body as large as all of it waits for the last place, and whoever comes after
/// it waits as well.
#[tokio::test(flavor = "multi_thread")]
async fn one_confirm_that_never_comes_does_not_stop_a_large_message_for_good() {
    let vhost = vhost().await;
    let proxy = vhost.proxy().await;
    let mut config = confirm_within(vhost.config_through(&proxy), LIMIT);
    config.publish.window_bytes = 10_000;
    config.connection.rpc_timeout = LIMIT;
    let client = Client::connect(config).await.expect("the broker is there");
    let channel = client.confirm_channel();
    publish(&channel, direct("first")).await.expect("the connection is up");
    proxy.hold(Direction::ToClient);
    publish(&channel, direct("never confirmed")).await.expect_err("no confirm comes");
    let large = timeout(SOON, channel.send(direct(vec![0; 10_000]))).await;
    let large = large.expect("the window opens").expect("the client is open");
    timeout(SOON, large).await.expect("it has an outcome").expect_err("no confirm comes");
    proxy.release(Direction::ToClient);
    idle(&client).await;
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_that_outlives_the_client_says_that_it_is_closed() {
    let vhost = vhost().await;
    let client = vhost.connect().await;
    let channel = client.confirm_channel();
    publish(&channel, direct("first")).await.expect("the connection is up");
    drop(client);
    let error = timeout(SOON, publish(&channel, direct("late"))).await.expect("it does not hang");
    assert_eq!(error.expect_err("nothing is open").kind(), PublishErrorKind::Closed);
}

/// What was enqueued and not awaited may be lost with the last handle, but not without a word.
#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_last_handle_with_publishes_under_way_says_how_many() {
    let vhost = vhost().await;
    let proxy = vhost.proxy().await;
    let client = Client::connect(vhost.config_through(&proxy)).await.expect("the broker is there");
    let channel = client.confirm_channel();
    publish(&channel, direct("first")).await.expect("the connection is up");
    proxy.hold(Direction::ToClient);
    for n in 0..7_u32 {
        drop(channel.send(direct(n.to_string())).await.expect("the window has room"));
    }
    drop(channel);
    let said = Said::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(said.clone()).finish();
    tracing::subscriber::with_default(subscriber, || drop(client));
    let said = said.text();
    assert!(said.contains("WARN") && said.contains("unconfirmed=7"), "{said}");
    proxy.release(Direction::ToClient);
}

/// What a subscriber of this test alone was told.
#[derive(Clone, Default)]
struct Said(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl Said {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("nobody panics while writing")).into_owned()
    }
}

impl std::io::Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panics while writing").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl tracing_subscriber::fmt::MakeWriter<'_> for Said {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
