//! What an administrator does: vhosts, users, permissions, policies.

use std::collections::HashMap;

use super::access::{Permissions, User};
use super::effect::Output;
use super::policy::Policy;
use super::queue::Discard;
use super::state::Core;
use super::vhost::Vhost;
use super::{AmqpError, Millis, Name};

impl Core {
    /// Adds a vhost unless it is there.
    pub(crate) fn add_vhost(&mut self, name: &str) {
        let name = Name::from(name);
        self.vhosts.entry(name.clone()).or_insert_with(|| Vhost::new(&name));
    }

    /// Deletes a vhost with everything in it; its connections are closed. Returns whether there was one.
    pub(crate) fn delete_vhost(&mut self, now: Millis, name: &str) -> bool {
        let Some((name, vhost)) = self.vhosts.remove_entry(name) else { return false };
        self.age += 1;
        for queue in vhost.queues.into_values() {
            self.bury(&name, queue);
        }
        let text = format!("vhost '{name}' is down");
        self.close_connections(&text, |open| open.vhost == name);
        for user in self.users.values_mut() {
            user.permissions.remove(&name);
        }
        self.settle(now);
        true
    }

    /// Adds a user, or changes the password and tags of one.
    pub(crate) fn put_user(&mut self, name: &str, password: String, tags: Vec<String>) {
        let name = Name::from(name);
        match self.users.get_mut(&name) {
            Some(user) => (user.password, user.tags) = (password, tags),
            None => {
                let user = User { name: name.clone(), password, tags, permissions: HashMap::new() };
                self.users.insert(name, user);
            }
        }
    }

    /// Deletes a user and closes its connections. Returns whether there was one.
    pub(crate) fn delete_user(&mut self, name: &str) -> bool {
        let was_there = self.users.remove(name).is_some();
        self.age += 1;
        self.close_connections(&format!("user '{name}' was deleted"), |open| &*open.user == name);
        was_there
    }

    /// Sets what a user may do in a vhost.
    ///
    /// # Errors
    ///
    /// Fails if there is no such user or vhost.
    pub(crate) fn set_permissions(
        &mut self,
        user: &str,
        vhost: &str,
        permissions: Permissions,
    ) -> Result<(), String> {
        let Some((vhost, _)) = self.vhosts.get_key_value(vhost) else {
            return Err(format!("there is no vhost `{vhost}`"));
        };
        let found = self.users.get_mut(user).ok_or_else(|| format!("there is no user `{user}`"))?;
        found.permissions.insert(vhost.clone(), permissions);
        self.age += 1;
        Ok(())
    }

    /// Takes away everything that a user may do in a vhost. Returns whether there was anything.
    #[cfg(feature = "management")]
    pub(crate) fn clear_permissions(&mut self, user: &str, vhost: &str) -> bool {
        self.age += 1;
        self.users.get_mut(user).is_some_and(|user| user.permissions.remove(vhost).is_some())
    }

    /// Sets a policy and applies it to what is there.
    ///
    /// # Errors
    ///
    /// Fails if there is no such vhost.
    pub(crate) fn set_policy(&mut self, now: Millis, vhost: &str, policy: Policy) -> Result<(), String> {
        let found = self.vhosts.get_mut(vhost).ok_or_else(|| format!("there is no vhost `{vhost}`"))?;
        let (name, changed) = (found.name.clone(), found.set_policy(now, policy));
        self.policies_changed(now, &name, changed);
        Ok(())
    }

    /// Deletes a policy; returns whether there was one.
    pub(crate) fn delete_policy(&mut self, now: Millis, vhost: &str, policy: &str) -> bool {
        let Some(found) = self.vhosts.get_mut(vhost) else { return false };
        let name = found.name.clone();
        let Some(changed) = found.delete_policy(now, policy) else { return false };
        self.policies_changed(now, &name, changed);
        true
    }

    fn policies_changed(&mut self, now: Millis, vhost: &Name, changed: Vec<(Name, Vec<Discard>)>) {
        self.age += 1;
        for (queue, discards) in changed {
            self.discard(vhost, &queue, discards);
            self.touch_queue(vhost, &queue);
        }
        self.settle(now);
    }

    fn close_connections(&mut self, text: &str, applies: impl Fn(&super::connection::Connection) -> bool) {
        let mut affected: Vec<_> =
            self.connections.iter().filter(|(_, open)| applies(open)).map(|(id, _)| *id).collect();
        affected.sort_unstable();
        for connection in affected {
            self.effects.push((connection, Output::CloseConnection(AmqpError::connection_forced(text))));
        }
    }
}
