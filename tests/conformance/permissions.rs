//! What users may do: the permissions to configure, write and read.

use garenne_tests::Target;
use garenne_tests::wire::{
    Binding, Closed, Confirm, Consumer, Draft, Exchange, Method, Queue, Wire, basic, channel_error, exchange,
    queue,
};

use crate::behaviours;

/// Opens a channel as a user with these permissions.
async fn channel_of(target: &mut Target, configure: &str, write: &str, read: &str) -> Wire {
    let user = target.add_user("bob").await;
    target.set_permissions(&user, configure, write, read).await;
    let mut wire = Wire::connect(&user.url).await;
    wire.open_channel(1).await;
    wire
}

/// Sends a method that must be refused with 403, and opens the channel again.
async fn refused(wire: &mut Wire, method: impl Method, access: &str, resource: &str) {
    let closed = wire.refused(1, method).await;
    assert_eq!(closed, access_refused(access, resource));
    wire.open_channel(1).await;
}

fn access_refused(access: &str, resource: &str) -> Closed {
    let text = format!("ACCESS_REFUSED - {access} access to {resource} in vhost '/' refused for user 'bob'");
    channel_error(403, &text)
}

/// A queue `q` and an exchange `x`, made by the administrator.
async fn declared(target: &Target) {
    let mut wire = target.channel().await;
    wire.declare_queue(1, Queue::quorum("q")).await;
    wire.declare_exchange(1, Exchange::new("direct", "x")).await;
    wire.declare_exchange(1, Exchange::new("direct", "y")).await;
}

behaviours! {
    area = "permissions", source = "https://www.rabbitmq.com/docs/access-control";

    /// Declaring and deleting need `configure` on the object: 403 without.
    async fn configure_is_needed_to_declare_and_delete(target: Target) {
        let mut wire = channel_of(&mut target, "^mine", ".*", ".*").await;
        declared(&target).await;
        refused(&mut wire, Queue::quorum("q"), "configure", "queue 'q'").await;
        refused(&mut wire, Exchange::new("direct", "x"), "configure", "exchange 'x'").await;
        let delete = queue::Delete { queue: "q".into(), ..queue::Delete::default() };
        refused(&mut wire, delete, "configure", "queue 'q'").await;
        let delete = exchange::Delete { exchange: "x".into(), ..exchange::Delete::default() };
        refused(&mut wire, delete, "configure", "exchange 'x'").await;
        wire.declare_queue(1, Queue::quorum("mine")).await;
        wire.declare_exchange(1, Exchange::new("direct", "mine")).await;
    }

    /// A passive declare needs any permission on the object: without one, 403 names `configure`.
    #[source = "rabbit_channel.erl: check_any_resource_access_permitted"]
    async fn a_passive_declare_needs_any_permission(target: Target) {
        let mut wire = channel_of(&mut target, "^$", "^$", "^(q|x)$").await;
        declared(&target).await;
        wire.declare_queue(1, Queue::passive("q")).await;
        wire.declare_exchange(1, Exchange::passive("x")).await;
        refused(&mut wire, Exchange::passive("y"), "configure", "exchange 'y'").await;
        refused(&mut wire, Queue::passive("z"), "configure", "queue 'z'").await;
    }

    /// A pattern matches anywhere in a name, unless it has anchors; an empty one matches nothing.
    async fn patterns_are_not_anchored(target: Target) {
        let mut wire = channel_of(&mut target, "mid", "", ".*").await;
        wire.declare_queue(1, Queue::quorum("a-mid-b")).await;
        wire.publish(1, "amq.direct", "k", "hello").await;
        assert_eq!(wire.expect_channel_error(1).await, access_refused("write", "exchange 'amq.direct'"));
    }

    /// Publishing needs `write` on the exchange: 403 without, even if it does not exist.
    async fn write_is_needed_to_publish(target: Target) {
        let mut wire = channel_of(&mut target, ".*", "^x$", ".*").await;
        declared(&target).await;
        wire.confirm_select(1).await;
        wire.publish(1, "x", "k", "hello").await;
        assert_eq!(wire.expect_confirms(1, 1).await, [Confirm::Ack]);
        wire.publish(1, "nowhere", "k", "hello").await;
        assert_eq!(wire.expect_channel_error(1).await, access_refused("write", "exchange 'nowhere'"));
    }

    /// Publishing to the default exchange needs `write` on the name `amq.default`.
    async fn the_default_exchange_is_called_amq_default(target: Target) {
        let mut wire = channel_of(&mut target, "", "^q$", "").await;
        declared(&target).await;
        wire.publish(1, "", "q", "hello").await;
        assert_eq!(wire.expect_channel_error(1).await, access_refused("write", "exchange 'amq.default'"));
    }

    /// Consuming, getting and purging need `read` on the queue: 403 without, even if it does not exist.
    async fn read_is_needed_to_take_messages(target: Target) {
        let mut wire = channel_of(&mut target, ".*", ".*", "^mine").await;
        declared(&target).await;
        refused(&mut wire, Consumer::new("q"), "read", "queue 'q'").await;
        refused(&mut wire, basic::Get { queue: "q".into(), no_ack: true }, "read", "queue 'q'").await;
        refused(&mut wire, queue::Purge { queue: "q".into(), nowait: false }, "read", "queue 'q'").await;
        refused(&mut wire, Consumer::new("nowhere"), "read", "queue 'nowhere'").await;
    }

    /// Binding and unbinding need `write` on the destination and `read` on the source.
    async fn bindings_need_write_and_read(target: Target) {
        let mut wire = channel_of(&mut target, "", "^q$", "^x$").await;
        declared(&target).await;
        wire.bind(1, "x", "k", "q").await;
        wire.unbind(1, "x", "k", "q").await;
        refused(&mut wire, Binding::new("y", "k", "q").queue(), "read", "exchange 'y'").await;
        refused(&mut wire, Binding::new("x", "k", "other").queue(), "write", "queue 'other'").await;
        refused(&mut wire, Binding::new("x", "k", "y").exchange(), "write", "exchange 'y'").await;
        refused(&mut wire, Binding::new("y", "k", "q").unbind_queue(), "read", "exchange 'y'").await;
    }

    /// A dead-letter exchange needs `read` on the queue and `write` on that exchange.
    #[source = "https://www.rabbitmq.com/docs/dlx"]
    async fn a_dead_letter_exchange_needs_write(target: Target) {
        let mut wire = channel_of(&mut target, ".*", "^x$", "^q$").await;
        let queue = |name: &str, exchange: &str| Queue::quorum(name).with("x-dead-letter-exchange", exchange);
        wire.declare_queue(1, queue("q", "x")).await;
        refused(&mut wire, queue("r", "x"), "read", "queue 'r'").await;
        wire.delete_queue(1, "q").await;
        refused(&mut wire, queue("q", "y"), "write", "exchange 'y'").await;
    }

    /// An alternate exchange needs `read` on the exchange and `write` on the alternate.
    #[source = "https://www.rabbitmq.com/docs/ae"]
    async fn an_alternate_exchange_needs_write(target: Target) {
        let mut wire = channel_of(&mut target, ".*", "^y$", "^x$").await;
        let exchange = |name: &str, other: &str| Exchange::new("fanout", name).with("alternate-exchange", other);
        wire.declare_exchange(1, exchange("x", "y")).await;
        refused(&mut wire, exchange("z", "y"), "read", "exchange 'z'").await;
        wire.delete_exchange(1, "x").await;
        refused(&mut wire, exchange("x", "other"), "write", "exchange 'other'").await;
    }

    /// The default exchange as a dead-letter or an alternate exchange needs `write` on the name `amq.default`.
    #[source = "rabbit_access_control.erl: check_resource_access"]
    async fn dead_letters_by_the_default_exchange_need_amq_default(target: Target) {
        let mut wire = channel_of(&mut target, ".*", "^x$", ".*").await;
        let queue = Queue::quorum("dead").with("x-dead-letter-exchange", "");
        refused(&mut wire, queue.clone(), "write", "exchange 'amq.default'").await;
        let exchange = Exchange::new("fanout", "e").with("alternate-exchange", "");
        refused(&mut wire, exchange, "write", "exchange 'amq.default'").await;
        let mut wire = channel_of(&mut target, ".*", "^amq\\.default$", ".*").await;
        wire.declare_queue(1, queue).await;
    }

    /// A queue or an exchange that is there may be declared again without any right to its dead-letter or alternate exchange.
    async fn declaring_again_needs_no_right_to_the_other_exchange(target: Target) {
        let mut owner = target.channel().await;
        let queue = Queue::classic("dead").with("x-dead-letter-exchange", "x");
        let exchange = Exchange::new("fanout", "e").with("alternate-exchange", "x");
        owner.declare_queue(1, queue.clone()).await;
        owner.declare_exchange(1, exchange.clone()).await;
        let mut wire = channel_of(&mut target, ".*", "", "").await;
        wire.declare_queue(1, queue).await;
        wire.declare_exchange(1, exchange).await;
    }

    /// Dead letters need nobody's permission: who refuses a message need not be allowed to write anywhere.
    async fn dead_letters_need_no_permission(target: Target) {
        let mut owner = target.channel().await;
        owner.declare_queue(1, Queue::classic("end")).await;
        for (name, queue) in [("c", Queue::classic("c")), ("q", Queue::quorum("q"))] {
            let queue = queue.with("x-dead-letter-exchange", "").with("x-dead-letter-routing-key", "end");
            owner.declare_queue(1, queue).await;
            owner.publish(1, "", name, name).await;
        }
        let mut wire = channel_of(&mut target, "", "", "^(c|q)$").await;
        for name in ["c", "q"] {
            wire.consume(1, name).await;
            let delivery = wire.expect_delivery(1).await;
            wire.reject(1, delivery.tag, false).await;
            owner.expect_ready(1, "end", 1).await;
            assert_eq!(owner.take_one(1, "end").await.text(), name);
        }
    }

    /// The property `user-id` must be the user of the connection: 406.
    #[source = "https://www.rabbitmq.com/docs/validated-user-id"]
    async fn the_user_id_must_be_true(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.confirm_select(1).await;
        let user = target.user();
        let draft = |user: &str| Draft::to_queue("q").properties(|p| p.with_user_id(user.into()));
        wire.publish_confirmed(1, 1, draft(&user)).await;
        assert_eq!(wire.take_one(1, "q").await.properties.user_id(), &Some(user.as_str().into()));
        wire.publish_draft(1, draft("mallory")).await;
        let text = "PRECONDITION_FAILED - user_id property set to 'mallory' but authenticated user was '/'";
        let closed = wire.expect_channel_error(1).await;
        assert_eq!(closed.text.replace("'guest'", "'/'"), text);
        assert_eq!(closed.code, 406);
    }
}
