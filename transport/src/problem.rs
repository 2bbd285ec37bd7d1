//! What keeps a client from being ready although its connections and subscriptions are up.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The problems of a client; each lasts until its [`Problem`] is dropped.
#[derive(Debug, Clone, Default)]
pub(crate) struct Problems(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    next: u64,
    problems: BTreeMap<u64, String>,
    notices: BTreeMap<u64, String>,
}

/// A problem that makes [`Health::is_ready`](crate::Health::is_ready) false until this is dropped.
#[must_use = "the problem ends when this is dropped"]
pub struct Problem {
    problems: Problems,
    number: u64,
}

/// Something worth knowing that makes nothing less ready; it lasts until this is dropped.
#[must_use = "the notice ends when this is dropped"]
pub struct Notice {
    problems: Problems,
    number: u64,
}

// === impl Problems ===

impl Problems {
    pub(crate) fn begin(&self, text: String) -> Problem {
        let mut entries = self.lock();
        let number = entries.next;
        entries.next += 1;
        entries.problems.insert(number, text);
        drop(entries);
        Problem { problems: self.clone(), number }
    }

    pub(crate) fn note(&self, text: String) -> Notice {
        let mut entries = self.lock();
        let number = entries.next;
        entries.next += 1;
        entries.notices.insert(number, text);
        drop(entries);
        Notice { problems: self.clone(), number }
    }

    /// Returns what is wrong, oldest first.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.lock().problems.values().cloned().collect()
    }

    /// Returns what is worth knowing, oldest first.
    pub(crate) fn notices(&self) -> Vec<String> {
        self.lock().notices.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Problem ===

impl Drop for Problem {
    fn drop(&mut self) {
        self.problems.lock().problems.remove(&self.number);
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Problem").field("number", &self.number).finish_non_exhaustive()
    }
}

// === impl Notice ===

impl Drop for Notice {
    fn drop(&mut self) {
        self.problems.lock().notices.remove(&self.number);
    }
}

impl fmt::Debug for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notice").field("number", &self.number).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_lasts_until_it_is_dropped() {
        let problems = Problems::default();
        let first = problems.begin("first".to_owned());
        let second = problems.begin("second".to_owned());
        assert_eq!(problems.texts(), ["first", "second"]);
        drop(first);
        assert_eq!(problems.texts(), ["second"]);
        drop(second);
        assert!(problems.texts().is_empty());
        let notice = problems.note("worth knowing".to_owned());
        assert_eq!((problems.texts(), problems.notices()), (Vec::new(), vec!["worth knowing".to_owned()]));
        drop(notice);
        assert!(problems.notices().is_empty());
    }
}
