//! The first connect of a client, which may wait for a broker that is not up yet.

use std::sync::Arc;

use garenne_shared::{Chain, Config};
use tokio::time::{Instant, sleep};

use super::{Dialed, dial};
use crate::{Error, Role, runtime::IoRuntime};

/// Dials until a broker answers or `connection.wait` is over, with the delays of `connection.reconnect`.
///
/// What waiting cannot mend, such as a wrong password, fails at once.
pub(crate) async fn until_dialed(config: &Config, runtime: &Arc<IoRuntime>) -> Result<Dialed, Error> {
    let (started, limit) = (Instant::now(), config.connection.wait);
    let mut failed = 0;
    loop {
        let error = match dial(config, Role::Consume, runtime, None).await {
            Ok(dialed) => return Ok(dialed),
            Err(error) => error,
        };
        failed += 1;
        let left = limit.saturating_sub(started.elapsed());
        let delay =
            config.connection.reconnect.delay(failed).filter(|_| error.is_transient() && !left.is_zero());
        let Some(delay) = delay else { return Err(error) };
        // One more attempt at the end, whatever the delay.
        let delay = delay.min(left);
        tracing::warn!(error = %Chain(&error), failed, ?delay, ?left, "no broker yet, waiting for one");
        sleep(delay).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use garenne_embedded::Broker;

    use garenne_shared::{Retry, config::ConnectionConfig};
    use tokio::{net::TcpListener, time::timeout};

    use super::*;
    use crate::{Client, ErrorKind};

    const LIMIT: Duration = Duration::from_secs(60);

    fn config(url: &str, wait: Duration) -> Config {
        let reconnect = Retry::fixed(Duration::from_millis(20));
        Config::from_url(url).unwrap().connection(ConnectionConfig::new().wait(wait).reconnect(reconnect))
    }

    #[tokio::test]
    async fn a_client_waits_for_a_broker_that_starts_later() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connecting = Client::connect(config(&format!("amqp://127.0.0.1:{port}"), LIMIT));
        let starting = async {
            // The first attempt meets a peer that is no broker yet.
            drop(listener.accept().await.unwrap());
            drop(listener);
            Broker::builder().port(port).start().await.unwrap()
        };
        let (client, broker) = timeout(LIMIT, async { tokio::join!(connecting, starting) }).await.unwrap();
        client.unwrap().close().await;
        broker.stop().await;
    }

    #[tokio::test]
    async fn waiting_ends_with_the_last_reason() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("amqp://{}", listener.local_addr().unwrap());
        drop(listener);
        let wait = Duration::from_millis(100);
        let error = timeout(LIMIT, Client::connect(config(&url, wait))).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    }

    #[tokio::test]
    async fn a_wrong_password_is_not_waited_for() {
        let broker = Broker::start().await.unwrap();
        let mut config = config(broker.url(), Duration::from_secs(3600));
        config.endpoints[0].password = garenne_shared::Secret::new("wrong");
        let error = timeout(LIMIT, Client::connect(config)).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AccessRefused, "{error}");
        broker.stop().await;
    }
}
