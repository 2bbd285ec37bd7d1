//! What the delays of a policy are, in code and from files.

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn delays(retry: &Retry, count: u32) -> Vec<Duration> {
    (1..=count).map_while(|failed| retry.delay(failed)).collect()
}

fn from_toml(text: &str) -> Result<Retry, String> {
    toml::from_str(text).map_err(|error: toml::de::Error| error.message().to_owned())
}

#[test]
fn delays_double_grow_or_stay_up_to_their_maximum() {
    assert_eq!(delays(&Retry::exponential(SECOND..=5 * SECOND), 4), [1, 2, 4, 5].map(Duration::from_secs));
    assert_eq!(delays(&Retry::linear(2 * SECOND..=5 * SECOND), 4), [2, 4, 5, 5].map(Duration::from_secs));
    assert_eq!(delays(&Retry::fixed(3 * SECOND), 3), [3, 3, 3].map(Duration::from_secs));
}

#[test]
fn the_limit_of_attempts_counts_the_first_one() {
    assert_eq!(delays(&Retry::fixed(SECOND).attempts(3), 9).len(), 2);
    for attempts in [0, 1] {
        assert_eq!(Retry::fixed(SECOND).attempts(attempts).delay(1), None);
    }
    assert_eq!(Retry::never().delay(1), None);
    assert_eq!(Retry::never().max_attempts(), Some(1));
}

#[test]
fn a_custom_policy_is_asked_and_still_limited() {
    let retry = Retry::custom(|failed| (failed < 5).then_some(failed * SECOND));
    assert_eq!(delays(&retry, 9), [1, 2, 3, 4].map(Duration::from_secs));
    assert_eq!(delays(&retry.clone().attempts(3), 9).len(), 2);
    assert_eq!(Retry::custom(|_| Some(Duration::MAX)).delay(1), Some(LONGEST));
    assert_eq!(retry, retry.clone());
    assert_ne!(retry, Retry::custom(|_| None));
    assert!(serde_json::to_string(&retry).is_err());
}

#[test]
#[should_panic(expected = "must grow up to `max`")]
fn an_empty_range_is_a_wiring_mistake() {
    let _ = Retry::linear(2 * SECOND..=SECOND);
}

#[test]
#[should_panic(expected = "must begin above zero")]
fn a_delay_that_cannot_grow_is_a_wiring_mistake() {
    let _ = Retry::exponential(Duration::ZERO..=SECOND);
}

#[test]
fn a_file_says_the_same_as_code() {
    let text = "growth = 'exponential'\nmin = '500ms'\nmax = '30s'\nattempts = 8\njitter = true\n";
    let coded = Retry::exponential(SECOND / 2..=30 * SECOND).attempts(8).jitter(true);
    assert_eq!(from_toml(text), Ok(coded));
    assert_eq!(from_toml("growth = 'fixed'\nmin = '1s'\n"), Ok(Retry::fixed(SECOND)));
}

#[test]
fn a_file_that_makes_no_sense_is_refused_with_the_reason() {
    for (text, reason) in [
        ("growth = 'linear'\nmin = '2s'\nmax = '1s'\n", "raise `max`"),
        ("growth = 'linear'\nmin = '2s'\n", "needs a `max`"),
        ("growth = 'exponential'\nmin = '0s'\nmax = '1s'\n", "above zero"),
        ("growth = 'fixed'\nmin = '1s'\nmax = '2s'\n", "leave `max` out"),
        ("growth = 'fixed'\nmin = '1s'\nattempts = 0\n", "at least 1"),
        ("growth = 'fixed'\nmin = '1s'\njiter = true\n", "jiter"),
        ("growth = 'random'\nmin = '1s'\n", "random"),
    ] {
        let error = from_toml(text).unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
}

#[cfg(feature = "backoff")]
#[test]
fn a_policy_of_the_crate_backoff_gives_the_delays() {
    use backoff::{ExponentialBackoffBuilder, backoff as policies};

    let exponential = Retry::backoff(|| {
        ExponentialBackoffBuilder::new()
            .with_initial_interval(SECOND)
            .with_multiplier(3.0)
            .with_randomization_factor(0.0)
            .with_max_interval(10 * SECOND)
            .build()
    });
    assert_eq!(delays(&exponential, 4), [1, 3, 9, 10].map(Duration::from_secs));
    assert_eq!(exponential.delay(u32::MAX), Some(10 * SECOND), "without end, and without drawing for ever");
    assert_eq!(delays(&exponential.attempts(3), 9).len(), 2);
    assert_eq!(Retry::backoff(|| policies::Stop {}).delay(1), None);
    assert_eq!(Retry::backoff(|| policies::Constant::new(SECOND)).delay(7), Some(SECOND));
}

fn policies() -> impl Strategy<Value = (Retry, Duration)> {
    let times = (1..=u64::MAX, any::<u32>(), 1..=u64::MAX);
    (times, 0..3, proptest::option::of(1_u32..), any::<bool>()).prop_map(
        |((a, nanos, b), growth, attempts, jitter)| {
            let (min, max) =
                (Duration::new(a.min(b) / 2, nanos % 1_000_000_000), Duration::from_secs(a.max(b)));
            let retry = match growth {
                0 => Retry::exponential(min + SECOND..=max.max(min + SECOND)),
                1 => Retry::linear(min + SECOND..=max.max(min + SECOND)),
                _ => Retry::fixed(max),
            };
            let retry = retry.jitter(jitter);
            (attempts.map_or(retry.clone(), |attempts| retry.attempts(attempts)), max.max(min + SECOND))
        },
    )
}

proptest! {
    #[test]
    fn a_delay_never_overflows_never_shrinks_and_never_passes_its_maximum((retry, max) in policies(), failed: u32) {
        let steady = retry.clone().jitter(false);
        let (delay, next) = (steady.delay(failed), steady.delay(failed.saturating_add(1)));
        if let (Some(delay), Some(next)) = (delay, next) {
            prop_assert!(delay <= next && next <= max.min(LONGEST));
        }
        prop_assert_eq!(delay.is_some(), retry.max_attempts().is_none_or(|attempts| failed < attempts));
        if let (Some(steady), Some(drawn)) = (delay, retry.delay(failed)) {
            prop_assert!(drawn <= steady && drawn >= steady.mul_f64(0.4999));
        }
    }

    #[test]
    fn a_policy_survives_a_file(minutes in 1_u64..1000, more in 0_u64..1000, attempts in proptest::option::of(1_u32..)) {
        let min = Duration::from_secs(60 * minutes);
        let retry = Retry::exponential(min..=min + Duration::from_millis(more)).jitter(true);
        let retry = attempts.map_or(retry.clone(), |attempts| retry.attempts(attempts));
        let text = toml::to_string(&retry).unwrap();
        prop_assert_eq!(from_toml(&text), Ok(retry));
    }
}
