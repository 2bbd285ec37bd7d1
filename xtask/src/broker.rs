//! A broker to work with: named by the user, in a container, or an installed server, in this order.

mod docker;
mod given;
pub(crate) mod image;
mod installed;
mod reaper;

use anyhow::{Result, bail};

use crate::{environment, interrupt};

/// A broker that can be used now; what was started for it ends when this is dropped, or when this process ends.
#[derive(Debug)]
pub(crate) struct Broker {
    /// Where AMQP is served, with user and password.
    pub(crate) amqp_url: String,
    /// Where the management API is, with user and password.
    pub(crate) management_url: String,
    pub(crate) source: Source,
}

/// Where a broker came from.
#[derive(Debug)]
pub(crate) enum Source {
    /// `AMQP_URL`: nothing was started.
    Given,
    /// A container of ours.
    Container(#[expect(dead_code, reason = "held to be dropped")] docker::Container),
    /// An installed server in a directory of its own.
    Installed(installed::Server),
}

/// Finds or starts a broker and says which and why; the error lists what each of the ways lacked.
pub(crate) fn resolve() -> Result<Broker> {
    if let Some(url) = environment::amqp_url() {
        return given::use_it(&url, environment::management_url());
    }
    let image = environment::image();
    let lack_of_docker = match image::ensure(&image) {
        Ok(()) => {
            eprintln!("broker: starting a container");
            return docker::start(&image);
        }
        Err(error) => error,
    };
    interrupt::check()?;
    eprintln!("broker: no container ({lack_of_docker:#}): looking for an installed rabbitmq-server");
    let lack_of_server = match installed::start() {
        Ok(broker) => return Ok(broker),
        Err(error) => error,
    };
    interrupt::check()?;
    bail!(
        "no RabbitMQ can be used:\n\
         1. AMQP_URL is not set\n\
         2. and 3. container from the image {image}, pulled or built: {lack_of_docker:#}\n\
         4. installed server: {lack_of_server:#}"
    )
}
