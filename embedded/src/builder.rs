//! What a broker is made with.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::SystemTime;

use crate::broker::Broker;
use crate::clock::Clock;
use crate::core::{Core, CoreSettings, Name, Permissions, User};
use crate::io::{Engine, FRAME_MIN_SIZE, Hub, Limits};

/// Makes a [`Broker`] that differs from the defaults.
#[derive(Clone)]
#[must_use = "a builder does nothing until it is started"]
pub struct Builder {
    port: u16,
    limits: Limits,
    is_paused: bool,
    #[cfg(feature = "management")]
    management: Option<u16>,
    history: usize,
    users: Vec<(String, String)>,
    vhosts: Vec<String>,
    /// User, vhost, and the expressions for configure, write and read.
    permissions: Vec<(String, String, [String; 3])>,
}

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct StartError {
    what: String,
    source: Option<io::Error>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            port: 0,
            limits: Limits::default(),
            is_paused: false,
            #[cfg(feature = "management")]
            management: None,
            history: 100_000,
            users: vec![("guest".to_owned(), "guest".to_owned())],
            vhosts: vec!["/".to_owned()],
            permissions: Vec::new(),
        }
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { port, limits, is_paused, history, users, vhosts, permissions, .. } = self;
        f.debug_struct("Builder")
            .field("port", port)
            .field("limits", limits)
            .field("is_paused", is_paused)
            .field("history", history)
            .field("users", &users.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("vhosts", vhosts)
            .field("permissions", permissions)
            .finish()
    }
}

// === impl Builder ===

impl Builder {
    /// Listens on this port (default: 0, which is a free one).
    pub const fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Adds a user, or gives one another password (default: `guest` with the password `guest`).
    ///
    /// It may do everything in every vhost, unless [`Self::permissions`] says otherwise.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        let (name, password) = (name.into(), password.into());
        match self.users.iter_mut().find(|(other, _)| *other == name) {
            Some((_, old)) => *old = password,
            None => self.users.push((name, password)),
        }
        self
    }

    /// Adds a vhost (default: `/`).
    pub fn vhost(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        if !self.vhosts.contains(&name) {
            self.vhosts.push(name);
        }
        self
    }

    /// Limits a user to this vhost and there to names that match these regular expressions, as `rabbitmqctl set_permissions`
    /// does. Call it once for each vhost.
    pub fn permissions(mut self, user: &str, vhost: &str, configure: &str, write: &str, read: &str) -> Self {
        self.permissions.push((
            user.to_owned(),
            vhost.to_owned(),
            [configure, write, read].map(str::to_owned),
        ));
        self
    }

    /// Limits frames to this many bytes (default: 131,072; at least 8,192).
    pub const fn frame_max(mut self, frame_max: u32) -> Self {
        self.limits.frame_max = if frame_max < FRAME_MIN_SIZE { FRAME_MIN_SIZE } else { frame_max };
        self
    }

    /// Limits the channels of a connection (default: 2,047; 0 is no limit).
    pub const fn channel_max(mut self, channel_max: u16) -> Self {
        self.limits.channel_max = channel_max;
        self
    }

    /// Offers heartbeats this many seconds apart (default: 60 s; 0 is none).
    pub const fn heartbeat(mut self, seconds: u16) -> Self {
        self.limits.heartbeat = seconds;
        self
    }

    /// Remembers what became of so many of the latest messages (default: 100,000), and at most 256 MiB of their bodies and a million of their copies
    /// in queues.
    pub const fn history(mut self, messages: usize) -> Self {
        self.history = messages;
        self
    }

    /// Serves the management API as well, on a free port (default: not at all).
    ///
    /// [`Broker::management_address`] tells where. Needs the feature `management`.
    #[cfg(feature = "management")]
    pub const fn management(self) -> Self {
        self.management_port(0)
    }

    /// As [`management`](Self::management), on this port; 0 is a free one.
    #[cfg(feature = "management")]
    pub const fn management_port(mut self, port: u16) -> Self {
        self.management = Some(port);
        self
    }

    /// Stops the clock: times to live, delays and timeouts end only through [`Broker::advance`].
    pub const fn paused_clock(mut self) -> Self {
        self.is_paused = true;
        self
    }

    /// Starts the broker.
    ///
    /// # Errors
    ///
    /// If the port or the one of the management API is taken, if there is no thread for it, or if permissions name a user or a
    /// vhost that does not exist or are no regular expressions.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it does not wait.
    pub async fn start(self) -> Result<Broker, StartError> {
        let users = self.core_users()?;
        #[cfg(feature = "management")]
        let management = self.management;
        let Self { port, limits, is_paused, history, users: logins, vhosts, .. } = self;
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| StartError::bind(port, error))?;
        let started =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let vhosts = vhosts.into_iter().map(Name::from).collect();
        let core = Core::new(CoreSettings { users, vhosts, history, started });
        let hub = Hub::new(Engine::new(core, limits), Clock::new(is_paused));
        let (user, password) = logins.first().map_or(("", ""), |(user, password)| (user, password));
        Broker::launch(
            Arc::new(hub),
            listener,
            (user, password, "/"),
            #[cfg(feature = "management")]
            management,
        )
    }

    fn core_users(&self) -> Result<Vec<User>, StartError> {
        let mut users = Vec::with_capacity(self.users.len());
        for (name, password) in &self.users {
            let own: Vec<_> = self.permissions.iter().filter(|(user, ..)| user == name).collect();
            let mut permissions = HashMap::new();
            if own.is_empty() {
                permissions
                    .extend(self.vhosts.iter().map(|vhost| (Name::from(vhost.as_str()), Permissions::all())));
            }
            for (_, vhost, [configure, write, read]) in own {
                let parsed = Permissions::new(configure, write, read).map_err(|error| {
                    StartError::settings(format!("permissions of `{name}` in vhost `{vhost}`: {error}"))
                })?;
                permissions.insert(vhost.as_str().into(), parsed);
            }
            let tags = vec!["administrator".to_owned()];
            users.push(User { name: name.as_str().into(), password: password.clone(), tags, permissions });
        }
        for (user, vhost, _) in &self.permissions {
            if !self.users.iter().any(|(name, _)| name == user) {
                return Err(StartError::settings(format!(
                    "permissions name the user `{user}`, which does not exist"
                )));
            }
            if !self.vhosts.contains(vhost) {
                return Err(StartError::settings(format!(
                    "permissions name the vhost `{vhost}`, which does not exist"
                )));
            }
        }
        Ok(users)
    }
}

// === impl StartError ===

impl StartError {
    pub(crate) fn bind(port: u16, source: io::Error) -> Self {
        let what = format!(
            "cannot listen on port {port} of the loopback address; choose another, or 0 for a free one"
        );
        Self { what, source: Some(source) }
    }

    pub(crate) fn listen(source: io::Error) -> Self {
        Self { what: "cannot listen on the loopback address".to_owned(), source: Some(source) }
    }

    pub(crate) fn thread(source: io::Error) -> Self {
        Self { what: "cannot start the broker's thread".to_owned(), source: Some(source) }
    }

    fn settings(what: String) -> Self {
        Self { what, source: None }
    }
}
