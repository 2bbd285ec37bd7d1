//! The usual signals: the first asks for a stop, a later one forces it, and several within a second are one. A process of its own, because
//! signals are for the whole of it.
#![cfg(unix)]

use std::{
    pin::pin,
    process::Command,
    time::{Duration, Instant},
};

use garenne_consumer::shutdown_signal;
use tokio::time::{interval, timeout};

const SOON: Duration = Duration::from_secs(30);

fn raise() {
    let id = std::process::id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().expect("`kill` runs").success());
}

#[tokio::test]
async fn signals_within_a_second_are_one_and_a_later_one_forces_the_end() {
    let mut signal = pin!(shutdown_signal());
    assert!(futures_util::poll!(&mut signal).is_pending(), "nobody has sent a signal");
    let begun = Instant::now();
    raise();
    let mut force = timeout(SOON, signal).await.expect("the signal arrives");
    let again = async {
        let mut often = interval(Duration::from_millis(100));
        loop {
            often.tick().await;
            raise();
        }
    };
    timeout(SOON, async {
        tokio::select! {
            () = force.wait() => {}
            () = again => {}
        }
    })
    .await
    .expect("a later signal forces the end");
    assert!(begun.elapsed() >= Duration::from_secs(1), "signals within a second are one");
}
