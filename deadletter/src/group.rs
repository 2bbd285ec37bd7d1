//! Dead letters counted by what they have in common.

use std::{
    collections::{HashMap, HashSet},
    time::SystemTime,
};

use crate::DeadLetter;

/// What dead letters are counted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupBy {
    /// The fingerprint: message type, end and error without what varies. The default.
    #[default]
    Fingerprint,
    /// The message type.
    Type,
    /// The end.
    End,
    /// The queue that they came from.
    Origin,
}

/// Dead letters that have something in common.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Group {
    /// What they have in common.
    pub key: String,
    /// How many there are.
    pub count: u64,
    /// When the first and the last of them were given up, as far as that is known.
    pub first: Option<SystemTime>,
    /// See [`first`](Self::first).
    pub last: Option<SystemTime>,
    /// The message type of one of them.
    pub message_type: String,
    /// The end of one of them.
    pub end: String,
    /// The error of one of them.
    pub error: Option<String>,
    /// How many queues they came from.
    pub origins: usize,
}

/// Counts dead letters by what they have in common.
#[derive(Debug, Default)]
pub struct Groups {
    by: GroupBy,
    groups: HashMap<String, (Group, HashSet<String>)>,
}

// === impl Groups ===

impl Groups {
    /// Makes an empty count.
    #[must_use]
    pub fn by(by: GroupBy) -> Self {
        Self { by, groups: HashMap::new() }
    }

    /// Counts a dead letter.
    pub fn add(&mut self, letter: &DeadLetter) {
        let origin = letter.origin().map_or_else(String::new, String::from);
        let key = match self.by {
            GroupBy::Fingerprint => letter.fingerprint(),
            GroupBy::Type => letter.message_type().to_owned(),
            GroupBy::End => letter.end.to_string(),
            GroupBy::Origin => origin.clone(),
        };
        let (group, origins) = self.groups.entry(key.clone()).or_insert_with(|| {
            let group = Group {
                key,
                count: 0,
                first: None,
                last: None,
                message_type: letter.message_type().to_owned(),
                end: letter.end.to_string(),
                error: letter.error().map(str::to_owned),
                origins: 0,
            };
            (group, HashSet::new())
        });
        group.count += 1;
        let at = letter.ended_at();
        group.first = [group.first, at].into_iter().flatten().min();
        group.last = [group.last, at].into_iter().flatten().max();
        origins.insert(origin);
        group.origins = origins.len();
    }

    /// Returns the groups, the largest first.
    #[must_use]
    pub fn into_groups(self) -> Vec<Group> {
        let mut groups: Vec<_> = self.groups.into_values().map(|(group, _)| group).collect();
        groups.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.key.cmp(&b.key)));
        groups
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use garenne_shared::HeaderValue;

    use super::*;
    use crate::letter::tests::letter;

    #[test]
    fn the_largest_group_stands_first() {
        let dead = |error: &'static str, queue: &'static str, at: u64| {
            letter([
                ("garenne-error-kind", "handler".into()),
                ("garenne-error-message", error.into()),
                ("garenne-origin-queue", queue.into()),
                ("garenne-failed-at", HeaderValue::Timestamp(at)),
            ])
        };
        let letters = [dead("no 1", "p", 5), dead("yes", "p", 1), dead("no 22", "o", 3)];
        let groups = |by| {
            let mut groups = Groups::by(by);
            letters.iter().for_each(|letter| groups.add(letter));
            groups.into_groups()
        };
        let found = groups(GroupBy::Fingerprint);
        assert_eq!(
            found.iter().map(|group| (group.count, group.origins)).collect::<Vec<_>>(),
            [(2, 2), (1, 1)]
        );
        let at = |seconds| Some(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!((found[0].first, found[0].last), (at(3), at(5)));
        let keys = |by| groups(by).into_iter().map(|group| (group.key, group.count)).collect::<Vec<_>>();
        assert_eq!(keys(GroupBy::Origin), [("p".to_owned(), 2), ("o".to_owned(), 1)]);
        assert_eq!(keys(GroupBy::End), [("handler".to_owned(), 3)]);
        assert_eq!(keys(GroupBy::Type), [(String::new(), 3)]);
    }
}
