//! Every example of `examples/`, each in a vhost of its own. They assert by themselves.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    reason = "the examples are programs of their own: their `main` stays unused here, and they print and read the environment"
)]

#[path = "../../examples/competing_consumers.rs"]
mod competing_consumers;
#[path = "../../examples/content_filter.rs"]
mod content_filter;
#[path = "../../examples/custom_codec.rs"]
mod custom_codec;
#[path = "../../examples/dead_letter.rs"]
mod dead_letter;
#[path = "../../examples/layer.rs"]
mod layer;
#[path = "../../examples/message_pack.rs"]
mod message_pack;
#[path = "../../examples/publish.rs"]
mod publish;
#[path = "../../examples/publish_subscribe.rs"]
mod publish_subscribe;
#[path = "../../examples/testing.rs"]
mod testing;

use garenne_tests::SECONDS;
use garenne_transport::Client;
use tokio::time::timeout;

async fn check(example: impl AsyncFnOnce(&Client) -> anyhow::Result<()>) {
    let vhost = crate::vhost().await;
    let client = vhost.connect().await;
    timeout(60 * SECONDS, example(&client)).await.expect("in time").expect("it succeeds");
    client.close().await;
}

macro_rules! examples {
    ($($test:ident: $example:ident;)*) => {$(
        #[tokio::test]
        async fn $test() {
            check($example::run).await;
        }
    )*};
}

#[tokio::test]
async fn the_example_testing_works() {
    testing::a_declined_card_is_dead_lettered().await.expect("it is put aside");
    testing::a_lost_connection_loses_no_payment().await.expect("nothing is lost");
    testing::a_forgotten_payment_expires_after_eight_hours().await.expect("it expires");
}

examples! {
    the_example_competing_consumers_works: competing_consumers;
    the_example_content_filter_works: content_filter;
    the_example_custom_codec_works: custom_codec;
    the_example_dead_letter_works: dead_letter;
    the_example_message_pack_works: message_pack;
    the_example_layer_works: layer;
    the_example_publish_works: publish;
    the_example_publish_subscribe_works: publish_subscribe;
}
