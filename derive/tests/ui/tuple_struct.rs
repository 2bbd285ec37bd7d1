use garenne::Message;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Message)]
#[message(type = "order.placed.v1")]
struct OrderPlaced(u64);

fn main() {}
