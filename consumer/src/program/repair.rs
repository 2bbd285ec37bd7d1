//! The end of a file that an earlier run may have left torn.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

use super::record;

/// How much is read at once while looking for the last line.
const STEP_BYTES: u64 = 64 << 10;

/// What the last line of a file needs before another may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// The file ends with a line break, or is empty.
    Nothing,
    /// The line is whole but for its line break.
    LineBreak,
    /// The line is a record that was torn while it was written; the file goes on after this many bytes.
    Cut(u64),
}

/// Finds out what the last line of a file needs.
pub(crate) fn diagnose(file: &mut File) -> io::Result<Remedy> {
    let len = file.seek(SeekFrom::End(0))?;
    let (start, line) = last_line(file, len)?;
    Ok(remedy(start, &line))
}

/// Only the beginning of a record of ours is cut: whatever else stands in the file is the user's.
fn remedy(start: u64, line: &[u8]) -> Remedy {
    let begins = line.starts_with(record::BEGINNING) || record::BEGINNING.starts_with(line);
    let whole = || serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok();
    match line {
        [] => Remedy::Nothing,
        _ if begins && !whole() => Remedy::Cut(start),
        _ => Remedy::LineBreak,
    }
}

/// Returns what follows the last line break, and where it starts.
fn last_line(file: &mut File, len: u64) -> io::Result<(u64, Vec<u8>)> {
    let mut line = Vec::new();
    let mut start = len;
    while start > 0 {
        let step = start.min(STEP_BYTES);
        file.seek(SeekFrom::Start(start - step))?;
        let mut read = Vec::new();
        Read::by_ref(file).take(step).read_to_end(&mut read)?;
        let line_break = read.iter().rposition(|byte| *byte == b'\n');
        let tail = read.split_off(line_break.map_or(0, |at| at + 1));
        start -= tail.len() as u64;
        line.splice(..0, tail);
        if line_break.is_some() {
            break;
        }
    }
    Ok((start, line))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[track_caller]
    fn needs(text: &[u8], expected: Remedy) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        assert_eq!(diagnose(&mut file).unwrap(), expected);
    }

    #[test]
    fn a_file_that_ends_with_a_line_break_needs_nothing() {
        needs(b"", Remedy::Nothing);
        needs(b"{}\n", Remedy::Nothing);
    }

    #[test]
    fn a_torn_record_is_cut_off() {
        needs(b"{\"me", Remedy::Cut(0));
        needs(b"{\"message_id\":\"1\"}\n{\"message_id\":\"2\",\"ty", Remedy::Cut(19));
    }

    #[test]
    fn a_long_torn_record_is_cut_off_where_it_begins() {
        let long = format!("first\n{{\"message_id\":\"{}", "x".repeat(300_000));
        needs(long.as_bytes(), Remedy::Cut(6));
        needs(&long.as_bytes()[6..], Remedy::Cut(0));
    }

    #[test]
    fn what_is_whole_or_not_ours_is_kept() {
        needs(b"{\"message_id\":null}", Remedy::LineBreak);
        needs(b"notes\nwithout an end", Remedy::LineBreak);
    }
}
