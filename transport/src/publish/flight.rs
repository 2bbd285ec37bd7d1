//! One future in the set that a lane polls.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use garenne_shared::{ExchangeName, RoutingKey};
use lapin::{
    BasicProperties, Channel, Confirmation, message::BasicReturnMessage, options::BasicPublishOptions,
    types::ShortString,
};

use super::{command::Identity, tracker::Tracker};

/// The verdicts of a lane's channel; locked for a few instructions by the one task that polls.
pub(super) type Verdicts = Mutex<Tracker<Identity, Settled>>;

/// A publish to be sent.
pub(super) struct Flight {
    pub(super) number: u64,
    pub(super) identity: Identity,
    pub(super) properties: BasicProperties,
    pub(super) body: Bytes,
    pub(super) mandatory: bool,
}

/// What came back.
pub(super) enum Landed {
    Confirmed {
        settled: Settled,
        identity: Identity,
        carried: Option<Identity>,
    },
    Failed {
        number: u64,
        error: lapin::Error,
    },
    /// Everything that was woken before this has been polled, because the set polls in order of waking.
    Swept(u64),
}

/// A publish whose confirm has completed.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) number: u64,
    pub(super) nacked: bool,
    pub(super) mandatory: bool,
}

/// Publishes, waits for the confirm, and says what it carried.
pub(super) async fn fly(channel: &Channel, verdicts: &Verdicts, flight: Flight) -> Landed {
    let Flight { number, identity, properties, body, mandatory } = flight;
    // Validated names: at most 255 bytes, beyond which lapin panics.
    let exchange = ShortString::from(identity.exchange.as_str());
    let routing_key = ShortString::from(identity.routing_key.as_str());
    let options = BasicPublishOptions { mandatory, ..BasicPublishOptions::default() };
    let confirm = match channel.basic_publish(exchange, routing_key, options, &body, properties).await {
        Ok(confirm) => confirm,
        Err(error) => return Landed::Failed { number, error },
    };
    // In the same poll as the first one of the confirm.
    lock(verdicts).collected(number);
    match confirm.await {
        Ok(confirmation) => {
            let nacked = matches!(confirmation, Confirmation::Nack(_));
            let carried = confirmation.take_message().as_ref().map(identify);
            let settled = Settled { number, nacked, mandatory };
            Landed::Confirmed { settled, identity, carried }
        }
        Err(error) => Landed::Failed { number, error },
    }
}

pub(super) fn lock(verdicts: &Verdicts) -> std::sync::MutexGuard<'_, Tracker<Identity, Settled>> {
    verdicts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Recognizes a returned message.
///
/// One that carries names we would never have sent is still a return: it must not pass for a confirm that carried nothing.
fn identify(message: &BasicReturnMessage) -> Identity {
    let delivery = &message.delivery;
    let message_id = delivery.properties.message_id().as_ref().map(|id| id.as_str().to_owned());
    Identity {
        message_id: message_id.unwrap_or_default(),
        exchange: delivery.exchange.as_str().to_owned().try_into().unwrap_or(ExchangeName::DEFAULT),
        routing_key: delivery
            .routing_key
            .as_str()
            .to_owned()
            .try_into()
            .unwrap_or(RoutingKey::from_static("")),
    }
}
