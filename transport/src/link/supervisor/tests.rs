//! How fast a lost connection is dialed again.

use super::*;

#[test]
fn a_stable_connection_is_dialed_again_at_once() {
    assert_eq!(failures(0, STABLE_AFTER), 0);
    assert_eq!(failures(7, STABLE_AFTER * 2), 0);
}

#[test]
fn connections_that_end_at_once_are_failures_in_a_row_but_never_many() {
    let mut failed = 0;
    for expected in [1, 2, 3, 3, 3] {
        failed = failures(failed, Duration::from_millis(1));
        assert_eq!(failed, expected);
    }
    assert_eq!(failures(u32::MAX, Duration::ZERO), FAILURES_AFTER_UP);
}
