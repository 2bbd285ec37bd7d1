//! Opening, closing and reusing channels.

use garenne_tests::wire::{Event, Exchange, Queue, access, channel, connection, connection_error};
use garenne_tests::{SECONDS, eventually};

use crate::behaviours;

behaviours! {
    area = "channel", source = "https://www.rabbitmq.com/docs/channels";

    /// A method on a channel that is not open closes the connection with 504.
    #[source = "rabbit_channel.erl: handle_method"]
    async fn a_method_on_a_closed_channel_is_a_channel_error(target: Target) {
        let mut wire = target.wire().await;
        let closed = wire.refused(1, Exchange::passive("amq.direct")).await;
        assert_eq!(closed, connection_error(504, "CHANNEL_ERROR - expected 'channel.open'"));
    }

    /// A second `channel.open` on an open channel closes the connection with 504.
    #[source = "rabbit_channel.erl: handle_method"]
    async fn a_second_open_is_a_channel_error(target: Target) {
        let mut wire = target.channel().await;
        let closed = wire.refused(1, channel::Open {}).await;
        assert_eq!(closed, connection_error(504, "CHANNEL_ERROR - second 'channel.open' seen"));
    }

    /// A closed channel's number can be opened again, and the new channel knows nothing of the old one.
    async fn a_channel_number_can_be_used_again(target: Target) {
        let mut wire = target.channel().await;
        wire.confirm_select(1).await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.close_channel(1).await;
        wire.open_channel(1).await;
        wire.publish(1, "", "q", "no confirm for this").await;
        wire.expect_nothing(1).await;
    }

    /// After the broker closes a channel, frames on it are ignored until `channel.close-ok`.
    async fn frames_are_ignored_until_close_ok(target: Target) {
        let mut wire = target.channel().await;
        wire.open_channel(2).await;
        wire.send(1, Queue::passive("missing")).await;
        wire.send(1, Queue::quorum("late")).await;
        wire.publish(1, "nowhere", "key", "late").await;
        assert_eq!(wire.expect_channel_error(1).await.code, 404);
        assert_eq!(wire.refused(2, Queue::passive("late")).await.code, 404);
        wire.open_channel(1).await;
        wire.expect_nothing(1).await;
    }

    /// An error of one channel leaves the others alone.
    async fn an_error_ends_its_channel_alone(target: Target) {
        let mut wire = target.channel().await;
        wire.open_channel(2).await;
        assert_eq!(wire.refused(1, Queue::passive("missing")).await.code, 404);
        wire.declare_exchange(2, Exchange::passive("amq.direct")).await;
    }

    /// A `channel.close` that crosses the broker's own is answered with `channel.close-ok`.
    #[source = "rabbit_channel.erl: handle_method"]
    async fn two_closes_that_cross_are_both_answered(target: Target) {
        let mut wire = target.channel().await;
        wire.send(1, Queue::passive("missing")).await;
        let close = channel::Close { reply_code: 200, reply_text: "bye".into(), class_id: 0, method_id: 0 };
        wire.send(1, close).await;
        assert_eq!(wire.expect_channel_error(1).await.code, 404);
        let Event::Method(answer) = wire.next(1).await else { panic!("channel.close-ok was expected") };
        assert_eq!((answer.get_amqp_class_id(), answer.get_amqp_method_id()), (20, 41));
        wire.open_channel(1).await;
    }

    /// `channel.flow` with `active` is answered and changes nothing.
    #[source = "rabbit_channel.erl: handle_method"]
    async fn flow_on_is_answered(target: Target) {
        let mut wire = target.channel().await;
        assert!(wire.call(1, channel::Flow { active: true }).await.active);
    }

    /// `channel.flow` without `active` closes the connection with 540: clients use prefetch instead.
    #[source = "https://www.rabbitmq.com/docs/specification"]
    async fn flow_off_is_not_implemented(target: Target) {
        let mut wire = target.channel().await;
        let closed = wire.refused(1, channel::Flow { active: false }).await;
        assert_eq!(closed, connection_error(540, "NOT_IMPLEMENTED - active=false"));
    }

    /// A method that only a broker sends closes the connection with 503.
    #[source = "rabbit_channel.erl: handle_method"]
    async fn a_brokers_method_is_refused(target: Target) {
        let mut wire = target.channel().await;
        let closed = wire.refused(1, channel::OpenOk {}).await;
        assert_eq!(closed, connection_error(503, "COMMAND_INVALID - unimplemented method"));
    }

    /// A method of the class `connection` on a channel closes the connection with 503.
    #[source = "rabbit_channel.erl: handle_method"]
    async fn a_connections_method_on_a_channel_is_refused(target: Target) {
        let mut wire = target.channel().await;
        let closed = wire.refused(1, connection::Open { virtual_host: "/".into() }).await;
        assert_eq!(closed, connection_error(503, "COMMAND_INVALID - unimplemented method"));
    }

    /// Closing a channel that is not open closes the connection with 504.
    #[source = "rabbit_channel.erl: handle_method"]
    async fn closing_a_closed_channel_is_a_channel_error(target: Target) {
        let mut wire = target.wire().await;
        let close = channel::Close { reply_code: 200, reply_text: "bye".into(), class_id: 0, method_id: 0 };
        let closed = wire.refused(1, close).await;
        assert_eq!(closed, connection_error(504, "CHANNEL_ERROR - expected 'channel.open'"));
    }

    /// `access.request`, which 0-9-1 no longer has, is answered with `access.request-ok` for old clients.
    #[source = "rabbit_channel.erl: handle_method"]
    async fn access_is_granted_to_old_clients(target: Target) {
        let mut wire = target.channel().await;
        wire.call(1, access::Request { realm: "/data".into(), ..access::Request::default() }).await;
    }

    /// Closing a channel puts back what it has not acknowledged, and ends its consumers, before `channel.close-ok`.
    async fn closing_a_channel_puts_back_what_it_holds(target: Target) {
        for (name, queue) in [("c", Queue::classic("c")), ("q", Queue::quorum("q"))] {
            let mut wire = target.channel().await;
            wire.open_channel(2).await;
            wire.declare_queue(1, queue).await;
            wire.confirm_select(1).await;
            wire.publish(1, "", name, "hello").await;
            wire.expect_confirms(1, 1).await;
            wire.consume(2, name).await;
            wire.expect_delivery(2).await;
            wire.close_channel(2).await;
            let got = eventually(60 * SECONDS, "the message is back", async || {
                wire.get(1, name).await.ok_or("it is not")
            })
            .await;
            assert_eq!((got.text(), got.redelivered), ("hello".to_owned(), true), "{name}");
        }
    }
}
