use garenne::Message;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Message)]
#[message(type = "order.placed.v1", exchnage = "orders")]
struct OrderPlaced {
    id: u64,
}

fn main() {}
