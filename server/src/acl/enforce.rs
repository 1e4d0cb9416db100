//! Changes of users and what follows from them: connections that have lost their user, or a channel, are closed.

use super::{DEFAULT_USER, User, load_file};
use crate::session::Client;
use crate::shared::{Shared, Topic};
use std::sync::Arc;

impl Shared {
    /// `ACL SETUSER`. True when the connection of `own` has lost a channel, and is to be closed after the reply.
    ///
    /// # Errors
    /// What is wrong with the rules.
    pub fn set_user(&self, name: &[u8], rules: &[&[u8]], own: &Client) -> Result<bool, Vec<u8>> {
        let _changing = self.users.begin_change();
        let old = self.users.get(name);
        let user = Arc::new(self.users.changed(name, rules, self.config.acl_allows_channels())?);
        self.users.change(|table| table.insert(name.into(), Arc::clone(&user)));
        Ok(old.is_some_and(|old| self.close_subscribers(&old, &user, own)))
    }

    /// `ACL DELUSER`: how many there were, and whether that of `own` was among them.
    pub fn delete_users(&self, names: &[&[u8]], own: &Client) -> (usize, bool) {
        let _changing = self.users.begin_change();
        let gone: Vec<Arc<User>> =
            self.users.change(|table| names.iter().filter_map(|name| table.remove(*name)).collect());
        (gone.len(), self.close_users(&gone, own))
    }

    /// `ACL LOAD`. True when the user of `own` was replaced. All but the default user are others afterwards, even if they are
    /// called the same.
    ///
    /// # Errors
    /// What is wrong with the file; nothing is changed then.
    pub fn load_users(&self, own: &Client) -> Result<bool, String> {
        let name = String::from_utf8_lossy(&self.config.text("aclfile").unwrap_or_default()).into_owned();
        let path = self.config.path("aclfile").unwrap_or_default();
        let loaded = load_file(&self.users.catalog, &path, &name, self.config.acl_allows_channels())?;
        let _changing = self.users.begin_change();
        let gone: Vec<_> = self.users.all().into_iter().filter(|user| user.name() != DEFAULT_USER).collect();
        self.users.replace(loaded);
        Ok(self.close_users(&gone, own))
    }

    fn close_users(&self, gone: &[Arc<User>], own: &Client) -> bool {
        if gone.is_empty() {
            return false;
        }
        let names: Vec<_> = gone.iter().map(|user| String::from_utf8_lossy(user.name())).collect();
        let mut is_own = false;
        for client in self.clients.all() {
            if names.contains(&client.user.get().as_str().into()) {
                if client.id == own.id {
                    is_own = true;
                } else {
                    self.clients.kill(&client);
                }
            }
        }
        is_own
    }

    /// Closes the connections of a user that listen to what it may not listen to any more.
    fn close_subscribers(&self, old: &User, new: &User, own: &Client) -> bool {
        let (mut before, after) = (old.selectors().iter(), new.selectors());
        let keeps =
            |channel: &[u8]| after.iter().flat_map(|set| &set.channels).any(|known| **known == *channel);
        if after.iter().any(|set| set.all_channels)
            || before.all(|set| !set.all_channels && set.channels.iter().all(|channel| keeps(channel)))
        {
            return false;
        }
        let name = String::from_utf8_lossy(new.name());
        let is_lost = |topic: Topic, channel: &[u8], client: &Client| {
            client.user.get() == name && !new.may_listen(topic == Topic::Pattern, channel)
        };
        let mut is_own = false;
        for client in self.pubsub.subscribers_where(is_lost) {
            if client.id == own.id {
                is_own = true;
            } else {
                self.clients.kill(&client);
            }
        }
        is_own
    }
}

impl User {
    /// May it listen to this channel, or to all channels of this pattern?
    pub fn may_listen(&self, is_pattern: bool, channel: &[u8]) -> bool {
        self.selectors().iter().any(|set| set.allows_channel(channel, is_pattern))
    }
}
