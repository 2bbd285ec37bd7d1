//! `docs/embedded-conformance.md`, written from the behaviours.

use std::collections::HashSet;
use std::fmt::Write;

use crate::{BEHAVIOURS, Behaviour};

/// What is said before and after the table, by hand.
const HEAD: &str = include_str!("head.md");
const DIFFERENCES: &str = include_str!("differences.md");

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/embedded-conformance.md");

#[test]
fn the_table_in_the_docs_is_current() {
    let written = document();
    #[expect(clippy::disallowed_methods, reason = "the fixture is configured by the environment")]
    if std::env::var("GARENNE_WRITE_DOCS").is_ok() {
        std::fs::write(DOCUMENT, written).expect("the document can be written");
        return;
    }
    let found = std::fs::read_to_string(DOCUMENT).unwrap_or_default();
    assert!(
        found == written,
        "docs/embedded-conformance.md is not current; \
         run `GARENNE_WRITE_DOCS=1 cargo test -p garenne-tests --test conformance the_table`"
    );
}

#[test]
fn every_behaviour_has_a_name_and_a_sentence_of_its_own() {
    let mut names = HashSet::new();
    for Behaviour { area, name, sentence, .. } in BEHAVIOURS.iter().copied().flatten() {
        assert!(names.insert((area, name)), "{area}: {name} is there twice");
        assert!(sentence.trim().ends_with('.'), "{area}: {name}: the sentence has no end");
        assert!(!sentence.contains('|'), "{area}: {name}: a bar would break the table");
    }
}

fn document() -> String {
    let behaviours: Vec<_> = BEHAVIOURS.iter().copied().flatten().collect();
    let mut text = HEAD.to_owned();
    let _ = writeln!(text, "\n## The {} behaviours", behaviours.len());
    let mut area = "";
    for behaviour in behaviours {
        if behaviour.area != area {
            area = behaviour.area;
            let _ =
                write!(text, "\n### {area}\n\n| behaviour | what RabbitMQ does | source |\n|---|---|---|\n");
        }
        let Behaviour { name, sentence, source, .. } = behaviour;
        let name = name.replace('_', " ");
        let sentence = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
        let _ = writeln!(text, "| {name} | {sentence} | {} |", link(source));
    }
    text.push('\n');
    text.push_str(DIFFERENCES);
    text
}

/// A page by its last words, a function of the server as code.
fn link(source: &str) -> String {
    match source.strip_prefix("https://www.rabbitmq.com/") {
        Some(page) => format!("[{page}]({source})"),
        None => format!("`{source}`"),
    }
}
