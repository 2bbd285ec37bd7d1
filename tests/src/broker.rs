//! A broker to test against: the shared one of the run, or one of a test's own.

use std::process::Stdio;

use garenne_management::{Management, ManagementConfig, ManagementError};
use garenne_shared::config::Address;
use tokio::process::Command;
use tokio::sync::OnceCell;
use url::Url;

use crate::container::{Container, docker};
use crate::{Admin, SECONDS, admin, log, runtime};

static SHARED: OnceCell<Broker> = OnceCell::const_new();

/// A running broker, as its administrator sees it.
#[derive(Debug)]
pub struct Broker {
    pub(crate) host: String,
    pub(crate) amqp_port: u16,
    pub(crate) user: String,
    pub(crate) management: Management,
    admin: Admin,
    /// `None` if the broker was found in `AMQP_URL`.
    pub(crate) container: Option<Container>,
}

impl Broker {
    /// The administrator of the brokers that the fixture starts.
    pub(crate) const ADMINISTRATOR: &str = "garenne-test";

    /// Returns the broker that all tests share; the first call starts it.
    pub async fn shared() -> &'static Self {
        log::install();
        SHARED
            .get_or_init(|| async {
                #[expect(clippy::disallowed_methods, reason = "the fixture is configured by the environment")]
                let given = (std::env::var("AMQP_URL").ok(), std::env::var("RABBITMQ_MANAGEMENT_URL").ok());
                match given {
                    (Some(amqp), management) => Self::given(&amqp, management.as_deref()).await,
                    (None, _) => Self::start(None).await,
                }
            })
            .await
    }

    /// Describes an embedded broker with its management API, as this user sees it.
    pub(crate) fn embedded(broker: &garenne_embedded::Broker, user: &str) -> Self {
        let address = broker.address();
        let management = broker.management_address().expect("the fixture asks for the management API");
        let host = address.ip().to_string();
        Self::managed((&host, address.port()), (&host, management.port()), (user, log::password()))
    }

    /// Starts a broker in a container, with published ports that survive a restart if they are given (AMQP, management).
    pub(crate) async fn start(ports: Option<(u16, u16)>) -> Self {
        let password = log::password();
        let container = runtime::run(Container::start(Self::ADMINISTRATOR, password, ports)).await;
        let broker = Self::at(&container.host, container.amqp_port, container.management_port);
        Self { container: Some(container), ..broker }
    }

    /// Describes a broker that the fixture has started here, as its administrator sees it.
    pub(crate) fn at(host: &str, amqp_port: u16, management_port: u16) -> Self {
        Self::managed((host, amqp_port), (host, management_port), (Self::ADMINISTRATOR, log::password()))
    }

    fn managed(
        (host, amqp_port): (&str, u16),
        (api_host, api_port): (&str, u16),
        (user, password): (&str, &str),
    ) -> Self {
        let mut config =
            ManagementConfig::default().port(api_port).login(user, password).timeout(120 * SECONDS);
        api_host.clone_into(&mut config.host);
        Self {
            host: host.to_owned(),
            amqp_port,
            user: user.to_owned(),
            management: Management::new(config).expect("the fixture's configuration is valid"),
            admin: Admin::new(api_host, api_port, user, password),
            container: None,
        }
    }

    /// Uses the broker of `AMQP_URL`; the management API is at `RABBITMQ_MANAGEMENT_URL`, by default on port 15672 of the same host.
    async fn given(amqp: &str, management: Option<&str>) -> Self {
        let address: Address = amqp.parse().unwrap_or_else(|error| panic!("AMQP_URL: {error}"));
        let management = management.map(|url| {
            Url::parse(url).unwrap_or_else(|error| panic!("RABBITMQ_MANAGEMENT_URL is not a URL: {error}"))
        });
        let host = management.as_ref().and_then(Url::host_str).unwrap_or(&address.host);
        let port = management.as_ref().and_then(Url::port).unwrap_or(15672);
        let login = (address.user.as_str(), address.password.expose());
        let broker = Self::managed((&address.host, address.port), (host, port), login);
        // The first request tells whether there is a broker at all: better here than in the middle of a test.
        broker.read(async |management| management.broker().await).await;
        broker
    }

    /// Returns the management API to change things with.
    #[must_use]
    pub const fn admin(&self) -> &Admin {
        &self.admin
    }

    /// Reads the management API. Panics if that fails.
    pub async fn read<T: Send + 'static, R>(&self, read: impl FnOnce(Management) -> R) -> T
    where
        R: Future<Output = Result<T, ManagementError>> + Send + 'static,
    {
        self.try_read(read).await.unwrap_or_else(|error| panic!("{error:?}"))
    }

    pub(crate) async fn try_read<T: Send + 'static, R>(
        &self,
        read: impl FnOnce(Management) -> R,
    ) -> Result<T, ManagementError>
    where
        R: Future<Output = Result<T, ManagementError>> + Send + 'static,
    {
        admin::read(&self.management, read).await
    }

    /// Tells whether the node that answers serves AMQP on the port of a container.
    pub(crate) async fn serves(&self) -> Result<(), String> {
        let broker = self.try_read(async |management| management.broker().await).await;
        let broker = broker.map_err(|error| format!("{error:?}"))?;
        let serves = broker.listeners.iter().any(|one| one.node == broker.node && one.port == 5672);
        if serves { Ok(()) } else { Err(format!("{:?}", broker.listeners)) }
    }

    /// Returns `host:port` of AMQP, for [`Proxy::start`](crate::Proxy::start).
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.amqp_port)
    }

    /// Runs `rabbitmqctl` and returns what it printed.
    ///
    /// In the container; with `AMQP_URL`, the command that the variable `RABBITMQCTL` holds.
    pub async fn rabbitmqctl(&self, arguments: &[&str]) -> String {
        if let Some(container) = &self.container {
            return docker(&[&["exec", &container.name, "rabbitmqctl"], arguments].concat()).await;
        }
        #[expect(clippy::disallowed_methods, reason = "the fixture is configured by the environment")]
        let command = std::env::var("RABBITMQCTL").unwrap_or_else(|_| {
            panic!("set RABBITMQCTL to a `rabbitmqctl` (with its options) for the broker of AMQP_URL")
        });
        let mut words = command.split_whitespace();
        let program = words.next().expect("RABBITMQCTL names a program");
        let output = Command::new(program).args(words).args(arguments).stdin(Stdio::null()).output().await;
        let output = output.unwrap_or_else(|error| panic!("`{command}` cannot be run: {error}"));
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "`{command} {}` failed: {printed}{}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        printed
    }
}
