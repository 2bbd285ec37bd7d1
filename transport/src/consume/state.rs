//! The life of a subscription as a pure state machine; the supervisor only carries out its actions.

/// Where a subscription stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Opening a channel and a consumer on it, after this many failed attempts in a row.
    Subscribing { failed: u32 },
    /// The broker delivers. The failures before are forgotten once this has proved stable.
    Running { failed: u32 },
    /// Waiting before the next attempt.
    Backoff { failed: u32 },
    /// Cancelled by us: nothing new comes, what came may still be settled.
    Cancelling,
    /// Over.
    Closed,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The broker confirmed the consumer.
    Subscribed,
    /// The attempt to subscribe failed.
    Refused,
    /// The wait is over.
    Elapsed,
    /// The consumer is gone without our asking; `stable` if it had lasted.
    Ended { stable: bool },
    /// We want no more deliveries.
    Cancel,
    /// We want to end.
    Close,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Open a channel and a consumer on it.
    Subscribe,
    /// Watch the consumer that is up.
    Watch,
    /// Wait after this many failures in a row.
    Wait { failed: u32 },
    /// Cancel the consumer and say that the deliveries end.
    Cancel,
    /// Say that the deliveries end, and wait to be closed.
    Linger,
    /// Settle what can be settled and close the channel.
    Finish,
}

// === impl State ===

impl State {
    /// Returns the state after an event, and what to do.
    pub(super) const fn next(self, event: Event) -> (Self, Action) {
        match (self, event) {
            (Self::Closed, _) | (_, Event::Close) => (Self::Closed, Action::Finish),
            (Self::Running { .. }, Event::Cancel) => (Self::Cancelling, Action::Cancel),
            (Self::Cancelling, _) | (_, Event::Cancel) => (Self::Cancelling, Action::Linger),
            (Self::Subscribing { failed }, Event::Subscribed) => (Self::Running { failed }, Action::Watch),
            (Self::Running { .. }, Event::Ended { stable: true }) => {
                (Self::Subscribing { failed: 0 }, Action::Subscribe)
            }
            (Self::Subscribing { failed } | Self::Backoff { failed }, Event::Refused)
            | (Self::Running { failed }, Event::Ended { .. } | Event::Refused) => {
                let failed = failed.saturating_add(1);
                (Self::Backoff { failed }, Action::Wait { failed })
            }
            (Self::Backoff { failed }, Event::Elapsed) => (Self::Subscribing { failed }, Action::Subscribe),
            // A late event changes nothing: the action of the state is repeated.
            (Self::Subscribing { .. }, _) => (self, Action::Subscribe),
            (Self::Running { .. }, _) => (self, Action::Watch),
            (Self::Backoff { failed }, _) => (self, Action::Wait { failed }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[track_caller]
    fn check(state: State, event: Event, next: State, action: Action) {
        assert_eq!(state.next(event), (next, action));
    }

    #[test]
    fn a_consumer_that_lasted_is_replaced_at_once() {
        check(
            State::Running { failed: 3 },
            Event::Ended { stable: true },
            State::Subscribing { failed: 0 },
            Action::Subscribe,
        );
    }

    #[test]
    fn a_consumer_that_ends_at_once_again_and_again_waits_longer_and_longer() {
        let mut state = State::Subscribing { failed: 0 };
        for failed in 1..10 {
            (state, _) = state.next(Event::Subscribed);
            let (next, action) = state.next(Event::Ended { stable: false });
            assert_eq!(action, Action::Wait { failed });
            (state, _) = next.next(Event::Elapsed);
        }
    }

    #[test]
    fn a_deleted_queue_is_asked_for_until_it_is_back() {
        let mut state = State::Running { failed: 0 };
        (state, _) = state.next(Event::Ended { stable: true });
        for failed in 1..100 {
            let (next, action) = state.next(Event::Refused);
            assert_eq!((next, action), (State::Backoff { failed }, Action::Wait { failed }));
            (state, _) = next.next(Event::Elapsed);
        }
        check(state, Event::Subscribed, State::Running { failed: 99 }, Action::Watch);
    }

    #[test]
    fn a_cancel_without_a_consumer_only_ends_the_deliveries() {
        check(State::Backoff { failed: 2 }, Event::Cancel, State::Cancelling, Action::Linger);
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        vec(
            prop_oneof![
                Just(Event::Subscribed),
                Just(Event::Refused),
                Just(Event::Elapsed),
                any::<bool>().prop_map(|stable| Event::Ended { stable }),
                Just(Event::Cancel),
                Just(Event::Close),
            ],
            0..60,
        )
    }

    proptest! {
        #[test]
        fn nothing_subscribes_again_after_a_cancel_or_a_close(events in events()) {
            let mut state = State::Subscribing { failed: 0 };
            let mut cancelled = false;
            let mut closed = false;
            for event in events {
                cancelled |= event == Event::Cancel;
                closed |= event == Event::Close;
                let (next, action) = state.next(event);
                state = next;
                if cancelled || closed {
                    let ending = matches!(action, Action::Cancel | Action::Linger | Action::Finish);
                    prop_assert!(ending, "{action:?} after a cancel");
                }
                prop_assert_eq!(closed, state == State::Closed);
            }
        }
    }
}
