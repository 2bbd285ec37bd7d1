use garenne::Message;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Message)]
#[message(type = "order.placed.v1", key = "order.placed.{regoin}")]
struct OrderPlaced {
    id: u64,
    region: String,
}

fn main() {}
