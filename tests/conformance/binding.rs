//! `queue.bind`, `queue.unbind`, `exchange.bind` and `exchange.unbind`.

use garenne_tests::table;
use garenne_tests::wire::{Binding, Exchange, Queue, channel_error};

use crate::behaviours;
use crate::router::Router;

behaviours! {
    area = "bindings", source = "https://www.rabbitmq.com/docs/queues";

    /// A binding that exists may be made again; it stays one binding, and one unbind takes it away.
    async fn binding_twice_is_binding_once(target: Target) {
        let mut router = Router::new(&target, "direct", &["q"]).await;
        router.bind("k", "q").await;
        router.bind("k", "q").await;
        assert_eq!(router.reached("k").await, ["q"]);
        router.wire.unbind(1, "x", "k", "q").await;
        assert_eq!(router.reached("k").await, [""; 0]);
    }

    /// Two bindings of a queue that both match deliver one copy.
    async fn a_queue_gets_one_copy_by_however_many_bindings(target: Target) {
        let mut router = Router::new(&target, "topic", &["q"]).await;
        for pattern in ["a.b", "a.*", "#"] {
            router.bind(pattern, "q").await;
        }
        assert_eq!(router.reached("a.b").await, ["q"]);
    }

    /// Bindings that differ in their arguments alone are two bindings.
    async fn arguments_distinguish_bindings(target: Target) {
        let mut router = Router::new(&target, "direct", &["q"]).await;
        let binding = |n: i32| Binding::new("x", "k", "q").arguments(table! { "n" => n });
        router.wire.bind_with(1, binding(1)).await;
        router.wire.bind_with(1, binding(2)).await;
        router.wire.call(1, binding(1).unbind_queue()).await;
        assert_eq!(router.reached("k").await, ["q"]);
        router.wire.call(1, binding(2).unbind_queue()).await;
        assert_eq!(router.reached("k").await, [""; 0]);
    }

    /// Unbinding what is not bound succeeds.
    async fn unbinding_a_missing_binding_succeeds(target: Target) {
        let mut router = Router::new(&target, "direct", &["q"]).await;
        router.wire.unbind(1, "x", "k", "q").await;
    }

    /// Binding to an exchange that does not exist closes the channel with 404.
    async fn binding_to_a_missing_exchange_is_not_found(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        let closed = wire.refused(1, Binding::new("x", "k", "q").queue()).await;
        assert_eq!(closed, channel_error(404, "NOT_FOUND - no exchange 'x' in vhost '/'"));
    }

    /// Binding a queue that does not exist closes the channel with 404.
    async fn binding_a_missing_queue_is_not_found(target: Target) {
        let mut wire = target.channel().await;
        let closed = wire.refused(1, Binding::new("amq.direct", "k", "q").queue()).await;
        assert_eq!(closed, channel_error(404, "NOT_FOUND - no queue 'q' in vhost '/'"));
    }

    /// Unbinding with a missing queue or exchange succeeds: what is not there is not bound.
    async fn unbinding_missing_objects_succeeds(target: Target) {
        let mut wire = target.channel().await;
        wire.unbind(1, "amq.direct", "k", "q").await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.unbind(1, "x", "k", "q").await;
        wire.call(1, Binding::new("x", "k", "y").unbind_exchange()).await;
    }

    /// Nothing can be bound to the default exchange, or unbound from it: 403.
    async fn the_default_exchange_takes_no_bindings(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        let text = "ACCESS_REFUSED - operation not permitted on the default exchange";
        let closed = wire.refused(1, Binding::new("", "k", "q").queue()).await;
        assert_eq!(closed, channel_error(403, text));
        wire.open_channel(1).await;
        let closed = wire.refused(1, Binding::new("", "q", "q").unbind_queue()).await;
        assert_eq!(closed, channel_error(403, text));
        wire.open_channel(1).await;
        let closed = wire.refused(1, Binding::new("amq.direct", "k", "").exchange()).await;
        assert_eq!(closed, channel_error(403, text));
    }

    /// A `queue.bind` without a queue's name means the queue declared last on the channel; without a key too, its name.
    async fn an_empty_queue_name_is_the_last_one_declared(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.bind(1, "amq.direct", "", "").await;
        wire.confirm_select(1).await;
        wire.publish(1, "amq.direct", "q", "hello").await;
        wire.expect_confirms(1, 1).await;
        assert_eq!(wire.ready(1, "q").await, 1);
    }

    /// Without a queue declared on the channel, an empty queue name closes the channel with 404.
    #[source = "rabbit_channel.erl: expand_queue_name_shortcut"]
    async fn an_empty_queue_name_needs_a_declared_queue(target: Target) {
        let mut wire = target.channel().await;
        let closed = wire.refused(1, Binding::new("amq.direct", "k", "").queue()).await;
        assert_eq!(closed, channel_error(404, "NOT_FOUND - no previously declared queue"));
    }

    /// An exchange bound to another passes on what it gets, and bindings in a circle do no harm.
    #[source = "https://www.rabbitmq.com/docs/e2e"]
    async fn exchanges_pass_messages_on(target: Target) {
        let mut router = Router::new(&target, "topic", &["q"]).await;
        router.wire.declare_exchange(1, Exchange::new("fanout", "y")).await;
        router.wire.bind_exchange(1, "x", "a.*", "y").await;
        router.wire.bind_exchange(1, "y", "", "x").await;
        router.wire.bind(1, "y", "", "q").await;
        assert_eq!(router.reached("a.b").await, ["q"]);
        assert_eq!(router.reached("b.a").await, [""; 0]);
    }

    /// Binding an exchange that does not exist closes the channel with 404; the source is looked for first.
    #[source = "https://www.rabbitmq.com/docs/e2e"]
    async fn binding_missing_exchanges_is_not_found(target: Target) {
        let mut wire = target.channel().await;
        let closed = wire.refused(1, Binding::new("x", "k", "amq.direct").exchange()).await;
        assert_eq!(closed, channel_error(404, "NOT_FOUND - no exchange 'x' in vhost '/'"));
        wire.open_channel(1).await;
        let closed = wire.refused(1, Binding::new("amq.direct", "k", "y").exchange()).await;
        assert_eq!(closed, channel_error(404, "NOT_FOUND - no exchange 'y' in vhost '/'"));
        wire.open_channel(1).await;
        let closed = wire.refused(1, Binding::new("x", "k", "y").exchange()).await;
        assert_eq!(closed, channel_error(404, "NOT_FOUND - no exchange 'x' in vhost '/'"));
    }

    /// Messages published before a binding was made do not come through it.
    async fn a_binding_does_not_look_back(target: Target) {
        let mut router = Router::new(&target, "fanout", &["q"]).await;
        assert_eq!(router.reached("").await, [""; 0]);
        router.bind("", "q").await;
        assert_eq!(router.wire.ready(1, "q").await, 0);
    }

    /// Bindings go with their queue: a queue declared anew under the name has none.
    async fn bindings_go_with_their_queue(target: Target) {
        let mut router = Router::new(&target, "fanout", &["q"]).await;
        router.bind("", "q").await;
        router.wire.delete_queue(1, "q").await;
        router.wire.declare_queue(1, Queue::classic("q")).await;
        assert_eq!(router.reached("").await, [""; 0]);
    }

    /// Bindings made and taken back with `nowait` are not answered; an error closes the channel all the same.
    async fn bindings_without_waiting_are_not_answered(target: Target) {
        let mut router = Router::new(&target, "direct", &["q"]).await;
        let mut bind = Binding::new("x", "k", "q").queue();
        bind.nowait = true;
        router.wire.send(1, bind.clone()).await;
        router.wire.expect_nothing(1).await;
        assert_eq!(router.reached("k").await, ["q"]);
        bind.exchange = "nowhere".into();
        router.wire.send(1, bind).await;
        assert_eq!(router.wire.expect_channel_error(1).await.code, 404);
    }

    /// An exchange may be bound to itself, and still delivers one copy.
    #[source = "https://www.rabbitmq.com/docs/e2e"]
    async fn an_exchange_may_be_bound_to_itself(target: Target) {
        let mut router = Router::new(&target, "fanout", &["q"]).await;
        router.wire.bind_exchange(1, "x", "", "x").await;
        router.bind("", "q").await;
        assert_eq!(router.reached("").await, ["q"]);
    }

    /// Arguments of a binding to an exchange that does not look at them distinguish it, and an unbind must repeat them.
    async fn an_unbind_repeats_the_arguments(target: Target) {
        let mut router = Router::new(&target, "fanout", &["q"]).await;
        router.bind_with(table! { "n" => 1 }, "q").await;
        router.wire.unbind(1, "x", "", "q").await;
        assert_eq!(router.reached("").await, ["q"]);
        let other = Binding::new("x", "", "q").arguments(table! { "n" => 1_i64 });
        router.wire.call(1, other.unbind_queue()).await;
        assert_eq!(router.reached("").await, ["q"]);
    }
}
