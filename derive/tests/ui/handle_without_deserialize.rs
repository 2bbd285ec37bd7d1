use garenne::prelude::*;
use serde::Serialize;

#[derive(Serialize, Message)]
#[message(type = "order.placed.v1")]
struct OrderPlaced {
    id: u64,
}

async fn bill(_: OrderPlaced, _: Context) -> Result<(), Failure> {
    Ok(())
}

fn main() {
    let _ = Consumer::new("billing").handle(bill);
}
