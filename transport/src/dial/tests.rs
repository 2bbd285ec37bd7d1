//! A peer that never answers costs a deadline and nothing else.

use std::time::Instant;

use super::*;
use crate::runtime::IoRuntime;

/// Counts lapin's threads in this process. No other unit test opens a connection.
fn io_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux shows threads");
    let name =
        |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
    tasks.flatten().map(name).filter(|name| name.trim() == "lapin-io-loop").count()
}

#[tokio::test]
async fn a_handshake_that_is_never_answered_ends_at_the_deadline_and_leaves_no_thread() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = Config::default();
    let port = silent.local_addr().unwrap().port();
    config.endpoints = vec![Address { host: "127.0.0.1".to_owned(), port, ..Address::default() }];
    config.connection.connect_timeout = Duration::from_millis(300);
    let runtime = Arc::new(IoRuntime::start().unwrap());
    // The peer keeps every socket open: only our own side can end lapin's thread.
    let mut kept = Vec::new();
    for _ in 0..3 {
        let (config, io) = (config.clone(), Arc::clone(&runtime));
        let dialing = runtime.spawn(async move { dial(&config, Role::Publish, &io, None).await });
        kept.push(silent.accept().await.unwrap());
        let started = Instant::now();
        while io_threads() == 0 {
            assert!(started.elapsed() < Duration::from_secs(5), "lapin never started its thread");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let error = dialing.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        assert!(error.to_string().contains("the AMQP handshake took longer"), "{error}");
    }
    let started = Instant::now();
    while io_threads() > 0 {
        assert!(started.elapsed() < Duration::from_secs(10), "{} threads are left", io_threads());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
