use garenne::Message;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Message)]
#[message(type = "order.placed.v1")]
enum OrderPlaced {
    Online,
    InStore,
}

fn main() {}
