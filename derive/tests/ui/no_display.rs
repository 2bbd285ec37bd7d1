use garenne::Message;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Message)]
#[message(type = "order.placed.v1", key = "order.placed.{lines}")]
struct OrderPlaced {
    lines: Vec<String>,
}

fn main() {}
