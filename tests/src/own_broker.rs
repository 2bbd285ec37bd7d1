//! A broker of a test's own, to be stopped, killed, paused and alarmed.

use std::ops::Deref;

use crate::container::{docker, free_port};
use crate::{Broker, SECONDS, eventually, log};

/// A second container, for tests that would disturb the others. Its ports stay the same when it is restarted.
///
/// Removed when dropped. It always needs Docker, also where `AMQP_URL` is set.
#[derive(Debug)]
pub struct OwnBroker {
    broker: Broker,
}

impl OwnBroker {
    /// Starts a broker and waits until it serves: about 10 to 20 s.
    pub async fn start() -> Self {
        log::install();
        Self { broker: Broker::start(Some((free_port(), free_port()))).await }
    }

    /// Stops the broker in an orderly way; clients get `connection.close` (320).
    pub async fn stop(&self) {
        docker(&["stop", "--time", "60", self.container()]).await;
    }

    /// Kills the broker, as a power cut would.
    pub async fn kill(&self) {
        docker(&["kill", self.container()]).await;
    }

    /// Starts the stopped or killed broker again, with its data, and waits until it serves.
    pub async fn start_again(&self) {
        docker(&["start", self.container()]).await;
        eventually(180 * SECONDS, "the restarted broker serves", async || self.broker.serves().await).await;
    }

    /// Stops the server in its running container; clients get `connection.close` (320).
    pub async fn stop_app(&self) {
        self.rabbitmqctl(&["stop_app"]).await;
    }

    /// Ends [`stop_app`](Self::stop_app): seconds, where a start of the container takes tens of them.
    pub async fn start_app(&self) {
        self.rabbitmqctl(&["start_app"]).await;
    }

    /// Freezes every process of the broker: connections stay open and nothing answers.
    pub async fn pause(&self) {
        docker(&["pause", self.container()]).await;
    }

    /// Ends [`pause`](Self::pause).
    pub async fn unpause(&self) {
        docker(&["unpause", self.container()]).await;
    }

    /// Raises the memory alarm: the broker blocks every connection that publishes.
    pub async fn raise_memory_alarm(&self) {
        self.rabbitmqctl(&["set_vm_memory_high_watermark", "absolute", "1"]).await;
    }

    /// Clears the memory alarm.
    pub async fn clear_memory_alarm(&self) {
        self.rabbitmqctl(&["set_vm_memory_high_watermark", "0.6"]).await;
    }

    /// Disables a plugin of the fixture's, such as `rabbitmq_consistent_hash_exchange`.
    pub async fn disable_plugin(&self, plugin: &str) {
        docker(&["exec", self.container(), "rabbitmq-plugins", "disable", plugin]).await;
    }

    fn container(&self) -> &str {
        &self.broker.container.as_ref().expect("a broker of one's own is a container").name
    }
}

impl Deref for OwnBroker {
    type Target = Broker;

    fn deref(&self) -> &Broker {
        &self.broker
    }
}
