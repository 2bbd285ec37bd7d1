//! Changing vhosts, users, permissions and policies of a running broker.

use amq_protocol::types::FieldTable;

use crate::broker::Broker;
use crate::core::{ApplyTo, Permissions, PolicyRule};

/// A change that the broker does not make.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AdminError(pub(crate) String);

/// A policy: settings for the queues and exchanges whose name matches. <https://www.rabbitmq.com/docs/policies>
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// A regular expression that matches anywhere in the names of what it applies to.
    pub pattern: String,
    /// `queues` (the default), `classic_queues`, `quorum_queues`, `streams`, `exchanges` or `all`.
    pub apply_to: String,
    /// Of several that match, only the one of the highest priority applies (default: 0).
    pub priority: i64,
    /// The settings: keys as in the arguments of a declaration, without `x-`.
    pub definition: FieldTable,
}

impl Policy {
    /// Makes a policy for queues.
    #[must_use]
    pub fn new(name: impl Into<String>, pattern: impl Into<String>, definition: FieldTable) -> Self {
        let (name, pattern) = (name.into(), pattern.into());
        Self { name, pattern, apply_to: "queues".to_owned(), priority: 0, definition }
    }
}

impl Broker {
    /// Adds a vhost, unless it is there.
    pub fn add_vhost(&self, name: &str) {
        self.act(|core, _| core.add_vhost(name));
    }

    /// Deletes a vhost with everything in it, and closes its connections.
    ///
    /// # Errors
    ///
    /// Fails if there is no such vhost.
    pub fn delete_vhost(&self, name: &str) -> Result<(), AdminError> {
        deleted("vhost", name, self.act(|core, now| core.delete_vhost(now, name)))
    }

    /// Adds a user without any permissions, or changes the password of one.
    pub fn add_user(&self, name: &str, password: &str) {
        self.act(|core, _| core.put_user(name, password.to_owned(), Vec::new()));
    }

    /// Deletes a user and closes its connections.
    ///
    /// # Errors
    ///
    /// Fails if there is no such user.
    pub fn delete_user(&self, name: &str) -> Result<(), AdminError> {
        deleted("user", name, self.act(|core, _| core.delete_user(name)))
    }

    /// Sets what a user may configure, write to and read from in a vhost: three regular expressions, as for
    /// `rabbitmqctl set_permissions`.
    ///
    /// # Errors
    ///
    /// Fails if there is no such user or vhost, or if one of the expressions is none.
    pub fn set_permissions(
        &self,
        user: &str,
        vhost: &str,
        [configure, write, read]: [&str; 3],
    ) -> Result<(), AdminError> {
        let permissions = Permissions::new(configure, write, read)
            .map_err(|error| AdminError(format!("permissions of `{user}` in vhost `{vhost}`: {error}")))?;
        self.act(|core, _| core.set_permissions(user, vhost, permissions)).map_err(AdminError)
    }

    /// Sets a policy and applies it to what is there.
    ///
    /// # Errors
    ///
    /// Fails if there is no such vhost, if the pattern is no regular expression, if it is for something that does not exist, or if a setting is
    /// unknown, has an unfit value, or there is none.
    pub fn set_policy(&self, vhost: &str, policy: Policy) -> Result<(), AdminError> {
        let Policy { name, pattern, apply_to, priority, definition } = policy;
        let Some(covers) = ApplyTo::from_name(&apply_to) else {
            return Err(AdminError(format!(
                "policy `{name}` cannot apply to `{apply_to}`; use queues, classic_queues, quorum_queues, streams, exchanges or all"
            )));
        };
        let rule = PolicyRule::new(&name, &pattern, covers, priority, definition)
            .map_err(|error| AdminError(format!("policy `{name}`: {error}")))?;
        self.act(|core, now| core.set_policy(now, vhost, rule)).map_err(AdminError)
    }

    /// Deletes a policy; what it set is no longer in force.
    ///
    /// # Errors
    ///
    /// Fails if there is no such policy.
    pub fn delete_policy(&self, vhost: &str, name: &str) -> Result<(), AdminError> {
        deleted("policy", name, self.act(|core, now| core.delete_policy(now, vhost, name)))
    }

    fn act<T>(&self, act: impl FnOnce(&mut crate::core::Core, crate::core::Millis) -> T) -> T {
        self.hub().with(|engine, now| {
            let result = act(&mut engine.core, now);
            engine.flush(now);
            result
        })
    }
}

fn deleted(what: &str, name: &str, was_there: bool) -> Result<(), AdminError> {
    if was_there { Ok(()) } else { Err(AdminError(format!("there is no {what} `{name}`"))) }
}
