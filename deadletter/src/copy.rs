//! The copy of a dead letter that is published again.

use std::time::Duration;

use garenne_shared::{ExchangeName, NameError, Outgoing, QueueName, RoutingKey, header};

use crate::DeadLetter;

/// Makes the message that goes to a queue again: body, properties and message id as they were, without the record of its end.
pub(crate) fn replayed(letter: &DeadLetter, to: &QueueName) -> Result<Outgoing, NameError> {
    let mut copy = verbatim(letter, to)?;
    let metadata = &mut copy.metadata;
    let headers = &mut metadata.headers;
    let expiration = headers.int(header::ORIGIN_EXPIRATION).and_then(|millis| u64::try_from(millis).ok());
    // Where it was first published stays known: now it comes by way of the default exchange.
    let keeps = [header::ORIGIN_EXCHANGE, header::ORIGIN_ROUTING_KEY, header::ORIGIN_USER_ID];
    let dropped = header::RECORD.into_iter().filter(|name| !keeps.contains(name));
    for name in dropped.chain(header::DEATHS).chain(header::COUNTS).chain([header::PUT_BACK]) {
        headers.remove(name);
    }
    headers.insert(header::REPLAYS, letter.replays().saturating_add(1));
    headers.insert(header::REPLAYED_FROM, letter.queue.as_str());
    // One that expires at once would never be handled.
    if metadata.expiration.is_none() {
        metadata.expiration = expiration.filter(|millis| *millis > 0).map(Duration::from_millis);
    }
    Ok(copy)
}

/// Makes the message that goes to another queue as it lies in this one.
pub(crate) fn verbatim(letter: &DeadLetter, to: &QueueName) -> Result<Outgoing, NameError> {
    let routing_key = RoutingKey::try_from(to.to_string())?;
    let mut copy = Outgoing::new(ExchangeName::DEFAULT, routing_key, letter.message.body.clone());
    copy.metadata = letter.message.metadata.clone();
    let metadata = &mut copy.metadata;
    // The broker refuses a user other than ours.
    if let Some(user_id) = metadata.user_id.take() {
        metadata.headers.insert(header::ORIGIN_USER_ID, user_id);
    }
    // These would route it to further queues.
    for name in header::COPIES {
        metadata.headers.remove(name);
    }
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use garenne_shared::HeaderValue;

    use super::*;
    use crate::letter::tests::letter;

    #[test]
    fn a_replayed_message_is_what_it_was() {
        let mut dead = letter([
            ("garenne-error-kind", "handler".into()),
            ("garenne-error-message", "no".into()),
            ("garenne-attempts", 3.into()),
            ("garenne-origin-queue", "q".into()),
            ("garenne-origin-exchange", "orders".into()),
            ("garenne-origin-expiration", 1500.into()),
            ("garenne-replays", 1.into()),
            ("garenne-put-back", true.into()),
            ("x-death", Vec::<HeaderValue>::new().into()),
            ("x-first-death-reason", "expired".into()),
            ("x-delivery-count", 4.into()),
            ("CC", vec![HeaderValue::from("elsewhere")].into()),
            ("tenant", "t1".into()),
        ]);
        dead.message.metadata.message_id = Some("m-1".to_owned());
        dead.message.metadata.user_id = Some("bob".to_owned());
        let copy = replayed(&dead, &"q".into()).unwrap();
        assert_eq!((copy.exchange.as_str(), copy.routing_key.as_str(), copy.mandatory), ("", "q", true));
        assert_eq!((copy.metadata.message_id.as_deref(), &copy.metadata.user_id), (Some("m-1"), &None));
        assert_eq!(copy.metadata.expiration, Some(Duration::from_millis(1500)));
        let headers: Vec<_> = copy.metadata.headers.iter().map(|(name, _)| name).collect();
        let expected = [
            "garenne-origin-exchange",
            "garenne-origin-user-id",
            "garenne-replayed-from",
            "garenne-replays",
            "tenant",
        ];
        assert_eq!(headers, expected);
        assert_eq!(copy.metadata.headers.int("garenne-replays"), Some(2));
    }
}
