//! Opens a message in an editor before it is published.

use std::{
    env, fs, io,
    io::{BufRead as _, IsTerminal as _},
    process::Command,
};

use anyhow::Context as _;
use garenne::{Outgoing, deadletter::Edit, header};

use super::text;

/// Returns the editor that the user has named, or `vi` where somebody can use it.
#[expect(clippy::disallowed_methods, reason = "a binary, and the one place where it asks for its editor")]
fn editor() -> anyhow::Result<String> {
    let named = ["VISUAL", "EDITOR"]
        .into_iter()
        .find_map(|name| env::var(name).ok().filter(|editor| !editor.is_empty()));
    named
        .or_else(|| io::stdin().is_terminal().then(|| "vi".to_owned()))
        .ok_or_else(|| anyhow::anyhow!("no editor can be used here; set `EDITOR`"))
}

/// Lets the message be edited; what was not saved, or is empty, is not published.
pub(super) fn edit(copy: &Outgoing) -> Edit {
    match edited(copy) {
        Ok(Some(edited)) => Edit::Publish(Box::new(edited)),
        Ok(None) => Edit::Keep("it was not edited".to_owned()),
        Err(error) => Edit::Keep(format!("it could not be edited: {error:#}")),
    }
}

fn edited(copy: &Outgoing) -> anyhow::Result<Option<Outgoing>> {
    let mut file = tempfile::Builder::new().prefix("garenne-").suffix(".json").tempfile()?;
    let before = serde_json::to_string_pretty(copy)?;
    io::Write::write_all(&mut file, before.as_bytes())?;
    let path = file.path().to_owned();
    loop {
        run_editor(&path)?;
        let after = fs::read_to_string(&path)?;
        if after.trim().is_empty() || after == before {
            return Ok(None);
        }
        match serde_json::from_str::<Outgoing>(&after) {
            Ok(mut edited) => {
                edited.mandatory = true;
                edited.metadata.headers.insert(header::EDITED, true);
                return Ok(Some(edited));
            }
            Err(error) => {
                text::complain(&format!("the message is not valid: {error}"));
                anyhow::ensure!(io::stdin().is_terminal(), "the message is not valid: {error}");
                text::complain("Press return to edit it again; `x` and return keeps it where it is.");
                let mut answer = String::new();
                io::stdin().lock().read_line(&mut answer)?;
                if answer.trim() == "x" {
                    return Ok(None);
                }
            }
        }
    }
}

fn run_editor(path: &std::path::Path) -> anyhow::Result<()> {
    let editor = editor()?;
    // As git does: the variable may hold options.
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi");
    let status = Command::new(program).args(words).arg(path).status();
    let status = status.with_context(|| format!("the editor `{editor}` cannot be started"))?;
    anyhow::ensure!(status.success(), "the editor `{editor}` ended with {status}");
    Ok(())
}
