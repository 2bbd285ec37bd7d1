//! Bindings: fit for the type of their exchange, and every exchange has one.

use garenne_shared::ExchangeName;

use super::Findings;
use crate::{ExchangeKind, HeadersMatch, ProblemKind, WarningKind, binding::Source, routes::Routes};

pub(super) fn check(routes: &Routes<'_>, findings: &mut Findings) {
    let exchanges = routes.topology.exchanges().iter();
    let of_exchanges =
        exchanges.map(|exchange| ("exchange", exchange.name.as_str(), exchange.sources.as_slice()));
    let queues = routes.queues.iter();
    let of_queues = queues.map(|queue| ("queue", queue.name().as_str(), queue.sources()));
    let mut used = Vec::new();
    for (what, name, sources) in of_exchanges.chain(of_queues) {
        for source in sources {
            fits(routes, &format!("{what} `{name}`"), name, source, findings);
            used.push(&source.exchange);
        }
    }
    for exchange in routes.topology.exchanges() {
        // With an alternate, what has no binding is not lost.
        let quiet = exchange.bound_elsewhere || exchange.alternate.is_some();
        if !quiet && !used.contains(&&exchange.name) {
            let name = &exchange.name;
            let rule = format!("nothing is bound to exchange `{name}`, so it drops or returns every message");
            let remedy = "bind a queue to it, or say `bound_elsewhere` if somebody else does";
            findings.warn(WarningKind::UnboundExchange, name, format!("{rule}; {remedy}"));
        }
    }
}

fn fits(routes: &Routes<'_>, who: &str, object: &str, source: &Source, findings: &mut Findings) {
    let Source { exchange, key, headers } = source;
    let mut problem = |message: String| findings.problem(ProblemKind::InvalidBinding, object, message);
    if *exchange == ExchangeName::DEFAULT {
        problem(format!(
            "{who} is bound to the default exchange, which routes to every queue by its name and takes no bindings; leave the binding out"
        ));
        return;
    }
    match (routes.kind(exchange), headers) {
        (Some(ExchangeKind::Headers), None) => problem(format!(
            "{who} is bound to headers exchange `{exchange}` by key `{key}`, which that ignores; say which headers to match with `bind_headers`"
        )),
        (Some(kind), Some(_)) if *kind != ExchangeKind::Headers => problem(format!(
            "{who} is bound by headers to exchange `{exchange}` of type {kind}, which ignores them; bind by key or make it a headers exchange"
        )),
        (Some(ExchangeKind::ConsistentHash(_)), None) if !is_weight(key.as_str()) => problem(format!(
            "{who} is bound to consistent-hash exchange `{exchange}` by key `{key}`, but the key is the weight: a whole number from 1; use \"1\" for an equal share"
        )),
        (_, Some(headers)) => ignored_headers(who, exchange, headers, &mut problem),
        _ => {}
    }
}

fn is_weight(key: &str) -> bool {
    key.parse::<u32>().is_ok_and(|weight| weight > 0)
}

fn ignored_headers(
    who: &str,
    exchange: &ExchangeName,
    headers: &HeadersMatch,
    problem: &mut impl FnMut(String),
) {
    if headers.headers.is_empty() {
        problem(format!(
            "{who} is bound to headers exchange `{exchange}` without any header to match; add one"
        ));
    }
    if headers.headers.contains_key("x-match") {
        problem(format!(
            "{who} matches the header `x-match` on exchange `{exchange}`, which is the broker's own argument; use `HeadersMatch::all` or `any`"
        ));
    }
    let ignored = headers.headers.keys().find(|name| name.starts_with("x-") && *name != "x-match");
    if let Some(name) = ignored.filter(|_| !headers.with_x) {
        problem(format!(
            "{who} matches the header `{name}` on exchange `{exchange}`, but headers with `x-` are ignored unless asked for; add `with_x`"
        ));
    }
}
