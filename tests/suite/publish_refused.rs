//! What the broker or we refuse has a name, and harms nobody else.

use std::time::Duration;

use futures_util::future::join_all;
use garenne_shared::{ExchangeName, Outgoing, RoutingKey};
use garenne_transport::{Client, PublishErrorKind, UnknownCause};
use serde_json::json;

use crate::publishing::{QUEUE, bound, direct, exchange, holds, idle, publish};

#[tokio::test]
async fn a_full_queue_that_rejects_publishes_nacks_them() {
    let vhost = crate::vhost().await;
    let full = json!({ "x-queue-type": "classic", "x-max-length": 3, "x-overflow": "reject-publish" });
    vhost.declare_queue(QUEUE, full).await;
    let client = vhost.connect().await;
    let channel = client.confirm_channel();
    let mut nacked = 0;
    for _ in 0..20 {
        match publish(&channel, direct("body")).await {
            Ok(confirmed) => assert!(confirmed.routed),
            Err(error) => {
                assert_eq!(error.kind(), PublishErrorKind::Nacked, "{error}");
                assert!(error.is_transient(), "there may be room later");
                nacked += 1;
            }
        }
    }
    assert_eq!(nacked, 17);
    holds(&vhost, 3).await;
    client.close().await;
}

/// A publish to an exchange that does not exist closes its channel (404), and every confirm outstanding on it is lost: sharing
/// one channel, 100 valid publishes around it lose up to a hundred confirms.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_exchange_harms_nobody_who_is_in_flight() {
    let vhost = crate::vhost().await;
    bound(&vhost, "orders", true, json!({ "x-queue-type": "quorum" })).await;
    let client = vhost.connect().await;
    let channel = client.confirm_channel();
    let mut pending = Vec::new();
    for n in 0..500 {
        let exchange = if n % 10 == 9 { "missing" } else { "orders" };
        let message = Outgoing::new(exchange, "in.eu", format!("{n}"));
        pending.push(channel.send(message).await.expect("it is sent"));
    }
    for (n, outcome) in join_all(pending).await.into_iter().enumerate() {
        if n % 10 == 9 {
            let error = outcome.expect_err("the exchange does not exist");
            assert_eq!(error.kind(), PublishErrorKind::NoExchange, "{error}");
            assert!(error.to_string().contains("does not exist"), "{error}");
            assert!(!error.is_transient());
        } else {
            assert!(outcome.expect("the others are confirmed").routed);
        }
    }
    assert_eq!(client.health().publish.epoch, 1, "the connection stayed");
    // Declared at last, it is found with the next publish.
    exchange(&vhost, "missing").await;
    let error =
        publish(&channel, Outgoing::new("missing", "in.eu", "body")).await.expect_err("no binding matches");
    assert!(error.to_string().contains("no binding of the exchange matches"), "{error}");
    client.close().await;
}

#[tokio::test]
async fn a_deleted_exchange_is_a_definite_error_and_found_again_when_it_is_back() {
    let vhost = crate::vhost().await;
    bound(&vhost, "orders", true, json!({})).await;
    let client = vhost.connect().await;
    let channel = client.confirm_channel();
    let order = || Outgoing::new("orders", "in.eu", "body");
    publish(&channel, order()).await.expect("it is routed");
    vhost.admin().delete(&format!("/exchanges/{}/orders", vhost.name())).await;
    for _ in 0..3 {
        let error = publish(&channel, order()).await.expect_err("it was deleted");
        assert_eq!(error.kind(), PublishErrorKind::NoExchange, "{error}");
        assert!(error.to_string().contains("does not exist"), "{error}");
    }
    bound(&vhost, "orders", true, json!({})).await;
    publish(&channel, order()).await.expect("it is back");
    assert_eq!(client.health().publish.epoch, 1, "the connection stayed");
    client.close().await;
}

/// More exchanges than there are lanes share one; looking for the missing ones must not stop the others.
#[tokio::test(flavor = "multi_thread")]
async fn forty_exchanges_half_of_them_missing_all_get_their_own_outcome() {
    let vhost = crate::vhost().await;
    for n in (0..40).step_by(2) {
        bound(&vhost, &format!("e{n}"), true, json!({})).await;
    }
    let client = vhost.connect().await;
    let channel = client.confirm_channel();
    let outcomes = join_all((0..400).map(|n| {
        let exchange = ExchangeName::try_from(format!("e{}", n % 40)).expect("a valid name");
        publish(&channel, Outgoing::new(exchange, "in.eu", "body"))
    }))
    .await;
    for (n, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(confirmed) => assert!(confirmed.routed && n % 2 == 0),
            Err(error) => {
                assert_eq!(error.kind(), PublishErrorKind::NoExchange, "{error}");
                assert_eq!(n % 2, 1, "{error}");
            }
        }
    }
    holds(&vhost, 200).await;
    garenne_tests::eventually(
        60 * garenne_tests::SECONDS,
        "no more channels than lanes and signs of life need",
        async || {
            let channels = vhost.channels().await.len();
            // One for each of 16 exchanges, one for all others, and one for signs of life on each connection.
            if channels <= 16 + 1 + 2 { Ok(()) } else { Err(channels) }
        },
    )
    .await;
    client.close().await;
}

/// lapin accepts a header larger than a frame, and the broker closes the connection for it (501); a body above the broker's
/// limit closes the channel (406).
#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_sent() {
    let vhost = crate::vhost().await;
    vhost.declare_queue(QUEUE, json!({})).await;
    let mut config = vhost.config();
    config.publish.max_message_bytes = 1000;
    let client = Client::connect(config).await.expect("the broker is there");
    let channel = client.confirm_channel();
    publish(&channel, direct(vec![0; 1000])).await.expect("the limit itself is allowed");

    let error = channel.send(direct(vec![0; 1001])).await.expect_err("the body is too large");
    assert_eq!(error.kind(), PublishErrorKind::TooLarge);
    assert!(error.to_string().contains("1000 bytes") && error.to_string().contains("1001"), "{error}");

    let mut message = direct("body");
    message.metadata.headers.insert("large", "x".repeat(200_000));
    let error = channel.send(message).await.expect_err("the header is too large");
    assert_eq!(error.kind(), PublishErrorKind::TooLarge);
    assert!(error.to_string().contains("131072") && error.to_string().contains("200"), "{error}");

    // The largest header that fits does pass.
    let header_of = |text: usize| {
        let mut message = direct("body");
        message.mandatory = false;
        message.metadata.headers.insert("large", "x".repeat(text));
        message
    };
    let mut largest = 131_072;
    while let Err(error) = publish(&channel, header_of(largest)).await {
        assert_eq!(error.kind(), PublishErrorKind::TooLarge, "{error}");
        largest -= 1;
    }
    assert!(largest > 131_000, "{largest}");
    assert_eq!(client.health().publish.epoch, 1, "the connection stayed");
    holds(&vhost, 2).await;
    client.close().await;
}

/// lapin panics on names above 255 bytes, and RabbitMQ closes the channel for an expiration above 2^32 ms (406).
#[tokio::test]
async fn what_cannot_be_encoded_is_refused_before_it_is_sent() {
    assert!(ExchangeName::try_from("x".repeat(256)).is_err());
    assert!(RoutingKey::try_from("x".repeat(256)).is_err());
    let vhost = crate::vhost().await;
    vhost.declare_queue(QUEUE, json!({})).await;
    let client = vhost.connect().await;
    let channel = client.confirm_channel();
    let long = Some("x".repeat(256));
    let mut messages = vec![direct("body"); 4];
    messages[0].metadata.message_id = long.clone();
    messages[1].metadata.correlation_id = long.clone();
    messages[2].metadata.headers.insert("x".repeat(256), 1);
    messages[3].metadata.expiration = Some(Duration::from_hours(24 * 60));
    for message in messages {
        let error = channel.send(message).await.expect_err("it cannot be encoded");
        assert_eq!(error.kind(), PublishErrorKind::Encode, "{error}");
        assert!(!error.is_transient());
    }
    let mut message = direct("body");
    message.metadata.message_id = Some("x".repeat(255));
    message.metadata.expiration = Some(Duration::from_millis(u64::from(u32::MAX)));
    publish(&channel, message).await.expect("the limits themselves are allowed");
    client.close().await;
}

/// The broker closes the channel for a wrong user id (406) and does not say which publish it was. The others are in doubt once;
/// sent again, each gets its own outcome. Whether the connection stays is not promised: what lapin sends after its `channel.close-ok`
/// is a publish on a channel that is not open, for which the broker closes the connection (504).
#[tokio::test(flavor = "multi_thread")]
async fn a_publish_that_the_broker_refuses_is_found_and_the_others_pass() {
    let vhost = crate::vhost().await;
    vhost.declare_queue(QUEUE, json!({})).await;
    let client = vhost.connect().await;
    let channel = client.confirm_channel();
    let order = |n: usize| {
        let mut message = direct(n.to_string());
        if n == 25 {
            message.metadata.user_id = Some("somebody-else".to_owned());
        }
        message
    };
    let (mut left, mut refused): (Vec<_>, _) = ((0..50).collect(), Vec::new());
    for _ in 0..3 {
        let outcomes = join_all(left.iter().map(|&n| publish(&channel, order(n)))).await;
        let mut again = Vec::new();
        for (n, outcome) in left.into_iter().zip(outcomes) {
            match outcome {
                Ok(_) => {}
                Err(error) if error.kind() == PublishErrorKind::Unknown => {
                    assert_eq!(error.unknown_cause(), Some(UnknownCause::ChannelClosed), "{error}");
                    again.push(n);
                }
                Err(error) => refused.push((n, error.kind())),
            }
        }
        left = again;
    }
    assert_eq!((left, refused), (vec![], vec![(25, PublishErrorKind::Refused)]));
    idle(&client).await;
    client.close().await;
}

#[tokio::test]
async fn a_missing_permission_is_named_and_harms_no_other_exchange() {
    let vhost = crate::vhost().await;
    vhost.declare_queue(QUEUE, json!({})).await;
    exchange(&vhost, "forbidden").await;
    let permission = json!({ "configure": ".*", "write": "^amq.default$", "read": ".*" });
    vhost.admin().put(&format!("/permissions/{0}/{0}", vhost.name()), &permission).await;
    let client = vhost.connect().await;
    let channel = client.confirm_channel();
    for _ in 0..2 {
        let forbidden = publish(&channel, Outgoing::new("forbidden", "in.eu", "body"));
        let (refused, passed) = tokio::join!(forbidden, publish(&channel, direct("body")));
        let error = refused.expect_err("the permission is missing");
        assert_eq!(error.kind(), PublishErrorKind::Refused, "{error}");
        let cause = std::error::Error::source(&error).expect("the broker's words").to_string();
        assert!(cause.contains("403") && cause.contains("forbidden"), "{cause}");
        assert!(!error.is_transient());
        passed.expect("the default exchange is allowed");
    }
    client.close().await;
}
