//! Faults of the broker's answers: an answer that comes late, or never.

use crate::core::{is_answer, is_counted};

/// What happens to something that the broker sends, at any step of the protocol; for [`Faults::on_answer`](super::Faults::on_answer).
///
/// The broker has done its work by then, and believes that the client knows. Everything else goes on: other channels, other
/// connections, heartbeats.
///
/// ```
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use garenne_embedded::{AnswerFault, Broker};
///
/// let broker = Broker::start().await?;
/// // The second subscription of any client is answered late, as by a slow network.
/// broker.faults().on_answer(AnswerFault::hold("basic.consume-ok").nth(2));
/// // No channel opens on the connections whose name contains `/publish`.
/// broker.faults().on_answer(AnswerFault::swallow("channel.open-ok").to("/publish"));
/// // ..
/// broker.faults().release_answers();
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerFault {
    method: String,
    is_held: bool,
    nth: Option<u64>,
    to: Option<String>,
}

// === impl AnswerFault ===

impl AnswerFault {
    /// Holds every method of this name back, such as `basic.consume-ok`, with all that follows on its channel, until
    /// [`Faults::release_answers`](super::Faults::release_answers).
    ///
    /// # Panics
    ///
    /// If a broker sends no such method.
    #[track_caller]
    #[must_use]
    pub fn hold(method: &str) -> Self {
        Self::new(method, true)
    }

    /// Swallows every method of this name, such as `confirm.select-ok`; what follows goes out.
    ///
    /// # Panics
    ///
    /// If a broker sends no such method.
    #[track_caller]
    #[must_use]
    pub fn swallow(method: &str) -> Self {
        Self::new(method, false)
    }

    #[track_caller]
    fn new(method: &str, is_held: bool) -> Self {
        assert!(
            is_answer(method),
            "a broker sends no `{method}`{}; name one of its methods, such as `basic.consume-ok` or `channel.open-ok`",
            if is_counted(method) { ", clients do" } else { "" }
        );
        Self { method: method.to_owned(), is_held, nth: None, to: None }
    }

    /// Strikes once only, at the nth of these methods from now on; the next one is the first. Default: at each of them.
    ///
    /// # Panics
    ///
    /// If `nth` is 0.
    #[track_caller]
    #[must_use]
    pub fn nth(mut self, nth: u64) -> Self {
        self.nth = Some(super::control::from_one(nth));
        self
    }

    /// Strikes, and counts, only at connections whose client's `connection_name` contains this text. Default: at all of them.
    ///
    /// The client tells its name with `connection.start-ok`, so that `connection.start` goes to nobody who has one.
    #[must_use]
    pub fn to(mut self, connection_name: &str) -> Self {
        self.to = Some(connection_name.to_owned());
        self
    }

    /// Returns whether this holds answers back; else it swallows them.
    pub(crate) fn is_held(&self) -> bool {
        self.is_held
    }

    /// Counts a method that is about to be sent; returns whether it is held (`true`) or swallowed, `None` if nothing happens to it.
    pub(crate) fn strike(&mut self, method: &str, client: Option<&str>) -> Option<bool> {
        let is_meant = self.method == method
            && self.to.as_deref().is_none_or(|to| client.is_some_and(|client| client.contains(to)));
        if !is_meant {
            return None;
        }
        let Some(nth) = &mut self.nth else { return Some(self.is_held) };
        if *nth == 0 {
            return None;
        }
        *nth -= 1;
        (*nth == 0).then_some(self.is_held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_at_its_number_and_its_connections() {
        let mut fault = AnswerFault::hold("basic.consume-ok").nth(2).to("/consume");
        let strikes = [
            ("basic.consume-ok", Some("app/consume")),
            ("basic.consume-ok", Some("app/publish")),
            ("basic.qos-ok", Some("app/consume")),
            ("basic.consume-ok", None),
            ("basic.consume-ok", Some("app/consume")),
            ("basic.consume-ok", Some("app/consume")),
        ];
        let struck = strikes.map(|(method, client)| fault.strike(method, client));
        assert_eq!(struck, [None, None, None, None, Some(true), None]);
        let mut every = AnswerFault::swallow("basic.ack");
        assert_eq!([every.strike("basic.ack", None), every.strike("basic.ack", None)], [Some(false); 2]);
    }

    #[test]
    #[should_panic(expected = "a broker sends no `basic.consume`, clients do")]
    fn a_method_of_clients_is_no_answer() {
        let _ = AnswerFault::hold("basic.consume");
    }
}
