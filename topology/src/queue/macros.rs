//! The methods that several kinds of queue share.

macro_rules! binding_methods {
    () => {
        /// Takes messages from an exchange. For a consistent-hash exchange the key is the weight, such as `"1"`.
        #[track_caller]
        pub fn bind(
            mut self,
            source: impl Into<garenne_shared::ExchangeName>,
            key: impl Into<garenne_shared::RoutingKey>,
        ) -> Self {
            let source = crate::binding::Source { exchange: source.into(), key: key.into(), headers: None };
            self.sources.push(source);
            self
        }

        /// Takes messages from a headers exchange.
        #[track_caller]
        pub fn bind_headers(
            mut self,
            source: impl Into<garenne_shared::ExchangeName>,
            headers: crate::HeadersMatch,
        ) -> Self {
            let key = garenne_shared::RoutingKey::from_static("");
            let source = crate::binding::Source { exchange: source.into(), key, headers: Some(headers) };
            self.sources.push(source);
            self
        }
    };
}

macro_rules! dead_letter_methods {
    () => {
        /// Dead-letters to the quorum queue `<queue>.dlq`, which is declared along, unless the topology defines it itself.
        ///
        /// The way there is the default exchange with the name of the dead-letter queue as routing key: this exchange
        /// cannot be deleted and has no binding that could get lost, so the way holds as long as the queue exists. Exchange and
        /// keys of the original are in the header `x-death`.
        /// The dead-letter queue has no delivery limit (`x-delivery-limit` -1: RabbitMQ 4.0 or later), so that looking at a
        /// message often does not drop it.
        pub fn dead_letter(mut self) -> Self {
            self.dead_letter = Some(crate::queue::DeadLetter::Own);
            self
        }

        /// Dead-letters to an exchange with this routing key.
        #[track_caller]
        pub fn dead_letter_to(
            mut self,
            exchange: impl Into<garenne_shared::ExchangeName>,
            key: impl Into<garenne_shared::RoutingKey>,
        ) -> Self {
            let target = crate::queue::DeadLetter::To { exchange: exchange.into(), key: Some(key.into()) };
            self.dead_letter = Some(target);
            self
        }

        /// Dead-letters to an exchange with the routing keys that the message came with.
        #[track_caller]
        pub fn dead_letter_through(mut self, exchange: impl Into<garenne_shared::ExchangeName>) -> Self {
            self.dead_letter = Some(crate::queue::DeadLetter::To { exchange: exchange.into(), key: None });
            self
        }
    };
}

macro_rules! limit_methods {
    () => {
        /// Expires messages after this time (`x-message-ttl`, milliseconds): they are dead-lettered, or dropped.
        pub const fn message_ttl(mut self, ttl: std::time::Duration) -> Self {
            self.message_ttl = Some(ttl);
            self
        }

        /// Deletes the queue, with its messages, when it was unused for this time (`x-expires`, milliseconds).
        pub const fn expires(mut self, after: std::time::Duration) -> Self {
            self.expires = Some(after);
            self
        }

        /// Holds at most this many ready messages (`x-max-length`).
        pub const fn max_length(mut self, messages: u64) -> Self {
            self.max_length = Some(messages);
            self
        }

        /// Holds at most this many bytes of ready bodies (`x-max-length-bytes`).
        pub const fn max_length_bytes(mut self, bytes: u64) -> Self {
            self.max_length_bytes = Some(bytes);
            self
        }

        /// Delivers to one consumer at a time; the next takes over when it goes (`x-single-active-consumer`).
        pub const fn single_active_consumer(mut self) -> Self {
            self.single_active_consumer = true;
            self
        }
    };
}

macro_rules! retry_methods {
    ($(#[$mechanism:meta])*) => {
        /// Says how a failed delivery is tried again: how often, and after which delays. A consumer made with `Consumer::of` follows it.
        ///
        $(#[$mechanism])*
        pub fn retry(mut self, policy: garenne_shared::Retry) -> Self {
            self.retry = Some(policy);
            self
        }

        /// Declares [tiers](crate::RetryTier) from which any delay from a second to `longest` can be made up: for handlers that ask for delays of their own
        /// (`Failure::retry_after`), policies of one handler or error, and brokers that cannot delay by themselves.
        ///
        /// Without, such a delay is made up of the tiers that the policy needs, if it needs any, and else waits in the consumer.
        pub const fn retry_after_max(mut self, longest: std::time::Duration) -> Self {
            self.retry_after_max = Some(longest);
            self
        }
    };
}

pub(super) use {binding_methods, dead_letter_methods, limit_methods, retry_methods};
