//! How RabbitMQ's error texts print values: as Erlang terms.

use amq_protocol::types::{AMQPValue, ShortString};

use super::table;
use super::text::printed;

/// Returns what RabbitMQ calls the type of a value in its error texts: `rabbit_binary_parser.erl`, `parse_table`.
pub(crate) fn type_name(value: &AMQPValue) -> &'static str {
    match value {
        AMQPValue::LongString(_) | AMQPValue::ShortString(_) => "longstr",
        AMQPValue::LongInt(_) => "signedint",
        AMQPValue::DecimalValue(_) => "decimal",
        AMQPValue::Timestamp(_) => "timestamp",
        AMQPValue::FieldTable(_) => "table",
        AMQPValue::FieldArray(_) => "array",
        AMQPValue::ShortShortInt(_) => "byte",
        AMQPValue::ShortShortUInt(_) => "unsignedbyte",
        AMQPValue::ShortInt(_) => "short",
        AMQPValue::ShortUInt(_) => "unsignedshort",
        AMQPValue::LongUInt(_) => "unsignedint",
        AMQPValue::LongLongInt(_) => "long",
        AMQPValue::Float(_) => "float",
        AMQPValue::Double(_) => "double",
        AMQPValue::Boolean(_) => "bool",
        AMQPValue::ByteArray(_) => "binary",
        AMQPValue::Void => "void",
    }
}

/// Returns a value as an error text prints it: texts as they are (`~ts`), everything else as a term (`~tp`).
pub(crate) fn value(value: &AMQPValue) -> String {
    match value {
        AMQPValue::LongString(text) => printed(text.as_bytes()).into_owned(),
        AMQPValue::ShortString(text) => text.to_string(),
        AMQPValue::ByteArray(bytes) => printed(bytes.as_slice()).into_owned(),
        other => term(other),
    }
}

/// Returns a value as a term (`~tp`), as it is within others.
pub(crate) fn term(value: &AMQPValue) -> String {
    match value {
        AMQPValue::LongString(text) => binary(text.as_bytes()),
        AMQPValue::ShortString(text) => binary(text.as_str().as_bytes()),
        AMQPValue::ByteArray(bytes) => binary(bytes.as_slice()),
        AMQPValue::Boolean(flag) => flag.to_string(),
        AMQPValue::Float(number) => format!("{number:?}"),
        AMQPValue::Double(number) => format!("{number:?}"),
        AMQPValue::Timestamp(seconds) => seconds.to_string(),
        AMQPValue::DecimalValue(decimal) => format!("{{{},{}}}", decimal.scale, decimal.value),
        AMQPValue::Void => "undefined".to_owned(),
        AMQPValue::FieldArray(array) => {
            let values =
                array.as_slice().iter().map(|value| format!("{{{},{}}}", type_name(value), term(value)));
            format!("[{}]", values.collect::<Vec<_>>().join(","))
        }
        AMQPValue::FieldTable(table) => {
            let entry = |(key, value): (&ShortString, &AMQPValue)| {
                format!("{{{},{},{}}}", binary(key.as_str().as_bytes()), type_name(value), term(value))
            };
            format!("[{}]", table.into_iter().map(entry).collect::<Vec<_>>().join(","))
        }
        number => table::integer(number).unwrap_or_default().to_string(),
    }
}

/// Writes bytes as Erlang prints them with `~w`: `<<0,20>>`.
pub(crate) fn bytes(bytes: &[u8]) -> String {
    let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
    format!("<<{}>>", numbers.join(","))
}

/// Writes bytes as Erlang prints them with `~tp`: as text where they are printable.
pub(crate) fn binary(bytes: &[u8]) -> String {
    let is_printable = |c: char| !c.is_control() || "\n\r\t\u{b}\u{8}\u{c}\u{1b}".contains(c);
    let Ok(text) = std::str::from_utf8(bytes) else { return self::bytes(bytes) };
    if text.is_empty() || !text.chars().all(is_printable) {
        return self::bytes(bytes);
    }
    let suffix = if text.is_ascii() { "" } else { "/utf8" };
    format!("<<{}{suffix}>>", string(text))
}

/// Writes text as Erlang prints a string: in quotes.
pub(crate) fn string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\u{1b}' => quoted.push_str("\\e"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use amq_protocol::types::{FieldArray, FieldTable};

    use super::*;

    #[test]
    fn bytes_are_printed_as_erlang_does() {
        assert_eq!(binary(b""), "<<>>");
        assert_eq!(binary(b"abc"), "<<\"abc\">>");
        assert_eq!(binary(b"a\"b\\\n\t"), "<<\"a\\\"b\\\\\\n\\t\">>");
        assert_eq!(binary("éé".as_bytes()), "<<\"éé\"/utf8>>");
        assert_eq!(binary(&[0, 20, 0, 10]), "<<0,20,0,10>>");
    }

    #[test]
    fn nested_values_tell_their_types() {
        let mut table = FieldTable::default();
        table.insert("a".into(), AMQPValue::LongInt(1));
        let array = FieldArray::from(vec![AMQPValue::LongString("b".into()), AMQPValue::FieldTable(table)]);
        let printed = value(&AMQPValue::FieldArray(array));
        assert_eq!(printed, "[{longstr,<<\"b\">>},{table,[{<<\"a\">>,signedint,1}]}]");
    }
}
