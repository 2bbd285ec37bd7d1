//! `exchange.declare` and `exchange.delete`.

use garenne_tests::wire::{Binding, Closed, Exchange, Queue, channel_error, exchange};
use garenne_tests::{SECONDS, Target, eventually};

use crate::behaviours;

const ALL_TYPES: [&str; 6] = ["direct", "fanout", "topic", "headers", "x-consistent-hash", "x-modulus-hash"];

/// Declares an exchange, and then again in another way, which must be refused.
async fn inequivalent(target: &Target, first: Exchange, second: Exchange) -> Closed {
    let mut wire = target.channel().await;
    wire.declare_exchange(1, first.clone()).await;
    wire.declare_exchange(1, first).await;
    wire.refused(1, second).await
}

/// Waits until an exchange is gone.
async fn gone(target: &Target, exchange: &str) {
    let mut wire = target.channel().await;
    eventually(60 * SECONDS, "the exchange is gone", async || {
        match wire.try_call(1, Exchange::passive(exchange)).await {
            Err(closed) => {
                wire.open_channel(1).await;
                if closed.code == 404 { Ok(()) } else { Err(closed.to_string()) }
            }
            Ok(_) => Err("it is there".to_owned()),
        }
    })
    .await;
}

behaviours! {
    area = "exchange.declare", source = "https://www.rabbitmq.com/docs/exchanges";

    /// Every type can be declared, and declared again in the same way.
    async fn exchanges_of_every_type_are_declared(target: Target) {
        let mut wire = target.channel().await;
        for kind in ALL_TYPES {
            wire.declare_exchange(1, Exchange::new(kind, kind)).await;
            wire.declare_exchange(1, Exchange::new(kind, kind)).await;
            wire.declare_exchange(1, Exchange::passive(kind)).await;
        }
    }

    /// A vhost has `amq.direct`, `amq.fanout`, `amq.topic`, `amq.headers`, `amq.match` and the internal `amq.rabbitmq.trace`.
    async fn a_vhost_has_its_predeclared_exchanges(target: Target) {
        let mut wire = target.channel().await;
        let kinds = [("direct", "direct"), ("fanout", "fanout"), ("topic", "topic"), ("headers", "headers")];
        for (name, kind) in kinds.into_iter().chain([("match", "headers")]) {
            wire.declare_exchange(1, Exchange::new(kind, &format!("amq.{name}"))).await;
        }
        wire.declare_exchange(1, Exchange::new("topic", "amq.rabbitmq.trace").internal()).await;
    }

    /// A passive declare of an exchange that does not exist closes the channel with 404.
    async fn a_missing_exchange_is_not_found(target: Target) {
        let mut wire = target.channel().await;
        let missing = channel_error(404, "NOT_FOUND - no exchange 'x' in vhost '/'");
        assert_eq!(wire.refused(1, Exchange::passive("x")).await, missing);
    }

    /// An unknown type closes the channel with 406, whose text is that of a precondition.
    #[source = "rabbit_exchange.erl: check_type"]
    async fn an_unknown_exchange_type_is_refused(target: Target) {
        let mut wire = target.channel().await;
        let unknown = channel_error(406, "PRECONDITION_FAILED - unknown exchange type 'carrier-pigeon'");
        assert_eq!(wire.refused(1, Exchange::new("carrier-pigeon", "x")).await, unknown);
    }

    /// A name that begins with `amq.` is refused with 403, unless the exchange exists.
    async fn reserved_exchange_names_are_refused(target: Target) {
        let mut wire = target.channel().await;
        let text = "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'";
        assert_eq!(wire.refused(1, Exchange::new("direct", "amq.mine")).await, channel_error(403, text));
    }

    /// The default exchange can be neither declared nor deleted, actively or passively: 403.
    async fn the_default_exchange_is_untouchable(target: Target) {
        let mut wire = target.channel().await;
        let text = "ACCESS_REFUSED - operation not permitted on the default exchange";
        assert_eq!(wire.refused(1, Exchange::new("direct", "")).await, channel_error(403, text));
        wire.open_channel(1).await;
        assert_eq!(wire.refused(1, Exchange::passive("")).await, channel_error(403, text));
        wire.open_channel(1).await;
        assert_eq!(wire.refused(1, exchange::Delete::default()).await, channel_error(403, text));
    }

    /// Another type closes the channel with 406.
    async fn another_exchange_type_is_inequivalent(target: Target) {
        let closed = inequivalent(&target, Exchange::new("direct", "x"), Exchange::new("topic", "x")).await;
        let text = "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x' in vhost '/': \
                    received 'topic' but current is 'direct'";
        assert_eq!(closed, channel_error(406, text));
    }

    /// Another durability closes the channel with 406.
    async fn another_exchange_durability_is_inequivalent(target: Target) {
        let first = Exchange::new("direct", "x");
        let closed = inequivalent(&target, first.clone(), first.transient()).await;
        let text = "PRECONDITION_FAILED - inequivalent arg 'durable' for exchange 'x' in vhost '/': \
                    received 'false' but current is 'true'";
        assert_eq!(closed, channel_error(406, text));
    }

    /// Another `auto-delete` closes the channel with 406.
    async fn another_exchange_auto_delete_is_inequivalent(target: Target) {
        let first = Exchange::new("direct", "x");
        let closed = inequivalent(&target, first.clone().auto_delete(), first).await;
        let text = "PRECONDITION_FAILED - inequivalent arg 'auto_delete' for exchange 'x' in vhost '/': \
                    received 'false' but current is 'true'";
        assert_eq!(closed, channel_error(406, text));
    }

    /// Another `internal` closes the channel with 406.
    async fn another_exchange_internal_is_inequivalent(target: Target) {
        let first = Exchange::new("direct", "x");
        let closed = inequivalent(&target, first.clone(), first.internal()).await;
        let text = "PRECONDITION_FAILED - inequivalent arg 'internal' for exchange 'x' in vhost '/': \
                    received 'true' but current is 'false'";
        assert_eq!(closed, channel_error(406, text));
    }

    /// Another `alternate-exchange` closes the channel with 406; arguments that mean nothing are not compared.
    #[source = "https://www.rabbitmq.com/docs/ae"]
    async fn another_alternate_exchange_is_inequivalent(target: Target) {
        let first = Exchange::new("direct", "x").with("alternate-exchange", "a").with("x-whatever", 1);
        let second = Exchange::new("direct", "x").with("alternate-exchange", "b");
        let closed = inequivalent(&target, first, second).await;
        let text = "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'x' in vhost '/': \
                    received 'b' but current is 'a'";
        assert_eq!(closed, channel_error(406, text));
        let mut wire = target.channel().await;
        let same = Exchange::new("direct", "x").with("alternate-exchange", "a").with("x-whatever", 2);
        wire.declare_exchange(1, same).await;
    }

    /// An `alternate-exchange` that is not text closes the channel with 406.
    #[source = "https://www.rabbitmq.com/docs/ae"]
    async fn an_alternate_exchange_is_text(target: Target) {
        let mut wire = target.channel().await;
        let declare = Exchange::new("direct", "x").with("alternate-exchange", 1);
        let text = "PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' \
                    in exchange 'x' in vhost '/'";
        assert_eq!(wire.refused(1, declare).await, channel_error(406, text));
    }

    /// Deleting an exchange that does not exist succeeds.
    async fn deleting_a_missing_exchange_succeeds(target: Target) {
        let mut wire = target.channel().await;
        wire.delete_exchange(1, "x").await;
    }

    /// An exchange of the broker's own cannot be deleted: 403.
    async fn deleting_a_predeclared_exchange_is_refused(target: Target) {
        let mut wire = target.channel().await;
        let delete = exchange::Delete { exchange: "amq.topic".into(), ..exchange::Delete::default() };
        let text = "ACCESS_REFUSED - deletion of system exchange 'amq.topic' in vhost '/' not allowed";
        assert_eq!(wire.refused(1, delete).await, channel_error(403, text));
    }

    /// With `if-unused` an exchange that is the source of bindings is not deleted: 406. Bindings to it do not count.
    async fn an_exchange_in_use_is_not_deleted_if_unused(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("direct", "x")).await;
        wire.declare_exchange(1, Exchange::new("direct", "y")).await;
        wire.bind_exchange(1, "x", "k", "y").await;
        let delete = |name: &str| exchange::Delete { exchange: name.into(), if_unused: true, nowait: false };
        let text = "PRECONDITION_FAILED - exchange 'x' in vhost '/' in use";
        assert_eq!(wire.refused(1, delete("x")).await, channel_error(406, text));
        wire.open_channel(1).await;
        wire.call(1, delete("y")).await;
        wire.call(1, delete("x")).await;
    }

    /// An auto-delete exchange goes with its last binding, but not before it had one.
    async fn an_auto_delete_exchange_goes_with_its_last_binding(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("direct", "x").auto_delete()).await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.bind(1, "x", "a", "q").await;
        wire.bind(1, "x", "b", "q").await;
        wire.unbind(1, "x", "a", "q").await;
        wire.declare_exchange(1, Exchange::passive("x")).await;
        wire.unbind(1, "x", "b", "q").await;
        gone(&target, "x").await;
    }

    /// Auto-delete exchanges bound to each other go one after the other when the last queue goes.
    async fn auto_delete_cascades(target: Target) {
        let mut wire = target.channel().await;
        for name in ["x", "y", "z"] {
            wire.declare_exchange(1, Exchange::new("fanout", name).auto_delete()).await;
        }
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.bind_exchange(1, "x", "", "y").await;
        wire.bind_exchange(1, "y", "", "z").await;
        wire.bind(1, "z", "", "q").await;
        wire.delete_queue(1, "q").await;
        for name in ["z", "y", "x"] {
            gone(&target, name).await;
        }
    }

    /// Line feeds and carriage returns are taken out of the name of an exchange.
    #[source = "rabbit_channel.erl: strip_cr_lf"]
    async fn line_ends_are_taken_out_of_exchange_names(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("direct", "a\r\nb")).await;
        wire.declare_exchange(1, Exchange::passive("ab")).await;
    }

    /// A binding to an exchange that has gone is gone too.
    async fn bindings_go_with_their_exchange(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("fanout", "x")).await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.bind(1, "x", "", "q").await;
        wire.delete_exchange(1, "x").await;
        wire.declare_exchange(1, Exchange::new("fanout", "x")).await;
        wire.confirm_select(1).await;
        wire.publish(1, "x", "", "nobody gets this").await;
        wire.expect_confirms(1, 1).await;
        assert_eq!(wire.ready(1, "q").await, 0);
        // With `if-unused`: nothing is bound.
        wire.call(1, exchange::Delete { exchange: "x".into(), if_unused: true, nowait: false }).await;
        wire.refused(1, Binding::new("x", "", "q").queue()).await;
    }
}
