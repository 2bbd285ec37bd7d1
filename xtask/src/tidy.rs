//! The invariants that the source itself can show. Each check is one file with its tests; `cargo xtask test` runs them all
//! on the real tree, and so do the unit tests of this package.

mod dependencies;
mod hygiene;
mod libraries;
mod named_tests;
mod tree;

use std::process::ExitCode;

use anyhow::{Result, ensure};

use self::tree::{Finding, Tree};

/// Returns the places that break one invariant.
type Check = fn(&Tree) -> Vec<Finding>;

/// What is checked: the invariant, and the check.
const CHECKS: [(&str, Check); 10] = [
    ("only transport and benches name lapin", dependencies::lapin_is_contained),
    ("no public item of transport shows a lapin type", dependencies::lapin_is_not_public),
    ("shared and topology do no I/O and know no runtime", dependencies::vocabulary_does_no_io),
    ("management only reads", dependencies::management_only_reads),
    ("libraries never read the environment, print or install a global", libraries::leave_the_process_alone),
    ("every crate takes the lints of the workspace", hygiene::lints_are_inherited),
    ("no test is ignored", hygiene::no_test_is_ignored),
    ("no file has more than 400 lines", hygiene::files_are_small),
    ("nothing names a path outside the project", hygiene::no_foreign_paths),
    ("every test that a document names exists", named_tests::exist),
];

/// Checks the tree and prints what was found.
pub(crate) fn run() -> Result<ExitCode> {
    check_all()?;
    Ok(ExitCode::SUCCESS)
}

/// Fails with everything that was found.
pub(crate) fn check_all() -> Result<()> {
    let tree = Tree::read()?;
    let mut findings = 0;
    for (invariant, check) in CHECKS {
        let found = check(&tree);
        eprintln!("{} {invariant}", if found.is_empty() { "ok    " } else { "BROKEN" });
        for finding in &found {
            eprintln!("       {finding}");
        }
        findings += found.len();
    }
    ensure!(findings == 0, "{findings} findings against the invariants of the source");
    Ok(())
}

/// Runs one check on the real tree, for the unit tests.
#[cfg(test)]
#[track_caller]
fn assert_holds(check: Check) {
    let found = check(&Tree::read().expect("the tree can be read"));
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}
