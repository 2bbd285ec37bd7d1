//! Messages of other clients: what no Rust string can hold is delivered, and goes on as it came.

use std::time::Duration;

use garenne::{Consumer, Context, Failure};
use garenne_shared::{Outgoing, RoutingKey, TextProperty};
use garenne_tests::wire::Wire;
use garenne_tests::wire::raw::{headers, long, short};
use garenne_transport::Settlement;

use crate::consuming::{QUEUE, SOON, declare, fill, next, number, subscribe};
use crate::workshop::{Job, Workshop};

/// The flags of the properties that are short strings and that RabbitMQ does not look into, with what they are called.
const TEXTS: [(u16, TextProperty); 8] = [
    (0x8000, TextProperty::ContentType),
    (0x4000, TextProperty::ContentEncoding),
    (0x0400, TextProperty::CorrelationId),
    (0x0200, TextProperty::ReplyTo),
    (0x0080, TextProperty::MessageId),
    (0x0020, TextProperty::Type),
    (0x0008, TextProperty::AppId),
    (0x0004, TextProperty::ClusterId),
];

/// No encoding knows it.
const BAD: &[u8] = b"caf\xe9 \xff\xfe";

async fn handle_nothing(_: Job, _: Context) -> Result<(), Failure> {
    Ok(())
}

#[tokio::test]
async fn text_that_is_not_utf8_is_delivered_in_any_property_and_harms_no_neighbour() {
    let vhost = crate::vhost().await;
    declare(&vhost).await;
    let client = vhost.connect().await;
    let mut subscriber = subscribe(&client, 10).await;
    let mut peer = Wire::connect(&vhost.url()).await;
    peer.open_channel(1).await;
    for (flag, property) in TEXTS {
        let properties = [flag.to_be_bytes().as_slice(), &short(BAD)].concat();
        peer.publish_raw(1, (b"", QUEUE.as_bytes()), false, &properties, b"7").await;
        let delivery = next(&mut subscriber).await;
        let original = delivery.message.metadata.original.as_ref().expect("it was delivered");
        assert_eq!(original.text(property), Some(BAD), "{property:?}");
        if property == TextProperty::CorrelationId {
            assert_eq!(delivery.message.metadata.correlation_id.as_deref(), Some("caf\\xe9 \\xff\\xfe"));
        }
        assert_eq!(number(&delivery), 7);
        delivery.unsettled.settle(Settlement::Ack);
    }
    let properties = headers(&[(BAD, [b"S".as_slice(), &long(BAD)].concat())]);
    peer.publish_raw(1, (b"", QUEUE.as_bytes()), false, &properties, b"8").await;
    let delivery = next(&mut subscriber).await;
    assert!(delivery.message.metadata.headers.get("caf\\xe9 \\xff\\xfe").is_some(), "{delivery:?}");
    delivery.unsettled.settle(Settlement::Ack);
    fill(&vhost, 9..10).await;
    assert_eq!(number(&next(&mut subscriber).await), 9);
    assert_eq!(client.health().consume.epoch, 1, "the connection stayed");
    subscriber.close(SOON).await.expect("everything is settled");
}

#[tokio::test]
async fn what_is_published_again_with_its_metadata_is_what_came() {
    let vhost = crate::vhost().await;
    declare(&vhost).await;
    let client = vhost.connect().await;
    let mut subscriber = subscribe(&client, 10).await;
    let mut peer = Wire::connect(&vhost.url()).await;
    peer.open_channel(1).await;
    // Correlation id, headers and message id; a decimal, a narrow integer, a name that is no text.
    let table = [b"\x01aD\x01\xff\xff\xff\xf1".as_slice(), b"\x01bs\xff\xfe", b"\x02\xff\xe9t\x01"].concat();
    let properties =
        [b"\x34\x80".as_slice(), &long(&table), b"\x02", &short(BAD), &short(b"id \xff")].concat();
    peer.publish_raw(1, (b"", QUEUE.as_bytes()), false, &properties, b"1").await;
    let delivery = next(&mut subscriber).await;
    let mut copy = Outgoing::new("", RoutingKey::from_static(QUEUE), delivery.message.body.clone());
    copy.metadata = delivery.message.metadata.clone();
    delivery.unsettled.settle(Settlement::Ack);
    subscriber.close(SOON).await.expect("everything is settled");
    let pending = client.confirm_channel().send(copy).await.expect("it can be sent");
    assert!(pending.await.expect("it is confirmed").routed);
    let got = peer.get_raw(1, QUEUE).await;
    assert_eq!(got.properties, properties);
}

#[tokio::test]
async fn a_body_of_a_foreign_message_that_does_not_decode_is_dead_lettered_with_its_bytes() {
    let workshop = Workshop::new(5).await;
    let running = workshop.run(Consumer::new("work").handle(handle_nothing));
    let mut peer = Wire::connect(&workshop.vhost.url()).await;
    peer.open_channel(1).await;
    let properties = [b"\x04\x00".as_slice(), &short(BAD)].concat();
    peer.publish_raw(1, (b"", b"work"), false, &properties, b"\xff no json").await;
    garenne_tests::eventually(SOON, "the dead letter is there", async || {
        let depth = workshop.vhost.depth("work.dlq").await;
        if depth == 1 { Ok(()) } else { Err(depth) }
    })
    .await;
    let got = peer.get_raw(1, "work.dlq").await;
    assert_eq!(got.body, b"\xff no json");
    assert!(got.properties.windows(BAD.len()).any(|window| window == BAD), "{:x?}", got.properties);
    running.stop().await.expect("a clean stop");
}

/// RabbitMQ sends a content header in one frame, whatever was agreed on, and its `x-death` lets it grow.
#[tokio::test]
async fn headers_larger_than_the_agreed_frame_are_delivered() {
    let vhost = crate::vhost().await;
    declare(&vhost).await;
    let mut config = vhost.config();
    config.connection.frame_max = 8192;
    let client = garenne_transport::Client::connect(config).await.expect("the broker is there");
    let mut subscriber = subscribe(&client, 10).await;
    let mut peer = Wire::connect(&vhost.url()).await;
    peer.open_channel(1).await;
    let large = vec![b'x'; 100_000];
    let properties = headers(&[(b"large", [b"S".as_slice(), &long(&large)].concat())]);
    peer.publish_raw(1, (b"", QUEUE.as_bytes()), false, &properties, b"1").await;
    let delivery = next(&mut subscriber).await;
    let header = delivery.message.metadata.headers.text("large").map(str::len);
    assert_eq!(header, Some(large.len()));
    delivery.unsettled.settle(Settlement::Ack);
    tokio::time::timeout(Duration::from_secs(30), subscriber.close(SOON))
        .await
        .expect("it closes")
        .expect("everything is settled");
}
