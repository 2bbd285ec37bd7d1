//! Many clients that lose the same broker and come back: a simulation of a backoff policy, without clock or socket.

use std::time::Duration;

/// When clients came back, counted from the moment the broker accepted logins again, earliest first.
#[derive(Debug)]
pub struct Return(Vec<Duration>);

/// Lets clients lose their broker together, for `down`, and dial until it accepts them.
///
/// `policy` says how long to wait after so many failures: after 0, the connection was lost a moment ago.
pub fn returns(clients: usize, down: Duration, mut policy: impl FnMut(u32) -> Duration) -> Return {
    let mut back = |_| {
        let (mut now, mut failed) = (policy(0), 0);
        while now < down {
            failed += 1;
            now += policy(failed);
        }
        now - down
    };
    let mut times: Vec<_> = (0..clients).map(&mut back).collect();
    times.sort_unstable();
    Return(times)
}

// === impl Return ===

impl Return {
    /// Returns the time within which this share of the clients was back.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        self.0[(self.0.len() * percent).div_ceil(100).max(1) - 1]
    }

    /// Returns the most connects within any stretch of this length.
    #[must_use]
    pub fn most_within(&self, stretch: Duration) -> usize {
        let within = |first: usize| self.0[first..].partition_point(|at| *at < self.0[first] + stretch);
        (0..self.0.len()).map(within).max().unwrap_or(0)
    }

    /// Returns how many times the mean of a second the worst second sees; the mean is over the time until the last is back, a second at
    /// least.
    #[must_use]
    pub fn worst_second(&self) -> f64 {
        let took = self.percentile(100).max(Duration::from_secs(1)).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "hundreds of clients")]
        let (most, all) = (self.most_within(Duration::from_secs(1)) as f64, self.0.len() as f64);
        most * took / all
    }
}

#[cfg(test)]
mod tests {
    use garenne_shared::Config;

    use super::*;

    const CLIENTS: usize = 500;
    /// From a short outage to one in which every backoff has grown to its end.
    const DOWN_MS: [u64; 7] = [300, 1000, 3000, 10_000, 30_000, 60_000, 300_000];

    /// The policy that clients follow; a lost connection is dialed anew at once.
    fn policy() -> impl Fn(u32) -> Duration {
        let reconnect = Config::default().connection.reconnect;
        move |failed| match failed {
            0 => Duration::ZERO,
            failed => reconnect.delay(failed).expect("connecting has no limit of attempts"),
        }
    }

    /// Plays every outage, always with the same dice.
    fn outages() -> impl Iterator<Item = (Duration, Return)> {
        fastrand::seed(500);
        DOWN_MS.into_iter().map(Duration::from_millis).map(|down| (down, returns(CLIENTS, down, policy())))
    }

    #[test]
    fn clients_that_come_back_together_do_not_stampede() {
        for (down, found) in outages() {
            let worst = found.worst_second();
            assert!(worst <= 3.0, "after {down:?} a second sees {worst:.1} times the mean of connects");
        }
    }

    #[test]
    fn clients_dial_again_soon_enough_to_be_back_within_three_seconds() {
        for (down, found) in outages() {
            let late = found.percentile(99);
            // The rest is for the login and the subscription.
            assert!(
                late <= Duration::from_millis(2500),
                "after {down:?} one in a hundred dials after {late:?}"
            );
        }
    }

    #[test]
    fn clients_without_jitter_stampede() {
        let found = returns(CLIENTS, Duration::from_secs(9), |_| Duration::from_secs(5));
        assert_eq!(found.most_within(Duration::from_millis(1)), CLIENTS);
    }
}
