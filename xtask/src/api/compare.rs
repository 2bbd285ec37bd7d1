//! What changed between two lists of lines.

use std::collections::BTreeMap;

/// Returns the lines that were lost (`-`) and those that are new (`+`); `None` if the texts have the same lines.
pub(super) fn difference(was: &str, is: &str) -> Option<String> {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    was.lines().for_each(|line| *counts.entry(line).or_default() -= 1);
    is.lines().for_each(|line| *counts.entry(line).or_default() += 1);
    // In the order of the texts: an item and what belongs to it stand together there.
    let changed = |text: &str, mark: char, sign: i64| {
        let lines = text.lines().filter(|line| counts[line].signum() == sign);
        lines.map(|line| format!("{mark} {line}\n")).collect::<String>()
    };
    let changes = changed(was, '-', -1) + &changed(is, '+', 1);
    (!changes.is_empty()).then_some(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_lost_or_new_are_shown() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(difference("", ""), None);
        assert_eq!(difference("a\nb\n", "b\nc\n").as_deref(), Some("- a\n+ c\n"));
        assert_eq!(difference("", "a\n").as_deref(), Some("+ a\n"));
        assert_eq!(difference("a\na\n", "a\n").as_deref(), Some("- a\n- a\n"));
    }
}
