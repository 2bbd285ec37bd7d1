//! Users and what they may do.
//!
//! <https://www.rabbitmq.com/docs/access-control>; `rabbit_access_control.erl`, `check_resource_access`.

use std::collections::HashMap;
use std::fmt;

use regex_lite::Regex;

use super::{AmqpError, ConnectionId, Name};

/// A user.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) name: Name,
    pub(crate) password: String,
    pub(crate) tags: Vec<String>,
    /// By vhost; without an entry the user may not even connect to it.
    pub(crate) permissions: HashMap<Name, Permissions>,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, password: _, tags, permissions } = self;
        f.debug_struct("User")
            .field("name", name)
            .field("password", &"***")
            .field("tags", tags)
            .field("permissions", permissions)
            .finish()
    }
}

/// Which names a user may configure, write to and read from: regular expressions that match anywhere in the name.
#[derive(Debug, Clone)]
pub(crate) struct Permissions {
    pub(crate) configure: Regex,
    pub(crate) write: Regex,
    pub(crate) read: Regex,
}

impl Permissions {
    /// # Errors
    ///
    /// Fails with the first expression that is not one, and why.
    pub(crate) fn new(configure: &str, write: &str, read: &str) -> Result<Self, String> {
        let regex = |text: &str| {
            // An empty pattern stands for none: <https://www.rabbitmq.com/docs/access-control#authorisation>.
            let pattern = if text.is_empty() { "^$" } else { text };
            Regex::new(pattern).map_err(|error| format!("`{text}` is not a regular expression: {error}"))
        };
        Ok(Self { configure: regex(configure)?, write: regex(write)?, read: regex(read)? })
    }

    /// Everything is allowed.
    pub(crate) fn all() -> Self {
        let everything = Regex::new(".*").expect("the pattern is valid");
        Self { configure: everything.clone(), write: everything.clone(), read: everything }
    }
}

/// What an operation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource<'r> {
    Exchange(&'r str),
    Queue(&'r str),
}

impl Resource<'_> {
    /// Returns how error texts call it: `queue 'q' in vhost '/'`.
    pub(crate) fn describe(self, vhost: &str) -> String {
        match self {
            Self::Exchange(name) => format!("exchange '{name}' in vhost '{vhost}'"),
            Self::Queue(name) => format!("queue '{name}' in vhost '{vhost}'"),
        }
    }

    /// Returns the name that permissions are about; the default exchange goes by `amq.default`.
    fn permission_name(self) -> Self {
        if self == Self::Exchange("") { Resource::Exchange("amq.default") } else { self }
    }
}

/// Who wants to do something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'c> {
    pub(crate) user: &'c User,
    pub(crate) connection: ConnectionId,
}

impl Caller<'_> {
    /// Checks the permission to declare or delete.
    pub(crate) fn configure(&self, vhost: &str, resource: Resource<'_>) -> Result<(), AmqpError> {
        self.check(vhost, resource, "configure", |permissions| &permissions.configure)
    }

    /// Checks the permission to publish to, or to bind as a destination.
    pub(crate) fn write(&self, vhost: &str, resource: Resource<'_>) -> Result<(), AmqpError> {
        self.check(vhost, resource, "write", |permissions| &permissions.write)
    }

    /// Checks the permission to consume from, to purge, or to bind as a source.
    pub(crate) fn read(&self, vhost: &str, resource: Resource<'_>) -> Result<(), AmqpError> {
        self.check(vhost, resource, "read", |permissions| &permissions.read)
    }

    /// Checks that there is any permission, which is what a passive declaration needs; the refusal names `configure`.
    ///
    /// `rabbit_channel.erl`, `check_any_resource_access_permitted`.
    pub(crate) fn any(&self, vhost: &str, resource: Resource<'_>) -> Result<(), AmqpError> {
        if self.read(vhost, resource).is_ok() || self.write(vhost, resource).is_ok() {
            return Ok(());
        }
        self.configure(vhost, resource)
    }

    fn check(
        &self,
        vhost: &str,
        resource: Resource<'_>,
        permission: &str,
        pattern: impl Fn(&Permissions) -> &Regex,
    ) -> Result<(), AmqpError> {
        let resource = resource.permission_name();
        let (Resource::Exchange(name) | Resource::Queue(name)) = resource;
        let is_allowed =
            self.user.permissions.get(vhost).is_some_and(|permissions| pattern(permissions).is_match(name));
        if is_allowed {
            return Ok(());
        }
        let (what, user) = (resource.describe(vhost), &self.user.name);
        Err(AmqpError::access_refused(format!("{permission} access to {what} refused for user '{user}'")))
    }
}
