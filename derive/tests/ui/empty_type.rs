use garenne::Message;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Message)]
#[message(type = "")]
struct OrderPlaced {
    id: u64,
}

fn main() {}
