//! The broker that a behaviour is tried on.

use std::time::Duration;

use garenne_embedded::Policy;
use serde_json::{Value, json};
use url::Url;

use crate::wire::{Table, Wire};
use crate::{Vhost, encode, log};

/// A broker for one behaviour: a vhost of its own on RabbitMQ, or an embedded broker of its own.
///
/// A behaviour cannot tell which broker it has; what it finds must be the same on each.
#[derive(Debug)]
pub struct Target {
    broker: Broker,
    users: Vec<String>,
}

#[derive(Debug)]
enum Broker {
    RabbitMq(Box<Vhost>),
    Embedded(garenne_embedded::Broker),
}

/// A user whom a behaviour made, besides the administrator of [`Target::url`].
#[derive(Debug, Clone)]
pub struct User {
    /// The name with which it logs in: the one asked for, and something that makes it the test's own.
    pub name: String,
    /// The URL of the vhost as this user.
    pub url: String,
}

impl Target {
    /// Makes a vhost with a user of its own on RabbitMQ.
    pub async fn rabbitmq() -> Self {
        Self { broker: Broker::RabbitMq(Box::new(Vhost::new().await)), users: Vec::new() }
    }

    /// Starts an embedded broker.
    pub async fn embedded() -> Self {
        let broker = garenne_embedded::Broker::start().await.expect("the embedded broker starts");
        Self { broker: Broker::Embedded(broker), users: Vec::new() }
    }

    /// Returns the URL of the vhost, with a user who may do everything in it.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.broker {
            Broker::RabbitMq(vhost) => vhost.url(),
            Broker::Embedded(broker) => broker.url().to_owned(),
        }
    }

    /// Returns the name of the vhost.
    #[must_use]
    pub fn vhost(&self) -> String {
        crate::wire::Login::new(&self.url()).vhost
    }

    /// Returns the name of the user of [`url`](Self::url).
    #[must_use]
    pub fn user(&self) -> String {
        parse(&self.url()).username().to_owned()
    }

    /// Opens a connection.
    pub async fn wire(&self) -> Wire {
        Wire::connect(&self.url()).await
    }

    /// Opens a connection with channel 1 open on it.
    pub async fn channel(&self) -> Wire {
        let mut wire = self.wire().await;
        wire.open_channel(1).await;
        wire
    }

    /// Sets a policy, with the definition as the management API takes it. `apply_to` is `queues`, `exchanges`, `all`, ..
    ///
    /// The queues follow a little later: wait for what the policy does.
    pub async fn set_policy(
        &self,
        name: &str,
        pattern: &str,
        definition: Value,
        apply_to: &str,
        priority: i32,
    ) {
        match &self.broker {
            Broker::RabbitMq(vhost) => {
                let policy = json!({
                    "pattern": pattern,
                    "definition": definition,
                    "apply-to": apply_to,
                    "priority": priority,
                });
                vhost.admin().put(&format!("/policies/{}/{}", vhost.name(), encode(name)), &policy).await;
            }
            Broker::Embedded(broker) => {
                let mut policy = Policy::new(name, pattern, arguments(&definition).into());
                apply_to.clone_into(&mut policy.apply_to);
                policy.priority = priority.into();
                broker.set_policy(&self.vhost(), policy).expect("the policy is valid");
            }
        }
    }

    /// Deletes a policy.
    pub async fn delete_policy(&self, name: &str) {
        match &self.broker {
            Broker::RabbitMq(vhost) => {
                vhost.admin().delete(&format!("/policies/{}/{}", vhost.name(), encode(name))).await;
            }
            Broker::Embedded(broker) => {
                broker.delete_policy(&self.vhost(), name).expect("the policy is there");
            }
        }
    }

    /// Makes a user without any permission and without access to the vhost.
    pub async fn add_user(&mut self, name: &str) -> User {
        let name = match &self.broker {
            Broker::RabbitMq(vhost) => {
                let name = format!("{name}-{}", vhost.name());
                let user = json!({ "password": log::password(), "tags": "" });
                vhost.admin().put(&format!("/users/{name}"), &user).await;
                name
            }
            Broker::Embedded(broker) => {
                broker.add_user(name, log::password());
                name.to_owned()
            }
        };
        self.users.push(name.clone());
        let url = self.url_as(&name, log::password());
        User { name, url }
    }

    /// Gives a user access to the vhost, with these patterns of names.
    pub async fn set_permissions(&self, user: &User, configure: &str, write: &str, read: &str) {
        match &self.broker {
            Broker::RabbitMq(vhost) => {
                let permissions = json!({ "configure": configure, "write": write, "read": read });
                let path = format!("/permissions/{}/{}", vhost.name(), encode(&user.name));
                vhost.admin().put(&path, &permissions).await;
            }
            Broker::Embedded(broker) => {
                let set = broker.set_permissions(&user.name, &self.vhost(), [configure, write, read]);
                set.expect("the patterns are valid");
            }
        }
    }

    /// Returns the URL of the vhost for another user or password.
    #[must_use]
    pub fn url_as(&self, user: &str, password: &str) -> String {
        let mut url = parse(&self.url());
        let named = url.set_username(user).and_then(|()| url.set_password(Some(password)));
        named.expect("a URL with a host takes a user");
        url.into()
    }

    /// Lets on the embedded broker what is due within milliseconds happen now; on RabbitMQ it has to be waited for.
    pub fn catch_up(&self) {
        if let Broker::Embedded(broker) = &self.broker {
            broker.advance(Duration::from_millis(10));
        }
    }

    /// Returns how many messages are ready in a queue, seen from a connection of its own.
    pub async fn depth(&self, queue: &str) -> u32 {
        let mut wire = self.channel().await;
        let ready = wire.ready(1, queue).await;
        wire.close().await;
        ready
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let users = std::mem::take(&mut self.users);
        match &self.broker {
            Broker::RabbitMq(_) if users.is_empty() => {}
            // They go with it.
            Broker::Embedded(_) => {}
            Broker::RabbitMq(vhost) => {
                let admin = vhost.admin().clone();
                crate::runtime::cleanup(async move {
                    for user in users {
                        admin.try_delete(&format!("/users/{}", encode(&user))).await;
                    }
                });
            }
        }
    }
}

/// Writes the definition of a policy as a table.
fn arguments(definition: &Value) -> Table {
    let entries = definition.as_object().expect("a definition is an object");
    entries.iter().fold(Table::default(), |table, (key, value)| match value {
        Value::Bool(flag) => table.with(key, *flag),
        Value::String(text) => table.with(key, text.as_str()),
        _ => table.with(key, value.as_i64().expect("the number of a definition is whole")),
    })
}

fn parse(url: &str) -> Url {
    Url::parse(url).expect("the fixture's URL is valid")
}
