//! Client-side caching: who tracks keys, and how they are told that what they hold is stale.
//!
//! Which keys were read is remembered by the shards (`shard/track.rs`). Here is what concerns the process as a whole:
//! the connections that track, the prefixes some of them asked for, and the messages. In RESP3 a message is a push on
//! the connection itself or on the one it is redirected to. RESP2 has no pushes: there a message needs a connection
//! that is subscribed to something, and comes as if it had been published to `__redis__:invalidate`.

use super::Clients;
use crate::session::{Client, ClientKind, TrackOptions};
use crate::shard::news::{News, Stale};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use tidegate_commands::model::{Protocol, Reply};

/// Where RESP2 connections hear of keys.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// Who tracks keys.
#[derive(Debug, Default)]
pub struct Tracking {
    /// Connections that track keys, by id.
    trackers: RwLock<BTreeMap<u64, Arc<Client>>>,
    prefixes: Mutex<Prefixes>,
    /// Connections that track by prefix.
    broadcasts: AtomicUsize,
    /// Keys that were read, in all shards.
    keys: AtomicUsize,
    /// How often a connection stopped tracking.
    departures: AtomicU64,
}

/// The prefixes that connections asked for.
#[derive(Debug, Default)]
struct Prefixes {
    /// Who asked for each, by id.
    clients: BTreeMap<Box<[u8]>, BTreeMap<u64, Arc<Client>>>,
    /// How many there are of each length.
    lengths: BTreeMap<usize, usize>,
}

impl Tracking {
    fn trackers(&self) -> RwLockReadGuard<'_, BTreeMap<u64, Arc<Client>>> {
        self.trackers.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn prefixes(&self) -> MutexGuard<'_, Prefixes> {
        self.prefixes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection tracks keys from now on; if it does so by prefix, call [`Tracking::add_prefix`] and then let every
    /// shard know.
    pub fn start(&self, client: &Arc<Client>, by_prefix: bool) {
        let mut trackers = self.trackers.write().unwrap_or_else(PoisonError::into_inner);
        if trackers.insert(client.id, Arc::clone(client)).is_none() && by_prefix {
            self.broadcasts.fetch_add(1, Relaxed);
        }
    }

    /// A connection wants to hear of all keys with this prefix.
    pub fn add_prefix(&self, client: &Arc<Client>, prefix: &[u8]) {
        let mut prefixes = self.prefixes();
        let Prefixes { clients, lengths } = &mut *prefixes;
        let clients = clients.entry(prefix.into()).or_insert_with(|| {
            *lengths.entry(prefix.len()).or_default() += 1;
            BTreeMap::new()
        });
        clients.insert(client.id, Arc::clone(client));
    }

    /// A connection tracks no keys any more, by these prefixes or otherwise.
    pub fn stop<'p>(&self, client: &Client, by_prefix: bool, named: impl Iterator<Item = &'p [u8]>) {
        let mut trackers = self.trackers.write().unwrap_or_else(PoisonError::into_inner);
        if trackers.remove(&client.id).is_none() {
            return;
        }
        drop(trackers);
        self.departures.fetch_add(1, Relaxed);
        if !by_prefix {
            return;
        }
        self.broadcasts.fetch_sub(1, Relaxed);
        let mut prefixes = self.prefixes();
        let Prefixes { clients, lengths } = &mut *prefixes;
        for prefix in named {
            let Some(of_prefix) = clients.get_mut(prefix) else { continue };
            of_prefix.remove(&client.id);
            if of_prefix.is_empty() {
                clients.remove(prefix);
                let left = lengths.get_mut(&prefix.len()).map_or(0, |count| {
                    *count -= 1;
                    *count
                });
                if left == 0 {
                    lengths.remove(&prefix.len());
                }
            }
        }
    }

    /// Number of connections that track keys.
    pub fn len(&self) -> usize {
        self.trackers().len()
    }

    /// True when nobody tracks keys.
    pub fn is_empty(&self) -> bool {
        self.trackers().is_empty()
    }

    /// True when this connection tracks keys.
    pub fn has(&self, id: u64) -> bool {
        self.trackers().contains_key(&id)
    }

    /// How often a connection stopped tracking.
    pub fn departures(&self) -> u64 {
        self.departures.load(Relaxed)
    }

    /// Number of prefixes that somebody asked for.
    pub fn prefix_count(&self) -> usize {
        self.prefixes().clients.len()
    }

    /// True when somebody tracks by prefix.
    pub fn has_broadcasts(&self) -> bool {
        self.broadcasts.load(Relaxed) > 0
    }

    /// Number of keys that were read, in all shards.
    pub fn keys(&self) -> usize {
        self.keys.load(Relaxed)
    }

    /// So many keys were read for the first time; returns how many there are.
    pub fn add_keys(&self, count: usize) -> usize {
        self.keys.fetch_add(count, Relaxed) + count
    }

    /// So many keys have no readers any more.
    pub fn remove_keys(&self, count: usize) {
        self.keys.fetch_sub(count, Relaxed);
    }

    /// Tells everybody what is stale. What the client whose command runs has to hear itself stays.
    pub fn tell(&self, news: &mut News, clients: &Clients) {
        if !news.others.is_empty() {
            self.tell_readers(&mut news.others, clients);
        }
        if !news.broadcast.is_empty() {
            self.broadcast(&std::mem::take(&mut news.broadcast), clients);
        }
    }

    fn tell_readers(&self, stale: &mut Vec<Stale>, clients: &Clients) {
        let trackers = self.trackers();
        let mut content = Vec::new();
        for stale in stale.drain(..) {
            match stale {
                Stale::Key(tracked) => {
                    content.clear();
                    write_keys(&mut content, [&*tracked.key]);
                    for id in tracked.clients {
                        let reader = trackers.get(&id);
                        // Who tracks by prefix now hears of what it read before in that way, or not at all.
                        let reader =
                            reader.filter(|reader| !reader.tracking.options().has(TrackOptions::BCAST));
                        if let Some(reader) = reader {
                            send(reader, clients, Some(&content), None);
                        }
                    }
                }
                Stale::All { but } => {
                    for tracker in trackers.values().filter(|tracker| tracker.id != but) {
                        send(tracker, clients, None, None);
                    }
                }
            }
        }
    }

    /// One message for every prefix with all changed keys that have it, to everybody who asked for it.
    /// O(keys * lengths of prefixes).
    fn broadcast(&self, changed: &BTreeMap<Box<[u8]>, u64>, clients: &Clients) {
        let prefixes = self.prefixes();
        let mut by_prefix: BTreeMap<&[u8], Vec<(&[u8], u64)>> = BTreeMap::new();
        for (key, changer) in changed {
            for prefix in prefixes.lengths.keys().map_while(|len| key.get(..*len)) {
                if prefixes.clients.contains_key(prefix) {
                    by_prefix.entry(prefix).or_default().push((key, *changer));
                }
            }
        }
        for (prefix, keys) in by_prefix {
            let mut for_all = Vec::new();
            write_keys(&mut for_all, keys.iter().map(|(key, _)| *key));
            for client in prefixes.clients[prefix].values() {
                if client.tracking.options().has(TrackOptions::NOLOOP) {
                    let of_others = keys.iter().filter(|(_, changer)| *changer != client.id);
                    let of_others: Vec<&[u8]> = of_others.map(|(key, _)| *key).collect();
                    if !of_others.is_empty() {
                        let mut content = Vec::new();
                        write_keys(&mut content, of_others);
                        send(client, clients, Some(&content), None);
                    }
                } else {
                    send(client, clients, Some(&for_all), None);
                }
            }
        }
    }
}

fn write_keys<'k, K: IntoIterator<Item = &'k [u8], IntoIter: ExactSizeIterator>>(
    content: &mut Vec<u8>,
    keys: K,
) {
    let keys = keys.into_iter();
    let mut reply = Reply::new(content, Protocol::Resp2);
    reply.array(keys.len());
    for key in keys {
        reply.bulk(key);
    }
}

/// Tells the client whose command runs that a key (or everything) is stale: what is sent on its own connection is
/// appended to `out`, behind the reply.
pub fn tell_self(client: &Client, clients: &Clients, key: Option<&[u8]>, out: &mut Vec<u8>) {
    let content = key.map(|key| {
        let mut content = Vec::new();
        write_keys(&mut content, [key]);
        content
    });
    send(client, clients, content.as_deref(), Some(out));
}

/// Tells a connection that the keys in `content` are stale, or everything; on the connection it is redirected to, if it
/// is. What is to be sent on its own is appended to `out` if that is given.
fn send(tracker: &Client, clients: &Clients, content: Option<&[u8]>, out: Option<&mut Vec<u8>>) {
    let redirect = tracker.tracking.redirect();
    if redirect == 0 {
        return deliver(tracker, out, &push(content));
    }
    // One that is about to close would not send it.
    let target = clients.get(redirect).filter(|target| !target.closing.load(Relaxed));
    let Some(target) = target else {
        tracker.tracking.add(TrackOptions::BROKEN_REDIRECT);
        let mut message = Vec::new();
        let mut reply = Reply::new(&mut message, Protocol::Resp3);
        reply.push(2);
        reply.bulk(b"tracking-redir-broken");
        reply.integer(redirect as i64);
        return deliver(tracker, out, &message);
    };
    let is_subscriber = target.kind.load(Relaxed) == ClientKind::Pubsub as u8;
    let resp2 = is_subscriber.then(|| published(content));
    target.push_either(resp2.as_deref(), Some(&push(content)));
}

/// Sends a push of RESP3 on the client's own connection. In RESP2 there is no way to say it.
fn deliver(client: &Client, out: Option<&mut Vec<u8>>, push: &[u8]) {
    match out {
        None => client.push_either(None, Some(push)),
        Some(out) if client.resp.load(Relaxed) == 3 => out.extend_from_slice(push),
        Some(_) => {}
    }
}

/// The message for RESP3.
fn push(content: Option<&[u8]>) -> Vec<u8> {
    let mut message = Vec::new();
    let mut reply = Reply::new(&mut message, Protocol::Resp3);
    reply.push(2);
    reply.bulk(b"invalidate");
    write_content(&mut reply, content);
    message
}

/// The message for a RESP2 connection that is subscribed to something.
fn published(content: Option<&[u8]>) -> Vec<u8> {
    let mut message = Vec::new();
    let mut reply = Reply::new(&mut message, Protocol::Resp2);
    reply.push(3);
    reply.bulk(b"message");
    reply.bulk(CHANNEL);
    write_content(&mut reply, content);
    message
}

fn write_content(reply: &mut Reply<'_>, content: Option<&[u8]>) {
    match content {
        Some(content) => reply.raw(content),
        None => reply.null(),
    }
}
