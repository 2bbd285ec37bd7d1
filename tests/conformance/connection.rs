//! The handshake.

use garenne_tests::wire::{
    AMQPClass, Closed, Event, Exchange, FieldTable, Login, Queue, Table, Wire, connection, connection_error,
    encode,
};
use garenne_tests::{SECONDS, Target, eventually, table};

use crate::behaviours;

const REFUSED: &str = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.";

/// Shakes hands up to and with a `connection.tune-ok` that ends the stream.
async fn refused_tune(target: &Target, change: impl FnOnce(Login) -> Login) {
    let login = change(Login::new(&target.url()));
    let mut wire = Wire::dial(&target.url()).await;
    wire.start().await;
    wire.log_in(&login).await;
    wire.expect_eof().await;
}

/// Logs in by a URL and opens a vhost, which must be refused.
async fn refused_open(url: &str, vhost: &str) -> Closed {
    let login = Login::new(url);
    let mut wire = Wire::dial(url).await;
    wire.start().await;
    wire.log_in(&login).await;
    wire.refused(0, connection::Open { virtual_host: vhost.into() }).await
}

behaviours! {
    area = "connection", source = "https://www.rabbitmq.com/docs/specification";

    /// A protocol header of another version from 0-9 on is answered with the header `AMQP 0 0 9 1` and the end of the stream.
    #[source = "rabbit_reader.erl: version_negotiation"]
    async fn a_later_protocol_version_is_answered_with_the_right_one(target: Target) {
        let mut wire = Wire::dial(&target.url()).await;
        wire.send_bytes(b"AMQP\x00\x00\x0a\x00").await;
        assert_eq!(wire.next(0).await, Event::Header([0, 0, 9, 1]));
        wire.expect_eof().await;
    }

    /// What is no AMQP at all is answered with the header of AMQP 1.0, `AMQP 3 1 0 0`, and the end of the stream.
    #[source = "rabbit_reader.erl: refuse_connection"]
    async fn a_stranger_is_answered_with_the_header_of_amqp_1(target: Target) {
        let mut wire = Wire::dial(&target.url()).await;
        wire.send_bytes(b"GET / HTTP/1.1\r\n\r\n").await;
        assert_eq!(wire.next(0).await, Event::Header([3, 1, 0, 0]));
        wire.expect_eof().await;
    }

    /// The broker starts with version 0-9, its mechanisms, the locale `en_US` and its capabilities.
    async fn the_broker_introduces_itself(target: Target) {
        let mut wire = Wire::dial(&target.url()).await;
        let start = wire.start().await;
        assert_eq!((start.version_major, start.version_minor), (0, 9));
        assert_eq!(start.locales.to_string(), "en_US");
        let mechanisms = start.mechanisms.to_string();
        let offers = |name| mechanisms.split(' ').any(|offered| offered == name);
        assert!(offers("PLAIN") && offers("AMQPLAIN"), "{mechanisms}");
        let Some(capabilities) = Table(start.server_properties).table("capabilities") else {
            panic!("the server's properties have no capabilities")
        };
        let all = table! {
            "authentication_failure_close" => true,
            "basic.nack" => true,
            "connection.blocked" => true,
            "consumer_cancel_notify" => true,
            "consumer_priorities" => true,
            "direct_reply_to" => true,
            "exchange_exchange_bindings" => true,
            "per_consumer_qos" => true,
            "publisher_confirms" => true,
        };
        assert_eq!(capabilities, all);
    }

    /// The broker proposes 2047 channels, frames of 131072 bytes and a heartbeat of 60 seconds.
    #[source = "https://www.rabbitmq.com/docs/channels"]
    async fn the_broker_proposes_its_limits(target: Target) {
        let mut wire = Wire::dial(&target.url()).await;
        wire.start().await;
        let tune = wire.log_in(&Login::new(&target.url())).await;
        assert_eq!((tune.channel_max, tune.frame_max, tune.heartbeat), (2047, 131_072, 60));
    }

    /// A client may log in by `AMQPLAIN`, with a table of `LOGIN` and `PASSWORD`.
    #[source = "rabbit_auth_mechanism_amqplain.erl: handle_response"]
    async fn amqplain_logs_in(target: Target) {
        let plain = Login::new(&target.url());
        let password = plain.response.rsplit(|byte| *byte == 0).next().expect("PLAIN ends with the password");
        let table: FieldTable = table! {
            "LOGIN" => target.user(),
            "PASSWORD" => String::from_utf8_lossy(password).into_owned(),
        }
        .into();
        // The response is a table without its length: take one from a frame.
        let start = connection::StartOk { client_properties: table, ..connection::StartOk::default() };
        let class = AMQPClass::Connection(connection::AMQPMethod::StartOk(start));
        let frame = encode(&garenne_tests::wire::AMQPFrame::Method(0, class));
        let length = u32::from_be_bytes(frame[11..15].try_into().expect("four bytes")) as usize;
        let response = frame[15..15 + length].to_vec();
        let login = Login { mechanism: "AMQPLAIN".to_owned(), response, ..plain };
        let mut wire = Wire::connect_with(&target.url(), login).await;
        wire.open_channel(1).await;
    }

    /// A wrong password closes the connection with 403 if the client has the capability `authentication_failure_close`.
    #[source = "https://www.rabbitmq.com/docs/auth-notification"]
    async fn a_wrong_password_is_access_refused(target: Target) {
        let url = target.url_as(&target.user(), "wrong");
        let mut wire = Wire::dial(&url).await;
        wire.start().await;
        let closed = wire.refused(0, Login::new(&url).start_ok()).await;
        assert_eq!(closed, connection_error(403, REFUSED));
        assert_eq!(closed.method, (0, 0));
    }

    /// An unknown user is refused with the same words as a wrong password.
    #[source = "https://www.rabbitmq.com/docs/auth-notification"]
    async fn an_unknown_user_is_access_refused(target: Target) {
        let url = target.url_as("nobody-knows-me", "wrong");
        let mut wire = Wire::dial(&url).await;
        wire.start().await;
        assert_eq!(wire.refused(0, Login::new(&url).start_ok()).await, connection_error(403, REFUSED));
    }

    /// A wrong password only ends the stream if the client does not have the capability `authentication_failure_close`.
    #[source = "https://www.rabbitmq.com/docs/auth-notification"]
    async fn without_the_capability_a_wrong_password_ends_the_stream(target: Target) {
        let url = target.url_as(&target.user(), "wrong");
        let mut wire = Wire::dial(&url).await;
        wire.start().await;
        let login = Login { client_properties: table! {}, ..Login::new(&url) };
        wire.send(0, login.start_ok()).await;
        wire.expect_eof().await;
    }

    /// A mechanism that the broker does not offer ends the stream without a word.
    #[source = "rabbit_reader.erl: auth_mechanism_to_module"]
    async fn an_unknown_mechanism_ends_the_stream(target: Target) {
        let mut wire = Wire::dial(&target.url()).await;
        wire.start().await;
        let login = Login { mechanism: "KERBEROS".to_owned(), ..Login::new(&target.url()) };
        wire.send(0, login.start_ok()).await;
        wire.expect_eof().await;
    }

    /// A vhost that does not exist closes the connection with 530.
    #[source = "https://www.rabbitmq.com/docs/vhosts"]
    async fn an_unknown_vhost_is_not_allowed(target: Target) {
        let closed = refused_open(&target.url(), "nowhere").await;
        assert_eq!(closed, connection_error(530, "NOT_ALLOWED - vhost nowhere not found"));
        assert_eq!(closed.method, (10, 40));
    }

    /// A user without any permission in a vhost is refused with 530 when opening it.
    #[source = "https://www.rabbitmq.com/docs/access-control"]
    async fn a_vhost_without_permission_is_not_allowed(target: Target) {
        let user = target.add_user("bob").await;
        let closed = refused_open(&user.url, &target.vhost()).await;
        let text = "NOT_ALLOWED - access to vhost '/' refused for user 'bob'";
        assert_eq!(closed, connection_error(530, text));
    }

    /// A user with permissions, even empty ones, may open the vhost.
    #[source = "https://www.rabbitmq.com/docs/access-control"]
    async fn empty_permissions_open_the_vhost(target: Target) {
        let user = target.add_user("bob").await;
        target.set_permissions(&user, "", "", "").await;
        let mut wire = Wire::connect(&user.url).await;
        wire.open_channel(1).await;
    }

    /// A frame-max below 8192 ends the stream without a word.
    #[source = "rabbit_reader.erl: validate_negotiated_integer_value"]
    async fn a_frame_max_below_the_minimum_ends_the_stream(target: Target) {
        refused_tune(&target, |login| Login { frame_max: Some(4096), ..login }).await;
    }

    /// A frame-max above the broker's ends the stream without a word.
    #[source = "rabbit_reader.erl: validate_negotiated_integer_value"]
    async fn a_frame_max_above_the_brokers_ends_the_stream(target: Target) {
        refused_tune(&target, |login| Login { frame_max: Some(131_073), ..login }).await;
    }

    /// A channel-max of 0, which means no limit, is above the broker's and ends the stream without a word.
    #[source = "rabbit_reader.erl: validate_negotiated_integer_value"]
    async fn no_limit_of_channels_ends_the_stream(target: Target) {
        refused_tune(&target, |login| Login { channel_max: Some(0), ..login }).await;
    }

    /// A channel beyond the negotiated channel-max closes the connection with 530.
    #[source = "rabbit_reader.erl: create_channel"]
    async fn a_channel_too_many_is_not_allowed(target: Target) {
        let login = Login { channel_max: Some(2), ..Login::new(&target.url()) };
        let mut wire = Wire::connect_with(&target.url(), login).await;
        wire.open_channel(1).await;
        wire.open_channel(2).await;
        let closed = wire.refused(3, garenne_tests::wire::channel::Open {}).await;
        let text = "NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)";
        assert_eq!(closed, connection_error(530, text));
    }

    /// The negotiated channel-max limits how many channels are open, not their numbers.
    #[source = "rabbit_reader.erl: create_channel"]
    async fn a_channel_number_above_the_maximum_is_fine(target: Target) {
        let login = Login { channel_max: Some(2), ..Login::new(&target.url()) };
        let mut wire = Wire::connect_with(&target.url(), login).await;
        wire.open_channel(4000).await;
        wire.declare_exchange(4000, Exchange::passive("amq.direct")).await;
    }

    /// With a negotiated heartbeat the broker sends heartbeats on an idle connection.
    #[source = "https://www.rabbitmq.com/docs/heartbeats"]
    async fn the_broker_sends_heartbeats(target: Target) {
        let login = Login { heartbeat: 1, ..Login::new(&target.url()) };
        let mut wire = Wire::connect_with(&target.url(), login).await;
        wire.expect_heartbeat().await;
    }

    /// A client that is silent for longer than two heartbeats is cut off without a word.
    #[source = "https://www.rabbitmq.com/docs/heartbeats"]
    async fn a_client_that_misses_heartbeats_is_cut_off(target: Target) {
        let login = Login { heartbeat: 1, ..Login::new(&target.url()) };
        let mut wire = Wire::connect_with(&target.url(), login).await;
        loop {
            match wire.next_any().await {
                (0, Event::Heartbeat) => {}
                (_, Event::Eof) => break,
                other => panic!("only heartbeats and the end were expected, found {other:?}"),
            }
        }
    }

    /// The broker answers `connection.close` with `connection.close-ok`, after what came before it is done.
    async fn a_connection_is_closed_in_order(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        for _ in 0..100 {
            wire.publish(1, "", "q", "hello").await;
        }
        wire.close().await;
        eventually(60 * SECONDS, "all is in the queue", async || match target.depth("q").await {
            100 => Ok(()),
            other => Err(other),
        })
        .await;
    }

    /// A new secret is taken with `connection.update-secret-ok`; the connection goes on.
    #[source = "https://www.rabbitmq.com/docs/oauth2"]
    async fn a_secret_can_be_updated(target: Target) {
        let mut wire = target.channel().await;
        let update = connection::UpdateSecret { new_secret: "new".into(), reason: "why not".into() };
        wire.call(0, update).await;
        wire.declare_exchange(1, Exchange::passive("amq.direct")).await;
    }

    /// A second `connection.open` closes the connection with 504.
    #[source = "rabbit_reader.erl: handle_method0"]
    async fn a_second_connection_open_is_refused(target: Target) {
        let mut wire = target.wire().await;
        let closed = wire.refused(0, connection::Open { virtual_host: target.vhost().into() }).await;
        let text = "CHANNEL_ERROR - unexpected method in connection state running";
        assert_eq!(closed, connection_error(504, text));
    }

    /// A response to `PLAIN` without user and password ends the stream without a word.
    #[source = "rabbit_auth_mechanism_plain.erl: handle_response"]
    async fn a_broken_response_ends_the_stream(target: Target) {
        let mut wire = Wire::dial(&target.url()).await;
        wire.start().await;
        let login = Login { response: b"guest".to_vec(), ..Login::new(&target.url()) };
        wire.send(0, login.start_ok()).await;
        wire.expect_eof().await;
    }

    /// A method out of its place in the handshake ends the stream without a word.
    #[source = "rabbit_reader.erl: handle_method0"]
    async fn a_method_out_of_place_ends_the_stream(target: Target) {
        let mut wire = Wire::dial(&target.url()).await;
        wire.start().await;
        wire.send(0, connection::Open { virtual_host: target.vhost().into() }).await;
        wire.expect_eof().await;
    }

    /// A frame larger than 8192 bytes before the tuning ends the stream without a word.
    #[source = "rabbit_reader.erl: handle_input"]
    async fn frames_are_small_before_the_tuning(target: Target) {
        let mut wire = Wire::dial(&target.url()).await;
        wire.start().await;
        let client_properties = table! { "long" => "x".repeat(9000) };
        let login = Login { client_properties, ..Login::new(&target.url()) };
        wire.send(0, login.start_ok()).await;
        wire.expect_eof().await;
    }
}
