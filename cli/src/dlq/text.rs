//! What is printed: peers wrote much of it, so that nothing of it may reach the terminal as a control sequence.

use std::{
    io::{IsTerminal as _, Write as _},
    time::SystemTime,
};

use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use serde::Serialize;

/// Prints a line of JSON.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    // JSON may hold these as they are, and a terminal obeys them.
    let line = serde_json::to_string(value)?;
    let line: String = line
        .chars()
        .map(|c| if c.is_control() { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() })
        .collect();
    writeln!(std::io::stdout().lock(), "{line}")?;
    Ok(())
}

/// Prints text.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{text}")?;
    Ok(())
}

/// Prints text to standard error.
pub(super) fn complain(text: &str) {
    garenne_program::write_line(std::io::stderr().lock(), &clean(text));
}

/// Returns whether a person reads what is printed.
pub(super) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Makes an empty table with these columns.
pub(super) fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_content_arrangement(if is_terminal() {
        ContentArrangement::Dynamic
    } else {
        ContentArrangement::Disabled
    });
    table.set_header(columns.iter().copied());
    table
}

/// Shows text in one line, without control characters, and not longer than so many characters.
pub(super) fn short(text: &str, max: usize) -> String {
    let clean = clean(text);
    if clean.chars().count() <= max {
        return clean;
    }
    clean.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

/// Shows text without control characters.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || turns_text(c) { '\u{fffd}' } else { c }).collect()
}

/// Returns whether a character is not seen, or changes the direction of others: text that holds it may look like another.
fn turns_text(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Shows how long ago something was.
pub(super) fn ago(at: Option<SystemTime>) -> String {
    let Some(at) = at else { return "?".to_owned() };
    let age = at.elapsed().unwrap_or_default().as_secs();
    match age {
        0..120 => format!("{age} s"),
        120..7200 => format!("{} min", age / 60),
        7200..172_800 => format!("{} h", age / 3600),
        _ => format!("{} d", age / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_peers_wrote_cannot_control_the_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\nc\u{9b}d"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d");
        assert_eq!(clean("a\u{202e}b\u{200b}"), "a\u{fffd}b\u{fffd}");
        assert_eq!(short("naïve text", 5), "naïv…");
        assert_eq!(short("naïve", 5), "naïve");
    }

    #[test]
    fn an_age_is_shown_in_one_unit() {
        let shown = |seconds| ago(SystemTime::now().checked_sub(Duration::from_secs(seconds)));
        assert_eq!([shown(5), shown(600), shown(7300), shown(200_000)], ["5 s", "10 min", "2 h", "2 d"]);
        assert_eq!(ago(None), "?");
        assert_eq!(ago(Some(SystemTime::now() + Duration::from_secs(60))), "0 s");
    }
}
