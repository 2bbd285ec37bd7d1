//! `cargo xtask api`: the public API of every library, as one text file each in `docs/api`. A change of it must be seen, and is
//! accepted by writing the files anew.

mod compare;
mod rustdoc;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

pub(crate) use self::rustdoc::stand_in;
use crate::environment;

/// The libraries that users depend on.
const LIBRARIES: [&str; 10] = [
    "garenne-shared",
    "garenne-topology",
    "garenne-tls",
    "garenne-transport",
    "garenne-management",
    "garenne-producer",
    "garenne-consumer",
    "garenne-deadletter",
    "garenne",
    "garenne-embedded",
];

/// Traits of the compiler's own: no stable program can name them, and so nobody's depends on them.
const UNNAMEABLE: [&str; 3] = [
    "impl core::marker::Freeze for",
    "impl core::marker::StructuralPartialEq for",
    "impl core::marker::UnsafeUnpin for",
];

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Write what there is now
    #[arg(long)]
    write: bool,
}

/// Compares the public API with the files, or writes them.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if options.write {
        write()?;
    } else {
        check()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Fails with every difference of every library.
pub(crate) fn check() -> Result<()> {
    let mut changes = Vec::new();
    rustdoc::of_workspace()?;
    for library in LIBRARIES {
        let now = now(library)?;
        // A file that is not there yet is an API of nothing.
        let recorded = fs::read_to_string(file(library)).unwrap_or_default();
        if let Some(change) = compare::difference(&recorded, &now) {
            changes.push(format!("docs/api/{library}.txt:\n{change}"));
        }
    }
    if changes.is_empty() {
        return Ok(());
    }
    bail!(
        "the public API is another than recorded (`-` recorded, `+` now):\n{}\nif that is meant, say so in CHANGELOG.md and run \
         `cargo xtask api --write`",
        changes.join("\n")
    )
}

fn write() -> Result<()> {
    fs::create_dir_all(folder())?;
    rustdoc::of_workspace()?;
    for library in LIBRARIES {
        fs::write(file(library), now(library)?).with_context(|| file(library).display().to_string())?;
    }
    Ok(())
}

fn now(library: &str) -> Result<String> {
    render(&rustdoc::file(library)).context(library.to_owned())
}

/// Writes one line for each item, sorted: traits that a type has are items too, but for those that every type has.
fn render(json: &Path) -> Result<String> {
    let api = public_api::Builder::from_rustdoc_json(json).omit_blanket_impls(true).build();
    let api = api.context(
        "rustdoc's JSON has another format than the crate `public-api` reads: both change with Rust",
    )?;
    let lines = api.items().map(|item| format!("{item}\n"));
    Ok(lines.filter(|line| !is_block(line) && !UNNAMEABLE.iter().any(|name| line.contains(name))).collect())
}

/// Tells whether a line is the head of a block of functions: how a type's own functions are spread over blocks is nobody's business.
fn is_block(line: &str) -> bool {
    line.starts_with("impl") && !line.contains(" for ")
}

fn folder() -> PathBuf {
    environment::root().join("docs/api")
}

fn file(library: &str) -> PathBuf {
    folder().join(format!("{library}.txt"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "pub struct Kept; impl Kept { pub fn kept(&self) -> u8 { 1 } } fn private() {}";

    /// Compares the API of a crate of one file with that of another.
    #[track_caller]
    fn check(was: &str, is: &str, expected: &[&str]) {
        let directory = tempfile::tempdir().unwrap();
        let api = |source: &str| {
            let path = directory.path().join("lib.rs");
            fs::write(&path, source).unwrap();
            render(&rustdoc::of_file(&path, directory.path()).unwrap()).unwrap()
        };
        let change = compare::difference(&api(was), &api(is)).unwrap_or_default();
        assert_eq!(change.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_item_that_is_added_or_removed_is_a_difference() {
        let more = format!("{SOURCE} impl Kept {{ pub fn more(self) {{}} }}");
        check(SOURCE, &more, &["+ pub fn lib::Kept::more(self)"]);
        check(&more, SOURCE, &["- pub fn lib::Kept::more(self)"]);
    }

    #[test]
    fn another_signature_and_a_lost_trait_are_differences() {
        check(
            SOURCE,
            &SOURCE.replace("u8", "u16"),
            &["- pub fn lib::Kept::kept(&self) -> u8", "+ pub fn lib::Kept::kept(&self) -> u16"],
        );
        check(
            &format!("#[derive(Clone)] {SOURCE}"),
            SOURCE,
            &["- impl core::clone::Clone for lib::Kept", "- pub fn lib::Kept::clone(&self) -> lib::Kept"],
        );
    }

    #[test]
    fn what_is_private_may_change() {
        check(SOURCE, &SOURCE.replace("private", "hidden"), &[]);
    }
}
