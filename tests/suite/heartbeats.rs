//! Handlers that block, against heartbeats in real time.

use std::time::{Duration, Instant};

use garenne_transport::{Client, Settlement};

use crate::consuming::{SOON, declare, expect, fill, next, number, subscribe};

/// On one thread, so that nothing else of the test's runtime runs meanwhile.
#[tokio::test(flavor = "current_thread")]
async fn handlers_that_block_their_thread_do_not_cost_the_connection() {
    let vhost = crate::vhost().await;
    declare(&vhost).await;
    let mut config = vhost.config();
    config.connection.heartbeat = Duration::from_secs(2);
    let client = Client::connect(config).await.expect("the broker is there");
    fill(&vhost, 0..3).await;
    let mut subscriber = subscribe(&client, 10).await;
    let epoch = client.health().consume.epoch;
    for expected in 0..3 {
        let delivery = next(&mut subscriber).await;
        assert_eq!(number(&delivery), expected);
        assert!(!delivery.message.redelivered);
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) {
            std::hint::spin_loop();
        }
        delivery.unsettled.settle(Settlement::Ack);
    }
    subscriber.close(SOON).await.expect("everything is settled");
    assert_eq!(client.health().consume.epoch, epoch, "the connection stayed");
    expect(&vhost, 0, 0).await;
}
