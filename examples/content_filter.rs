//! Routing by content: a headers exchange gives each queue the messages whose headers match.

use garenne::{HeadersMatch, prelude::*};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

#[derive(Serialize, Deserialize, Message)]
#[message(type = "document.stored.v1", exchange = "examples.documents")]
struct DocumentStored {
    name: String,
    #[message(header)]
    format: String,
    #[message(header)]
    pages: u32,
}

/// Stores documents; the printer takes PDFs of one page, the archive whatever has a format.
pub async fn run(client: &Client) -> anyhow::Result<()> {
    let flyers = HeadersMatch::all().header("format", "pdf").header("pages", 1);
    let documents = HeadersMatch::any().present("format");
    let topology = Topology::new()
        .exchange(Exchange::headers("examples.documents"))
        .queue(Queue::quorum("examples.printer").bind_headers("examples.documents", flyers).dead_letter())
        .queue(Queue::quorum("examples.archive").bind_headers("examples.documents", documents).dead_letter());
    client.apply(&topology).await?;

    let publisher = Publisher::new(client);
    for (name, format, pages) in [("flyer", "pdf", 1), ("book", "pdf", 300), ("note", "txt", 1)] {
        publisher.publish(&DocumentStored { name: name.into(), format: format.into(), pages }).await?;
    }

    let (seen, mut arrivals) = mpsc::channel(8);
    let consumer = |queue: &'static str| {
        let seen = seen.clone();
        Consumer::new(queue).handle(move |document: DocumentStored, _: Context| {
            let seen = seen.clone();
            async move { seen.send(format!("{queue}: {}", document.name)).await.or_retry() }
        })
    };
    let mut all = Vec::new();
    Service::new(client)
        .consume(consumer("examples.printer"))
        .consume(consumer("examples.archive"))
        .run_until(async {
            while all.len() < 4 {
                all.extend(arrivals.recv().await);
            }
        })
        .await?;
    all.sort_unstable();
    println!("{}", all.join("\n"));
    let [archive, printer] = ["examples.archive", "examples.printer"];
    let expected = [(archive, "book"), (archive, "flyer"), (archive, "note"), (printer, "flyer")];
    assert_eq!(all, expected.map(|(queue, name)| format!("{queue}: {name}")));
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Client::connect(Config::from_vars(std::env::vars_os())?.service("examples")).await?;
    run(&client).await?;
    client.close().await;
    Ok(())
}
