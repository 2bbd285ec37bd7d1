//! What `#[derive(Message)]` writes, and what it says where it cannot.

use std::error::Error as _;

use garenne::{HeaderValue, Headers, Message, MessageError, MessageType};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Message)]
#[message(type = "order.placed.v1", exchange = "orders", key = "order.placed.{region}.{id}")]
struct OrderPlaced {
    id: u64,
    region: String,
    #[message(header)]
    tenant: String,
    #[message(header = "x-cents")]
    cents: i64,
}

impl OrderPlaced {
    fn from_region(region: &str) -> Self {
        Self { id: 7, region: region.to_owned(), tenant: "t1".to_owned(), cents: 4200 }
    }
}

#[test]
fn the_key_is_made_of_the_fields() {
    assert_eq!(OrderPlaced::from_region("eu").routing_key().unwrap(), "order.placed.eu.7");
}

#[test]
fn the_type_and_the_exchange_are_constants() {
    const TYPE: MessageType = OrderPlaced::TYPE;
    assert_eq!(TYPE, "order.placed.v1");
    assert_eq!(OrderPlaced::EXCHANGE, "orders");
}

#[test]
fn fields_travel_as_headers() {
    let mut headers = Headers::new();
    OrderPlaced::from_region("eu").headers(&mut headers).unwrap();
    let expected = [("tenant", HeaderValue::from("t1")), ("x-cents", HeaderValue::from(4200))];
    assert_eq!(headers, expected.into_iter().collect());
}

#[test]
fn a_field_that_makes_no_key_is_an_error_of_the_message() {
    for region in ["r".repeat(256), "e\nu".to_owned()] {
        let error: MessageError = OrderPlaced::from_region(&region).routing_key().unwrap_err();
        assert_eq!(error.to_string(), "message `order.placed.v1` cannot be addressed");
        assert!(error.source().unwrap().to_string().starts_with("a routing key"));
    }
}

#[test]
fn doubled_braces_stand_for_themselves() {
    #[derive(Serialize, Deserialize, Message)]
    #[message(type = "braces", key = "{{a}}.{b}")]
    struct Braces {
        b: u8,
    }
    #[derive(Serialize, Deserialize, Message)]
    #[message(type = "only-braces", key = "{{a}}")]
    struct OnlyBraces {}
    assert_eq!(Braces { b: 1 }.routing_key().unwrap(), "{a}.1");
    assert_eq!(OnlyBraces {}.routing_key().unwrap(), "{a}");
}

#[test]
fn a_unit_struct_goes_to_the_default_exchange_unless_told_otherwise() {
    #[derive(Serialize, Deserialize, Message)]
    #[message(type = "day.closed.v1")]
    struct DayClosed;
    assert_eq!(DayClosed::EXCHANGE, "");
    assert_eq!(DayClosed.routing_key().unwrap(), "");
    let mut headers = Headers::new();
    DayClosed.headers(&mut headers).unwrap();
    assert!(headers.is_empty());
}

#[test]
fn a_field_named_like_a_keyword_is_named_without_its_prefix() {
    #[derive(Serialize, Deserialize, Message)]
    #[message(type = "event", key = "event.{type}")]
    struct Event {
        #[message(header)]
        r#type: String,
    }
    let event = Event { r#type: "opened".to_owned() };
    assert_eq!(event.routing_key().unwrap(), "event.opened");
    let mut headers = Headers::new();
    event.headers(&mut headers).unwrap();
    assert_eq!(headers.text("type"), Some("opened"));
}

/// Re-exports Garenne under another path.
mod facade {
    pub(crate) mod messaging {
        pub(crate) use garenne::*;
    }
}

#[test]
fn the_crate_may_have_another_path() {
    #[derive(Serialize, Deserialize, facade::messaging::Message)]
    #[message(type = "a", key = "{id}", crate = "crate::facade::messaging")]
    struct Elsewhere {
        #[message(header)]
        id: u32,
    }
    assert_eq!(Elsewhere { id: 3 }.routing_key().unwrap(), "3");
}

#[test]
fn a_wrong_derive_says_what_is_wrong() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
