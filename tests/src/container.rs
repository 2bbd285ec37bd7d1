//! One RabbitMQ container, through testcontainers.

use std::process::Stdio;
use std::sync::Once;

use testcontainers::core::{ContainerPort, IntoContainerPort, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, ContainerRequest, GenericImage, ImageExt};
use tokio::process::Command;

use crate::SECONDS;
use crate::reaper::Reaper;

/// The plugins of the official management image, and the exchange type that a suite tests beside the core's.
const PLUGINS: &str = "[rabbitmq_management,rabbitmq_prometheus,rabbitmq_consistent_hash_exchange].\n";
/// Counts of queues and connections are half a second old at most, not five.
pub(crate) const FRESH_STATISTICS: &str =
    "-rabbit quorum_tick_interval 500 -rabbit collect_statistics_interval 500";
/// The line of the server's log after which it serves, and after which CLI tools may be run in the container.
const READY: &str = "Server startup complete";
/// Marks what a run of the suites made, so that the next run finds what a killed one left.
const LABEL: &str = "garenne.tests";

const AMQP: ContainerPort = ContainerPort::Tcp(5672);
const MANAGEMENT: ContainerPort = ContainerPort::Tcp(15672);

/// A running container; removed when this value is dropped, and when the process ends.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) amqp_port: u16,
    pub(crate) management_port: u16,
    /// `None` only while dropping.
    running: Option<ContainerAsync<GenericImage>>,
    _reaper: Reaper,
}

/// The name of the image: `RABBITMQ_IMAGE`, by default `rabbitmq:4-management`.
pub(crate) fn image() -> String {
    #[expect(clippy::disallowed_methods, reason = "the fixture is configured by the environment alone")]
    std::env::var("RABBITMQ_IMAGE").unwrap_or_else(|_| "rabbitmq:4-management".to_owned())
}

impl Container {
    /// Starts a broker with this administrator and waits until it serves.
    ///
    /// `fixed_ports` publishes the ports of AMQP and management under numbers that survive a restart of the container.
    pub(crate) async fn start(user: &str, password: &str, fixed_ports: Option<(u16, u16)>) -> Self {
        sweep().await;
        let image = image();
        let name = format!("garenne-tests-{}", uuid::Uuid::now_v7());
        let reaper = Reaper::watch(&name);
        let request = request(&image, &name, user, password, fixed_ports);
        let running = request.start().await.unwrap_or_else(|error| {
            panic!(
                "no RabbitMQ for the tests: image `{image}`: {error}; run `cargo xtask broker-image`, \
                 or set AMQP_URL to a running broker"
            )
        });
        let port = async |port| running.get_host_port_ipv4(port).await.expect("a mapped port");
        let (amqp_port, management_port) = (port(AMQP).await, port(MANAGEMENT).await);
        // `localhost` may mean ::1, where nothing is published.
        let host = running.get_host().await.expect("the container's host").to_string();
        let host = if host == "localhost" { "127.0.0.1".to_owned() } else { host };
        Self { name, host, amqp_port, management_port, running: Some(running), _reaper: reaper }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            crate::runtime::cleanup(async move {
                let _ = running.rm().await;
            });
        }
    }
}

fn request(
    image: &str,
    name: &str,
    user: &str,
    password: &str,
    fixed_ports: Option<(u16, u16)>,
) -> ContainerRequest<GenericImage> {
    let (repository, tag) = split(image);
    let image = GenericImage::new(repository, tag)
        .with_exposed_port(5672.tcp())
        .with_exposed_port(15672.tcp())
        .with_wait_for(WaitFor::message_on_stdout(READY));
    // Port 0: Docker chooses one.
    let (amqp, management) = fixed_ports.unwrap_or((0, 0));
    image
        .with_container_name(name)
        .with_label(LABEL, "1")
        .with_env_var("RABBITMQ_DEFAULT_USER", user)
        .with_env_var("RABBITMQ_DEFAULT_PASS", password)
        .with_env_var("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", FRESH_STATISTICS)
        .with_copy_to("/etc/rabbitmq/enabled_plugins", PLUGINS.as_bytes().to_vec())
        .with_startup_timeout(180 * SECONDS)
        .with_mapped_port(amqp, AMQP)
        .with_mapped_port(management, MANAGEMENT)
        .with_host_config_modifier(|config| {
            if is_docker_local() {
                for binding in config.port_bindings.iter_mut().flatten().flat_map(|(_, list)| list).flatten()
                {
                    binding.host_ip = Some("127.0.0.1".to_owned());
                }
            }
        })
}

/// Returns a port that nobody listens on. What Docker chooses itself changes with every start of the container.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("the port's number").port()
}

/// A broker is published to this machine alone, unless Docker runs on another one.
fn is_docker_local() -> bool {
    #[expect(clippy::disallowed_methods, reason = "the fixture is configured by the environment alone")]
    std::env::var("DOCKER_HOST").map_or(true, |host| host.starts_with("unix:"))
}

/// Splits `registry:5000/name:tag`; the tag is `latest` unless given.
fn split(image: &str) -> (&str, &str) {
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    }
}

/// Runs `docker` and returns its output; panics with what it printed if it fails.
pub(crate) async fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).stdin(Stdio::null()).output().await;
    let output = output.unwrap_or_else(|error| panic!("`docker` cannot be run: {error}"));
    assert!(
        output.status.success(),
        "`docker {}` failed: {}{}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Removes what earlier runs left, once per process: containers of ours that are older than an hour.
///
/// The reaper leaves nothing, not even of a killed run; but it dies with the machine, or with Docker.
async fn sweep() {
    static FIRST: Once = Once::new();
    let mut first = false;
    FIRST.call_once(|| first = true);
    if !first {
        return;
    }
    let filter = format!("label={LABEL}");
    let list = ["ps", "--all", "--filter", &filter, "--format", "{{.Names}} {{.RunningFor}}"];
    let Ok(output) = Command::new("docker").args(list).output().await else { return };
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if let Some((name, age)) = line.split_once(' ')
            && is_over_an_hour(age)
        {
            let _ = Command::new("docker").args(["rm", "--force", "--volumes", name]).output().await;
        }
    }
}

/// Reads Docker's age of a container: `About an hour ago`, `3 hours ago`, `2 days ago`, but not `59 minutes ago`.
fn is_over_an_hour(age: &str) -> bool {
    ["hour", "day", "week", "month", "year"].iter().any(|unit| age.contains(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_splits_at_its_tag() {
        assert_eq!(split("rabbitmq:4-management"), ("rabbitmq", "4-management"));
        assert_eq!(split("localhost:5000/rabbitmq"), ("localhost:5000/rabbitmq", "latest"));
        assert_eq!(split("localhost:5000/rabbitmq:4"), ("localhost:5000/rabbitmq", "4"));
    }

    #[test]
    fn only_containers_older_than_an_hour_are_left_overs() {
        assert!(is_over_an_hour("About an hour ago"));
        assert!(is_over_an_hour("2 days ago"));
        assert!(!is_over_an_hour("59 minutes ago"));
        assert!(!is_over_an_hour("Less than a second ago"));
    }
}
