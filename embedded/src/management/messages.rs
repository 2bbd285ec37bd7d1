//! Publishing and getting messages over the management API.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use serde_json::{Value, json};

use super::convert::{properties, properties_object};
use super::objects::exchange_name;
use super::route::Answer;
use crate::core::text::shown;
use crate::core::{Core, Millis, Taken};

pub(super) fn publish(core: &mut Core, now: Millis, vhost: &str, exchange: &str, body: &Value) -> Answer {
    let payload = body["payload"].as_str().unwrap_or_default();
    let decoded = match body["payload_encoding"].as_str() {
        Some("base64") => BASE64_STANDARD.decode(payload).ok(),
        _ => Some(payload.as_bytes().to_vec()),
    };
    let Some(decoded) = decoded else { return Answer::bad_request("the payload is not base64") };
    let key = body["routing_key"].as_str().unwrap_or_default();
    let address = (vhost, exchange_name(exchange), key);
    match core.publish_as_admin(now, address, (&properties(&body["properties"])).into(), Bytes::from(decoded))
    {
        Ok(is_routed) => Answer::ok(json!({ "routed": is_routed })),
        Err(error) if error.code == 404 => Answer::not_found(),
        Err(error) => Answer::bad_request(&error.text),
    }
}

pub(super) fn get(core: &mut Core, now: Millis, vhost: &str, queue: &str, body: &Value) -> Answer {
    let mode = body["ackmode"].as_str().unwrap_or_default();
    let Some(taken) = Taken::from_name(mode) else {
        return Answer::bad_request(&format!("unknown ackmode `{mode}`"));
    };
    let count = body["count"].as_u64().unwrap_or(1);
    let is_base64 = body["encoding"].as_str() == Some("base64");
    match core.get_as_admin(now, vhost, queue, count, taken) {
        Err(error) if error.code == 404 => Answer::not_found(),
        Err(error) => Answer::bad_request(&error.text),
        Ok(messages) => {
            let described = messages.into_iter().map(|(message, properties, is_redelivered, left)| {
                let text = std::str::from_utf8(&message.body).ok().filter(|_| !is_base64);
                let (payload, encoding) = match text {
                    Some(text) => (text.to_owned(), "string"),
                    None => (BASE64_STANDARD.encode(&message.body), "base64"),
                };
                json!({
                    "payload": payload,
                    "payload_encoding": encoding,
                    "payload_bytes": message.body.len(),
                    "properties": properties_object(&properties.as_ref().unwrap_or(&message.properties).readable()),
                    "exchange": &*message.exchange,
                    "routing_key": shown(&message.routing_key),
                    "redelivered": is_redelivered,
                    "message_count": left,
                })
            });
            Answer::ok(described.collect())
        }
    }
}
