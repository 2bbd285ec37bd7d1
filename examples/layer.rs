//! A layer: what happens around every handler. This one lets only one tenant's messages through.

use garenne::{Layer, Next, Outcome, prelude::*};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

#[derive(Serialize, Deserialize, Message)]
#[message(type = "report.requested.v1", key = "examples.reports")]
struct ReportRequested {
    number: u32,
    #[message(header)]
    tenant: String,
}

struct OnlyTenant(&'static str);

#[async_trait]
impl Layer for OnlyTenant {
    async fn call(&self, cx: Context, next: Next<'_>) -> Outcome {
        // Headers are there before the body is decoded.
        if cx.metadata().headers.text("tenant") == Some(self.0) {
            next.run(cx).await
        } else {
            println!("not ours: {:?}", cx.message_id());
            Outcome::done()
        }
    }
}

/// Requests reports for two tenants, and handles those of one.
pub async fn run(client: &Client) -> anyhow::Result<()> {
    client.apply(&Topology::new().queue(Queue::quorum("examples.reports").dead_letter())).await?;
    let publisher = Publisher::new(client);
    for (number, tenant) in [(1, "ours"), (2, "theirs"), (3, "ours")] {
        publisher.publish(&ReportRequested { number, tenant: tenant.into() }).await?;
    }

    let (seen, mut arrivals) = mpsc::channel(8);
    let report = move |request: ReportRequested, _: Context| {
        let seen = seen.clone();
        async move { seen.send(request.number).await.or_retry() }
    };
    // With one at a time, the messages are handled in order: 2 was turned away once 3 has come.
    let consumer = Consumer::new("examples.reports").concurrency(1).handle(report);
    let mut numbers = Vec::new();
    Service::new(client)
        .layer(OnlyTenant("ours"))
        .consume(consumer)
        .run_until(async {
            while numbers.len() < 2 {
                numbers.extend(arrivals.recv().await);
            }
        })
        .await?;
    assert_eq!(numbers, [1, 3]);
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Client::connect(Config::from_vars(std::env::vars_os())?.service("examples")).await?;
    run(&client).await?;
    client.close().await;
    Ok(())
}
