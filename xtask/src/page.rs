//! Pages whose tables a task measures.

use std::path::Path;

use anyhow::Context as _;

/// Replaces what stands between the two markers of a table.
pub(crate) fn write(name: &str, table: &str, path: &Path) -> anyhow::Result<()> {
    let (begin, end) = (format!("<!-- {name}: begin -->"), format!("<!-- {name}: end -->"));
    let page = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let missing = || format!("{} lacks the marker `{begin}` or `{end}`", path.display());
    let (before, rest) = page.split_once(&begin).with_context(missing)?;
    let (_, after) = rest.split_once(&end).with_context(missing)?;
    std::fs::write(path, format!("{before}{begin}\n\n{table}\n{end}{after}"))?;
    Ok(())
}
