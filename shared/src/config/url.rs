//! AMQP URLs, taken apart by hand.
//!
//! A generic URL library normalises what AMQP takes verbatim: it resolves a vhost `..` away, and strips line breaks.

// `core`, because addresses as such are no I/O.
use core::net::Ipv6Addr;

use percent_encoding::percent_decode_str;

use super::{Address, ConfigError};
use crate::Secret;

/// What must be written how in a user, a password or a vhost.
const ESCAPES: &str = "in user, password and vhost write `%` as %25, `@` as %40, `:` as %3A, `/` as %2F, `?` as %3F, `#` as %23, \
                       `,` as %2C";
/// A vhost is a short string of AMQP.
const VHOST_MAX: usize = 255;

/// Splits a list of URLs at its commas and parses each.
///
/// # Errors
///
/// Fails as [`parse`] does, and where something else than a URL follows a comma: most likely the comma belongs to a password.
pub(super) fn parse_list(urls: &str) -> Result<Vec<Address>, ConfigError> {
    let parts: Vec<&str> = urls.split(',').map(trimmed).collect();
    if parts.len() > 1 && parts.iter().any(|part| scheme(part).is_none()) {
        let reason = format!("a comma separates URLs, and what follows one here is none; {ESCAPES}");
        return Err(ConfigError::Url { shown: without_credentials(urls), reason });
    }
    parts.into_iter().map(parse).collect()
}

/// Parses one URL; white space and a byte-order mark around it do not count.
pub(super) fn parse(text: &str) -> Result<Address, ConfigError> {
    let text = trimmed(text);
    take_apart(text).map_err(|reason| ConfigError::Url { shown: without_credentials(text), reason })
}

fn take_apart(text: &str) -> Result<Address, String> {
    // Not shown: of a URL that was cut in two, the scheme may be a piece of the password.
    let (tls, rest) = scheme(text).ok_or("it does not begin with `amqp://` or `amqps://`")?;
    if rest.contains(char::is_control) {
        return Err("it has a control character, such as a line break".to_owned());
    }
    if rest.contains(['?', '#']) {
        return Err(format!("parameters are set in the configuration, not in the URL; {ESCAPES}"));
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (credentials, place) = match authority.rsplit_once('@') {
        Some((credentials, place)) => (Some(credentials), place),
        None => (None, authority),
    };
    let (host, port) = host_and_port(place, if tls { 5671 } else { 5672 })?;
    let default = Address::default();
    let (user, password) = match credentials.map(|text| text.split_once(':').unwrap_or((text, ""))) {
        Some((user, password)) => {
            (user, credentials.is_some_and(|text| text.contains(':')).then_some(password))
        }
        None => ("", None),
    };
    Ok(Address {
        tls,
        host,
        port,
        user: if user.is_empty() { default.user } else { credential(user)? },
        password: match password {
            Some(password) => Secret::new(credential(password)?),
            None => default.password,
        },
        vhost: if path.is_empty() { default.vhost } else { vhost(path)? },
    })
}

/// Splits off the scheme, and tells whether it stands for TLS.
fn scheme(text: &str) -> Option<(bool, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    match scheme.to_ascii_lowercase().as_str() {
        "amqp" => Some((false, rest)),
        "amqps" => Some((true, rest)),
        _ => None,
    }
}

fn host_and_port(place: &str, default: u16) -> Result<(String, u16), String> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("the bracket of the IPv6 address is not closed")?;
            let address = decoded(host)?;
            // What follows a `%` is the zone of a link-local address.
            let known = address.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
            if !known || !(port.is_empty() || port.starts_with(':')) {
                return Err(
                    "what stands in brackets is not an IPv6 address, or no port follows it".to_owned()
                );
            }
            (address, port.trim_start_matches(':'))
        }
        None => {
            let (host, port) = place.split_once(':').unwrap_or((place, ""));
            if place.parse::<Ipv6Addr>().is_ok() {
                return Err("an IPv6 address stands in brackets, as in `[::1]:5672`".to_owned());
            }
            (decoded(host)?, port)
        }
    };
    if host.is_empty() {
        return Err("it has no host".to_owned());
    }
    let odd = |c: char| c.is_whitespace() || c.is_control() || r#"/\@,<>"|^{}`[]"#.contains(c);
    if host.contains(odd) {
        return Err(format!("its host has a character that no host has; {ESCAPES}"));
    }
    let port = match port {
        "" => default,
        digits => match digits.parse() {
            Ok(port) if port > 0 && digits.bytes().all(|byte| byte.is_ascii_digit()) => port,
            _ => return Err(format!("its port is not a number from 1 to 65535; {ESCAPES}")),
        },
    };
    Ok((host, port))
}

fn credential(text: &str) -> Result<String, String> {
    let text = decoded(text)?;
    // SASL PLAIN separates user and password by it (RFC 4616).
    if text.contains('\0') { Err("a user or password cannot have a NUL byte".to_owned()) } else { Ok(text) }
}

fn vhost(path: &str) -> Result<String, String> {
    if path.contains('/') {
        return Err(format!("a `/` in the vhost must be written %2F; {ESCAPES}"));
    }
    let vhost = decoded(path)?;
    if vhost.len() > VHOST_MAX {
        return Err(format!("its vhost is longer than {VHOST_MAX} bytes"));
    }
    Ok(vhost)
}

fn decoded(part: &str) -> Result<String, String> {
    let text = percent_decode_str(part).decode_utf8();
    text.map(std::borrow::Cow::into_owned).map_err(|_| "what it escapes is not UTF-8".to_owned())
}

fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
}

/// Shows a text that is no address, without what may be a password.
///
/// Hides everything before the last `@`, or else after the first colon of the authority, and parameters.
fn without_credentials(text: &str) -> String {
    if let Some((_, rest)) = text.rsplit_once('@') {
        let shown = rest.split(['?', '#']).next().unwrap_or_default();
        return format!("***@{shown}");
    }
    // What precedes `://` is shown if it is a scheme: of anything else it may be `user:password`.
    let known = |scheme: &str| {
        ["amqp", "amqps", "http", "https"].iter().any(|known| known.eq_ignore_ascii_case(scheme))
    };
    let authority = text.find("://").filter(|&at| known(&text[..at])).map_or(0, |at| at + 3);
    match text[authority..].find([':', '?', '#', ',']) {
        Some(at) => format!("{}***", &text[..=authority + at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
