//! From a line to a message: key, headers and id by templates, the body as it is.

use std::time::SystemTime;

use bytes::Bytes;
use garenne_shared::{DeliveryMode, Metadata, NameError, Outgoing, RoutingKey};
use serde::de::IgnoredAny;

use super::{
    args::Args,
    object::{FieldError, Object},
    template::Template,
};

/// The longest AMQP short string, in bytes (AMQP 0-9-1 section 4.2.5.3).
const MAX_ID_BYTES: usize = 255;

/// How a line becomes a message.
#[derive(Debug)]
pub(crate) struct Addressing {
    /// The message without body, key, id and templated headers.
    blank: Outgoing,
    key: Key,
    headers: Vec<(String, Template)>,
    message_id: Option<Template>,
}

#[derive(Debug)]
enum Key {
    Fixed(RoutingKey),
    Templated(Template),
}

/// Why a line was not published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("it is not UTF-8")]
    NotUtf8,
    #[error("it is not JSON: {0}")]
    NotJson(serde_json::Error),
    #[error("it is not a JSON object, so it has no fields")]
    NotAnObject,
    #[error("{template}: {error}")]
    Field { template: String, error: FieldError },
    #[error("{0}")]
    Key(NameError),
    #[error("a message id has 1 to 255 bytes, but this one has {0}")]
    MessageId(usize),
    #[error("it has {len} bytes, but a message is at most {limit}")]
    TooLong { len: u64, limit: usize },
}

// === impl Addressing ===

impl Addressing {
    /// Takes the address from the command line.
    ///
    /// # Errors
    ///
    /// Fails if the key is the same for every line and no valid key.
    pub(crate) fn new(args: &Args) -> Result<Self, NameError> {
        let mut blank = Outgoing::new(args.exchange.clone(), RoutingKey::from_static(""), Bytes::new());
        blank.metadata.message_type.clone_from(&args.message_type);
        blank.metadata.content_type = Some("application/json".to_owned());
        blank.metadata.app_id = Some(args.app_id.clone());
        if args.transient {
            blank.metadata.delivery_mode = DeliveryMode::Transient;
        }
        let key = match args.key.literal() {
            Some(key) => Key::Fixed(key.parse()?),
            None => Key::Templated(args.key.clone()),
        };
        let mut headers = Vec::new();
        for (name, template) in &args.headers {
            match template.literal() {
                Some(value) => blank.metadata.headers.insert(name.clone(), value),
                None => headers.push((name.clone(), template.clone())),
            }
        }
        Ok(Self { blank, key, headers, message_id: args.message_id.clone() })
    }

    /// Makes the message of a line.
    pub(crate) fn address(&self, line: Bytes) -> Result<Outgoing, Malformed> {
        let text = std::str::from_utf8(&line).map_err(|_| Malformed::NotUtf8)?;
        let mut message = self.blank.clone();
        if self.needs_fields() {
            let fields = Object::parse(text).map_err(|error| match error.is_data() {
                true => Malformed::NotAnObject,
                false => Malformed::NotJson(error),
            })?;
            self.fill(&mut message, &fields)?;
        } else {
            serde_json::from_str::<IgnoredAny>(text).map_err(Malformed::NotJson)?;
            if let Key::Fixed(key) = &self.key {
                message.routing_key = key.clone();
            }
        }
        message.metadata.message_id.get_or_insert_with(Metadata::new_message_id);
        message.metadata.timestamp = Some(SystemTime::now());
        message.body = line;
        Ok(message)
    }

    const fn needs_fields(&self) -> bool {
        matches!(self.key, Key::Templated(_)) || !self.headers.is_empty() || self.message_id.is_some()
    }

    fn fill(&self, message: &mut Outgoing, fields: &Object<'_>) -> Result<(), Malformed> {
        let render = |what: &str, template: &Template| {
            template
                .render(fields)
                .map_err(|error| Malformed::Field { template: format!("{what} `{template}`"), error })
        };
        message.routing_key = match &self.key {
            Key::Fixed(key) => key.clone(),
            Key::Templated(template) => render("key", template)?.try_into().map_err(Malformed::Key)?,
        };
        for (name, template) in &self.headers {
            let value = render(&format!("header `{name}` with"), template)?;
            message.metadata.headers.insert(name.clone(), value);
        }
        if let Some(template) = &self.message_id {
            let id = render("message id", template)?;
            if id.is_empty() || id.len() > MAX_ID_BYTES {
                return Err(Malformed::MessageId(id.len()));
            }
            message.metadata.message_id = Some(id);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn addressing(args: &[&str]) -> Addressing {
        let args = Args::parse_from(["producer", "--exchange", "orders"].iter().chain(args));
        Addressing::new(&args).unwrap()
    }

    #[track_caller]
    fn refused(args: &[&str], line: &'static [u8], reason: &str) {
        let error = addressing(args).address(Bytes::from_static(line)).unwrap_err();
        assert_eq!(error.to_string(), reason);
    }

    #[test]
    fn a_line_becomes_a_message_with_its_bytes_as_body() {
        let args = [
            "--key",
            "placed.{region}",
            "--header",
            "tenant={shop.tenant}",
            "--header",
            "source=import",
            "--message-id",
            "{id}",
        ];
        let line = br#" {"id":7, "region":"eu","shop":{"tenant":"t1"} }"#;
        let message = addressing(&args).address(Bytes::from_static(line)).unwrap();
        assert_eq!(message.body, &line[..]);
        assert_eq!(message.routing_key, "placed.eu");
        assert_eq!(message.metadata.headers.text("tenant"), Some("t1"));
        assert_eq!(message.metadata.headers.text("source"), Some("import"));
        assert_eq!(message.metadata.message_id.as_deref(), Some("7"));
        assert_eq!(message.metadata.content_type.as_deref(), Some("application/json"));
        assert_eq!(message.metadata.app_id.as_deref(), Some("producer"));
    }

    #[test]
    fn without_templates_any_json_is_published() {
        let message = addressing(&["--key", "k"]).address(Bytes::from_static(b"[1, 2]")).unwrap();
        assert_eq!((message.routing_key.as_str(), &message.body[..]), ("k", &b"[1, 2]"[..]));
        assert!(message.metadata.message_id.is_some());
    }

    #[test]
    fn what_cannot_be_published_says_why() {
        refused(&[], b"\xff", "it is not UTF-8");
        refused(&[], b"{", "it is not JSON: EOF while parsing an object at line 1 column 1");
        refused(&["--key", "{a}"], b"{} x", "it is not JSON: trailing characters at line 1 column 4");
        refused(&["--key", "{a}"], b"[]", "it is not a JSON object, so it has no fields");
        refused(&["--key", "{a}"], b"{}", "key `{a}`: field `a` is missing");
        refused(&["--header", "h={a}"], b"{}", "header `h` with `{a}`: field `a` is missing");
        refused(
            &["--message-id", "{a}"],
            br#"{"a":""}"#,
            "a message id has 1 to 255 bytes, but this one has 0",
        );
    }

    #[test]
    fn a_key_that_is_too_long_is_malformed() {
        let line = Bytes::from(format!(r#"{{"a":"{}"}}"#, "x".repeat(256)));
        assert!(matches!(addressing(&["--key", "{a}"]).address(line), Err(Malformed::Key(_))));
    }

    #[test]
    fn a_literal_key_that_is_too_long_is_wrong_usage() {
        let args = Args::parse_from(["producer", "--exchange", "orders", "--key", &"x".repeat(256)]);
        assert!(Addressing::new(&args).is_err());
    }
}
