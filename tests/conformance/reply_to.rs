//! Direct reply-to.

use garenne_tests::wire::{Consumer, Draft, Queue, basic, channel_error, connection_error};

use crate::behaviours;
use crate::steps::fill;

const REPLIES: &str = "amq.rabbitmq.reply-to";

behaviours! {
    area = "direct reply-to", source = "https://www.rabbitmq.com/docs/direct-reply-to";

    /// A request that names the pseudo-queue reaches the responder with a name of the requester's own, and a reply by it comes back.
    async fn a_reply_reaches_the_requester(target: Target) {
        let mut requester = target.channel().await;
        let mut responder = target.channel().await;
        responder.declare_queue(1, Queue::quorum("q")).await;
        responder.consume(1, "q").await;
        requester.consume_with(1, Consumer::new(REPLIES).tag("replies").no_ack()).await;
        let draft = Draft::to_queue("q").body("ask").properties(|p| p.with_reply_to(REPLIES.into()));
        requester.publish_draft(1, draft).await;
        let asked = responder.expect_delivery(1).await;
        let name = asked.properties.reply_to().clone().expect("it names where to reply").to_string();
        assert!(name.starts_with(&format!("{REPLIES}.")), "{name}");
        responder.publish(1, "", &name, "answer").await;
        let reply = requester.expect_delivery(1).await;
        assert_eq!((reply.text().as_str(), reply.consumer_tag.as_str()), ("answer", "replies"));
        assert_eq!((reply.exchange.as_str(), reply.routing_key.as_str()), ("", name.as_str()));
        assert!(!reply.redelivered);
    }

    /// Replies cannot be acknowledged: a consumer of them without `no_ack` closes the channel with 406.
    async fn replies_are_not_acknowledged(target: Target) {
        let mut wire = target.channel().await;
        let closed = wire.refused(1, Consumer::new(REPLIES)).await;
        assert_eq!(closed, channel_error(406, "PRECONDITION_FAILED - reply consumer cannot acknowledge"));
    }

    /// A channel has one consumer of replies: the second closes it with 406.
    async fn one_consumer_of_replies_on_a_channel(target: Target) {
        let mut wire = target.channel().await;
        wire.consume_with(1, Consumer::new(REPLIES).no_ack()).await;
        let closed = wire.refused(1, Consumer::new(REPLIES).no_ack()).await;
        assert_eq!(closed, channel_error(406, "PRECONDITION_FAILED - reply consumer already set"));
    }

    /// A request without a consumer of replies on its channel closes the channel with 406.
    async fn a_request_needs_a_consumer_of_replies(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.publish_draft(1, Draft::to_queue("q").properties(|p| p.with_reply_to(REPLIES.into()))).await;
        let text = "PRECONDITION_FAILED - fast reply consumer does not exist";
        assert_eq!(wire.expect_channel_error(1).await, channel_error(406, text));
    }

    /// The pseudo-queue can be declared passively, and nothing comes of it: this is how a client asks whether the broker has it.
    async fn the_pseudo_queue_is_declared_passively(target: Target) {
        let mut wire = target.channel().await;
        let found = wire.declare_queue(1, Queue::passive(REPLIES)).await;
        assert_eq!((found.queue.as_str(), found.message_count, found.consumer_count), (REPLIES, 0, 1));
    }

    /// A reply to a requester that is gone is confirmed and dropped; even a mandatory one does not come back.
    async fn a_reply_to_nobody_is_dropped(target: Target) {
        let mut requester = target.channel().await;
        let mut responder = target.channel().await;
        responder.declare_queue(1, Queue::quorum("q")).await;
        responder.consume(1, "q").await;
        requester.consume_with(1, Consumer::new(REPLIES).no_ack()).await;
        let draft = Draft::to_queue("q").properties(|p| p.with_reply_to(REPLIES.into()));
        requester.publish_draft(1, draft).await;
        let asked = responder.expect_delivery(1).await;
        let name = asked.properties.reply_to().clone().expect("it names where to reply").to_string();
        requester.close().await;
        responder.confirm_select(1).await;
        responder.publish_confirmed(1, 1, Draft::to_queue(&name).mandatory()).await;
        responder.expect_nothing(1).await;
    }

    /// A consumer of replies may be cancelled, and then be another one.
    async fn a_consumer_of_replies_is_cancelled(target: Target) {
        let mut wire = target.channel().await;
        for _ in 0..2 {
            let tag = wire.consume_with(1, Consumer::new(REPLIES).no_ack()).await;
            wire.cancel(1, &tag).await;
        }
    }

    /// The tag of a consumer of replies is free for another consumer, but not the other way round; a cancel ends the one of replies.
    #[source = "rabbit_channel.erl: handle_method(#'basic.consume'{})"]
    async fn the_tag_of_a_consumer_of_replies_is_free(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.consume_with(1, Consumer::new(REPLIES).tag("t").no_ack()).await;
        wire.consume_with(1, Consumer::new("q").tag("t")).await;
        wire.cancel(1, "t").await;
        fill(&mut wire, "q", 1).await;
        assert_eq!(wire.expect_delivery(1).await.consumer_tag, "t");
        let closed = wire.refused(1, Consumer::new(REPLIES).tag("t").no_ack()).await;
        assert_eq!(closed, connection_error(530, "NOT_ALLOWED - attempt to reuse consumer tag 't'"));
    }

    /// A second consumer of replies is refused with 406 even if it has the tag of the first.
    #[source = "rabbit_channel.erl: handle_method(#'basic.consume'{})"]
    async fn the_tag_of_the_first_consumer_of_replies_does_not_matter(target: Target) {
        let mut wire = target.channel().await;
        wire.consume_with(1, Consumer::new(REPLIES).tag("t").no_ack()).await;
        let closed = wire.refused(1, Consumer::new(REPLIES).tag("t").no_ack()).await;
        assert_eq!(closed, channel_error(406, "PRECONDITION_FAILED - reply consumer already set"));
    }

    /// The pseudo-queue itself is no queue to get from: 404.
    async fn the_pseudo_queue_has_nothing_to_get(target: Target) {
        let mut wire = target.channel().await;
        let closed = wire.refused(1, basic::Get { queue: REPLIES.into(), no_ack: true }).await;
        assert_eq!(closed, channel_error(404, &format!("NOT_FOUND - no queue '{REPLIES}' in vhost '/'")));
    }
}
