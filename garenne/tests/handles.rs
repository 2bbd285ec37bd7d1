//! Handles are cheap to clone and go to any task.

use std::fmt::Debug;

use garenne::{Client, Codecs, Config, ConfirmChannel, Context, Publisher, Retry, Topology};

#[test]
fn handles_are_clone_send_and_sync() {
    fn check<T: Clone + Debug + Send + Sync + 'static>() {}
    check::<Client>();
    check::<Publisher>();
    check::<Context>();
    check::<ConfirmChannel>();
    check::<Codecs>();
    check::<Config>();
    check::<Retry>();
    check::<Topology>();
}

#[test]
fn errors_go_to_any_task() {
    fn check<T: std::error::Error + Send + Sync + 'static>() {}
    check::<garenne::Error>();
    check::<garenne::PublishError>();
    check::<garenne::CodecError>();
    check::<garenne::ConfigError>();
    check::<garenne::MessageError>();
    check::<garenne::NameError>();
    check::<garenne::TopologyError>();
}
