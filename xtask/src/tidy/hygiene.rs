//! What keeps the tree readable and the tests honest.

use super::tree::{Finding, Tree};

/// A file of more lines does more than one job.
const MOST_LINES: usize = 400;
/// Directories of one machine, not of the project; in two pieces, so that this file passes.
const FOREIGN: [&str; 4] =
    [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

/// Programs that people copy from: they print and read their environment, which the lints of the libraries forbid. And a workspace of
/// its own, built with flags of its own.
const WITHOUT_LINTS: [&str; 2] = ["examples/Cargo.toml", "embedded/fuzz/Cargo.toml"];

/// Every member's manifest says `[lints] workspace = true`; only the examples have lints of their own.
pub(super) fn lints_are_inherited(tree: &Tree) -> Vec<Finding> {
    let members = tree.manifests().filter(|file| !WITHOUT_LINTS.contains(&file.path.as_str()));
    let without = members.filter(|file| !file.text.contains("[lints]\nworkspace = true"));
    without.map(|file| file.finding(1, "does not take the lints of the workspace")).collect()
}

/// No test is switched off: what cannot run says so, and what does not hold is no test.
pub(super) fn no_test_is_ignored(tree: &Tree) -> Vec<Finding> {
    let attribute = concat!("#[ign", "ore");
    let files = tree.rust("").flat_map(|file| {
        file.code()
            .filter(|(_, text)| text.contains(attribute))
            .map(|(line, _)| file.finding(line, "is ignored"))
    });
    files.collect()
}

/// No Rust file has more than 400 lines.
pub(super) fn files_are_small(tree: &Tree) -> Vec<Finding> {
    let files = tree.rust("").map(|file| (file, file.text.lines().count()));
    let large = files.filter(|&(_, lines)| lines > MOST_LINES);
    large.map(|(file, lines)| file.finding(lines, format!("has {lines} lines"))).collect()
}

/// No text names a directory that only one machine has.
pub(super) fn no_foreign_paths(tree: &Tree) -> Vec<Finding> {
    let named = |text: &str, path: &str| {
        // A part of a longer path or of a URL is something else: `target/wo..`, `https://host/ho..`.
        let starts_path =
            |at: usize| !text[..at].ends_with(|c: char| c.is_alphanumeric() || "._-)}>*~".contains(c));
        text.match_indices(path).any(|(at, _)| starts_path(at))
    };
    let files = tree.files.iter().flat_map(|file| {
        file.lines().filter_map(|(line, text)| {
            let path = FOREIGN.iter().find(|path| named(text, path))?;
            Some(file.finding(line, format!("names a path of one machine: {path}")))
        })
    });
    files.collect()
}

#[cfg(test)]
mod tests {
    use super::super::assert_holds;
    use super::*;

    #[test]
    fn every_crate_takes_the_lints_of_the_workspace() {
        assert_holds(lints_are_inherited);
    }

    #[test]
    fn no_test_of_the_project_is_ignored() {
        assert_holds(no_test_is_ignored);
    }

    #[test]
    fn no_file_has_more_than_400_lines() {
        assert_holds(files_are_small);
    }

    #[test]
    fn nothing_names_a_path_outside_the_project() {
        assert_holds(no_foreign_paths);
    }

    #[test]
    fn what_breaks_a_rule_is_found() {
        let long = "\n".repeat(MOST_LINES + 1);
        let ignored = concat!("#[test]\n#[ign", "ore = \"slow\"]\nfn f() {}");
        let foreign = concat!("see `/ho", "me/me/notes`");
        let tree = Tree::of(&[
            ("a/Cargo.toml", "[package]"),
            ("a/src/long.rs", &long),
            ("a/src/ignored.rs", ignored),
            ("README.md", foreign),
        ]);
        assert_eq!(lints_are_inherited(&tree).len(), 1);
        assert_eq!(files_are_small(&tree).len(), 1);
        assert_eq!(no_test_is_ignored(&tree).len(), 1);
        assert_eq!(no_foreign_paths(&tree).len(), 1);
    }
}
