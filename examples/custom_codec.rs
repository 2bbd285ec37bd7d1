//! A codec of one's own: bodies are lines of `name=value`, selected by their content type.

use garenne::{Bytes, Codec, Codecs, codec::erased_serde, prelude::*};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::mpsc;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug)]
struct Lines;

impl Codec for Lines {
    fn content_type(&self) -> &'static str {
        "text/x-lines"
    }

    fn encode(&self, value: &dyn erased_serde::Serialize) -> Result<Bytes, BoxError> {
        let Value::Object(fields) = serde_json::to_value(value)? else { return Err("not a struct".into()) };
        Ok(fields.iter().map(|(name, value)| format!("{name}={value}\n")).collect::<String>().into())
    }

    fn decode(
        &self,
        body: &[u8],
        visit: &mut dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error>,
    ) -> Result<(), BoxError> {
        let mut fields = Map::new();
        for line in std::str::from_utf8(body)?.lines() {
            let (name, value) = line.split_once('=').ok_or("a line without `=`")?;
            fields.insert(name.to_owned(), serde_json::from_str(value)?);
        }
        Ok(visit(&mut <dyn erased_serde::Deserializer<'_>>::erase(Value::Object(fields)))?)
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(type = "parcel.sent.v1", key = "examples.parcels")]
struct ParcelSent {
    number: u32,
    to: String,
}

/// Sends a parcel as lines, and reads it.
pub async fn run(client: &Client) -> anyhow::Result<()> {
    // Encodes with it, and decodes JSON and MessagePack as well; `with` would only decode with it.
    let client = client.clone().with_codecs(Codecs::json().encoding_with(Lines));
    client.apply(&Topology::new().queue(Queue::quorum("examples.parcels").dead_letter())).await?;
    Publisher::new(&client).publish(&ParcelSent { number: 7, to: "Ada".into() }).await?;

    let (seen, mut arrivals) = mpsc::channel(8);
    let receive = move |parcel: ParcelSent, cx: Context| {
        let seen = seen.clone();
        async move { seen.send((parcel, cx.incoming().body.clone())).await.or_retry() }
    };
    let mut arrived = None;
    Service::new(&client)
        .consume(Consumer::new("examples.parcels").handle(receive))
        .run_until(async { arrived = arrivals.recv().await })
        .await?;
    let (parcel, body) = arrived.expect("it arrived");
    assert_eq!(parcel, ParcelSent { number: 7, to: "Ada".into() });
    assert_eq!(body, "number=7\nto=\"Ada\"\n");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Client::connect(Config::from_vars(std::env::vars_os())?.service("examples")).await?;
    run(&client).await?;
    client.close().await;
    Ok(())
}
