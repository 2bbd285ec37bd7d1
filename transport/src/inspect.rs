//! Asks the broker about a queue.

use garenne_shared::QueueName;
use lapin::{
    options::QueueDeclareOptions,
    types::{FieldTable, ShortString},
};
use tokio::time::timeout;

use crate::{Error, ErrorKind, QueueInfo, fault::fault, link::Link};

/// Declares a queue passively, on a channel of its own, because a refusal closes that.
pub(crate) async fn queue_info(link: &Link, queue: &QueueName) -> Result<QueueInfo, Error> {
    let limit = link.config().connection.rpc_timeout;
    let what = format!("asking about queue `{queue}`");
    let asked = async {
        let open = link.open_channel().await?;
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let declared = open
            .channel
            .queue_declare(ShortString::from(queue.as_str()), passive, FieldTable::default())
            .await
            .map_err(|error| fault(&error, &what))?;
        let info = QueueInfo { ready: declared.message_count(), consumers: declared.consumer_count() };
        // The answer stands, whatever becomes of the channel.
        let _ = open.channel.close(200, "asked".into()).await;
        Ok(info)
    };
    timeout(limit, asked).await.map_err(|_| {
        Error::new(
            ErrorKind::TimedOut,
            format!("{what} took longer than `connection.rpc_timeout`, {limit:?}"),
        )
    })?
}
