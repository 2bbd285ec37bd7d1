//! `exchange.declare` and `exchange.delete`: `rabbit_channel.erl` and `rabbit_exchange.erl`.

use amq_protocol::protocol::exchange::{Declare, Delete};
use amq_protocol::types::AMQPValue;

use super::{assert_equal, assert_same_argument, check_name, strip};
use crate::core::access::{Caller, Resource};
use crate::core::exchange::{Exchange, ExchangeKind};
use crate::core::text::printed;
use crate::core::vhost::{Vhost, alternate};
use crate::core::{AmqpError, Name, erlang};

const ALTERNATE: &str = "alternate-exchange";

impl Vhost {
    pub(crate) fn declare_exchange(
        &mut self,
        caller: &Caller<'_>,
        method: &Declare,
    ) -> Result<(), AmqpError> {
        let name = strip(method.exchange.as_str());
        let resource = Resource::Exchange(&name);
        if method.passive {
            not_default(&name)?;
            caller.any(&self.name, resource)?;
            return self.exchange(&name).map(drop);
        }
        let kind = ExchangeKind::from_name(method.kind.as_str()).ok_or_else(|| {
            // RabbitMQ says `unknown` only of what it has never heard of as an atom; the empty name is one.
            let what = if method.kind.as_str().is_empty() { "invalid" } else { "unknown" };
            AmqpError::precondition_failed(format!("{what} exchange type '{}'", method.kind))
        })?;
        not_default(&name)?;
        caller.configure(&self.name, resource)?;
        if let Some(exchange) = self.exchanges.get(&*name) {
            return assert_equivalent(&self.name, exchange, kind, method);
        }
        check_name("exchange", &name)?;
        self.check_alternate(caller, resource, method)?;
        kind.check(&method.arguments)?;
        let name = Name::from(name);
        let mut exchange = Exchange::new(name.clone(), kind, method.arguments.clone());
        exchange.durable = method.durable;
        exchange.auto_delete = method.auto_delete;
        exchange.internal = method.internal;
        let policy = self.policies.for_exchange(&name);
        exchange.policy = policy.map(|policy| policy.name.clone());
        exchange.alternate = alternate(&exchange.arguments, policy);
        self.exchanges.insert(name, exchange);
        Ok(())
    }

    /// An alternate exchange needs the right to read here and to write there: <https://www.rabbitmq.com/docs/ae>.
    fn check_alternate(
        &self,
        caller: &Caller<'_>,
        resource: Resource<'_>,
        method: &Declare,
    ) -> Result<(), AmqpError> {
        match method.arguments.inner().get(ALTERNATE) {
            None => Ok(()),
            Some(AMQPValue::LongString(alternate)) => {
                caller.read(&self.name, resource)?;
                caller.write(&self.name, Resource::Exchange(&alternate.to_string()))
            }
            Some(other) => Err(AmqpError::precondition_failed(format!(
                "invalid type '{}' for arg '{ALTERNATE}' in {}",
                erlang::type_name(other),
                resource.describe(&self.name)
            ))),
        }
    }

    /// Deletes an exchange; a missing one is deleted already.
    pub(crate) fn delete_exchange(&mut self, caller: &Caller<'_>, method: &Delete) -> Result<(), AmqpError> {
        let name = strip(method.exchange.as_str());
        let resource = Resource::Exchange(&name);
        not_default(&name)?;
        if name.starts_with("amq.") {
            let what = resource.describe(&self.name);
            return Err(AmqpError::access_refused(format!("deletion of system {what} not allowed")));
        }
        caller.configure(&self.name, resource)?;
        let is_used = self.exchanges.get(&*name).is_some_and(|exchange| !exchange.bindings().is_empty());
        if method.if_unused && is_used {
            return Err(AmqpError::precondition_failed(format!("{} in use", resource.describe(&self.name))));
        }
        self.remove_exchange(&name);
        Ok(())
    }

    /// Checks that a connection may publish to an exchange, and returns its name.
    pub(crate) fn check_publish(&self, caller: &Caller<'_>, exchange: &[u8]) -> Result<Name, AmqpError> {
        let name = printed(exchange);
        let resource = Resource::Exchange(&name);
        caller.write(&self.name, resource)?;
        // The names of exchanges are UTF-8; what is printed for other bytes may be the name of one.
        let found = std::str::from_utf8(exchange).ok().and_then(|name| self.exchanges.get(name));
        let exchange = found.ok_or_else(|| self.not_found(resource))?;
        if exchange.internal {
            let what = Resource::Exchange(&exchange.name).describe(&self.name);
            return Err(AmqpError::access_refused(format!("cannot publish to internal {what}")));
        }
        Ok(exchange.name.clone())
    }
}

/// The default exchange is the broker's own: `rabbit_channel.erl`, `check_not_default_exchange`.
pub(super) fn not_default(name: &str) -> Result<(), AmqpError> {
    if name.is_empty() {
        return Err(AmqpError::access_refused("operation not permitted on the default exchange"));
    }
    Ok(())
}

fn assert_equivalent(
    vhost: &str,
    exchange: &Exchange,
    kind: ExchangeKind,
    method: &Declare,
) -> Result<(), AmqpError> {
    let resource = Resource::Exchange(&exchange.name);
    let quoted = |text: &str| format!("'{text}'");
    let flag = |flag: bool| quoted(if flag { "true" } else { "false" });
    // Erlang quotes an atom that has a dash.
    let atom = |name: &str| if name.contains('-') { quoted(&quoted(name)) } else { quoted(name) };
    let (current, received) = (atom(exchange.kind.as_str()), atom(kind.as_str()));
    assert_equal(vhost, resource, "type", (&current, &received))?;
    for (field, current, received) in [
        ("durable", exchange.durable, method.durable),
        ("auto_delete", exchange.auto_delete, method.auto_delete),
        ("internal", exchange.internal, method.internal),
    ] {
        assert_equal(vhost, resource, field, (&flag(current), &flag(received)))?;
    }
    assert_same_argument(vhost, resource, ALTERNATE, (&exchange.arguments, &method.arguments))
}
