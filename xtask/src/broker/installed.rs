//! An installed `rabbitmq-server`, run on free ports in a directory of its own.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::docker::tail;
use super::reaper::Reaper;
use super::{Broker, Source};
use crate::{environment, process};

/// Where packages put the server's own scripts: Debian's wrapper in `PATH` changes the user and hides the log.
const DIRECTORIES: [&str; 2] = ["/usr/lib/rabbitmq/bin", "/opt/rabbitmq/sbin"];
/// The oldest version that is supported.
const OLDEST: (u32, u32) = (3, 13);
const START_LIMIT: Duration = Duration::from_secs(180);
const COMMAND_LIMIT: Duration = Duration::from_secs(60);
/// Stops the server (a group of processes) and the port mapper of its own, and removes the directory.
const CLEANUP: &str = "kill -s TERM -- \"-$1\"; n=0; \
    while kill -s 0 -- \"-$1\" && [ $n -lt 100 ]; do sleep 0.2; n=$((n+1)); done; \
    kill -s KILL -- \"-$1\"; ERL_EPMD_PORT=\"$3\" epmd -kill; exec rm -rf -- \"$2\"";

/// A running server that goes with this value, and with this process.
#[derive(Debug)]
pub(crate) struct Server {
    /// The command that administrates it, with its options: `rabbitmqctl` of the same installation.
    pub(crate) ctl: String,
    /// Goes first: it stops the server.
    _reaper: Reaper,
    _setup: Setup,
}

/// Starts the installed server and waits until it serves.
pub(super) fn start() -> Result<Broker> {
    let program = environment::find_program("rabbitmq-server", &DIRECTORIES)
        .with_context(|| format!("no rabbitmq-server in PATH, {}", DIRECTORIES.join(" or ")))?;
    let ctl = program.with_file_name("rabbitmqctl");
    let setup = Setup::new()?;
    let version = setup.version(&ctl)?;
    ensure!(
        is_supported(&version),
        "{} is version {version}, and {}.{} is the oldest that is supported",
        program.display(),
        OLDEST.0,
        OLDEST.1
    );
    eprintln!(
        "broker: {} {version}, on port {}, in {}",
        program.display(),
        setup.amqp,
        setup.directory.path().display()
    );
    setup.start(&program, &ctl)
}

/// A directory of its own, and ports that were free a moment ago.
#[derive(Debug)]
struct Setup {
    directory: TempDir,
    amqp: u16,
    management: u16,
    distribution: u16,
    port_mapper: u16,
}

impl Setup {
    fn new() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("garenne-broker-").tempdir()?;
        // All at once, so that they differ.
        let listeners: Vec<_> = (0..5)
            .map(|_| TcpListener::bind("127.0.0.1:0"))
            .collect::<Result<_, _>>()
            .context("free ports")?;
        let port = |n: usize| listeners[n].local_addr().map(|address| address.port());
        let setup = Self {
            amqp: port(0)?,
            management: port(1)?,
            distribution: port(2)?,
            port_mapper: port(3)?,
            directory,
        };
        setup.write("enabled_plugins", "[rabbitmq_management,rabbitmq_prometheus].\n")?;
        setup.write(
            "rabbitmq.conf",
            &format!(
                "listeners.tcp.1 = 127.0.0.1:{}\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {}\n\
                 prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = {}\nlog.console = true\nlog.file = false\n",
                setup.amqp,
                setup.management,
                port(4)?
            ),
        )?;
        Ok(setup)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.directory.path().join(name);
        fs::write(&path, text).with_context(|| path.display().to_string())
    }

    fn node(&self) -> String {
        format!("garenne-{}@localhost", self.amqp)
    }

    /// What keeps this server apart from an installed one that may be running, for it and for its tools.
    fn variables(&self) -> Vec<(&'static str, String)> {
        let path = |name: &str| self.directory.path().join(name).display().to_string();
        vec![
            ("HOME", self.directory.path().display().to_string()),
            ("ERL_EPMD_PORT", self.port_mapper.to_string()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
            ("RABBITMQ_NODENAME", self.node()),
            ("RABBITMQ_DIST_PORT", self.distribution.to_string()),
            ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".to_owned()),
            ("RABBITMQ_NODE_PORT", self.amqp.to_string()),
            ("RABBITMQ_MNESIA_BASE", path("data")),
            ("RABBITMQ_LOG_BASE", path("log")),
            ("RABBITMQ_LOGS", "-".to_owned()),
            ("RABBITMQ_PID_FILE", path("pid")),
            ("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf")),
            ("RABBITMQ_CONFIG_FILES", path("conf.d")),
            ("RABBITMQ_CONF_ENV_FILE", path("none")),
            ("RABBITMQ_GENERATED_CONFIG_DIR", path("generated")),
            // Nothing listens beyond this machine.
            ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}".to_owned()),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", path("enabled_plugins")),
        ]
    }

    /// Asks the tools for the version. They start a port mapper, as the server does: the server will use the same one.
    fn version(&self, ctl: &Path) -> Result<String> {
        let version =
            process::output(Command::new(ctl).arg("version").envs(self.variables()), COMMAND_LIMIT)?;
        Ok(version.trim().to_owned())
    }

    fn start(self, program: &Path, ctl: &Path) -> Result<Broker> {
        let log = self.directory.path().join("server.log");
        let output = File::create(&log)?;
        let mut server = Command::new(program);
        server.envs(self.variables()).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let mut child =
            process::own_group(&mut server).spawn().with_context(|| program.display().to_string())?;
        let variables = self.variables().into_iter().filter(|(_, value)| !value.contains(' '));
        let variables: Vec<String> = variables.map(|(name, value)| format!("{name}={value}")).collect();
        let ctl = format!("env {} {}", variables.join(" "), ctl.display());
        let (group, port_mapper) = (child.id().to_string(), self.port_mapper.to_string());
        let directory = self.directory.path().display().to_string();
        let reaper = Reaper::new(CLEANUP, &[&group, &directory, &port_mapper])?;
        wait_until_ready(&mut child, &log)?;
        // Somebody must take note of its end, or the reaper sees a process that is still there.
        std::thread::spawn(move || child.wait());
        Ok(Broker {
            amqp_url: format!("amqp://guest:guest@127.0.0.1:{}", self.amqp),
            management_url: format!("http://guest:guest@127.0.0.1:{}", self.management),
            source: Source::Installed(Server { ctl, _reaper: reaper, _setup: self }),
        })
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        // The tools start a port mapper even if no server follows.
        let mut kill = Command::new("epmd");
        let _ = process::try_output(kill.arg("-kill").envs(self.variables()), COMMAND_LIMIT);
    }
}

fn wait_until_ready(child: &mut Child, log: &Path) -> Result<()> {
    let text = || fs::read_to_string(log).unwrap_or_default();
    let ready = process::wait_for(START_LIMIT, || {
        if text().contains("Server startup complete") {
            return Ok(Some(true));
        }
        Ok(child.try_wait()?.map(|_| false))
    })?;
    match ready {
        Some(true) => Ok(()),
        Some(false) => bail!("the server ended while it started; its log ends with\n{}", tail(&text())),
        None => bail!(
            "the server does not serve after {} s; its log ends with\n{}",
            START_LIMIT.as_secs(),
            tail(&text())
        ),
    }
}

/// Compares `major.minor`; what cannot be read is not supported.
fn is_supported(version: &str) -> bool {
    let mut parts = version.split('.').map_while(|part| part.parse::<u32>().ok());
    matches!((parts.next(), parts.next()), (Some(major), Some(minor)) if (major, minor) >= OLDEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_from_3_13_on_are_supported() {
        assert!(is_supported("3.13.7"));
        assert!(is_supported("4.0.5"));
        assert!(!is_supported("3.10.8"));
        assert!(!is_supported("unknown"));
    }
}
