//! The broker as its users hold it: starting, connecting, moving its clock, stopping.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use amq_protocol::frame::{AMQPFrame, ProtocolVersion, WriteContext, gen_frame, parse_frame};
use amq_protocol::protocol::basic::{AMQPMethod as BasicMethod, Consume, Get};
use amq_protocol::protocol::connection::{AMQPMethod, Open, StartOk, TuneOk};
use amq_protocol::protocol::{AMQPClass, channel};
use garenne_embedded::Broker;
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};

/// Nothing here takes longer, also on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

async fn connect(url: &str) -> Result<Connection, lapin::Error> {
    let connecting = Connection::connect(url, ConnectionProperties::default());
    tokio::time::timeout(DEADLINE, connecting).await.expect("the broker answers")
}

async fn declare(channel: &Channel, queue: &str, arguments: FieldTable) -> lapin::Queue {
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.into(), options, arguments).await.expect("the queue can be declared")
}

async fn depth(channel: &Channel, queue: &str) -> u32 {
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare(queue.into(), options, FieldTable::default()).await;
    queue.expect("the queue is there").message_count()
}

async fn publish(channel: &Channel, queue: &str, body: &[u8]) {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let confirm = channel.basic_publish("".into(), queue.into(), options, body, BasicProperties::default());
    let confirmation = confirm.await.expect("published").await.expect("confirmed");
    assert!(confirmation.is_ack(), "{confirmation:?}");
}

/// Publishes one message and gets it back.
async fn round_trip(broker: &Broker) {
    let connection = connect(broker.url()).await.expect("guest may connect");
    let channel = connection.create_channel().await.expect("a channel opens");
    channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms are on");
    declare(&channel, "q", FieldTable::default()).await;
    publish(&channel, "q", b"hello").await;
    let found = channel.basic_get("q".into(), BasicGetOptions { no_ack: true }).await.expect("answered");
    assert_eq!(found.expect("a message").delivery.data, b"hello");
}

#[tokio::test]
async fn a_broker_works_on_a_runtime_of_one_thread() {
    round_trip(&Broker::start().await.expect("the broker starts")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_works_on_a_runtime_of_many_threads() {
    round_trip(&Broker::start().await.expect("the broker starts")).await;
}

#[tokio::test]
async fn brokers_do_not_know_each_other() {
    let first = Broker::start().await.expect("the first starts");
    let second = Broker::start().await.expect("the second starts");
    assert_ne!(first.url(), second.url());
    round_trip(&first).await;
    round_trip(&second).await;
    drop(first);
    round_trip(&second).await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error() {
    let first = Broker::start().await.expect("the first starts");
    let second = Broker::builder().port(first.address().port()).start().await;
    assert!(second.is_err());
}

#[test]
fn a_broker_ends_when_it_is_dropped_outside_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let broker = runtime.block_on(Broker::start()).expect("the broker starts");
    drop(runtime);
    let address = broker.address();
    let mut client = open(&broker);
    drop(broker);
    assert!(is_over(&mut client));
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_broker_ends_when_it_is_dropped_within_a_task() {
    let broker = Broker::start().await.expect("the broker starts");
    let mut client = open(&broker);
    drop(broker);
    assert!(is_over(&mut client));
}

#[tokio::test]
async fn clients_are_told_when_the_broker_stops() {
    let broker = Broker::start().await.expect("the broker starts");
    let mut client = open(&broker);
    broker.stop().await;
    let AMQPFrame::Method(0, AMQPClass::Connection(AMQPMethod::Close(close))) = receive(&mut client) else {
        panic!("no connection.close");
    };
    assert_eq!(close.reply_code, 320);
    assert_eq!(
        close.reply_text.as_str(),
        "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"
    );
    assert!(is_over(&mut client));
}

#[tokio::test]
async fn the_clock_is_moved_by_hand() {
    let broker = Broker::builder().paused_clock().start().await.expect("the broker starts");
    let connection = connect(broker.url()).await.expect("guest may connect");
    let channel = connection.create_channel().await.expect("a channel opens");
    channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms are on");
    let mut arguments = FieldTable::default();
    arguments.insert("x-message-ttl".into(), AMQPValue::LongInt(8 * 3_600_000));
    declare(&channel, "slow", arguments).await;
    publish(&channel, "slow", b"hello").await;
    broker.advance(Duration::from_secs(8 * 3600 - 1));
    assert_eq!(depth(&channel, "slow").await, 1);
    broker.advance(Duration::from_secs(1));
    assert_eq!(depth(&channel, "slow").await, 0);
}

#[tokio::test]
async fn the_clock_runs_by_itself() {
    let broker = Broker::start().await.expect("the broker starts");
    let connection = connect(broker.url()).await.expect("guest may connect");
    let channel = connection.create_channel().await.expect("a channel opens");
    channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms are on");
    let mut arguments = FieldTable::default();
    arguments.insert("x-message-ttl".into(), AMQPValue::LongInt(50));
    arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString("".into()));
    arguments.insert("x-dead-letter-routing-key".into(), AMQPValue::LongString("late".into()));
    declare(&channel, "short", arguments).await;
    declare(&channel, "late", FieldTable::default()).await;
    publish(&channel, "short", b"hello").await;
    let arrival = async { while depth(&channel, "late").await == 0 {} };
    tokio::time::timeout(DEADLINE, arrival).await.expect("the message expires");
}

#[tokio::test]
async fn users_may_do_what_their_permissions_say() {
    let broker = Broker::builder()
        .vhost("my vhost")
        .user("reader", "p@ss/word")
        .permissions("reader", "my vhost", "^$", "^$", ".*")
        .start()
        .await
        .expect("the broker starts");
    let url = broker.url_for("reader", "p@ss/word", "my vhost");
    let connection = connect(&url).await.expect("reader may connect");
    let channel = connection.create_channel().await.expect("a channel opens");
    let declared = channel.queue_declare(
        "q".into(),
        QueueDeclareOptions { durable: true, ..Default::default() },
        FieldTable::default(),
    );
    assert!(declared.await.expect_err("reader may not configure").to_string().contains("ACCESS_REFUSED"));
    let other = connect(&broker.url_for("reader", "p@ss/word", "/")).await;
    assert!(other.expect_err("reader may not use this vhost").to_string().contains("NOT_ALLOWED"));
    let wrong = connect(&broker.url_for("reader", "wrong", "my vhost")).await;
    assert!(wrong.expect_err("the password is wrong").to_string().contains("ACCESS_REFUSED"));
}

#[tokio::test]
async fn permissions_of_nobody_are_an_error() {
    let unknown_user = Broker::builder().permissions("nobody", "/", "", "", "").start().await;
    assert!(unknown_user.expect_err("no such user").to_string().contains("`nobody`"));
    let unknown_vhost = Broker::builder().permissions("guest", "none", "", "", "").start().await;
    assert!(unknown_vhost.expect_err("no such vhost").to_string().contains("`none`"));
    let broken = Broker::builder().permissions("guest", "/", "(", "", "").start().await;
    assert!(broken.expect_err("no expression").to_string().contains("regular expression"));
}

#[tokio::test]
async fn a_consumer_that_does_not_read_is_not_buffered_for() {
    let broker = Broker::start().await.expect("the broker starts");
    let connection = connect(broker.url()).await.expect("guest may connect");
    let channel = connection.create_channel().await.expect("a channel opens");
    channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms are on");
    declare(&channel, "q", FieldTable::default()).await;
    let mut client = open(&broker);
    let consume = BasicMethod::Consume(Consume { queue: "q".into(), no_ack: true, ..Default::default() });
    send(&mut client, &AMQPFrame::Method(1, AMQPClass::Basic(consume)));
    receive(&mut client);
    // Far more than the sockets and the broker's buffer hold together.
    let body = vec![7; 256 << 10];
    for _ in 0..100 {
        publish(&channel, "q", &body).await;
    }
    let left = depth(&channel, "q").await;
    assert!(left > 20, "only {left} of 100 messages are left in the queue");
    // It reads again, and gets everything.
    let mut bodies = 0;
    while bodies < 100 * body.len() {
        if let AMQPFrame::Body(1, part) = receive(&mut client) {
            bodies += part.len();
        }
    }
    assert_eq!(depth(&channel, "q").await, 0);
}

#[tokio::test]
async fn a_client_that_asks_on_and_on_before_it_reads_gets_every_answer() {
    let broker = Broker::start().await.expect("the broker starts");
    let connection = connect(broker.url()).await.expect("guest may connect");
    let channel = connection.create_channel().await.expect("a channel opens");
    channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms are on");
    declare(&channel, "q", FieldTable::default()).await;
    let body = vec![7; 256 << 10];
    for _ in 0..50 {
        publish(&channel, "q", &body).await;
    }
    let mut client = open(&broker);
    let get = Get { queue: "q".into(), no_ack: true };
    for _ in 0..51 {
        send(&mut client, &AMQPFrame::Method(1, AMQPClass::Basic(BasicMethod::Get(get.clone()))));
    }
    let mut bodies = 0;
    loop {
        match receive(&mut client) {
            AMQPFrame::Body(1, part) => bodies += part.len(),
            AMQPFrame::Method(1, AMQPClass::Basic(BasicMethod::GetEmpty(_))) => break,
            _ => {}
        }
    }
    assert_eq!(bodies, 50 * body.len());
}

#[tokio::test]
async fn a_large_message_survives() {
    let broker = Broker::start().await.expect("the broker starts");
    let connection = connect(broker.url()).await.expect("guest may connect");
    let channel = connection.create_channel().await.expect("a channel opens");
    channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms are on");
    declare(&channel, "q", FieldTable::default()).await;
    let body: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    publish(&channel, "q", &body).await;
    let consumer =
        channel.basic_consume("q".into(), "".into(), BasicConsumeOptions::default(), FieldTable::default());
    let mut consumer = consumer.await.expect("consuming");
    let delivery = tokio::time::timeout(DEADLINE, futures_util::StreamExt::next(&mut consumer)).await;
    assert_eq!(delivery.expect("in time").expect("a delivery").expect("no error").data, body);
}

#[test]
fn handles_can_be_shared() {
    fn check<T: Send + Sync + std::fmt::Debug>() {}
    check::<Broker>();
    check::<garenne_embedded::Builder>();
    check::<garenne_embedded::StartError>();
}

/// Opens a connection and its channel 1 by hand.
fn open(broker: &Broker) -> TcpStream {
    let mut stream = TcpStream::connect(broker.address()).expect("the broker listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout can be set");
    let method = |method| AMQPFrame::Method(0, AMQPClass::Connection(method));
    send(&mut stream, &AMQPFrame::ProtocolHeader(ProtocolVersion::amqp_0_9_1()));
    receive(&mut stream);
    let start_ok =
        StartOk { mechanism: "PLAIN".into(), response: "\0guest\0guest".into(), ..StartOk::default() };
    send(&mut stream, &method(AMQPMethod::StartOk(start_ok)));
    receive(&mut stream);
    let tune_ok = TuneOk { channel_max: 10, frame_max: 131_072, heartbeat: 0 };
    send(&mut stream, &method(AMQPMethod::TuneOk(tune_ok)));
    send(&mut stream, &method(AMQPMethod::Open(Open { virtual_host: "/".into() })));
    receive(&mut stream);
    let open = channel::AMQPMethod::Open(channel::Open {});
    send(&mut stream, &AMQPFrame::Method(1, AMQPClass::Channel(open)));
    receive(&mut stream);
    stream
}

fn send(stream: &mut TcpStream, frame: &AMQPFrame) {
    let bytes = gen_frame(frame)(WriteContext::from(Vec::new())).expect("a vector takes any bytes").write;
    stream.write_all(&bytes).expect("the broker reads");
}

fn receive(stream: &mut TcpStream) -> AMQPFrame {
    let mut bytes = vec![0; 7];
    stream.read_exact(&mut bytes).expect("the broker writes");
    let size = u32::from_be_bytes([bytes[3], bytes[4], bytes[5], bytes[6]]) as usize;
    bytes.resize(7 + size + 1, 0);
    stream.read_exact(&mut bytes[7..]).expect("the broker writes");
    parse_frame(bytes.as_slice()).expect("the broker writes frames").1
}

/// Whether the connection is closed or reset.
fn is_over(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0]) {
        Ok(size) => size == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

#[tokio::test]
async fn waiting_in_vain_shows_what_there_is() {
    let broker = Broker::start().await.expect("the broker starts");
    let connection = connect(broker.url()).await.expect("guest may connect");
    let channel = connection.create_channel().await.expect("a channel opens");
    channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms are on");
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(9));
    declare(&channel, "work", arguments).await;
    publish(&channel, "work", b"hello").await;
    let mut waiting = tokio::task::JoinSet::new();
    waiting.spawn(async move {
        broker.wait_until_within(Duration::ZERO, |state| state.ready("work") == 2).await;
    });
    let vain = waiting.join_next().await.expect("it was spawned");
    let panic = vain.expect_err("it is never two").into_panic();
    let text = panic.downcast::<String>().expect("a panic with a message");
    for line in [
        "broker.rs:",
        "queue `work` (classic): 1 ready, x-max-length 9\n",
        "as `guest`, channels [1]\n",
        "message of 5 B to `` by `work`: ready in `work`",
    ] {
        assert!(text.contains(line), "`{line}` is not in: {text}");
    }
}
