//! What the broker's refusals to declare something mean, and what to do about them.

use garenne_topology::Declaration;

use crate::{Error, ErrorKind, report::show_declaration};

/// Arguments that a policy can set as well (<https://www.rabbitmq.com/docs/policies>), so that they can change later.
const BY_POLICY: [&str; 11] = [
    "alternate-exchange",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-delivery-limit",
    "x-expires",
    "x-max-age",
    "x-max-length",
    "x-max-length-bytes",
    "x-message-ttl",
    "x-overflow",
];

/// Types of exchange that come with a plugin.
const PLUGINS: [(&str, &str); 2] = [
    ("x-consistent-hash", "enable the plugin rabbitmq_consistent_hash_exchange"),
    ("x-modulus-hash", "use RabbitMQ 4.3 or later, or enable the plugin rabbitmq_sharding"),
];

/// Explains a refusal that says more than its reply code; `None` if the code says it all.
pub(super) fn explain(declaration: &Declaration, code: u16, text: &str) -> Option<Error> {
    let object = show_declaration(declaration);
    // The second is what a broker says that had the plugin before.
    if text.contains("unknown exchange type") || text.contains("invalid exchange type") {
        let Declaration::Exchange(exchange) = declaration else { return None };
        let kind = exchange.kind.as_str();
        let remedy = PLUGINS
            .iter()
            .find(|(name, _)| *name == kind)
            .map_or("choose another type", |(_, remedy)| remedy);
        let message = format!("the broker does not know the type {kind} of {object}; {remedy}");
        return Some(Error::new(ErrorKind::Unsupported, message));
    }
    if let Some(mismatch) = Mismatch::parse(text) {
        return Some(Error::new(ErrorKind::Mismatch, mismatch.explain(&object)));
    }
    // Other preconditions than being the same, such as a value out of range.
    (code == 406).then(|| {
        let message = format!("the broker refused {object}: {code} {text}; correct the declaration");
        Error::new(ErrorKind::Refused, message)
    })
}

/// An argument that differs from what exists.
#[derive(Debug, PartialEq, Eq)]
struct Mismatch<'a> {
    argument: &'a str,
    declared: &'a str,
    existing: &'a str,
}

// === impl Mismatch ===

impl<'a> Mismatch<'a> {
    /// Reads texts such as `inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'`.
    fn parse(text: &'a str) -> Option<Self> {
        let (_, rest) = text.split_once("inequivalent arg '")?;
        let (argument, rest) = rest.split_once("' for ")?;
        // From the end: names of objects may hold anything.
        let (rest, existing) = rest.rsplit_once(" but current is ")?;
        let (_, declared) = rest.rsplit_once(": received ")?;
        Some(Self { argument, declared: value(declared), existing: value(existing) })
    }

    fn explain(&self, object: &str) -> String {
        let Self { argument, declared, existing } = self;
        let mut ways =
            vec!["declare it as it is", "delete it (once it is empty) and apply again", "move to a new name"];
        if BY_POLICY.contains(argument) {
            ways.push("leave the argument out and set it by a policy, which can change later");
        }
        let ways = ways.join(", or ");
        format!(
            "{object} exists with other properties: `{argument}` is declared as {declared}, but it is {existing} on the broker; {ways}"
        )
    }
}

/// Unwraps `'1'`, `the value '1' of type 'long'` and `none`.
fn value(text: &str) -> &str {
    let text = text.trim();
    if text == "none" {
        return "unset";
    }
    let quoted = text
        .strip_prefix("the value ")
        .and_then(|text| text.rsplit_once(" of type "))
        .map_or(text, |(value, _)| value);
    quoted.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')).unwrap_or(quoted)
}

#[cfg(test)]
mod tests {
    use garenne_topology::{Exchange, Queue, Topology};

    use super::*;

    fn queue() -> Declaration {
        Topology::new().queue(Queue::quorum("q").without_dead_letter()).declarations().remove(0)
    }

    #[track_caller]
    fn check(text: &str, argument: &str, declared: &str, existing: &str) {
        assert_eq!(Mismatch::parse(text), Some(Mismatch { argument, declared, existing }), "{text}");
    }

    #[test]
    fn both_values_are_read_from_what_the_broker_says() {
        let start = "PRECONDITION_FAILED - inequivalent arg";
        check(
            &format!("{start} 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'"),
            "durable",
            "false",
            "true",
        );
        check(
            &format!(
                "{start} 'x-message-ttl' for queue 'q: received it' in vhost '/': received the value '1000' of type 'signedint' but current is none"
            ),
            "x-message-ttl",
            "1000",
            "unset",
        );
        check(
            &format!(
                "{start} 'x-max-length' for queue 'q' in vhost '/': received none but current is the value '2' of type 'long'"
            ),
            "x-max-length",
            "unset",
            "2",
        );
        assert_eq!(Mismatch::parse("PRECONDITION_FAILED - invalid arg 'x-expires' for queue 'q'"), None);
    }

    #[test]
    fn a_mismatch_names_the_ways_out() {
        let text = "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received '1000' but current is '2000'";
        let error = explain(&queue(), 406, text).expect("it is explained");
        assert_eq!(error.kind(), ErrorKind::Mismatch);
        assert!(!error.is_transient());
        assert_eq!(
            error.to_string(),
            "queue `q` exists with other properties: `x-message-ttl` is declared as 1000, but it is 2000 on the broker; declare it as it \
             is, or delete it (once it is empty) and apply again, or move to a new name, or leave the argument out and set it by a policy, \
             which can change later"
        );
    }

    #[test]
    fn an_unknown_type_of_exchange_names_the_plugin() {
        let exchange = Topology::new().exchange(Exchange::consistent_hash("h")).declarations().remove(0);
        let text = "COMMAND_INVALID - unknown exchange type 'x-consistent-hash'";
        let error = explain(&exchange, 503, text).expect("it is explained");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(
            error.to_string().ends_with("enable the plugin rabbitmq_consistent_hash_exchange"),
            "{error}"
        );
    }

    #[test]
    fn another_precondition_is_no_mismatch() {
        let text = "PRECONDITION_FAILED - invalid arg 'x-expires' for queue 'q' in vhost '/': {value_zero,0}";
        assert_eq!(explain(&queue(), 406, text).map(|error| error.kind()), Some(ErrorKind::Refused));
        assert!(explain(&queue(), 403, "ACCESS_REFUSED - configure access refused").is_none());
    }
}
