//! The text of the errors that users meet first: the rule, the value found, the object's name, the remedy. Code matches kinds.

use garenne::{
    Client, Codecs, Config, ErrorKind, Exchange, MessageType, PublishError, PublishErrorKind, Queue,
    QueueName, RoutingKey, Topology,
};

#[track_caller]
fn check<T: std::fmt::Debug, E: ToString>(outcome: Result<T, E>, expected: &str) {
    assert_eq!(outcome.map_err(|error| error.to_string()).expect_err("it is an error"), expected);
}

fn variables(name: &str, value: &str) -> Result<Config, garenne::ConfigError> {
    Config::from_vars([(name.to_owned(), value.to_owned())])
}

#[test]
fn a_wrong_url_says_how_to_write_one() {
    check(
        Config::from_url("http://user:password@broker"),
        "`***@broker` is not an AMQP URL: it does not begin with `amqp://` or `amqps://`; write `amqp://user:password@host:5672/vhost`",
    );
}

#[test]
fn a_wrong_variable_says_its_name_and_its_rule() {
    check(
        variables("GARENNE_HEARTBEAT", "10"),
        "variable `GARENNE_HEARTBEAT` must be a time with its unit, such as `10s`, but is `10`",
    );
    check(variables("GARENNE_WINDOW", "0"), "variable `GARENNE_WINDOW` must be at least 1, but is `0`");
}

#[test]
fn a_wrong_name_says_what_it_names() {
    check(
        QueueName::try_from("q".repeat(256)),
        "a queue name is at most 255 bytes, but `qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq…` has 256; shorten it",
    );
    check(MessageType::try_from(String::new()), "a message type must not be empty");
}

#[test]
fn a_body_that_cannot_be_read_says_its_content_type() {
    check(
        Codecs::json().decode::<u8>(Some("application/cbor"), b"5"),
        "no codec is registered for content type `application/cbor`; add one with `Codecs::with`",
    );
    check(
        Codecs::json().decode::<u8>(None, b"five"),
        "the body does not decode as `application/json` to the message type",
    );
}

#[test]
fn a_topology_that_contradicts_itself_says_where() {
    let billing = Queue::quorum("billing").bind("odrers", "order.placed.*").dead_letter();
    check(
        Topology::new().exchange(Exchange::topic("orders").bound_elsewhere()).queue(billing).validate(),
        "queue `billing` is bound to exchange `odrers`, which nobody declares; define it, correct the name, or name it as external if somebody else declares it",
    );
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_named_without_its_password() {
    // Bound and let go: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = Config::from_url(&format!("amqp://user:hunter2@127.0.0.1:{port}/shop")).unwrap();
    let error = Client::connect(config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    let expected = "no broker can be reached (amqp://127.0.0.1:PORT/shop: the TCP connect failed: Connection refused (os error 111)); check the address and that the broker runs";
    assert_eq!(error.to_string().replace(&port.to_string(), "PORT"), expected);
}

#[test]
fn a_failed_publish_says_where_it_was_meant_to_go() {
    let key = RoutingKey::from_static("order.placed.eu");
    let error = PublishError::new(PublishErrorKind::Unroutable, "orders".into(), key, "no queue is bound");
    assert_eq!(
        error.to_string(),
        "publish to exchange `orders` with key `order.placed.eu`: no queue is bound"
    );
}
