//! The file of lines that were not confirmed.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Serialize;

/// Writes rejected lines as NDJSON.
#[derive(Debug)]
pub(crate) struct Rejects<W = BufWriter<File>> {
    to: W,
    failed: Option<io::Error>,
}

/// A line that was not confirmed.
///
/// The body is text and not nested JSON, because a malformed line is none: `jq -r .body` gives the lines back as they were.
#[derive(Debug, Serialize)]
pub(crate) struct Reject<'a> {
    /// Counted from 1 in its file.
    line: u64,
    /// The file, if there is more than one input.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    reason: &'a str,
    /// `null` if the line was too long to be kept, or is not UTF-8.
    body: Option<&'a str>,
    /// Only for a line that is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

// === impl Reject ===

impl<'a> Reject<'a> {
    /// Describes a rejected line; `body` is `None` if it was too long to be kept.
    pub(crate) fn new(line: u64, file: Option<&'a str>, reason: &'a str, body: Option<&'a [u8]>) -> Self {
        let (body, body_base64) = match body.map(|body| (std::str::from_utf8(body), body)) {
            None => (None, None),
            Some((Ok(text), _)) => (Some(text), None),
            Some((Err(_), bytes)) => (None, Some(BASE64_STANDARD.encode(bytes))),
        };
        Self { line, file, reason, body, body_base64 }
    }
}

// === impl Rejects ===

impl Rejects {
    /// Opens the file for writing, and creates it if need be. What it holds stays until [`clear`](Self::clear).
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().write(true).create(true).truncate(false).open(path)?;
        Ok(Self { to: BufWriter::new(file), failed: None })
    }

    /// Empties the file. A pipe or a terminal has nothing to empty.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        let file = self.to.get_ref();
        if file.metadata()?.is_file() { file.set_len(0) } else { Ok(()) }
    }
}

impl<W: Write> Rejects<W> {
    /// Writes one line. After an error it writes no more, and [`close`](Self::close) tells: publishing goes on.
    pub(crate) fn write(&mut self, reject: &Reject<'_>) {
        if self.failed.is_none() {
            self.failed = self.try_write(reject).err();
        }
    }

    /// Makes sure that everything is in the file.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => self.to.flush(),
        }
    }

    fn try_write(&mut self, reject: &Reject<'_>) -> io::Result<()> {
        serde_json::to_writer(&mut self.to, reject)?;
        self.to.write_all(b"\n")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(reject: &Reject<'_>) -> String {
        let mut rejects = Rejects { to: Vec::new(), failed: None };
        rejects.write(reject);
        rejects.close().unwrap();
        String::from_utf8(rejects.to).unwrap()
    }

    #[test]
    fn a_reject_is_one_line_with_number_reason_and_body() {
        assert_eq!(
            written(&Reject::new(3, None, "why", Some(br#"{"a":1"#))),
            "{\"line\":3,\"reason\":\"why\",\"body\":\"{\\\"a\\\":1\"}\n"
        );
        assert_eq!(
            written(&Reject::new(3, Some("a.ndjson"), "why", None)),
            "{\"line\":3,\"file\":\"a.ndjson\",\"reason\":\"why\",\"body\":null}\n"
        );
    }

    proptest! {
        #[test]
        fn the_body_comes_back_byte_for_byte(body in proptest::collection::vec(any::<u8>(), 0..40)) {
            let line = written(&Reject::new(1, None, "why", Some(&body)));
            prop_assert_eq!(line.matches('\n').count(), 1);
            let reject: serde_json::Value = serde_json::from_str(&line).unwrap();
            let back = match reject["body"].as_str() {
                Some(text) => text.as_bytes().to_vec(),
                None => BASE64_STANDARD.decode(reject["body_base64"].as_str().unwrap()).unwrap(),
            };
            prop_assert_eq!(back, body);
        }
    }
}
