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
    texts: BTreeMap<u64, String>,
}

/// A problem that makes [`Health::is_ready`](crate::Health::is_ready) false until this is dropped.
#[must_use = "the problem ends when this is dropped"]
pub struct Problem {
    problems: Problems,
    number: u64,
}

/// Something worth knowing that makes nothing less ready; it lasts until this is dropped.
#[derive(Debug)]
#[must_use = "the notice ends when this is dropped"]
pub struct Notice {
    _lasts: Problem,
}

// === impl Problems ===

impl Problems {
    pub(crate) fn begin(&self, text: String) -> Problem {
        let mut entries = self.lock();
        let number = entries.next;
        entries.next += 1;
        entries.texts.insert(number, text);
        drop(entries);
        Problem { problems: self.clone(), number }
    }

    /// Does the same in a list that tells of nothing wrong.
    pub(crate) fn notice(&self, text: String) -> Notice {
        Notice { _lasts: self.begin(text) }
    }

    /// Returns what is wrong, oldest first.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.lock().texts.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Problem ===

impl Drop for Problem {
    fn drop(&mut self) {
        self.problems.lock().texts.remove(&self.number);
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Problem").field("number", &self.number).finish_non_exhaustive()
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
    }
}
