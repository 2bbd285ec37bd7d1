//! Waiting on a condition instead of sleeping.

use std::fmt::Debug;
use std::panic::Location;
use std::time::{Duration, Instant};

/// Calls `check` until it returns `Ok`, at growing intervals of 10 to 200 ms, and returns its value.
///
/// After `deadline` it panics with `what` was waited for and the last `Err`, which should hold the state that was found.
#[track_caller]
pub fn eventually<T, S: Debug>(
    deadline: Duration,
    what: &str,
    mut check: impl AsyncFnMut() -> Result<T, S>,
) -> impl Future<Output = T> {
    let caller = Location::caller();
    async move {
        let start = Instant::now();
        let mut pause = Duration::from_millis(10);
        loop {
            let state = match check().await {
                Ok(value) => return value,
                Err(state) => state,
            };
            assert!(
                start.elapsed() < deadline,
                "{caller}: not within {deadline:?}: {what}; last seen: {state:?}"
            );
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_value_of_the_first_success_is_returned() {
        let mut calls = 0;
        let value = eventually(Duration::from_secs(5), "three calls", async || {
            calls += 1;
            if calls == 3 { Ok(calls) } else { Err(calls) }
        })
        .await;
        assert_eq!(value, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "the moon; last seen: \"cheese\"")]
    async fn the_last_state_is_in_the_panic() {
        eventually(Duration::ZERO, "the moon", async || Err::<(), _>("cheese")).await;
    }
}
