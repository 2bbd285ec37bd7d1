//! A message that is encoded once and can be sent any number of times.

use std::time::SystemTime;

use garenne_shared::{Codecs, Message, Metadata, Outgoing, RoutingKey};
use garenne_transport::{PublishError, PublishErrorKind, Stamp};
use serde::Serialize;

/// An encoded message, kept until it is confirmed.
///
/// A retry needs the message again, so every attempt only borrows it. What is the same for every message of a publisher (content type,
/// service) is not kept here but added when it is sent: two allocations less a message.
#[derive(Debug)]
pub(crate) struct Draft {
    /// Boxed: it is large, and moves a few times on its way.
    pub(crate) outgoing: Box<Outgoing>,
    pub(crate) allow_unroutable: bool,
    origin: Origin,
}

#[derive(Debug, Clone, Copy)]
enum Origin {
    /// Encoded here, with this content type.
    Typed { content_type: &'static str },
    /// Handed in; sent with the metadata it came with.
    Raw,
}

// === impl Draft ===

impl Draft {
    /// Encodes and addresses a message.
    pub(crate) fn typed<M: Message + Serialize>(message: &M, codecs: &Codecs) -> Result<Self, PublishError> {
        let routing_key = message.routing_key().map_err(|error| {
            refused::<M>(RoutingKey::from_static(""), "its fields make no routing key").with_source(error)
        })?;
        let mut metadata = Metadata::new();
        if let Err(error) = message.headers(&mut metadata.headers) {
            return Err(refused::<M>(routing_key, "its fields make no headers").with_source(error));
        }
        let (body, content_type) = match codecs.encode(message) {
            Ok(encoded) => encoded,
            Err(error) => {
                return Err(refused::<M>(routing_key, "its body was not encoded").with_source(error));
            }
        };
        metadata.message_id = Some(Metadata::new_message_id());
        metadata.message_type = Some(M::TYPE);
        metadata.timestamp = Some(SystemTime::now());
        let outgoing = Outgoing { metadata, ..Outgoing::new(M::EXCHANGE, routing_key, body) };
        Ok(Self {
            outgoing: Box::new(outgoing),
            allow_unroutable: false,
            origin: Origin::Typed { content_type },
        })
    }

    /// Takes an encoded message as it is; only a missing message id is made, because confirms and retries need one.
    pub(crate) fn raw(mut outgoing: Outgoing) -> Self {
        outgoing.metadata.message_id.get_or_insert_with(Metadata::new_message_id);
        Self { outgoing: Box::new(outgoing), allow_unroutable: false, origin: Origin::Raw }
    }

    /// Returns what every message of the publisher has and this one does not keep.
    pub(crate) fn stamp<'a>(&self, app_id: &'a str) -> Stamp<'a> {
        match self.origin {
            Origin::Typed { content_type } => {
                Stamp { content_type: Some(content_type), app_id: Some(app_id) }
            }
            Origin::Raw => Stamp::default(),
        }
    }

    /// Returns the whole message, with what every message of the publisher has.
    pub(crate) fn into_outgoing(self, app_id: &str) -> Outgoing {
        let Stamp { content_type, app_id } = self.stamp(app_id);
        let mut outgoing = *self.outgoing;
        let metadata = &mut outgoing.metadata;
        for (property, stamped) in
            [(&mut metadata.content_type, content_type), (&mut metadata.app_id, app_id)]
        {
            if property.is_none() {
                *property = stamped.map(str::to_owned);
            }
        }
        outgoing
    }

    /// Takes the message id, for the receipt.
    pub(crate) fn take_message_id(&mut self) -> String {
        self.outgoing.metadata.message_id.take().unwrap_or_default()
    }
}

fn refused<M: Message>(routing_key: RoutingKey, why: &str) -> PublishError {
    let detail = format!("message `{}` was not sent: {why}", M::TYPE);
    PublishError::new(PublishErrorKind::Encode, M::EXCHANGE, routing_key, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use garenne_shared::{ExchangeName, HeaderError, Headers, MessageError, MessageType};

    #[derive(Serialize)]
    struct Placed {
        region: String,
        ratio: Ratio,
    }

    /// Encodes unless it is zero.
    struct Ratio(u32);

    impl Serialize for Ratio {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            if self.0 == 0 {
                return Err(serde::ser::Error::custom("a ratio is above 0"));
            }
            serializer.serialize_u32(self.0)
        }
    }

    impl Message for Placed {
        const TYPE: MessageType = MessageType::from_static("placed.v1");
        const EXCHANGE: ExchangeName = ExchangeName::from_static("orders");

        fn routing_key(&self) -> Result<RoutingKey, MessageError> {
            format!("placed.{}", self.region).parse().map_err(|error| MessageError::new(Self::TYPE, error))
        }

        fn headers(&self, headers: &mut Headers) -> Result<(), MessageError> {
            if self.region == "nowhere" {
                let error = HeaderError::new("a region is somewhere, but is `nowhere`");
                return Err(MessageError::header(Self::TYPE, "region", error));
            }
            headers.insert("region", self.region.as_str());
            Ok(())
        }
    }

    fn draft(region: &str, ratio: u32) -> Result<Draft, PublishError> {
        Draft::typed(&Placed { region: region.to_owned(), ratio: Ratio(ratio) }, &Codecs::json())
    }

    #[test]
    fn a_typed_message_carries_its_metadata() {
        let draft = draft("eu", 2).unwrap();
        let stamp = draft.stamp("shop");
        assert_eq!((stamp.content_type, stamp.app_id), (Some("application/json"), Some("shop")));
        let sent = draft.outgoing;
        assert_eq!(sent.exchange, "orders");
        assert_eq!(sent.routing_key, "placed.eu");
        assert_eq!(sent.body, r#"{"region":"eu","ratio":2}"#);
        assert!(sent.mandatory);
        let metadata = sent.metadata;
        assert_eq!(metadata.message_type, Some(Placed::TYPE));
        assert_eq!(metadata.headers.text("region"), Some("eu"));
        assert!(metadata.timestamp.is_some());
        assert_eq!(metadata.message_id.map(|id| id.len()), Some(36));
    }

    #[test]
    fn a_raw_message_is_sent_as_it_is() {
        let mut outgoing = Outgoing::new("orders", "placed.eu", "body");
        outgoing.metadata.message_id = Some("1".to_owned());
        let draft = Draft::raw(outgoing.clone());
        let stamp = draft.stamp("shop");
        assert_eq!((stamp.content_type, stamp.app_id), (None, None));
        assert_eq!(*draft.outgoing, outgoing);
    }

    #[test]
    fn a_raw_message_without_an_id_gets_one() {
        let draft = Draft::raw(Outgoing::new("orders", "placed.eu", "body"));
        assert!(draft.outgoing.metadata.message_id.is_some_and(|id| !id.is_empty()));
    }

    #[test]
    fn what_cannot_be_encoded_or_addressed_is_an_encode_error_with_its_source() {
        for failed in [draft("eu", 0), draft("nowhere", 2), draft(&"x".repeat(300), 2)] {
            let error = failed.unwrap_err();
            assert_eq!(error.kind(), PublishErrorKind::Encode);
            assert_eq!(error.exchange(), &Placed::EXCHANGE);
            assert!(std::error::Error::source(&error).is_some(), "{error}");
        }
    }
}
