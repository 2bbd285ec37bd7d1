//! Compares what a consumer knows of its queue with the broker, before the first message.

use std::time::Duration;

use garenne_shared::QueueName;
use garenne_topology::{DeadLetters, QueueContract, RetryMechanism, Topology};
use garenne_transport::{Client, Error, ErrorKind};

use crate::{Consumer, HOLD_MAX, facts::QueueFacts};

/// Compares the contract of a consumer's queue with the broker; says what is assumed of a queue without one.
///
/// Without the permission to ask, nothing is compared.
pub(crate) async fn check(consumer: &Consumer, facts: &QueueFacts, client: &Client) -> Result<(), Error> {
    let queue = &consumer.queue;
    if let Some(limit) = facts.delivery_limit
        && let Some(attempts) = consumer.retry.max_attempts()
        && attempts > limit.saturating_add(1)
    {
        tracing::warn!(
            %queue, attempts, limit,
            "the retry policy has more attempts than the delivery limit of the queue allows: the limit ends them"
        );
    }
    check_timeouts(consumer);
    let Some(contract) = &consumer.contract else {
        assume(consumer, facts, client).await;
        return Ok(());
    };
    unless_refused(client.compare_queue(&contract.declaration).await)?;
    find_tiers(contract, client).await?;
    say_where_failures_wait(contract, client);
    match (&consumer.dead_letter_queue, &contract.dead_letters) {
        (Some(dead_letter_queue), _) => {
            let found = unless_refused(client.queue_info(dead_letter_queue).await.map(|_| ()));
            found.map_err(|error| missing(queue, dead_letter_queue, error))
        }
        (None, DeadLetters::None) => {
            tracing::warn!(
                %queue,
                "the queue has no dead letters: what fails for good is kept in it, and shown in the health; give it a dead-letter queue"
            );
            Ok(())
        }
        (None, _) => Ok(()),
    }
}

/// The broker's consumer timeout, where the queue has none of its own
/// (<https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout>).
const CONSUMER_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Warns if the last message of a full prefetch may wait longer than the broker does.
fn check_timeouts(consumer: &Consumer) {
    let own = consumer
        .contract
        .as_ref()
        .and_then(|contract| contract.declaration.arguments.int("x-consumer-timeout"));
    let limit =
        own.and_then(|millis| u64::try_from(millis).ok()).map_or(CONSUMER_TIMEOUT, Duration::from_millis);
    let longest = longest_stay(consumer);
    if longest > limit {
        let (prefetch, concurrency, handler_timeout) =
            (consumer.effective_prefetch(), consumer.concurrency, consumer.timeout);
        tracing::warn!(
            queue = %consumer.queue, ?longest, ?limit, prefetch, concurrency, ?handler_timeout,
            "the last message of a full prefetch may wait longer than the consumer timeout of the broker, which takes it back then: lower \
             the prefetch or `Consumer::timeout`, or raise the queue's `consumer-timeout`"
        );
    }
}

/// Returns how long a message may stay with a consumer whose handlers take all their time.
fn longest_stay(consumer: &Consumer) -> Duration {
    let turns = usize::from(consumer.effective_prefetch()).div_ceil(consumer.concurrency);
    let runs = consumer.immediate_retries.saturating_add(1);
    consumer.timeout.saturating_mul(u32::try_from(turns).unwrap_or(u32::MAX)).saturating_mul(runs)
}

/// Looks for the tiers that the retry policy of a queue needs.
async fn find_tiers(contract: &QueueContract, client: &Client) -> Result<(), Error> {
    if contract.retry_tiers.is_empty() {
        return Ok(());
    }
    let tiers = contract.retry_tiers.iter().fold(Topology::new(), |topology, tier| {
        topology.external_exchange(tier.exchange()).external_queue(tier.queue())
    });
    let queue = contract.queue();
    unless_refused(client.verify(&tiers).await.map(|_| ())).map_err(|error| {
        if error.kind() != ErrorKind::NotFound {
            return error;
        }
        let message = format!(
            "queue `{queue}` has a retry policy, and needs its retry tiers; apply the topology before the service starts"
        );
        Error::new(ErrorKind::NotFound, message).with_source(error)
    })
}

/// Says where the failed messages of a queue wait, and warns if the broker cannot do what the queue is declared for.
fn say_where_failures_wait(contract: &QueueContract, client: &Client) {
    let (queue, capabilities) = (contract.queue(), client.capabilities());
    let mechanism = contract.retry_mechanism(capabilities.delayed_retry);
    if contract.broker_delays() && mechanism == RetryMechanism::Consumer {
        tracing::warn!(
            %queue, version = capabilities.version, limit = ?HOLD_MAX,
            "the broker cannot delay retries, as RabbitMQ does from 4.3 on: failed deliveries are held, and longer delays cut"
        );
    } else {
        tracing::info!(%queue, guarantee = mechanism.guarantee(), "failed messages wait {mechanism}");
    }
}

/// Says what is assumed of a queue that somebody else declares.
async fn assume(consumer: &Consumer, facts: &QueueFacts, client: &Client) {
    let (queue, limit) = (&consumer.queue, facts.delivery_limit);
    let Ok(dead_letter_queue) = consumer.dead_letter_queue_name() else { return };
    tracing::info!(
        %queue, %dead_letter_queue, delivery_limit = limit, broker_dead_letters = facts.dead_letters,
        "what is assumed of the queue, which is of no topology of this service"
    );
    let found = client.queue_info(&dead_letter_queue).await;
    if found.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        tracing::warn!(
            %queue, %dead_letter_queue,
            "the dead-letter queue does not exist: what fails for good is kept until it does; declare it, or name another with \
             `Consumer::dead_letter_queue`"
        );
    }
}

fn unless_refused(asked: Result<(), Error>) -> Result<(), Error> {
    match asked {
        Err(error) if matches!(error.kind(), ErrorKind::AccessRefused | ErrorKind::Locked) => {
            tracing::debug!(%error, "a queue is not compared with its definition");
            Ok(())
        }
        asked => asked,
    }
}

fn missing(queue: &QueueName, dead_letter_queue: &QueueName, error: Error) -> Error {
    if error.kind() != ErrorKind::NotFound {
        return error;
    }
    let message = format!(
        "queue `{queue}` needs its dead-letter queue `{dead_letter_queue}`, which does not exist; apply the topology before the \
         service starts"
    );
    Error::new(ErrorKind::NotFound, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_stays_for_all_turns_and_runs_before_it() {
        let consumer = || Consumer::new("q").timeout(Duration::from_secs(10));
        assert_eq!(longest_stay(&consumer()), Duration::from_secs(70));
        assert_eq!(longest_stay(&consumer().concurrency(1).prefetch(5)), Duration::from_secs(50));
        assert_eq!(
            longest_stay(&consumer().concurrency(8).prefetch(8).immediate_retries(2)),
            Duration::from_secs(30)
        );
        assert_eq!(longest_stay(&consumer().timeout(Duration::MAX)), Duration::MAX);
    }
}
