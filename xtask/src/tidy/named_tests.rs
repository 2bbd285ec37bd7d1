//! Documents promise, and name the test that holds the promise: the test must exist.

use std::collections::BTreeSet;

use super::tree::{File, Finding, Tree};

/// The documents whose tables name tests.
const DOCUMENTS: [&str; 5] =
    ["ARCHITECTURE.md", "README.md", "docs/dead-letters.md", "docs/failure-modes.md", "docs/retries.md"];

/// In every table with a column headed by a word with *test* or *held by*, each row names at least one test, and each that it
/// names in backticks is a function of the tree.
pub(super) fn exist(tree: &Tree) -> Vec<Finding> {
    let functions = functions(tree);
    let documents = DOCUMENTS.iter().filter_map(|path| tree.file(path));
    documents.flat_map(|file| findings(file, &functions)).collect()
}

fn findings(file: &File, functions: &BTreeSet<&str>) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut column = None;
    for (line, text) in file.lines() {
        let Some(cells) = cells(text) else {
            column = None;
            continue;
        };
        let Some(column) = column else {
            // The first row of a table: a column without tests is looked for in no row.
            column = Some(cells.iter().position(|cell| heads_tests(cell)));
            continue;
        };
        let Some(cell) = column.and_then(|column: usize| cells.get(column)) else { continue };
        if cell.chars().all(|c| matches!(c, '-' | ':' | ' ')) {
            continue;
        }
        let named: Vec<&str> = quoted(cell).map(last_segment).filter(|name| is_test_name(name)).collect();
        if named.is_empty() {
            found.push(file.finding(line, "names no test"));
        }
        let missing = named.into_iter().filter(|name| !functions.contains(name));
        found.extend(
            missing.map(|name| file.finding(line, format!("names the test `{name}`, which does not exist"))),
        );
    }
    found
}

/// Every function in the Rust files.
fn functions(tree: &Tree) -> BTreeSet<&str> {
    let lines = tree.rust("").flat_map(File::code);
    let names = lines.filter_map(|(_, text)| {
        let (_, rest) = text.split_once("fn ")?;
        rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
    });
    names.collect()
}

fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.trim().strip_prefix('|')?.trim_end_matches('|');
    Some(inner.split('|').map(str::trim).collect())
}

fn heads_tests(cell: &str) -> bool {
    let cell = cell.to_lowercase();
    cell.contains("test") || cell.contains("held by")
}

fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn last_segment(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path)
}

/// Names of tests are sentences: lower case, with several underscores.
fn is_test_name(name: &str) -> bool {
    name.matches('_').count() >= 2 && name.chars().all(|c| c.is_lowercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::super::assert_holds;
    use super::*;

    #[test]
    fn every_test_that_a_document_names_exists() {
        assert_holds(exist);
    }

    #[test]
    fn missing_tests_and_rows_without_a_test_are_found() {
        let document = "| # | invariant | held by |\n|---|---|---|\n\
            | 1 | a | `suite::it_is_there_now` |\n| 2 | b | `it_is_not_there` |\n| 3 | c | nothing |\n\n\
            | name | meaning |\n|---|---|\n| `a_b_c` | no test |\n";
        let tree = Tree::of(&[("ARCHITECTURE.md", document), ("a.rs", "    async fn it_is_there_now() {")]);
        let found: Vec<String> = exist(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "ARCHITECTURE.md:4: names the test `it_is_not_there`, which does not exist",
                "ARCHITECTURE.md:5: names no test",
            ]
        );
    }
}
