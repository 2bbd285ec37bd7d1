//! Against a server of the test's own.

mod encrypted;

use std::{convert::Infallible, sync::Arc};

use hyper::{Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};

use crate::{Management, ManagementConfig, ManagementErrorKind};

/// Serves until it is dropped.
struct Server {
    config: ManagementConfig,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Answers each request by its path and query, and its `Authorization`.
    async fn start(answer: impl Fn(&str, &str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = ManagementConfig::default().login("reader", "s3cr3t-1");
        let config = ManagementConfig { host: "127.0.0.1".to_owned(), ..config }
            .port(listener.local_addr().unwrap().port());
        let answer = Arc::new(answer);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let answer = Arc::clone(&answer);
                let service = service_fn(move |request: hyper::Request<Incoming>| {
                    let login = request.headers().get("authorization").map(|value| value.to_str().unwrap());
                    let path = request.uri().path_and_query().unwrap().as_str();
                    let (status, body) = answer(path, login.unwrap_or_default());
                    async move { Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap()) }
                });
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { config, _tasks: tasks }
    }

    fn management(&self) -> Management {
        Management::new(self.config.clone()).unwrap()
    }
}

/// One page of queues `first..last` of so many.
fn page(number: usize, names: std::ops::Range<usize>, total: usize) -> String {
    let items: Vec<_> =
        names.map(|n| serde_json::json!({ "name": format!("q{n}"), "type": "classic" })).collect();
    serde_json::json!({
        "filtered_count": total, "item_count": items.len(), "items": items, "page": number,
        "page_count": total.div_ceil(500), "page_size": 500, "total_count": total,
    })
    .to_string()
}

fn number_of(path: &str) -> usize {
    path.split_once("page=").and_then(|(_, rest)| rest.split('&').next()).unwrap().parse().unwrap()
}

#[tokio::test]
async fn names_and_login_are_sent_as_http_asks() {
    let server = Server::start(|path, login| match (path, login) {
        ("/api/queues/a%2Fb/%252f..", "Basic cmVhZGVyOnMzY3IzdC0x") => {
            (200, r#"{"name":"%2f.."}"#.to_owned())
        }
        other => (400, format!("{other:?}")),
    })
    .await;
    let queue = server.management().queue("a/b", "%2f..").await.unwrap();
    assert_eq!(queue.unwrap().name, "%2f..");
}

#[tokio::test]
async fn every_page_of_a_list_is_read() {
    let server = Server::start(|path, _| {
        let number = number_of(path);
        (200, page(number, (number - 1) * 500..(number * 500).min(1200), 1200))
    })
    .await;
    let queues = server.management().queues("/").await.unwrap();
    assert_eq!(queues.len(), 1200);
    assert_eq!((queues[0].name.as_str(), queues[1199].name.as_str()), ("q0", "q1199"));
}

#[tokio::test]
async fn a_list_that_changes_meanwhile_is_read_anew() {
    let reads = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::start(move |path, _| {
        // The first round loses a queue between its pages; in the second there is only one page left.
        match (reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed), number_of(path)) {
            (0, 1) => (200, page(1, 0..500, 501)),
            (1, 2) => (400, r#"{"error":"bad_request","reason":"page_out_of_range"}"#.to_owned()),
            (2, 1) => (200, page(1, 0..500, 500)),
            other => (500, format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(server.management().queues("/").await.unwrap().len(), 500);
}

#[tokio::test]
async fn a_list_that_never_stands_still_is_an_error() {
    let server = Server::start(|path, _| {
        let number = number_of(path);
        (200, page(number, 0..500, 1000 + number))
    })
    .await;
    let error = server.management().queues("/").await.unwrap_err();
    assert_eq!(error.kind(), ManagementErrorKind::Changing);
    assert!(error.is_transient() && error.to_string().contains("the queues of vhost `/`"), "{error}");
}

#[tokio::test]
async fn alarms_come_with_a_status_of_their_own() {
    let alarms = r#"{"status":"failed","reason":"resource alarm(s) in effect","alarms":[{"node":"rabbit@a","resource":"memory"}]}"#;
    let server = Server::start(move |path, _| match path {
        "/api/overview" => {
            (200, r#"{"rabbitmq_version":"4.3.1","exchange_types":[{"name":"topic"}]}"#.to_owned())
        }
        _ => (503, alarms.to_owned()),
    })
    .await;
    let broker = server.management().broker().await.unwrap();
    assert_eq!((broker.version.as_str(), broker.exchange_types.contains("topic")), ("4.3.1", true));
    assert_eq!((broker.alarms[0].node.as_str(), broker.alarms[0].resource.as_str()), ("rabbit@a", "memory"));
}

#[tokio::test]
async fn nothing_shows_the_login() {
    let server =
        Server::start(|_, _| (401, r#"{"error":"not_authorized","reason":"Login failed"}"#.to_owned())).await;
    let error = Management::connect(server.config.clone()).await.unwrap_err();
    assert_eq!((error.kind(), error.status_code()), (ManagementErrorKind::AccessRefused, Some(401)));
    let shown = format!("{error} {error:?} {:?} {:?}", server.management(), server.config);
    assert!(!shown.contains("s3cr3t") && !shown.contains("cmVhZGVy"), "{shown}");
}

#[tokio::test]
async fn what_is_not_there_is_none_or_an_error_by_name() {
    let server = Server::start(|_, _| (404, String::new())).await;
    let management = server.management();
    assert!(management.queue("/", "none").await.unwrap().is_none());
    assert!(management.vhost("none").await.unwrap().is_none());
    let error = management.bindings("none").await.unwrap_err();
    assert_eq!(error.kind(), ManagementErrorKind::NotFound);
    assert!(error.to_string().contains("the bindings of vhost `none`"), "{error}");
}

#[tokio::test]
async fn another_kind_of_server_is_told_apart() {
    let server = Server::start(|_, _| (200, "<html>".to_owned())).await;
    let error = server.management().broker().await.unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ManagementErrorKind::Unexpected, false));
}

/// The clock stands still while anything can go on, and then jumps to the deadline.
#[tokio::test(start_paused = true)]
async fn a_server_that_answers_nothing_is_given_up_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://u:p@{}", listener.local_addr().unwrap());
    let error = Management::connect(url.as_str()).await.unwrap_err();
    assert_eq!(error.kind(), ManagementErrorKind::TimedOut);
    assert!(error.to_string().contains("within 10s"), "{error}");
}

#[tokio::test]
async fn a_kept_connection_that_is_gone_is_replaced() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serve = async {
        // The first connection takes a second request and is closed without an answer.
        for answers in [[true, false], [true, true]] {
            let mut stream = tokio::io::BufStream::new(listener.accept().await.unwrap().0);
            for answers in answers {
                let mut line = String::new();
                while !line.ends_with("\r\n\r\n") && stream.read_line(&mut line).await.unwrap() > 0 {}
                if answers {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]").await.unwrap();
                    stream.flush().await.unwrap();
                }
            }
        }
    };
    let read = async {
        let management = Management::new(url.as_str()).unwrap();
        for _ in 0..3 {
            assert_eq!(management.policies("/").await.unwrap(), []);
        }
    };
    tokio::join!(serve, read);
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_unreachable() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let error = Management::connect(format!("http://127.0.0.1:{port}").as_str()).await.unwrap_err();
    assert_eq!(error.kind(), ManagementErrorKind::Unreachable);
    assert!(error.is_transient() && error.to_string().contains("rabbitmq_management"), "{error}");
}

#[tokio::test]
async fn a_wrong_configuration_is_found_before_anybody_is_asked() {
    for config in [
        ManagementConfig::default().timeout(std::time::Duration::ZERO),
        ManagementConfig::default().login("a:b", "p"),
    ] {
        assert_eq!(Management::new(config).unwrap_err().kind(), ManagementErrorKind::Config);
    }
}

#[test]
fn a_handle_goes_everywhere() {
    fn check<T: Clone + Send + Sync + 'static>() {}
    check::<Management>();
}
