//! What `#[derive(Message)]` writes, and what it says where it cannot.

use std::error::Error as _;

use garenne::{HeaderError, HeaderValue, Headers, Message, MessageError, MessageType, ToHeader};
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
fn a_header_field_is_of_any_integer_and_may_be_absent() {
    #[derive(Message)]
    #[message(type = "widths")]
    struct Widths {
        #[message(header)]
        narrow: i8,
        #[message(header)]
        wide: u64,
        #[message(header)]
        size: usize,
        #[message(header)]
        offset: isize,
        #[message(header)]
        tenant: Option<String>,
        #[message(header)]
        parent: Option<u64>,
        #[message(header)]
        flag: Option<bool>,
    }
    let widths = Widths {
        narrow: -1,
        wide: i64::MAX as u64,
        size: 3,
        offset: -4,
        tenant: None,
        parent: Some(5),
        flag: None,
    };
    let mut headers = Headers::new();
    widths.headers(&mut headers).unwrap();
    let expected = [("narrow", -1), ("wide", i64::MAX), ("size", 3), ("offset", -4), ("parent", 5)];
    assert_eq!(headers, expected.into_iter().collect());
}

#[test]
fn an_integer_that_no_header_has_is_an_error_and_does_not_wrap() {
    #[derive(Message)]
    #[message(type = "counted.v1")]
    struct Counted {
        #[message(header = "x-count")]
        count: u64,
    }
    let error = Counted { count: u64::MAX }.headers(&mut Headers::new()).unwrap_err();
    assert_eq!(error.to_string(), "message `counted.v1` cannot have its header `x-count`");
    let source = error.source().unwrap().to_string();
    assert!(source.ends_with("but is 18446744073709551615; send it as text"), "{source}");
}

#[test]
fn a_type_of_ones_own_is_a_header_field() {
    struct Tenant(u32);
    impl ToHeader for Tenant {
        fn to_header(&self) -> Result<Option<HeaderValue>, HeaderError> {
            if self.0 == 0 {
                Err(HeaderError::new("a tenant is above 0, but is 0"))
            } else {
                self.0.to_header()
            }
        }
    }
    #[derive(Message)]
    #[message(type = "rented.v1")]
    struct Rented {
        #[message(header)]
        tenant: Tenant,
    }
    let mut headers = Headers::new();
    Rented { tenant: Tenant(3) }.headers(&mut headers).unwrap();
    assert_eq!(headers.int("tenant"), Some(3));
    assert!(Rented { tenant: Tenant(0) }.headers(&mut headers).is_err());
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
