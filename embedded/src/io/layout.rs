//! Checks the bytes of methods and properties before the codec sees them.
//!
//! The codec reads field tables by recursion and reports every fault alike. RabbitMQ tells faults apart, and hostile nesting must
//! not overflow the stack; so the raw bytes are walked first, in a loop.

use crate::core::field::{Step, Walk};
use crate::core::properties::KINDS;

/// The deepest nesting of tables and arrays that is read in the arguments of methods, which the codec reads by recursion. RabbitMQ has no
/// limit but the size of the frame, and neither have the headers of messages here.
pub(crate) const MAX_DEPTH: usize = 100;

/// What is wrong with the fields of a method or with properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// Too few bytes or too many.
    Fields,
    /// A short string is not UTF-8 where RabbitMQ insists on it.
    Text,
    /// A field table contradicts itself, or holds a type that does not exist or a float that is no number.
    Table,
    /// A field table is nested deeper than [`MAX_DEPTH`].
    Depth,
}

/// What is right, and yet not as a client library would write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checked {
    /// Whether all keys of the table are UTF-8.
    pub(crate) has_text_keys: bool,
    /// Whether each value of the table stands in the form in which RabbitMQ writes it.
    pub(crate) is_plain: bool,
    /// How many tables and arrays are within each other.
    depth: usize,
}

/// Returns the kinds of a method's fields, one letter each; `None` if there is no such method.
///
/// b: octet or bits, w: 16 bits, d: 32 bits, q: 64 bits, s: short string, r: short string of any bytes, l: long string, t: table.
/// `rabbit_framing_amqp_0_9_1.erl`, `decode_method_fields`.
pub(crate) fn fields(class: u16, method: u16) -> Option<&'static [u8]> {
    Some(match (class, method) {
        (10, 10) => b"bbtll",
        (10, 11) => b"tsls",
        (10, 20 | 21) | (20, 11) => b"l",
        (10, 30 | 31) => b"wdw",
        (10, 40) => b"ssb",
        (10, 41 | 60) | (20, 10) | (60, 21 | 31 | 72) => b"s",
        (10, 50) | (20, 40) => b"wsww",
        (10, 70) => b"ls",
        (20, 20 | 21) | (60, 100 | 110) | (85, 10) => b"b",
        (30, 11) => b"w",
        (40, 20) | (50, 30 | 40) | (60, 70) => b"wsb",
        (40, 30 | 40) | (50, 20) => b"wsssbt",
        (50, 10) => b"wsbt",
        (50, 11) => b"sdd",
        (50, 31 | 41) => b"d",
        (50, 50) => b"wssst",
        (60, 10) => b"dwb",
        (40, 10) | (60, 20) => b"wssbt",
        (30, 10) | (60, 30) => b"sb",
        (60, 40) => b"wrrb",
        (60, 50) => b"wsss",
        (60, 60) => b"sqbss",
        (60, 71) => b"qbssd",
        (60, 80 | 90 | 120) => b"qb",
        (10, 51 | 61 | 71)
        | (20, 41)
        | (40, 11 | 21 | 31 | 51)
        | (50, 21 | 51)
        | (60, 11 | 111)
        | (85, 11)
        | (90, 10 | 11 | 20 | 21 | 30 | 31) => b"",
        _ => return None,
    })
}

/// Checks the properties of a content header: `rabbit_framing_amqp_0_9_1.erl`, `decode_properties`.
pub(crate) fn check_properties(bytes: &[u8]) -> Result<Checked, Malformed> {
    let Some((flags, rest)) = bytes.split_first_chunk() else { return Err(Malformed::Fields) };
    let flags = u16::from_be_bytes(*flags);
    // The lowest bit announces more flags, of which there are none.
    if flags & 1 != 0 {
        return Err(Malformed::Fields);
    }
    let mut kinds = [0; KINDS.len()];
    let mut count = 0;
    for (bit, kind) in KINDS.iter().enumerate() {
        if flags & (1 << (15 - bit)) != 0 {
            kinds[count] = *kind;
            count += 1;
        }
    }
    check(&kinds[..count], rest)
}

/// Checks the fields of a method, whose tables are read by recursion.
pub(crate) fn check_method(kinds: &[u8], bytes: &[u8]) -> Result<Checked, Malformed> {
    let checked = check(kinds, bytes)?;
    if checked.depth > MAX_DEPTH { Err(Malformed::Depth) } else { Ok(checked) }
}

/// Checks that `bytes` hold exactly the fields of these kinds.
fn check(kinds: &[u8], bytes: &[u8]) -> Result<Checked, Malformed> {
    let mut cursor = Cursor { bytes };
    let mut table: &[u8] = &[];
    let mut is_text = true;
    for kind in kinds {
        match kind {
            b'b' => cursor.skip(1)?,
            b'w' => cursor.skip(2)?,
            b'd' => cursor.skip(4)?,
            b'q' => cursor.skip(8)?,
            b's' => is_text &= std::str::from_utf8(cursor.short()?).is_ok(),
            b'r' => _ = cursor.short()?,
            b't' => table = cursor.long()?,
            _ => _ = cursor.long()?,
        }
    }
    if !cursor.bytes.is_empty() {
        return Err(Malformed::Fields);
    }
    if !is_text {
        return Err(Malformed::Text);
    }
    check_table(table)
}

/// Checks the inside of a field table: `rabbit_binary_parser.erl`, `parse_table`.
pub(crate) fn check_table(table: &[u8]) -> Result<Checked, Malformed> {
    let mut checked = Checked { has_text_keys: true, is_plain: true, depth: 1 };
    for step in Walk::new(table) {
        let Step { key, field, depth, .. } = step.map_err(|_| Malformed::Table)?;
        checked.has_text_keys &= key.is_none_or(|key| std::str::from_utf8(key).is_ok());
        checked.is_plain &= field.kind != b'L' && (field.kind != b't' || field.bytes[0] < 2);
        if field.float().is_some_and(|number| !number.is_finite()) {
            return Err(Malformed::Table);
        }
        if matches!(field.kind, b'F' | b'A') {
            checked.depth = checked.depth.max(depth + 1);
        }
    }
    Ok(checked)
}

struct Cursor<'b> {
    bytes: &'b [u8],
}

// === impl Cursor ===

impl<'b> Cursor<'b> {
    fn take(&mut self, count: usize) -> Result<&'b [u8], Malformed> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(Malformed::Fields)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn skip(&mut self, count: usize) -> Result<(), Malformed> {
        self.take(count).map(|_| ())
    }

    fn short(&mut self) -> Result<&'b [u8], Malformed> {
        let length = self.take(1)?[0];
        self.take(length.into())
    }

    fn long(&mut self) -> Result<&'b [u8], Malformed> {
        let length = self.take(4)?;
        let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]);
        self.take(usize::try_from(length).map_err(|_| Malformed::Fields)?)
    }
}

#[cfg(test)]
mod tests {
    use amq_protocol::protocol::parse_class;

    use super::*;

    /// An empty value of each field.
    fn blank(kinds: &[u8]) -> Vec<u8> {
        let size = |kind: &u8| match kind {
            b'b' | b's' | b'r' => 1,
            b'w' => 2,
            b'q' => 8,
            _ => 4,
        };
        vec![0; kinds.iter().map(size).sum()]
    }

    #[test]
    fn the_codec_reads_every_method_that_passes() {
        let mut methods = 0;
        for class in 0..=100 {
            for method in 0..=250 {
                let Some(kinds) = fields(class, method) else { continue };
                let bytes = blank(kinds);
                assert!(check(kinds, &bytes).is_ok(), "{class}, {method}");
                let mut payload = [class.to_be_bytes(), method.to_be_bytes()].concat();
                payload.extend(bytes);
                let (rest, _) = parse_class(payload.as_slice())
                    .unwrap_or_else(|error| panic!("{class}, {method}: {error}"));
                assert!(rest.is_empty(), "{class}, {method}: {rest:?}");
                methods += 1;
            }
        }
        assert_eq!(methods, 66);
    }

    fn nested(depth: usize) -> Vec<u8> {
        let mut table = Vec::new();
        for _ in 0..depth {
            let mut outer = b"\x01aF".to_vec();
            outer.extend(u32::try_from(table.len()).unwrap().to_be_bytes());
            outer.extend(&table);
            table = outer;
        }
        table
    }

    #[test]
    fn tables_of_methods_are_read_down_to_the_limit() {
        let check = |depth| {
            let table = nested(depth);
            let bytes = [&u32::try_from(table.len()).unwrap().to_be_bytes(), table.as_slice()].concat();
            (check_method(b"t", &bytes).map(drop), check_table(&table).map(drop))
        };
        assert_eq!(check(MAX_DEPTH - 1), (Ok(()), Ok(())));
        assert_eq!(check(MAX_DEPTH), (Err(Malformed::Depth), Ok(())));
        assert_eq!(check(5000), (Err(Malformed::Depth), Ok(())), "properties have no limit");
    }

    #[test]
    fn faults_are_told_apart() {
        assert_eq!(check(b"dwb", &[0; 6]), Err(Malformed::Fields));
        assert_eq!(check(b"dwb", &[0; 8]), Err(Malformed::Fields));
        assert_eq!(check(b"s", b"\x01\xff"), Err(Malformed::Text));
        assert_eq!(check(b"t", b"\0\0\0\x03\x01aZ"), Err(Malformed::Table));
        assert_eq!(check(b"t", b"\0\0\0\x07\x01aF\0\0\0\x09"), Err(Malformed::Table));
        assert_eq!(check(b"t", b"\0\0\0\x09\x01aF\0\0\0\x02\x05a"), Err(Malformed::Table));
        assert_eq!(check_properties(b"\x80\0"), Err(Malformed::Fields));
        assert_eq!(check_properties(b"\0\0extra"), Err(Malformed::Fields));
        assert_eq!(check_properties(b"\0\x01\0\0"), Err(Malformed::Fields));
        assert_eq!(check(b"t", b"\0\0\0\x07\x01af\x7f\xc0\0\0"), Err(Malformed::Table));
        assert!(check_properties(b"\0\x02").is_ok());
        assert!(check_properties(b"\x90\0\x01\xff\x02").is_ok());
    }
}
