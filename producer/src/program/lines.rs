//! Lines of any length up to a limit, in bounded memory.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// A byte-order mark in UTF-8, which some editors write at the beginning of a file.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Splits a reader into lines. The line break, LF or CRLF, is not part of the line, nor is a byte-order mark at the beginning; the
/// last line need not have a line break.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: R,
    limit: usize,
    number: u64,
}

/// One line that is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Counted from 1, empty lines included.
    pub(crate) number: u64,
    pub(crate) text: Text,
}

/// The content of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Text {
    Whole(Bytes),
    /// The line has `len` bytes, more than the limit, and was skipped.
    TooLong {
        len: u64,
        limit: usize,
    },
}

// === impl Lines ===

impl<R: AsyncBufRead + Unpin> Lines<R> {
    /// Reads lines of at most `limit` bytes from `reader`.
    pub(crate) const fn new(reader: R, limit: usize) -> Self {
        Self { reader, limit, number: 0 }
    }

    /// Reads the next line that is not empty, or `None` at the end. A line of white space is empty.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call loses the part of the line that it has read.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let Some(text) = self.read().await? else { return Ok(None) };
            self.number += 1;
            if !matches!(&text, Text::Whole(bytes) if bytes.trim_ascii().is_empty()) {
                return Ok(Some(Line { number: self.number, text }));
            }
        }
    }

    async fn read(&mut self) -> io::Result<Option<Text>> {
        let mut line = if self.number == 0 { self.skip_mark().await? } else { Vec::new() };
        let mut len = line.len() as u64;
        let mut any = len > 0;
        let mut last = None;
        loop {
            let buffer = self.reader.fill_buf().await?;
            if buffer.is_empty() {
                return Ok(any.then(|| self.text(line, len)));
            }
            any = true;
            let newline = buffer.iter().position(|byte| *byte == b'\n');
            let part = &buffer[..newline.unwrap_or(buffer.len())];
            last = part.last().copied().or(last);
            len += part.len() as u64;
            // One byte more, because a carriage return before the newline does not count.
            if len <= self.limit as u64 + 1 {
                line.extend_from_slice(part);
            } else {
                line = Vec::new();
            }
            let consumed = part.len() + usize::from(newline.is_some());
            self.reader.consume(consumed);
            if newline.is_some() {
                if last == Some(b'\r') {
                    line.pop();
                    len -= 1;
                }
                return Ok(Some(self.text(line, len)));
            }
        }
    }

    /// Skips a byte-order mark, and returns what was only the beginning of one.
    async fn skip_mark(&mut self) -> io::Result<Vec<u8>> {
        for (at, byte) in BYTE_ORDER_MARK.iter().enumerate() {
            if self.reader.fill_buf().await?.first() != Some(byte) {
                return Ok(BYTE_ORDER_MARK[..at].to_vec());
            }
            self.reader.consume(1);
        }
        Ok(Vec::new())
    }

    fn text(&self, line: Vec<u8>, len: u64) -> Text {
        if len > self.limit as u64 {
            Text::TooLong { len, limit: self.limit }
        } else {
            Text::Whole(line.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::BufReader;

    use super::*;

    fn lines(input: &[u8], limit: usize, buffer: usize) -> Vec<Line> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut lines = Lines::new(BufReader::with_capacity(buffer, input), limit);
            let mut all = Vec::new();
            while let Some(line) = lines.next().await.unwrap() {
                all.push(line);
            }
            all
        })
    }

    fn whole(number: u64, text: &'static str) -> Line {
        Line { number, text: Text::Whole(Bytes::from_static(text.as_bytes())) }
    }

    #[test]
    fn empty_lines_are_skipped_but_counted() {
        assert_eq!(lines(b"\n1\n \t\r\n\n 2 \n", 10, 3), [whole(2, "1"), whole(5, " 2 ")]);
    }

    #[test]
    fn the_last_line_needs_no_newline() {
        assert_eq!(lines(b"1\n2", 10, 10), [whole(1, "1"), whole(2, "2")]);
        assert_eq!(lines(b"", 10, 10), []);
    }

    #[test]
    fn a_line_over_the_limit_is_skipped_and_the_next_one_read() {
        let long = Line { number: 1, text: Text::TooLong { len: 5, limit: 4 } };
        assert_eq!(lines(b"12345\n1234\n", 4, 2), [long, whole(2, "1234")]);
    }

    #[test]
    fn a_byte_order_mark_at_the_beginning_is_skipped_and_crlf_ends_a_line() {
        let mark = "\u{feff}";
        let input = format!("{mark}1\r\n{mark}2\r\n\r\n3\r");
        let second = Line { number: 2, text: Text::Whole(format!("{mark}2").into()) };
        for buffer in 1..6 {
            assert_eq!(lines(input.as_bytes(), 10, buffer), [whole(1, "1"), second.clone(), whole(4, "3\r")]);
        }
        assert_eq!(lines(format!("{mark}1234\r\n").as_bytes(), 4, 2), [whole(1, "1234")]);
        let long = Line { number: 1, text: Text::TooLong { len: 5, limit: 4 } };
        assert_eq!(lines(format!("{mark}12345\r\n").as_bytes(), 4, 2), [long]);
    }

    proptest! {
        #[test]
        fn lines_are_what_split_says_whatever_the_buffer(
            input in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b' '), Just(b'a'), Just(0), Just(0xef), Just(0xbb), Just(0xbf)], 0..60),
            buffer in 1_usize..9,
            limit in 0_usize..9,
        ) {
            let expected: Vec<_> = (1_u64..)
                .zip(input.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&input).split_inclusive(|byte| *byte == b'\n'))
                .map(|(number, line)| {
                    let whole = line.strip_suffix(b"\n");
                    (number, whole.map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line)))
                })
                .filter_map(|(number, line)| {
                    let blank = line.trim_ascii().is_empty();
                    let text = match line.len() {
                        len if len > limit => Text::TooLong { len: len as u64, limit },
                        _ if blank => return None,
                        _ => Text::Whole(Bytes::copy_from_slice(line)),
                    };
                    Some(Line { number, text })
                })
                .collect();
            prop_assert_eq!(lines(&input, limit, buffer), expected);
        }
    }
}
