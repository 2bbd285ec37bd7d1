//! Frames that are wrong, and frames in the wrong place.

use garenne_tests::Target;
use garenne_tests::wire::{
    AMQPContentHeader, AMQPFrame, BasicProperties, Closed, Draft, Exchange, Method, Queue, Wire, channel,
    connection_error, encode,
};

use crate::behaviours;

/// The frame of a passive declare, on channel 1, to be broken.
fn passive_declare() -> Vec<u8> {
    encode(&AMQPFrame::Method(1, Exchange::passive("amq.direct").class()))
}

/// The header of a content, for `basic` unless the test breaks it.
fn header(body_size: u64) -> AMQPFrame {
    let properties = BasicProperties::default();
    AMQPFrame::Header(1, AMQPContentHeader { class_id: 60, body_size, properties })
}

/// Sends frames after `channel.open`; they must end the connection.
async fn broken(target: &Target, frames: &[AMQPFrame]) -> Closed {
    let mut wire = target.channel().await;
    for frame in frames {
        wire.send_frame(frame).await;
    }
    wire.expect_connection_error().await
}

/// Sends bytes after `channel.open`; they must end the connection.
async fn broken_bytes(target: &Target, bytes: &[u8]) -> Closed {
    let mut wire = target.channel().await;
    wire.send_bytes(bytes).await;
    wire.expect_connection_error().await
}

fn publish() -> AMQPFrame {
    AMQPFrame::Method(1, Draft::to_queue("q").publish.class())
}

behaviours! {
    area = "frames", source = "rabbit_command_assembler.erl: process";

    /// A frame whose last byte is not 206 closes the connection with 501.
    #[source = "rabbit_reader.erl: handle_input"]
    async fn a_wrong_frame_end_is_a_frame_error(target: Target) {
        let mut bytes = passive_declare();
        *bytes.last_mut().expect("a frame has an end") = 205;
        let closed = broken_bytes(&target, &bytes).await;
        assert_eq!(closed.code, 501);
        assert!(closed.text.starts_with("FRAME_ERROR - type 1, first 16 octets = <<"), "{closed}");
    }

    /// A frame of a type that there is not closes the connection with 501.
    #[source = "rabbit_reader.erl: handle_frame"]
    async fn an_unknown_frame_type_is_a_frame_error(target: Target) {
        let closed = broken_bytes(&target, &[5, 0, 1, 0, 0, 0, 1, 7, 206]).await;
        assert_eq!(closed, connection_error(501, "FRAME_ERROR - type 5, all octets = <<7>>: unknown_frame"));
    }

    /// A frame that is announced as larger than the negotiated frame-max closes the connection with 501.
    #[source = "rabbit_reader.erl: handle_input"]
    async fn a_frame_beyond_frame_max_is_a_frame_error(target: Target) {
        let closed = broken_bytes(&target, &[3, 0, 1, 0, 2, 0, 1]).await;
        let text = "FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,131073,131064}";
        assert_eq!(closed, connection_error(501, text));
    }

    /// A heartbeat on a channel other than 0 closes the connection with 505.
    #[source = "rabbit_reader.erl: handle_frame"]
    async fn a_heartbeat_on_a_channel_is_unexpected(target: Target) {
        let closed = broken_bytes(&target, &[8, 0, 1, 0, 0, 0, 0, 206]).await;
        assert_eq!(closed, connection_error(505, "UNEXPECTED_FRAME - type 8, all octets = <<>>"));
    }

    /// A content header on channel 0 closes the connection with 505.
    #[source = "rabbit_reader.erl: handle_frame"]
    async fn content_on_channel_zero_is_unexpected(target: Target) {
        let closed = broken_bytes(&target, &[3, 0, 0, 0, 0, 0, 1, 7, 206]).await;
        assert_eq!(closed, connection_error(505, "UNEXPECTED_FRAME - type 3, all octets = <<7>>"));
    }

    /// A content header without a method before it closes the connection with 505.
    async fn a_header_without_a_method_is_unexpected(target: Target) {
        let closed = broken(&target, &[header(1)]).await;
        let text = "UNEXPECTED_FRAME - expected method frame, got non method frame instead";
        assert_eq!(closed, connection_error(505, text));
        assert_eq!(closed.method, (0, 0));
    }

    /// A body where the content header should be closes the connection with 505, and blames `basic.publish`.
    async fn a_body_before_its_header_is_unexpected(target: Target) {
        let closed = broken(&target, &[publish(), AMQPFrame::Body(1, b"hello".to_vec())]).await;
        let text = "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead";
        assert_eq!(closed, connection_error(505, text));
        assert_eq!(closed.method, (60, 40));
    }

    /// A method where the body should be closes the connection with 505.
    async fn a_method_amid_a_content_is_unexpected(target: Target) {
        let closed = broken(&target, &[publish(), header(5), publish()]).await;
        let text = "UNEXPECTED_FRAME - expected content body, got non content body frame instead";
        assert_eq!(closed, connection_error(505, text));
        assert_eq!(closed.method, (60, 40));
    }

    /// A content header of another class than its method closes the connection with 505.
    async fn a_header_of_another_class_is_unexpected(target: Target) {
        let AMQPFrame::Header(_, mut other) = header(5) else { unreachable!("header() makes a header") };
        other.class_id = 50;
        let closed = broken(&target, &[publish(), AMQPFrame::Header(1, other)]).await;
        let text = "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead";
        assert_eq!(closed, connection_error(505, text));
    }

    /// More body than the header announces closes the connection with 501.
    async fn a_body_beyond_its_size_is_a_frame_error(target: Target) {
        let closed = broken(&target, &[publish(), header(3), AMQPFrame::Body(1, b"hello".to_vec())]).await;
        let text = "FRAME_ERROR - content body frame exceeds remaining content size";
        assert_eq!(closed, connection_error(501, text));
        assert_eq!(closed.method, (60, 40));
    }

    /// A content header that announces more than 512 MiB closes the connection with 501 before any body.
    async fn a_gigantic_body_is_refused_by_its_header(target: Target) {
        let closed = broken(&target, &[publish(), header(1 << 60)]).await;
        let text = "FRAME_ERROR - content body size 1152921504606846976 exceeds maximum allowed size 536870912";
        assert_eq!(closed, connection_error(501, text));
    }

    /// A body may come in any number of frames, empty ones too.
    async fn a_body_comes_in_any_number_of_frames(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.confirm_select(1).await;
        let body = |bytes: &[u8]| AMQPFrame::Body(1, bytes.to_vec());
        for frame in [publish(), header(5), body(b"he"), body(b""), body(b"ll"), body(b"o")] {
            wire.send_frame(&frame).await;
        }
        wire.expect_confirms(1, 1).await;
        assert_eq!(wire.take_one(1, "q").await.text(), "hello");
    }

    /// A message with a body of zero bytes has no body frame.
    async fn an_empty_body_needs_no_frame(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.confirm_select(1).await;
        wire.send_frame(&publish()).await;
        wire.send_frame(&header(0)).await;
        wire.expect_confirms(1, 1).await;
        assert_eq!(wire.take_one(1, "q").await.text(), "");
    }

    /// Frames of several channels may be mixed, amid contents too.
    async fn frames_of_channels_may_be_mixed(target: Target) {
        let mut wire = target.channel().await;
        wire.open_channel(2).await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.confirm_select(1).await;
        wire.send_frame(&publish()).await;
        wire.send_frame(&header(5)).await;
        wire.declare_exchange(2, Exchange::passive("amq.direct")).await;
        wire.send_frame(&AMQPFrame::Body(1, b"hello".to_vec())).await;
        wire.expect_confirms(1, 1).await;
        assert_eq!(wire.take_one(2, "q").await.text(), "hello");
    }

    /// A class and method that there are not end the stream without a word.
    #[source = "rabbit_framing_amqp_0_9_1.erl: lookup_method_name"]
    async fn an_unknown_method_ends_the_stream(target: Target) {
        let mut wire = target.channel().await;
        wire.send_bytes(&[1, 0, 1, 0, 0, 0, 4, 0, 60, 0, 77, 206]).await;
        wire.expect_eof().await;
    }

    /// A method whose fields are cut short closes the connection with 501.
    #[source = "rabbit_framing_amqp_0_9_1.erl: decode_method_fields"]
    async fn a_method_cut_short_is_refused(target: Target) {
        let closed = broken_bytes(&target, &[1, 0, 1, 0, 0, 0, 5, 0, 50, 0, 10, 0, 206]).await;
        assert_eq!(closed, connection_error(501, "FRAME_ERROR - cannot decode <<0>>"));
    }

    /// A field table with an unknown type of value ends the stream without a word.
    #[source = "rabbit_binary_parser.erl: parse_table"]
    async fn a_broken_table_ends_the_stream(target: Target) {
        let frame = AMQPFrame::Method(1, Queue::quorum("q").class());
        let mut bytes = encode(&frame);
        let kind = bytes.iter().rposition(|byte| *byte == b'S').expect("the type of the argument");
        bytes[kind] = b'?';
        let mut wire = target.channel().await;
        wire.send_bytes(&bytes).await;
        wire.expect_eof().await;
    }

    /// After an error of the connection nothing that still arrives is done.
    async fn nothing_is_done_after_an_error(target: Target) {
        let mut wire = target.channel().await;
        wire.send_frame(&header(1)).await;
        wire.send(1, Queue::quorum("late")).await;
        wire.expect_connection_error().await;
        let mut wire = target.channel().await;
        assert_eq!(wire.refused(1, Queue::passive("late")).await.code, 404);
    }

    /// A channel's method on channel 0 closes the connection with 504.
    #[source = "rabbit_reader.erl: handle_method0"]
    async fn a_channels_method_on_channel_zero_is_refused(target: Target) {
        let mut wire: Wire = target.wire().await;
        let closed = wire.refused(0, channel::Open {}).await;
        assert_eq!(closed, connection_error(504, "CHANNEL_ERROR - unexpected method in connection state running"));
    }

    /// A frame may be up to 8 bytes larger than the negotiated frame-max, for clients that count wrongly.
    #[source = "rabbit_reader.erl: FRAME_SIZE_FUDGE"]
    async fn a_frame_a_little_too_large_is_taken(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("q")).await;
        wire.confirm_select(1).await;
        wire.send_frame(&publish()).await;
        wire.send_frame(&header(131_072)).await;
        wire.send_frame(&AMQPFrame::Body(1, vec![7; 131_072])).await;
        wire.expect_confirms(1, 1).await;
        assert_eq!(wire.take_one(1, "q").await.body.len(), 131_072);
    }

    /// A client's heartbeats are taken at any time, without a negotiated heartbeat too.
    #[source = "rabbit_reader.erl: handle_frame"]
    async fn heartbeats_are_taken_at_any_time(target: Target) {
        let mut wire = target.channel().await;
        wire.send_frame(&AMQPFrame::Heartbeat).await;
        wire.send_frame(&publish()).await;
        wire.send_frame(&AMQPFrame::Heartbeat).await;
        wire.send_frame(&header(0)).await;
        wire.declare_exchange(1, Exchange::passive("amq.direct")).await;
    }

    /// Properties that cannot be read close the connection with 541.
    #[source = "rabbit_binary_parser.erl: ensure_content_decoded"]
    async fn broken_properties_are_an_internal_error(target: Target) {
        let mut bytes = encode(&publish());
        // A content header for 0 bytes whose flags announce a content type, which is not there.
        bytes.extend([2, 0, 1, 0, 0, 0, 14, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 206]);
        let closed = broken_bytes(&target, &bytes).await;
        assert_eq!(closed, connection_error(541, "INTERNAL_ERROR"));
    }

    /// A name that is not UTF-8 closes the connection with 501.
    #[source = "rabbit_binary_parser.erl: assert_utf8"]
    async fn a_name_is_utf8(target: Target) {
        let mut bytes = encode(&AMQPFrame::Method(1, Queue::passive("x").class()));
        let name = bytes.iter().rposition(|byte| *byte == b'x').expect("the name");
        bytes[name] = 0xFF;
        let closed = broken_bytes(&target, &bytes).await;
        assert_eq!(closed, connection_error(501, "FRAME_ERROR - Malformed UTF-8 in shortstr"));
    }

    /// A method with more bytes than its fields is refused.
    #[source = "rabbit_framing_amqp_0_9_1.erl: decode_method_fields"]
    async fn a_method_with_bytes_left_is_refused(target: Target) {
        let closed = broken_bytes(&target, &[1, 0, 1, 0, 0, 0, 5, 0, 20, 0, 41, 9, 206]).await;
        assert_eq!(closed, connection_error(501, "FRAME_ERROR - cannot decode <<9>>"));
    }
}
