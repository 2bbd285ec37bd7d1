//! `cargo xtask broker-image`: a RabbitMQ image from Debian's packages, for machines that reach no image registry.
//!
//! It keeps the contract of the official `rabbitmq:4-management` image: command, paths, ports, variables, log on standard output.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::{environment, process};

/// The Debian suite whose RabbitMQ is 4.3.
const SUITE: &str = "forky";
/// The server, and what partitions of a cluster are tested with.
const PACKAGES: &str = "rabbitmq-server,ca-certificates,iproute2,iptables";
/// Debootstrap of an older Debian does not know the suite by name; the script of *sid* fits every suite.
const SCRIPT: &str = "/usr/share/debootstrap/scripts/sid";

const CONFIGURE: &str = include_str!("../broker-image/configure.sh");
/// The files of ours in the image: path, mode, text.
const FILES: [(&str, u32, &str); 3] = [
    ("usr/local/bin/docker-entrypoint.sh", 0o755, include_str!("../broker-image/docker-entrypoint.sh")),
    ("etc/rabbitmq/enabled_plugins", 0o644, include_str!("../broker-image/enabled_plugins")),
    ("etc/rabbitmq/conf.d/10-defaults.conf", 0o644, include_str!("../broker-image/10-defaults.conf")),
];
/// The image's configuration: that of the official image.
const CHANGES: [&str; 6] = [
    // First the server's own scripts: Debian's wrapper in /usr/sbin sends the log to a file.
    "ENV PATH=/opt/rabbitmq/sbin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "ENV HOME=/var/lib/rabbitmq LANG=C.UTF-8 RABBITMQ_LOGS=-",
    "VOLUME /var/lib/rabbitmq",
    "EXPOSE 4369 5671 5672 15671 15672 15691 15692 25672",
    "ENTRYPOINT [\"docker-entrypoint.sh\"]",
    "CMD [\"rabbitmq-server\"]",
];

const SHORT: Duration = Duration::from_secs(120);
const LONG: Duration = Duration::from_secs(900);

/// Builds the image and gives it this name: about a minute, 200 MB.
pub(crate) fn build(image: &str) -> Result<()> {
    let uid = process::output(Command::new("id").arg("-u"), SHORT)?;
    ensure!(
        uid.trim() == "0",
        "building the image {image} needs root (debootstrap makes a root file system): \
         run `sudo -E cargo xtask broker-image` once, or pull the image"
    );
    let debootstrap = debootstrap()?;
    let root = Root::new()?;
    eprintln!("broker-image: Debian {SUITE} with {PACKAGES} into {}", root.0.display());
    // The empty argument is the mirror: Debian's own.
    let mut bootstrap = Command::new(debootstrap);
    bootstrap
        .args(["--variant=minbase", &format!("--include={PACKAGES}"), SUITE])
        .arg(&root.0)
        .args(["", SCRIPT]);
    process::output(&mut bootstrap, LONG).or_else(|error| bail!("{error:#}\n{}", root.log()))?;
    for (path, mode, text) in FILES {
        write(&root.0.join(path), mode, text)?;
    }
    process::run(Command::new("chroot").arg(&root.0).args(["/bin/sh", "-c", CONFIGURE]), SHORT)?;
    import(&root.0, image)?;
    eprintln!("broker-image: {image} is ready");
    Ok(())
}

/// Finds debootstrap, or installs it where apt can.
fn debootstrap() -> Result<PathBuf> {
    let find = || environment::find_program("debootstrap", &["/usr/sbin"]);
    if let Some(program) = find() {
        return Ok(program);
    }
    let Some(apt) = environment::find_program("apt-get", &["/usr/bin"]) else {
        bail!("building the image needs debootstrap, and there is no apt-get to install it with");
    };
    eprintln!("broker-image: installing debootstrap");
    let apt = |arguments: &[&str]| {
        let mut command = Command::new(&apt);
        process::output(command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"), LONG)
    };
    apt(&["update"]).context("debootstrap cannot be installed")?;
    apt(&["install", "--yes", "--no-install-recommends", "debootstrap", "debian-archive-keyring"])
        .context("debootstrap cannot be installed")?;
    find().context("apt-get installed debootstrap, but it is not there")
}

fn write(path: &Path, mode: u32, text: &str) -> Result<()> {
    let write = || {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        fs::write(path, text)?;
        set_mode(path, mode)
    };
    write().with_context(|| path.display().to_string())
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> std::io::Result<()> {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
}

/// There is no image of Debian to build on this platform.
#[cfg(not(unix))]
fn set_mode(_: &Path, _: u32) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

fn import(root: &Path, image: &str) -> Result<()> {
    let mut tar = Command::new("tar")
        .arg("-C")
        .arg(root)
        .args(["-c", "."])
        .stdout(Stdio::piped())
        .spawn()
        .context("tar")?;
    let stream = tar.stdout.take().context("tar's output is piped")?;
    let mut docker = Command::new("docker");
    docker.arg("import");
    for change in CHANGES {
        docker.args(["--change", change]);
    }
    let imported = docker.args(["-", image]).stdin(stream).stdout(Stdio::null()).status();
    let packed = tar.wait().context("tar")?;
    ensure!(imported.context("docker import")?.success(), "docker import failed");
    ensure!(packed.success(), "tar failed");
    Ok(())
}

/// The root file system while it is made.
struct Root(PathBuf);

impl Root {
    fn new() -> Result<Self> {
        Ok(Self(tempfile::Builder::new().prefix("garenne-image-").tempdir()?.keep()))
    }

    /// The last lines of debootstrap's own log, which says which package failed.
    fn log(&self) -> String {
        let log = fs::read_to_string(self.0.join("debootstrap/debootstrap.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // An interrupted debootstrap leaves these mounted; nothing of the host may be removed through them.
        for mount in ["proc", "sys"] {
            let _ = process::try_output(Command::new("umount").arg(self.0.join(mount)), SHORT);
        }
        let _ = Command::new("rm").args(["-rf", "--one-file-system"]).arg(&self.0).status();
    }
}
