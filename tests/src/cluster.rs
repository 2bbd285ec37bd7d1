//! Three nodes of RabbitMQ in one cluster, to be killed, paused and cut off from each other.

use crate::container::{docker, free_port, image};
use crate::reaper::Reaper;
use crate::{Broker, SECONDS, eventually, log};

/// Three containers in a network of their own; removed when dropped.
///
/// It always needs Docker, and an image with `iptables` for partitions: that of `cargo xtask broker-image` has it.
#[derive(Debug)]
pub struct Cluster {
    nodes: [Node; 3],
    _reaper: Reaper,
}

#[derive(Debug)]
struct Node {
    container: String,
    /// As Erlang knows it.
    name: String,
    broker: Broker,
}

// === impl Cluster ===

impl Cluster {
    /// Starts the nodes, joins them, and waits until each sees the others: about half a minute.
    pub async fn start() -> Self {
        log::install();
        let id = uuid::Uuid::now_v7().simple().to_string();
        let network = format!("garenne-tests-{id}");
        let containers = [1, 2, 3].map(|number| format!("{network}-{number}"));
        let reaper = Reaper::watch_cluster(&network, &containers);
        docker(&["network", "create", "--label", "garenne.tests=1", &network]).await;
        let [one, two, three] = &containers;
        let (one, two, three) = tokio::join!(
            Node::start(one, 1, &network, &id),
            Node::start(two, 2, &network, &id),
            Node::start(three, 3, &network, &id)
        );
        let cluster = Self { nodes: [one, two, three], _reaper: reaper };
        for node in &cluster.nodes[1..] {
            node.rabbitmqctl(&["stop_app"]).await;
            node.rabbitmqctl(&["join_cluster", &cluster.nodes[0].name]).await;
            node.rabbitmqctl(&["start_app"]).await;
        }
        cluster.whole().await;
        cluster
    }

    /// Returns one node, as its administrator sees it.
    #[must_use]
    pub const fn node(&self, number: usize) -> &Broker {
        &self.nodes[number].broker
    }

    /// Returns the number of the node of this name.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.name == name)
    }

    /// Stops a node in an orderly way.
    pub async fn stop(&self, number: usize) {
        docker(&["stop", "--time", "60", &self.nodes[number].container]).await;
    }

    /// Kills a node, as a power cut would.
    pub async fn kill(&self, number: usize) {
        docker(&["kill", &self.nodes[number].container]).await;
    }

    /// Starts a stopped or killed node again, with its data; it may take a while until it serves.
    pub async fn start_again(&self, number: usize) {
        docker(&["start", &self.nodes[number].container]).await;
    }

    /// Freezes every process of a node.
    pub async fn pause(&self, number: usize) {
        docker(&["pause", &self.nodes[number].container]).await;
    }

    /// Ends [`pause`](Self::pause).
    pub async fn unpause(&self, number: usize) {
        docker(&["unpause", &self.nodes[number].container]).await;
    }

    /// Drops every packet between a node and its peers; clients reach it as before.
    pub async fn cut_off(&self, number: usize) {
        self.partition(number, "--append").await;
    }

    /// Ends [`cut_off`](Self::cut_off).
    pub async fn heal(&self, number: usize) {
        self.partition(number, "--delete").await;
    }

    async fn partition(&self, number: usize, change: &str) {
        let mut rules = String::new();
        for peer in self.nodes.iter().filter(|node| node.name != self.nodes[number].name) {
            let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
            let address = docker(&["inspect", "--format", format, &peer.container]).await;
            let address = address.trim();
            rules += &format!(
                "iptables {change} INPUT --source {address} --jump DROP && \
                 iptables {change} OUTPUT --destination {address} --jump DROP && "
            );
        }
        docker(&["exec", "--user", "0", &self.nodes[number].container, "sh", "-c", &(rules + "true")]).await;
    }

    /// Waits until every node sees three running nodes.
    pub async fn whole(&self) {
        for node in &self.nodes {
            eventually(180 * SECONDS, "the node sees three running nodes", async || {
                let nodes = node.broker.try_read(async |management| management.nodes().await).await;
                let is_whole = nodes
                    .as_ref()
                    .is_ok_and(|nodes| nodes.len() == 3 && nodes.iter().all(|node| node.running));
                if is_whole { Ok(()) } else { Err(nodes) }
            })
            .await;
        }
    }
}

// === impl Node ===

impl Node {
    async fn start(container: &str, number: u8, network: &str, cookie: &str) -> Self {
        let host = format!("garenne-{number}");
        let name = format!("rabbit@{host}");
        let (amqp, management) = (free_port(), free_port());
        let ports = [(amqp, 5672), (management, 15672)].map(|(ours, its)| format!("127.0.0.1:{ours}:{its}"));
        let variables = [
            format!("RABBITMQ_NODENAME={name}"),
            format!("RABBITMQ_ERLANG_COOKIE={cookie}"),
            format!("RABBITMQ_DEFAULT_USER={}", Broker::ADMINISTRATOR),
            format!("RABBITMQ_DEFAULT_PASS={}", log::password()),
            format!(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS={} -setcookie {cookie}",
                crate::container::FRESH_STATISTICS
            ),
        ];
        let image = image();
        let mut arguments =
            vec!["run", "--detach", "--pull=never", "--name", container, "--label", "garenne.tests=1"];
        arguments.extend(["--hostname", &host, "--network", network, "--network-alias", &host]);
        arguments.extend(["--cap-add", "NET_ADMIN"]);
        ports.iter().for_each(|port| arguments.extend(["--publish", port]));
        variables.iter().for_each(|variable| arguments.extend(["--env", variable]));
        arguments.push(&image);
        docker(&arguments).await;
        let broker = Broker::at("127.0.0.1", amqp, management);
        let node = Self { container: container.to_owned(), name, broker };
        eventually(180 * SECONDS, "the node serves", async || node.broker.serves().await).await;
        node
    }

    async fn rabbitmqctl(&self, arguments: &[&str]) {
        docker(&[&["exec", &self.container, "rabbitmqctl"], arguments].concat()).await;
    }
}
