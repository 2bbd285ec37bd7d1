//! Pages whose tables a task measures.

use std::path::Path;

use anyhow::{Context as _, ensure};

/// Replaces what stands between the two markers of a table.
pub(crate) fn write(name: &str, table: &str, path: &Path) -> anyhow::Result<()> {
    let page = text(path)?;
    let (before, _, after) = split(name, &page, path)?;
    std::fs::write(path, format!("{before}\n\n{table}\n{after}"))?;
    Ok(())
}

/// Returns what stands between the two markers of a table.
pub(crate) fn read(name: &str, path: &Path) -> anyhow::Result<String> {
    let page = text(path)?;
    Ok(split(name, &page, path)?.1.to_owned())
}

fn text(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Splits a page: up to the first marker, the table, from the second marker on.
fn split<'a>(name: &str, page: &'a str, path: &Path) -> anyhow::Result<(&'a str, &'a str, &'a str)> {
    let (begin, end) = (format!("<!-- {name}: begin -->"), format!("<!-- {name}: end -->"));
    let at = |marker: &str| {
        page.find(marker).with_context(|| format!("{} lacks the marker `{marker}`", path.display()))
    };
    let (from, to) = (at(&begin)? + begin.len(), at(&end)?);
    ensure!(from <= to, "{} has the marker `{end}` before `{begin}`", path.display());
    Ok((&page[..from], &page[from..to], &page[to..]))
}
