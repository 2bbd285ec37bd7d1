//! Field tables, short to write and readable when they differ.

use std::fmt;

use amq_protocol::types::{AMQPValue, FieldArray, FieldTable};

/// A field table: arguments, or the headers of a message.
///
/// Equal tables have the same keys, values and types of values. `Debug` shows text as text and the types of numbers.
#[derive(Clone, Default, PartialEq)]
pub struct Table(pub FieldTable);

/// Writes a [`Table`](crate::wire::Table): `table! { "x-queue-type" => "quorum", "x-max-length" => 3 }`.
///
/// Text is a long string, an integer literal an `i32` (`I`); other types by suffix (`3_i64`, `3_u8`), arrays as `vec![..]`,
/// tables as `table! {..}`, anything else as [`AMQPValue`](crate::wire::AMQPValue).
#[macro_export]
macro_rules! table {
    ($($key:expr => $value:expr),* $(,)?) => {
        $crate::wire::Table::default()$(.with($key, $value))*
    };
}

impl Table {
    /// Adds or replaces one entry.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl IntoValue) -> Self {
        self.0.insert(key.into(), value.into_value());
        self
    }

    /// Returns the table without one entry.
    #[must_use]
    pub fn without(self, key: &str) -> Self {
        let mut entries = self.0.inner().clone();
        entries.remove(key);
        Self(entries.into())
    }

    /// Returns the value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&AMQPValue> {
        self.0.inner().get(key)
    }

    /// Returns the value of a key as text.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<String> {
        match self.get(key)? {
            AMQPValue::LongString(text) => Some(text.to_string()),
            _ => None,
        }
    }

    /// Returns the value of a key as a table.
    #[must_use]
    pub fn table(&self, key: &str) -> Option<Self> {
        match self.get(key)? {
            AMQPValue::FieldTable(table) => Some(Self(table.clone())),
            _ => None,
        }
    }

    /// Returns the tables in the array of a key, such as `x-death`; none if there is no such array.
    #[must_use]
    pub fn tables(&self, key: &str) -> Vec<Self> {
        let Some(AMQPValue::FieldArray(array)) = self.get(key) else { return Vec::new() };
        let tables = array.as_slice().iter().filter_map(|value| match value {
            AMQPValue::FieldTable(table) => Some(Self(table.clone())),
            _ => None,
        });
        tables.collect()
    }

    /// Returns the keys in the order of the alphabet.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.0.inner().keys().map(ToString::to_string).collect()
    }
}

impl From<Table> for FieldTable {
    fn from(table: Table) -> Self {
        table.0
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.inner().iter().map(|(key, value)| (key.as_str(), Shown(value)))).finish()
    }
}

/// A value as a test would write it.
struct Shown<'a>(&'a AMQPValue);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            AMQPValue::LongString(text) => write!(f, "{:?}", text.to_string()),
            AMQPValue::Boolean(value) => write!(f, "{value}"),
            AMQPValue::ShortShortInt(value) => write!(f, "{value}_i8"),
            AMQPValue::ShortShortUInt(value) => write!(f, "{value}_u8"),
            AMQPValue::ShortInt(value) => write!(f, "{value}_i16"),
            AMQPValue::ShortUInt(value) => write!(f, "{value}_u16"),
            AMQPValue::LongInt(value) => write!(f, "{value}_i32"),
            AMQPValue::LongUInt(value) => write!(f, "{value}_u32"),
            AMQPValue::LongLongInt(value) => write!(f, "{value}_i64"),
            AMQPValue::FieldArray(array) => {
                f.debug_list().entries(array.as_slice().iter().map(Shown)).finish()
            }
            AMQPValue::FieldTable(table) => Table(table.clone()).fmt(f),
            other => write!(f, "{other:?}"),
        }
    }
}

/// What can be a value of a [`Table`].
pub trait IntoValue {
    /// Turns this into a value.
    fn into_value(self) -> AMQPValue;
}

macro_rules! into_value {
    ($($type:ty => $variant:ident,)+) => {$(
        impl IntoValue for $type {
            fn into_value(self) -> AMQPValue {
                AMQPValue::$variant(self.into())
            }
        }
    )+};
}

into_value! {
    bool => Boolean,
    i8 => ShortShortInt,
    u8 => ShortShortUInt,
    i16 => ShortInt,
    u16 => ShortUInt,
    i32 => LongInt,
    u32 => LongUInt,
    i64 => LongLongInt,
    f32 => Float,
    f64 => Double,
    &str => LongString,
    String => LongString,
    Table => FieldTable,
}

impl IntoValue for AMQPValue {
    fn into_value(self) -> AMQPValue {
        self
    }
}

impl<V: IntoValue> IntoValue for Vec<V> {
    fn into_value(self) -> AMQPValue {
        AMQPValue::FieldArray(FieldArray::from(self.into_iter().map(V::into_value).collect::<Vec<_>>()))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_table_is_shown_as_it_is_written() {
        let table = table! { "b" => "text", "a" => vec![table! { "count" => 1_i64 }] };
        assert_eq!(format!("{table:?}"), r#"{"a": [{"count": 1_i64}], "b": "text"}"#);
        assert_eq!(table.tables("a"), [table! { "count" => 1_i64 }]);
        assert_eq!(table.text("b").as_deref(), Some("text"));
    }

    #[test]
    fn the_type_of_a_number_counts() {
        assert_ne!(table! { "a" => 1 }, table! { "a" => 1_i64 });
    }
}
