//! The broker that the user named in `AMQP_URL`.

use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use super::{Broker, Source};

/// How long a connect to a named broker may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Uses the broker of this URL after checking that somebody listens there.
pub(super) fn use_it(url: &str, management: Option<String>) -> Result<Broker> {
    let parts = Parts::of(url).context("AMQP_URL is not `amqp://user:password@host:port/vhost`")?;
    let shown = format!("{}:{}", parts.host, parts.port);
    eprintln!("broker: {shown}, because AMQP_URL names it; nothing is started");
    let mut addresses =
        (parts.host, parts.port).to_socket_addrs().with_context(|| format!("AMQP_URL: {shown}"))?;
    let reached = addresses.any(|address| TcpStream::connect_timeout(&address, CONNECT_LIMIT).is_ok());
    ensure!(reached, "nobody answers at {shown}; start that broker, or unset AMQP_URL");
    let management = management.unwrap_or_else(|| {
        let host = if parts.host.contains(':') { format!("[{}]", parts.host) } else { parts.host.to_owned() };
        format!("http://{}@{host}:15672", parts.credentials)
    });
    Ok(Broker { amqp_url: url.to_owned(), management_url: management, source: Source::Given })
}

/// The parts of an AMQP URL that are needed to see whether somebody listens.
#[derive(Debug, PartialEq, Eq)]
struct Parts<'a> {
    credentials: &'a str,
    host: &'a str,
    port: u16,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Result<Self> {
        // A list of endpoints: the first stands for all.
        let url = url.split(',').next().unwrap_or(url);
        // Messages name no part of the URL: it may hold a password.
        let (scheme, rest) = url.split_once("://").ok_or_else(|| anyhow!("it has no scheme"))?;
        let default_port = match scheme {
            "amqp" => 5672,
            "amqps" => 5671,
            _ => return Err(anyhow!("its scheme is neither `amqp` nor `amqps`")),
        };
        let authority = rest.split('/').next().unwrap_or(rest);
        let (credentials, address) = authority.rsplit_once('@').unwrap_or(("guest:guest", authority));
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                (host, port.parse().map_err(|_| anyhow!("its port is not a number"))?)
            }
            _ => (address, default_port),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        ensure!(!host.is_empty(), "it has no host");
        Ok(Self { credentials, host, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_gives_its_credentials_host_and_port() {
        let parts = |url| Parts::of(url).unwrap();
        assert_eq!(parts("amqp://u:p@h:1/v"), Parts { credentials: "u:p", host: "h", port: 1 });
        assert_eq!(parts("amqp://h"), Parts { credentials: "guest:guest", host: "h", port: 5672 });
        assert_eq!(parts("amqps://u:p@[::1]/"), Parts { credentials: "u:p", host: "::1", port: 5671 });
        assert_eq!(parts("amqp://a:1,amqp://b:2").host, "a");
    }

    #[test]
    fn a_refusal_shows_no_part_of_the_url() {
        for url in ["http://u:secret@h", "u:secret@h", "amqp://u:secret@", "amqp://u:secret@h:x"] {
            let error = format!("{:#}", Parts::of(url).unwrap_err());
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_broker_that_does_not_answer_is_an_error() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = use_it(&format!("amqp://{free}"), None).unwrap_err();
        assert!(error.to_string().contains("nobody answers"), "{error}");
    }
}
