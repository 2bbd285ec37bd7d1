//! How far a publish has come: whether a failed attempt is followed by another, and what the failure is called in the end.

use std::time::Duration;

use garenne_shared::Retry;
use garenne_transport::PublishErrorKind;

/// The attempts of one publish. Pure: time is handed in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    attempts: u32,
    may_be_stored: bool,
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another attempt after this delay.
    Again(Duration),
    /// No further attempt; the publish failed for this cause.
    GiveUp(PublishErrorKind),
}

// === impl Progress ===

impl Progress {
    /// Counts an attempt that begins.
    pub(crate) const fn begin(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
    }

    /// Returns how many attempts have begun.
    pub(crate) const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Decides what follows the failure of the running attempt.
    ///
    /// `elapsed` is the time since the first attempt began, `attempt` the time since the running one did. Time already spent in
    /// the failed attempt is subtracted from the delay.
    pub(crate) fn failed(
        &mut self,
        kind: PublishErrorKind,
        elapsed: Duration,
        attempt: Duration,
        retry: &Retry,
        deadline: Duration,
    ) -> Next {
        self.may_be_stored |= kind == PublishErrorKind::Unknown;
        if matches!(kind, PublishErrorKind::Nacked | PublishErrorKind::Unknown | PublishErrorKind::NotSent)
            && let Some(delay) = retry.delay(self.attempts).map(|delay| delay.saturating_sub(attempt))
            && elapsed.saturating_add(delay) < deadline
        {
            return Next::Again(delay);
        }
        Next::GiveUp(self.final_kind(kind))
    }

    /// An earlier attempt without a confirm may have stored the message: nothing that a later one comes to takes that back. A return does
    /// not either: the route may have been another one by then.
    const fn final_kind(&self, last: PublishErrorKind) -> PublishErrorKind {
        if self.may_be_stored { PublishErrorKind::Unknown } else { last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn second_attempt_after(first: PublishErrorKind, then: PublishErrorKind) -> Next {
        let retry = Retry::fixed(Duration::from_millis(5)).attempts(2);
        let mut progress = Progress::default();
        progress.begin();
        let next = progress.failed(first, Duration::ZERO, Duration::ZERO, &retry, MINUTE);
        assert_eq!(next, Next::Again(Duration::from_millis(5)), "{first:?}");
        progress.begin();
        progress.failed(then, Duration::ZERO, Duration::ZERO, &retry, MINUTE)
    }

    #[test]
    fn only_what_was_refused_lost_or_not_sent_is_tried_again() {
        use PublishErrorKind::{
            Blocked, Closed, Encode, Nacked, NoExchange, NotSent, TooLarge, Unknown, Unroutable,
        };
        let retry = Retry::fixed(Duration::ZERO);
        for kind in [Unroutable, NoExchange, Blocked, TooLarge, Encode, Closed, Nacked, Unknown, NotSent] {
            let mut progress = Progress::default();
            progress.begin();
            let next = progress.failed(kind, Duration::ZERO, Duration::ZERO, &retry, MINUTE);
            let again = matches!(kind, Nacked | Unknown | NotSent);
            assert_eq!(next, if again { Next::Again(Duration::ZERO) } else { Next::GiveUp(kind) });
        }
    }

    #[test]
    fn no_attempt_begins_after_the_deadline() {
        let retry = Retry::fixed(Duration::from_secs(10));
        let mut progress = Progress::default();
        progress.begin();
        let mut after = |seconds| {
            let elapsed = Duration::from_secs(seconds);
            progress.failed(PublishErrorKind::Nacked, elapsed, Duration::ZERO, &retry, MINUTE)
        };
        assert_eq!(after(49), Next::Again(Duration::from_secs(10)));
        assert_eq!(after(50), Next::GiveUp(PublishErrorKind::Nacked));
    }

    #[test]
    fn the_delay_counts_from_the_sending_of_the_failed_attempt() {
        let retry = Retry::fixed(Duration::from_secs(10));
        for (took, left) in [(4, 6), (30, 0)] {
            let mut progress = Progress::default();
            progress.begin();
            let took = Duration::from_secs(took);
            let next = progress.failed(PublishErrorKind::Unknown, took, took, &retry, MINUTE);
            assert_eq!(next, Next::Again(Duration::from_secs(left)));
        }
    }

    #[test]
    fn a_message_that_may_be_stored_stays_unknown_whatever_follows() {
        use PublishErrorKind::{Blocked, Closed, Nacked, Unknown, Unroutable};
        for then in [Nacked, Blocked, Closed, Unknown, Unroutable] {
            assert_eq!(second_attempt_after(Unknown, then), Next::GiveUp(Unknown), "{then:?}");
        }
    }

    #[test]
    fn a_message_that_never_left_keeps_the_last_cause() {
        use PublishErrorKind::{Blocked, Nacked, NotSent};
        assert_eq!(second_attempt_after(NotSent, Blocked), Next::GiveUp(Blocked));
        assert_eq!(second_attempt_after(Nacked, Nacked), Next::GiveUp(Nacked));
    }
}
