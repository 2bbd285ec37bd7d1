//! The tracked files of the project.

use std::fmt;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::{environment, process};

/// The text files that git tracks, or would track.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) files: Vec<File>,
}

/// One text file.
#[derive(Debug)]
pub(super) struct File {
    /// Relative to the root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

/// A place that breaks an invariant.
#[derive(Debug)]
pub(super) struct Finding {
    path: String,
    line: usize,
    what: String,
}

impl Tree {
    pub(super) fn read() -> Result<Self> {
        let root = environment::root();
        let mut list = Command::new("git");
        list.args(["ls-files", "--cached", "--others", "--exclude-standard"]).current_dir(root);
        let listed = process::output(&mut list, Duration::from_secs(60))?;
        let read = |path: &str| {
            // A deleted file is listed until it is committed; a binary file is no text.
            let text = std::fs::read_to_string(root.join(path)).ok()?;
            Some(File { path: path.to_owned(), text })
        };
        Ok(Self { files: listed.lines().filter_map(read).collect() })
    }

    pub(super) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The Rust files under a directory, such as `shared/`; all of them for an empty one.
    pub(super) fn rust(&self, directory: &str) -> impl Iterator<Item = &File> {
        self.files.iter().filter(move |file| file.path.starts_with(directory) && file.path.ends_with(".rs"))
    }

    /// The manifests of the members of the workspace.
    pub(super) fn manifests(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with("/Cargo.toml"))
    }

    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let file = |&(path, text): &(&str, &str)| File { path: path.to_owned(), text: text.to_owned() };
        Self { files: files.iter().map(file).collect() }
    }
}

impl File {
    /// The lines with their numbers, comments left out: documentation may name what code may not.
    pub(super) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    pub(super) fn finding(&self, line: usize, what: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// Tells whether `name` occurs in `text` as a whole word.
pub(super) fn names(text: &str, name: &str) -> bool {
    let is_word = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(name).any(|(at, _)| {
        !is_word(text[..at].chars().next_back()) && !is_word(text[at + name.len()..].chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_as_a_word_only() {
        assert!(names("use lapin::Channel;", "lapin"));
        assert!(names("lapin.workspace = true", "lapin"));
        assert!(!names("let lapinou = 1;", "lapin"));
    }
}
