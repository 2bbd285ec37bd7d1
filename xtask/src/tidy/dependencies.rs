//! Who may depend on what (invariants 1 and 2).

use super::tree::{File, Finding, Tree, names};

/// Who may name lapin: the one crate that wraps it, its peer in the benchmarks, and what tries the embedded broker with a foreign client.
const LAPIN: [&str; 5] =
    ["transport/", "benches/", "embedded/tests/", "embedded/examples/", "embedded/Cargo.toml"];
/// The crates without I/O.
const VOCABULARY: [&str; 2] = ["shared/", "topology/"];
/// What no crate of the vocabulary may depend on.
const RUNTIMES: [&str; 6] = ["tokio", "tokio-util", "lapin", "async-rs", "futures-util", "socket2"];
/// What no source of the vocabulary may name.
const IO: [&str; 5] = ["std::fs", "std::net", "std::process", "std::thread", "std::io"];

/// Only `transport` and `benches` name lapin, in manifests and in code.
pub(super) fn lapin_is_contained(tree: &Tree) -> Vec<Finding> {
    let may = |file: &&File| !LAPIN.iter().any(|directory| file.path.starts_with(directory));
    let manifests = tree.manifests().filter(may).flat_map(|file| {
        let named = file.lines().filter(|(_, line)| dependency(line) == Some("lapin"));
        named.map(|(line, _)| file.finding(line, "depends on lapin"))
    });
    let sources = tree.rust("").filter(may).flat_map(|file| {
        let named = file.code().filter(|(_, line)| names_crate(line, "lapin"));
        named.map(|(line, text)| file.finding(line, format!("names lapin: `{}`", text.trim())))
    });
    manifests.chain(sources).collect()
}

/// No public item of `transport` names lapin: neither a re-export, nor a signature, nor an implementation for its types.
pub(super) fn lapin_is_not_public(tree: &Tree) -> Vec<Finding> {
    let root = tree.file("transport/src/lib.rs").map(statements).unwrap_or_default();
    let exports: Vec<&str> = root.iter().filter_map(|(_, text)| text.strip_prefix("pub use ")).collect();
    tree.rust("transport/src/").flat_map(|file| findings_of_public(file, &exports.concat())).collect()
}

fn findings_of_public(file: &File, exports: &str) -> Vec<Finding> {
    let mut imported = Vec::new();
    let mut found = Vec::new();
    for (line, text) in statements(file) {
        if let Some(imports) = text.strip_prefix("use lapin::") {
            let words = imports.split(|c: char| !c.is_alphanumeric() && c != '_');
            imported.extend(words.filter(|word| word.starts_with(char::is_uppercase)).map(str::to_owned));
        }
        // A conversion is as public as the type that it makes.
        let target = text.strip_prefix("impl From<").and_then(|rest| rest.split_once("> for "));
        let target = target.map(|(_, target)| target.trim_end_matches(['{', '}', ' ']));
        let public = text.starts_with("pub ") || target.is_some_and(|target| names(exports, target));
        // A type of our own of the same name would have to be imported as well, which does not compile.
        let shown = names_crate(&text, "lapin") || imported.iter().any(|name| names(&text, name));
        if public && shown {
            found.push(file.finding(line, format!("shows a lapin type: `{text}`")));
        }
    }
    found
}

/// Imports and the heads of items in one line each: a signature or an import may go over several.
fn statements(file: &File) -> Vec<(usize, String)> {
    let mut statements = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (line, text) in file.code() {
        let (start, mut statement) = open.take().unwrap_or((line, String::new()));
        statement.push_str(text.trim());
        let import = statement.starts_with("use ") || statement.starts_with("pub use ");
        let head = import || ["pub ", "impl"].iter().any(|head| statement.starts_with(head));
        let field =
            statement.ends_with(',') && statement.matches('(').count() == statement.matches(')').count();
        let whole =
            if import { statement.ends_with(';') } else { field || statement.contains(['{', ';', '}']) };
        if head && !whole {
            open = Some((start, statement + " "));
        } else if head {
            statements.push((start, statement));
        }
    }
    statements
}

/// `shared` and `topology` depend on no runtime and do no I/O.
pub(super) fn vocabulary_does_no_io(tree: &Tree) -> Vec<Finding> {
    let in_vocabulary = |file: &&File| VOCABULARY.iter().any(|directory| file.path.starts_with(directory));
    let manifests = tree.manifests().filter(in_vocabulary).flat_map(|file| {
        let named = file.lines().filter_map(|(line, text)| Some((line, dependency(text)?)));
        let forbidden = named.filter(|(_, name)| RUNTIMES.contains(name));
        forbidden.map(|(line, name)| file.finding(line, format!("depends on {name}"))).collect::<Vec<_>>()
    });
    let sources = tree.rust("").filter(in_vocabulary).filter(|file| file.path.contains("/src/"));
    let sources = sources.flat_map(|file| {
        let named = file.code().filter(|(_, text)| IO.iter().any(|module| text.contains(module)));
        named.map(|(line, text)| file.finding(line, format!("does I/O: `{}`", text.trim())))
    });
    manifests.chain(sources).collect()
}

/// `management` never writes: it has no request but `GET`. It knows no crate of Garenne beyond the vocabulary and TLS.
pub(super) fn management_only_reads(tree: &Tree) -> Vec<Finding> {
    let sources = tree.rust("management/src/").flat_map(|file| {
        let sent = file.code().filter(|(_, text)| {
            let others = ["put(", "post(", "delete(", "patch(", "builder("];
            others.iter().any(|other| text.contains(&format!("Request::{other}"))) || names(text, "Method")
        });
        sent.map(|(line, text)| file.finding(line, format!("may write: `{}`", text.trim())))
    });
    let manifests = tree.manifests().filter(|file| file.path == "management/Cargo.toml").flat_map(|file| {
        let known = ["garenne-shared", "garenne-tls", "garenne-topology"];
        let named = file.lines().filter_map(|(line, text)| Some((line, dependency(text)?)));
        let others = named.filter(move |(_, name)| name.starts_with("garenne-") && !known.contains(name));
        others.map(|(line, name)| file.finding(line, format!("depends on {name}")))
    });
    sources.chain(manifests).collect()
}

/// Reads the name of a dependency off a line of a manifest.
fn dependency(line: &str) -> Option<&str> {
    let name = line.split(['=', '.']).next()?.trim();
    (!name.is_empty() && !line.starts_with(['[', '#'])).then_some(name)
}

/// Tells whether a line of code uses a path of this crate. Text in quotes is no code: a filter for log lines, or a test of this file.
fn names_crate(line: &str, name: &str) -> bool {
    let code = without_text(line);
    let path = format!("{name}::");
    let starts_path =
        |at: usize| !code[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | ':'));
    code.match_indices(&path).any(|(at, _)| starts_path(at))
        || code.trim().strip_prefix("use ").is_some_and(|rest| names(rest.trim_end_matches(';'), name))
}

/// Leaves out what stands between quotes.
fn without_text(line: &str) -> String {
    let mut code = String::with_capacity(line.len());
    let (mut quoted, mut escaped) = (false, false);
    for character in line.chars() {
        match character {
            '"' if !escaped => quoted = !quoted,
            _ if !quoted => code.push(character),
            _ => {}
        }
        escaped = character == '\\' && !escaped;
    }
    code
}

#[cfg(test)]
mod tests {
    use super::super::assert_holds;
    use super::*;

    #[test]
    fn only_transport_and_benches_name_lapin() {
        assert_holds(lapin_is_contained);
    }

    #[test]
    fn no_public_item_shows_a_lapin_type() {
        assert_holds(lapin_is_not_public);
    }

    #[test]
    fn shared_and_topology_do_no_io_and_know_no_runtime() {
        assert_holds(vocabulary_does_no_io);
    }

    #[test]
    fn management_has_no_request_but_get() {
        assert_holds(management_only_reads);
    }

    #[track_caller]
    fn check(check: fn(&Tree) -> Vec<Finding>, path: &str, text: &str, expected: usize) {
        assert_eq!(check(&Tree::of(&[(path, text)])).len(), expected, "{path}: {text}");
    }

    #[test]
    fn lapin_outside_its_crates_is_found() {
        check(lapin_is_contained, "producer/Cargo.toml", "lapin.workspace = true", 1);
        check(lapin_is_contained, "producer/src/a.rs", "use lapin::Channel;", 1);
        check(lapin_is_contained, "producer/src/a.rs", "fn f(c: &lapin::Channel) {}", 1);
        check(lapin_is_contained, "producer/src/a.rs", "// lapin::Channel is not named here", 0);
        check(
            lapin_is_contained,
            "producer/src/a.rs",
            "const FILTER: &str = \"info,lapin::channels=warn\";",
            0,
        );
        check(lapin_is_contained, "producer/src/a.rs", "use lapin as rabbit;", 1);
        check(lapin_is_contained, "transport/src/a.rs", "use lapin::Channel;", 0);
    }

    #[test]
    fn a_lapin_type_in_a_public_place_is_found() {
        check(lapin_is_not_public, "transport/src/a.rs", "pub use lapin::Channel;", 1);
        check(lapin_is_not_public, "transport/src/a.rs", "use lapin::Channel;\npub fn f(c: Channel) {}", 1);
        let exported = "pub use self::{error::Error};\nimpl From<lapin::Error> for Error {";
        check(lapin_is_not_public, "transport/src/lib.rs", exported, 1);
        check(lapin_is_not_public, "transport/src/a.rs", "impl From<lapin::Error> for Internal {", 0);
        check(lapin_is_not_public, "transport/src/a.rs", "pub fn f(\n    c: lapin::Channel,\n) {}", 1);
        check(
            lapin_is_not_public,
            "transport/src/a.rs",
            "use lapin::{\n    Channel,\n    Error,\n};\npub struct S {\n    pub a: u8,\n    pub c: Channel,\n}",
            1,
        );
        check(
            lapin_is_not_public,
            "transport/src/a.rs",
            "use lapin::Channel;\npub(crate) fn f(c: Channel) {}",
            0,
        );
    }

    #[test]
    fn io_in_the_vocabulary_is_found() {
        check(vocabulary_does_no_io, "shared/Cargo.toml", "tokio = { workspace = true }", 1);
        check(vocabulary_does_no_io, "topology/src/a.rs", "let text = std::fs::read(path);", 1);
        check(vocabulary_does_no_io, "shared/Cargo.toml", "serde.workspace = true", 0);
    }

    #[test]
    fn a_request_of_management_that_may_write_is_found() {
        check(management_only_reads, "management/src/a.rs", "let request = Request::put(url);", 1);
        check(management_only_reads, "management/src/a.rs", "use hyper::{Method, Request};", 1);
        check(management_only_reads, "management/src/a.rs", "let request = Request::get(url);", 0);
        check(management_only_reads, "tests/src/a.rs", "let request = Request::put(url);", 0);
        check(management_only_reads, "management/Cargo.toml", "garenne-transport.workspace = true", 1);
        check(management_only_reads, "management/Cargo.toml", "garenne-topology.workspace = true", 0);
    }
}
