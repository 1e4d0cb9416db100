//! Who listens to which channel, and how a message gets to all of them.
//!
//! Channels are spread over [`STRIPES`] locks by the hash of their name. A message is put into the mailboxes of all its
//! receivers under the lock of its channel, which patterns share: whoever gets two messages of a channel gets them in the
//! same order as everybody else. Sending is left to the threads of the receivers, which are woken only if nothing waited
//! for them yet; so messages that come faster than they can be sent go out together.
//!
//! Locks are taken in this order: a shard of the keyspace, a channel, the patterns, a mailbox.

use super::Shared;
use crate::config::value::Events;
use crate::config::{ClientClass, Hot};
use crate::session::{Bells, Client};
use hashbrown::HashMap;
use std::hash::BuildHasher as _;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tidegate_commands::families::{Case, glob_matches};
use tidegate_commands::model::{Protocol, Reply};
use tidegate_data::Event;

/// Locks that channels share.
const STRIPES: usize = 64;
/// A connection for which this many bytes wait to be taken by its thread has a thread that is behind.
const BEHIND: usize = 512 * 1024;

type Hasher = foldhash::fast::RandomState;
/// By the id of the connection.
type Subscribers = HashMap<u64, Arc<Client>, Hasher>;
type Channels = HashMap<Arc<[u8]>, Subscribers, Hasher>;

/// What can be subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// A channel: `SUBSCRIBE`.
    Channel,
    /// All channels whose name matches: `PSUBSCRIBE`.
    Pattern,
    /// A channel of its own kind, which in a cluster belongs to one shard: `SSUBSCRIBE`.
    ShardChannel,
}

/// What became of a message.
#[derive(Debug, Default)]
pub struct Published {
    /// How many times it was sent: a connection counts once for its channel and once for every matching pattern.
    pub receivers: u64,
    /// The thread of this connection cannot keep up with what is published.
    pub behind: Option<Arc<Client>>,
}

/// Channels with one lock.
#[derive(Debug, Default)]
struct Stripe {
    channels: Channels,
    shard_channels: Channels,
}

/// All subscriptions of the process.
#[derive(Debug)]
pub struct PubSub {
    stripes: Box<[Mutex<Stripe>]>,
    patterns: RwLock<Channels>,
    hasher: Hasher,
    /// Number of channels, patterns and shard channels with a subscriber: asked without the locks.
    counts: [AtomicUsize; 3],
}

impl Default for PubSub {
    fn default() -> Self {
        PubSub {
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            patterns: RwLock::default(),
            hasher: Hasher::default(),
            counts: Default::default(),
        }
    }
}

impl PubSub {
    fn stripe(&self, channel: &[u8]) -> MutexGuard<'_, Stripe> {
        let index = self.hasher.hash_one(channel) as usize % STRIPES;
        self.stripes[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `act` on the table in which `name` is, or belongs.
    fn with_table<R>(&self, topic: Topic, name: &[u8], act: impl FnOnce(&mut Channels) -> R) -> R {
        match topic {
            Topic::Channel => act(&mut self.stripe(name).channels),
            Topic::ShardChannel => act(&mut self.stripe(name).shard_channels),
            Topic::Pattern => act(&mut self.patterns.write().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// Messages to `name` reach `client` from now on.
    pub fn subscribe(&self, topic: Topic, name: &Arc<[u8]>, client: &Arc<Client>) {
        self.with_table(topic, name, |channels| {
            let subscribers = channels.entry(Arc::clone(name)).or_insert_with(|| {
                self.counts[topic as usize].fetch_add(1, Relaxed);
                Subscribers::default()
            });
            subscribers.insert(client.id, Arc::clone(client));
        });
    }

    /// Messages to `name` do not reach the connection from now on: those it got are in its mailbox.
    pub fn unsubscribe(&self, topic: Topic, name: &[u8], client: &Client) {
        self.with_table(topic, name, |channels| {
            let Some(subscribers) = channels.get_mut(name) else { return };
            subscribers.remove(&client.id);
            if subscribers.is_empty() {
                channels.remove(name);
                self.counts[topic as usize].fetch_sub(1, Relaxed);
            }
        });
    }

    /// Number of channels, patterns or shard channels that somebody is subscribed to.
    pub fn len(&self, topic: Topic) -> usize {
        self.counts[topic as usize].load(Relaxed)
    }

    /// True when nobody is subscribed to any channel or pattern.
    pub fn is_silent(&self) -> bool {
        self.len(Topic::Channel) + self.len(Topic::Pattern) == 0
    }

    /// Number of connections that are subscribed to `name`. O(their number).
    pub fn subscribers(&self, topic: Topic, name: &[u8]) -> usize {
        self.with_table(topic, name, |channels| channels.get(name).map_or(0, |found| alive(found).count()))
    }

    /// Names of channels or shard channels with a subscriber. O(their number).
    pub fn names(&self, topic: Topic, is_wanted: impl Fn(&[u8]) -> bool) -> Vec<Arc<[u8]>> {
        let mut names = Vec::new();
        for stripe in &self.stripes {
            let stripe = stripe.lock().unwrap_or_else(PoisonError::into_inner);
            let channels =
                if topic == Topic::ShardChannel { &stripe.shard_channels } else { &stripe.channels };
            let wanted =
                channels.iter().filter(|(name, found)| is_wanted(name) && alive(found).next().is_some());
            names.extend(wanted.map(|(name, _)| Arc::clone(name)));
        }
        names
    }

    /// Connections with a subscription for which `is_wanted` says so. O(all subscriptions).
    pub fn subscribers_where(&self, is_wanted: impl Fn(Topic, &[u8], &Client) -> bool) -> Vec<Arc<Client>> {
        let mut found = Vec::new();
        let mut look = |topic: Topic, channels: &Channels| {
            for (name, subscribers) in channels {
                found.extend(alive(subscribers).filter(|client| is_wanted(topic, name, client)).cloned());
            }
        };
        for stripe in &self.stripes {
            let stripe = stripe.lock().unwrap_or_else(PoisonError::into_inner);
            look(Topic::Channel, &stripe.channels);
            look(Topic::ShardChannel, &stripe.shard_channels);
        }
        look(Topic::Pattern, &self.patterns.read().unwrap_or_else(PoisonError::into_inner));
        found
    }

    /// Sends a message to all subscribers of a channel, and for a channel of the common kind to those of the patterns
    /// that match it. O(subscribers + patterns).
    /// The messages are sent once `bells` are rung.
    pub fn publish(
        &self,
        shared: &Shared,
        topic: Topic,
        channel: &[u8],
        message: &[u8],
        bells: &mut Bells,
    ) -> Published {
        let hot = shared.config.hot();
        let (limit, is_counted) = (hard_limit(hot), hot.maxmemory_clients.get() != 0);
        let mut fan_out = FanOut { shared, limit, is_counted, bells, published: Published::default() };
        let stripe = self.stripe(channel);
        if topic == Topic::ShardChannel {
            if let Some(subscribers) = stripe.shard_channels.get(channel) {
                fan_out.send(&framed(&[b"smessage", channel, message]), subscribers);
            }
            return fan_out.published;
        }
        if let Some(subscribers) = stripe.channels.get(channel) {
            fan_out.send(&framed(&[b"message", channel, message]), subscribers);
        }
        if self.len(Topic::Pattern) > 0 {
            let patterns = self.patterns.read().unwrap_or_else(PoisonError::into_inner);
            for (pattern, subscribers) in &*patterns {
                if glob_matches(pattern, channel, Case::Sensitive) {
                    fan_out.send(&framed(&[b"pmessage", pattern, channel, message]), subscribers);
                }
            }
        }
        fan_out.published
    }

    /// Tells of an event of the keyspace on the channels that `notify-keyspace-events` names. Call it while the shard of
    /// the key is held, so that events of a key come in the order of what happened to it.
    pub fn announce(&self, shared: &Shared, wanted: Events, event: &Event, bells: &mut Bells) {
        if self.is_silent() {
            return;
        }
        let mut channel = Vec::new();
        let mut announce = |space: &str, name: &[u8], message: &[u8]| {
            channel.clear();
            let _ = write!(channel, "__{space}@{}__:", event.db);
            channel.extend_from_slice(name);
            self.publish(shared, Topic::Channel, &channel, message, bells);
        };
        if wanted.contains(Events::KEYSPACE) {
            announce("keyspace", &event.key, event.name.as_bytes());
        }
        if wanted.contains(Events::KEYEVENT) {
            announce("keyevent", event.name.as_bytes(), &event.key);
        }
        if event.subkeys.is_empty() || !wanted.tells_subkeys() {
            return;
        }
        // Names may contain whatever separates them, so their lengths are told.
        let mut subkeys = Vec::new();
        for subkey in &event.subkeys {
            let comma = if subkeys.is_empty() { "" } else { "," };
            let _ = write!(subkeys, "{comma}{}:", subkey.len());
            subkeys.extend_from_slice(subkey);
        }
        let name = event.name.as_bytes();
        if wanted.contains(Events::SUBKEYSPACE) {
            announce("subkeyspace", &event.key, &[name, b"|", &subkeys].concat());
        }
        if wanted.contains(Events::SUBKEYEVENT) {
            let len = event.key.len().to_string();
            let message = [len.as_bytes(), b":", &event.key, b"|", &subkeys].concat();
            announce("subkeyevent", name, &message);
        }
        // A line feed in the key would make the channel that of another key and field.
        if wanted.contains(Events::SUBKEYSPACE_ITEM) && !event.key.contains(&b'\n') {
            for subkey in &event.subkeys {
                announce("subkeyspaceitem", &[&event.key, &b"\n"[..], subkey].concat(), name);
            }
        }
        if wanted.contains(Events::SUBKEYSPACE_EVENT) {
            announce("subkeyspaceevent", &[name, b"|", &event.key].concat(), &subkeys);
        }
    }
}

/// Those who were not closed a moment ago.
fn alive(subscribers: &Subscribers) -> impl Iterator<Item = &Arc<Client>> {
    subscribers.values().filter(|client| !client.killed.load(Relaxed))
}

/// A push as RESP2 writes it; mailboxes know how to make one of RESP3 of it.
fn framed(words: &[&[u8]]) -> Vec<u8> {
    let size: usize = words.iter().map(|word| word.len() + 16).sum();
    let mut push = Vec::with_capacity(size + 16);
    let mut reply = Reply::new(&mut push, Protocol::Resp2);
    reply.push(words.len());
    for word in words {
        reply.bulk(word);
    }
    push
}

/// Bytes that may wait for a subscriber.
fn hard_limit(hot: &Hot) -> usize {
    match hot.output_limits.get(ClientClass::Pubsub).hard {
        0 => usize::MAX,
        hard => usize::try_from(hard).unwrap_or(usize::MAX),
    }
}

/// One message on its way.
struct FanOut<'a> {
    shared: &'a Shared,
    limit: usize,
    /// What connections occupy has a limit.
    is_counted: bool,
    bells: &'a mut Bells,
    published: Published,
}

impl FanOut<'_> {
    fn send(&mut self, push: &[u8], subscribers: &Subscribers) {
        for client in subscribers.values() {
            let Some(delivery) = client.push(push, self.bells) else { continue };
            self.published.receivers += 1;
            if delivery.waiting > BEHIND {
                self.published.behind = Some(Arc::clone(client));
            }
            // Its thread looks at this as well, but may be busy with something else for long.
            if delivery.waiting.saturating_add(client.output.load(Relaxed)) > self.limit {
                self.shared.close_for_output(client);
            }
            if self.is_counted {
                self.shared.charge_client(client);
            }
        }
    }
}

#[cfg(test)]
mod tests;
