//! Libraries leave the process alone (invariant 8).

use std::collections::BTreeSet;

use super::tree::{File, Finding, Tree};

/// The crates that users depend on.
const LIBRARIES: [&str; 9] =
    ["shared", "derive", "topology", "tls", "transport", "management", "producer", "consumer", "garenne"];
/// What only a binary may do, and the word for it.
const FORBIDDEN: [(&str, &str); 12] = [
    ("env::var", "reads the environment"),
    ("env::args", "reads the environment"),
    ("env::set_var", "writes the environment"),
    ("println!", "prints"),
    ("print!", "prints"),
    ("dbg!", "prints"),
    ("io::stdout", "prints"),
    ("io::stderr", "prints"),
    ("process::exit", "ends the process"),
    ("set_global_default", "installs a global"),
    ("set_global_recorder", "installs a global"),
    ("set_hook", "installs a global"),
];

/// No module of a library reads the environment, prints, or installs a global; binaries beside it may.
pub(super) fn leave_the_process_alone(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for library in LIBRARIES {
        for path in modules(tree, &format!("{library}/src/lib.rs")) {
            if let Some(file) = tree.file(&path) {
                found.extend(findings(file));
            }
        }
    }
    found
}

fn findings(file: &File) -> impl Iterator<Item = Finding> {
    // Tests stand at the end of a file.
    let code = file.code().take_while(|(_, text)| !text.trim_start().starts_with("#[cfg(test)]"));
    code.filter_map(|(line, text)| {
        let (_, what) = FORBIDDEN.iter().find(|(forbidden, _)| text.contains(forbidden))?;
        Some(file.finding(line, format!("{what}: `{}`", text.trim())))
    })
}

/// Follows `mod name;` from the root of a library: a binary's modules lie in the same directory and are not its own.
fn modules(tree: &Tree, root: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let Some(file) = tree.file(&path) else { continue };
        if !found.insert(path.clone()) {
            continue;
        }
        let directory = path.trim_end_matches("/lib.rs").trim_end_matches("/mod.rs").trim_end_matches(".rs");
        let mut test_only = false;
        for (_, text) in file.code() {
            if let Some(name) = declared_module(text).filter(|_| !test_only) {
                open.extend([format!("{directory}/{name}.rs"), format!("{directory}/{name}/mod.rs")]);
            }
            test_only = text.trim() == "#[cfg(test)]";
        }
    }
    found
}

fn declared_module(text: &str) -> Option<&str> {
    let (visibility, rest) = text.trim().split_once("mod ")?;
    (visibility.is_empty() || visibility.starts_with("pub")).then_some(rest)?.strip_suffix(';')
}

#[cfg(test)]
mod tests {
    use super::super::assert_holds;
    use super::*;

    #[test]
    fn libraries_never_read_the_environment_print_or_install_a_global() {
        assert_holds(leave_the_process_alone);
    }

    #[test]
    fn a_module_of_the_library_is_checked_and_one_of_the_binary_is_not() {
        let tree = Tree::of(&[
            ("producer/src/lib.rs", "mod a;\n#[cfg(test)]\nmod tests;"),
            ("producer/src/a.rs", "pub(crate) mod b;"),
            ("producer/src/a/b.rs", "fn f() { eprintln!(\"x\") }\n#[cfg(test)]\nmod tests { dbg!(1) }"),
            ("producer/src/main.rs", "mod c; fn main() { println!() }"),
            ("producer/src/c.rs", "fn g() { std::env::var(\"X\") }"),
            ("producer/src/tests.rs", "println!()"),
        ]);
        let found: Vec<String> = leave_the_process_alone(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["producer/src/a/b.rs:1: prints: `fn f() { eprintln!(\"x\") }`"]);
    }
}
