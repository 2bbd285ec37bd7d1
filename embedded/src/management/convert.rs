//! JSON to field tables and back, as the management plugin converts them: `rabbit_misc.erl`, `amqp_table` and `json_to_term`.

use amq_protocol::protocol::basic::AMQPProperties;
use amq_protocol::types::{AMQPValue, FieldArray, FieldTable, ShortString};
use serde_json::{Map, Value, json};

use crate::core::table;

/// Returns a table of an object; anything else is an empty one.
pub(super) fn table(value: &Value) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in value.as_object().into_iter().flatten() {
        if let Ok(key) = ShortString::try_new(key.as_str()) {
            table.insert(key, field(value));
        }
    }
    table
}

pub(super) fn field(value: &Value) -> AMQPValue {
    match value {
        Value::Null => AMQPValue::Void,
        Value::Bool(flag) => AMQPValue::Boolean(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => AMQPValue::LongLongInt(whole),
            None => AMQPValue::Double(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => AMQPValue::LongString(text.as_bytes().into()),
        Value::Array(values) => {
            AMQPValue::FieldArray(FieldArray::from(values.iter().map(field).collect::<Vec<_>>()))
        }
        Value::Object(_) => AMQPValue::FieldTable(self::table(value)),
    }
}

/// Returns a table as an object.
pub(super) fn object(table: &FieldTable) -> Value {
    Value::Object(table.into_iter().map(|(key, value)| (key.to_string(), json_value(value))).collect())
}

fn json_value(value: &AMQPValue) -> Value {
    match value {
        AMQPValue::Boolean(flag) => json!(flag),
        AMQPValue::Float(number) => json!(number),
        AMQPValue::Double(number) => json!(number),
        AMQPValue::Timestamp(seconds) => json!(seconds),
        AMQPValue::FieldArray(array) => array.as_slice().iter().map(json_value).collect(),
        AMQPValue::FieldTable(table) => object(table),
        AMQPValue::ByteArray(bytes) => json!(String::from_utf8_lossy(bytes.as_slice())),
        // An atom of Erlang, which the plugin writes as text.
        AMQPValue::Void => json!("undefined"),
        other => table::string(other).map_or_else(|| json!(table::integer(other)), |text| json!(text)),
    }
}

/// Calls a macro with every text property: its name, its getter and its setter.
macro_rules! text_properties {
    ($apply:ident) => {
        $apply!("content_type", content_type, with_content_type);
        $apply!("content_encoding", content_encoding, with_content_encoding);
        $apply!("correlation_id", correlation_id, with_correlation_id);
        $apply!("reply_to", reply_to, with_reply_to);
        $apply!("expiration", expiration, with_expiration);
        $apply!("message_id", message_id, with_message_id);
        $apply!("type", kind, with_type);
        $apply!("user_id", user_id, with_user_id);
        $apply!("app_id", app_id, with_app_id);
        $apply!("cluster_id", cluster_id, with_cluster_id);
    };
}

/// Returns the properties of an object.
pub(super) fn properties(value: &Value) -> AMQPProperties {
    let mut properties = AMQPProperties::default();
    macro_rules! read {
        ($name:literal, $get:ident, $with:ident) => {
            if let Some(text) = value[$name].as_str().and_then(|text| ShortString::try_new(text).ok()) {
                properties = properties.$with(text);
            }
        };
    }
    text_properties!(read);
    if let Some(headers) = value.get("headers") {
        properties = properties.with_headers(table(headers));
    }
    let small = |key: &str| value[key].as_u64().and_then(|number| u8::try_from(number).ok());
    if let Some(mode) = small("delivery_mode") {
        properties = properties.with_delivery_mode(mode);
    }
    if let Some(priority) = small("priority") {
        properties = properties.with_priority(priority);
    }
    if let Some(timestamp) = value["timestamp"].as_u64() {
        properties = properties.with_timestamp(timestamp);
    }
    properties
}

/// Returns properties as an object that holds those that are set.
pub(super) fn properties_object(properties: &AMQPProperties) -> Value {
    let mut object = Map::new();
    macro_rules! write {
        ($name:literal, $get:ident, $with:ident) => {
            if let Some(text) = properties.$get() {
                object.insert($name.to_owned(), json!(text.as_str()));
            }
        };
    }
    text_properties!(write);
    if let Some(headers) = properties.headers() {
        object.insert("headers".to_owned(), self::object(headers));
    }
    if let Some(mode) = properties.delivery_mode() {
        object.insert("delivery_mode".to_owned(), json!(mode));
    }
    if let Some(priority) = properties.priority() {
        object.insert("priority".to_owned(), json!(priority));
    }
    if let Some(timestamp) = properties.timestamp() {
        object.insert("timestamp".to_owned(), json!(timestamp));
    }
    Value::Object(object)
}
