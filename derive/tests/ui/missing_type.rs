use garenne::Message;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Message)]
#[message(exchange = "orders")]
struct OrderPlaced {
    id: u64,
}

fn main() {}
