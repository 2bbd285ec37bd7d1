//! Field tables as they stand in a frame: any bytes where a client library would want text, in any order, nested to any depth.
//!
//! `rabbit_binary_parser.erl`, `parse_table`; `rabbit_binary_generator.erl`, `table_field_to_binary`. The bytes were checked when they
//! came in (`io/layout.rs`), so nothing here fails: what cannot be read ends the table.

use std::borrow::Cow;

use amq_protocol::frame::WriteContext;
use amq_protocol::types::AMQPValue;
use amq_protocol::types::generation::gen_value;

/// How many bytes a value takes behind its type octet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    /// So many.
    Fixed(usize),
    /// As many as the four bytes before them say.
    Prefixed,
}

impl Width {
    /// Returns the width of values of this type; `None` if RabbitMQ knows no such type.
    pub(crate) fn of(kind: u8) -> Option<Self> {
        Some(match kind {
            b'V' => Self::Fixed(0),
            b't' | b'b' | b'B' => Self::Fixed(1),
            b's' | b'u' => Self::Fixed(2),
            b'I' | b'i' | b'f' => Self::Fixed(4),
            b'D' => Self::Fixed(5),
            b'l' | b'L' | b'd' | b'T' => Self::Fixed(8),
            b'S' | b'x' | b'F' | b'A' => Self::Prefixed,
            _ => return None,
        })
    }
}

/// A value: its type octet and what follows, without a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field<'b> {
    pub(crate) kind: u8,
    pub(crate) bytes: &'b [u8],
}

impl<'b> Field<'b> {
    /// Reads the value at the beginning; returns it with what follows.
    fn split(bytes: &'b [u8]) -> Option<(Self, &'b [u8])> {
        let (&kind, rest) = bytes.split_first()?;
        let (bytes, rest) = match Width::of(kind)? {
            Width::Fixed(size) => rest.split_at_checked(size)?,
            Width::Prefixed => {
                let (size, rest) = rest.split_first_chunk()?;
                rest.split_at_checked(usize::try_from(u32::from_be_bytes(*size)).ok()?)?
            }
        };
        Some((Self { kind, bytes }, rest))
    }

    /// Returns a whole number of any width.
    pub(crate) fn integer(self) -> Option<i64> {
        Some(match (self.kind, self.bytes) {
            (b'b', &[n]) => n.cast_signed().into(),
            (b'B', &[n]) => n.into(),
            (b's', &[a, b]) => i16::from_be_bytes([a, b]).into(),
            (b'u', &[a, b]) => u16::from_be_bytes([a, b]).into(),
            (b'I', bytes) => i32::from_be_bytes(bytes.try_into().ok()?).into(),
            (b'i', bytes) => u32::from_be_bytes(bytes.try_into().ok()?).into(),
            (b'l' | b'L', bytes) => i64::from_be_bytes(bytes.try_into().ok()?),
            _ => return None,
        })
    }

    /// Returns a floating-point number of either width.
    pub(crate) fn float(self) -> Option<f64> {
        match self.kind {
            b'f' => Some(f32::from_be_bytes(self.bytes.try_into().ok()?).into()),
            b'd' => Some(f64::from_be_bytes(self.bytes.try_into().ok()?)),
            _ => None,
        }
    }

    /// Returns the seconds of a timestamp.
    pub(crate) fn timestamp(self) -> Option<u64> {
        if self.kind == b'T' { Some(u64::from_be_bytes(self.bytes.try_into().ok()?)) } else { None }
    }

    /// Returns the values of an array.
    pub(crate) fn array(self) -> Option<Array<'b>> {
        (self.kind == b'A').then_some(Array(self.bytes))
    }

    /// Returns what RabbitMQ calls the type in its error texts.
    pub(crate) fn type_name(self) -> &'static str {
        match self.kind {
            b'S' => "longstr",
            b'I' => "signedint",
            b'D' => "decimal",
            b'T' => "timestamp",
            b'F' => "table",
            b'A' => "array",
            b'b' => "byte",
            b'B' => "unsignedbyte",
            b's' => "short",
            b'u' => "unsignedshort",
            b'i' => "unsignedint",
            b'l' | b'L' => "long",
            b'f' => "float",
            b'd' => "double",
            b't' => "bool",
            b'x' => "binary",
            _ => "void",
        }
    }
}

/// The values of an array that are still to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Array<'b>(&'b [u8]);

impl<'b> Iterator for Array<'b> {
    type Item = Field<'b>;

    fn next(&mut self) -> Option<Field<'b>> {
        let (field, rest) = Field::split(self.0)?;
        self.0 = rest;
        Some(field)
    }
}

/// The entries of a table that are still to be read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Table<'b>(&'b [u8]);

impl<'b> Table<'b> {
    /// A table without its length.
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    /// Looks up a value.
    pub(crate) fn get(mut self, key: &[u8]) -> Option<Field<'b>> {
        self.find(|(found, _)| *found == key).map(|(_, field)| field)
    }
}

impl<'b> Iterator for Table<'b> {
    type Item = (&'b [u8], Field<'b>);

    fn next(&mut self) -> Option<Self::Item> {
        let (&size, rest) = self.0.split_first()?;
        let (key, rest) = rest.split_at_checked(size.into())?;
        let (field, rest) = Field::split(rest)?;
        self.0 = rest;
        Some((key, field))
    }
}

/// Writes a value.
pub(crate) fn write(out: &mut Vec<u8>, field: Field<'_>) {
    out.push(field.kind);
    if Width::of(field.kind) == Some(Width::Prefixed) {
        out.extend_from_slice(&size(field.bytes.len()));
    }
    out.extend_from_slice(field.bytes);
}

/// Writes an entry of a table.
pub(crate) fn write_entry(out: &mut Vec<u8>, key: &[u8], field: Field<'_>) {
    out.push(u8::try_from(key.len()).expect("a key came as a short string or is a constant"));
    out.extend_from_slice(key);
    write(out, field);
}

/// Returns a value of the codec as it stands in a frame.
pub(crate) fn encode(value: &AMQPValue) -> Vec<u8> {
    gen_value(value)(WriteContext::from(Vec::new())).expect("a vector takes any bytes").write
}

/// Returns the value at the beginning.
pub(crate) fn first(bytes: &[u8]) -> Option<Field<'_>> {
    Field::split(bytes).map(|(field, _)| field)
}

/// Returns a length as it stands before a string or a table.
pub(crate) fn size(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("tables are far smaller than 4 GiB").to_be_bytes()
}

/// A long string.
pub(crate) fn long_string(bytes: &[u8]) -> Field<'_> {
    Field { kind: b'S', bytes }
}

/// Returns a table as RabbitMQ keeps the headers of a message: sorted by key, of equal keys the first one, and each type written in its one
/// form. `is_plain` is whether the last holds already.
///
/// `rabbit_misc.erl`, `sort_field_table`; `rabbit_binary_generator.erl`.
pub(crate) fn normalize(table: &[u8], is_plain: bool) -> Cow<'_, [u8]> {
    let table = if is_plain { Cow::Borrowed(table) } else { Cow::Owned(in_one_form(table)) };
    if Table(&table).is_sorted_by(|(a, _), (b, _)| a < b) {
        return table;
    }
    let mut entries: Vec<_> = Table(&table).collect();
    entries.sort_by_key(|(key, _)| *key);
    entries.dedup_by_key(|(key, _)| *key);
    let mut sorted = Vec::with_capacity(table.len());
    for (key, field) in entries {
        write_entry(&mut sorted, key, field);
    }
    Cow::Owned(sorted)
}

/// Writes 64-bit numbers as `l` and true as 1, at any depth.
fn in_one_form(table: &[u8]) -> Vec<u8> {
    let mut plain = table.to_vec();
    let mut walk = Walk::new(table);
    while let Some(Ok(step)) = walk.next() {
        match step.field.kind {
            b'L' => plain[step.at] = b'l',
            b't' => plain[step.at + 1] = u8::from(step.field.bytes != [0]),
            _ => {}
        }
    }
    plain
}

/// A value on the way through a table and everything in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step<'b> {
    /// Its key, unless it is in an array.
    pub(crate) key: Option<&'b [u8]>,
    /// Where its type octet stands.
    pub(crate) at: usize,
    /// The value; of a table or an array nothing: what it holds comes next.
    pub(crate) field: Field<'b>,
    /// How many tables and arrays are around it.
    pub(crate) depth: usize,
}

/// The table contradicts itself or holds a type that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken;

/// Goes through a table and everything in it, in a loop: hostile nesting must not overflow the stack.
#[derive(Debug)]
pub(crate) struct Walk<'b> {
    bytes: &'b [u8],
    at: usize,
    /// Where each enclosing table (`true`) or array ends, the innermost last.
    open: Vec<(usize, bool)>,
}

impl<'b> Walk<'b> {
    /// Begins with the first entry of a table without its length.
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0, open: vec![(bytes.len(), true)] }
    }

    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let &(end, _) = self.open.last()?;
        let next = self.at.checked_add(count).filter(|next| *next <= end)?;
        let taken = self.bytes.get(self.at..next)?;
        self.at = next;
        Some(taken)
    }

    fn step(&mut self, is_table: bool) -> Option<Step<'b>> {
        let key = if is_table {
            let size = self.take(1)?[0];
            Some(self.take(size.into())?)
        } else {
            None
        };
        let (at, depth) = (self.at, self.open.len());
        let kind = self.take(1)?[0];
        let bytes = match Width::of(kind)? {
            Width::Fixed(size) => self.take(size)?,
            Width::Prefixed => {
                let size = u32::from_be_bytes(self.take(4)?.try_into().ok()?);
                let begin = self.at;
                let bytes = self.take(usize::try_from(size).ok()?)?;
                if matches!(kind, b'F' | b'A') {
                    self.open.push((self.at, kind == b'F'));
                    self.at = begin;
                    &[]
                } else {
                    bytes
                }
            }
        };
        Some(Step { key, at, field: Field { kind, bytes }, depth })
    }
}

impl<'b> Iterator for Walk<'b> {
    type Item = Result<Step<'b>, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(&(end, is_table)) = self.open.last() {
            if self.at < end {
                let step = self.step(is_table);
                if step.is_none() {
                    self.open.clear();
                }
                return Some(step.ok_or(Broken));
            }
            self.open.pop();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_kept_as_rabbitmq_keeps_headers() {
        let table = b"\x01bL\0\0\0\0\0\0\0\x01\x01\xffF\0\0\0\x08\x01zV\x01aV\x01a\x01at\x05\x01aV";
        assert!(Walk::new(table).any(|step| step.is_err()), "the inner table ends amid a key");
        let table = b"\x01bL\0\0\0\0\0\0\0\x01\x01\xffF\0\0\0\x06\x01zV\x01aV\x01at\x05\x01aV";
        let kept = b"\x01at\x01\x01bl\0\0\0\0\0\0\0\x01\x01\xffF\0\0\0\x06\x01zV\x01aV";
        assert_eq!(normalize(table, false), kept.as_slice());
        assert!(matches!(normalize(kept, true), Cow::Borrowed(_)));
    }

    #[test]
    fn a_walk_tells_depth_and_place() {
        let table = b"\x01aA\0\0\0\x09F\0\0\0\x03\x01bVV\x01ct\x01";
        let steps = Walk::new(table).map(Result::unwrap);
        let told: Vec<_> = steps.map(|step| (step.key, step.at, step.field.kind, step.depth)).collect();
        assert_eq!(
            told,
            [
                (Some(&b"a"[..]), 2, b'A', 1),
                (None, 7, b'F', 2),
                (Some(&b"b"[..]), 14, b'V', 3),
                (None, 15, b'V', 2),
                (Some(&b"c"[..]), 18, b't', 1),
            ]
        );
    }
}
