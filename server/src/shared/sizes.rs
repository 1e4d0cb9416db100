//! `maxmemory-clients`: what connections occupy together, and who has to go when that is too much.
//!
//! As in Redis 7 the largest go first, and size is told by powers of two, so that nobody has to be sorted: each connection
//! is in the bucket of its size, and moves only when it doubles or halves. While there is no limit nothing is counted.

use super::{Clients, Shared};
use crate::clock;
use crate::session::{Client, ClientKind};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Logarithm of the size at which the second bucket begins, in bytes.
const LOG_MIN: u32 = 15;
/// Logarithm of the size at which the last bucket begins.
const LOG_MAX: u32 = 33;
const BUCKETS: usize = (LOG_MAX - LOG_MIN + 1) as usize;
/// Of a connection that is in no bucket: it may not be evicted.
pub const NO_BUCKET: u8 = u8::MAX;
/// No lower limit is heeded: one could not talk to such a server to correct it. In bytes.
const LIMIT_MIN: usize = 128 << 10;

/// Sizes of connections.
#[derive(Debug, Default)]
pub struct Sizes {
    /// Bytes of all connections that are counted.
    total: AtomicUsize,
    /// Bytes of those that were killed, and whose threads have not freed them yet.
    dying: AtomicUsize,
    /// Ids by size.
    buckets: Mutex<[BTreeSet<u64>; BUCKETS]>,
    /// Held by whoever evicts, so that no two do for the same bytes.
    evicting: Mutex<()>,
    /// The log says already that evicting was not enough.
    was_in_vain: AtomicBool,
}

fn bucket_of(bytes: usize) -> u8 {
    let log = usize::BITS - bytes.leading_zeros();
    (log.clamp(LOG_MIN, LOG_MAX) - LOG_MIN) as u8
}

impl Sizes {
    fn buckets(&self) -> MutexGuard<'_, [BTreeSet<u64>; BUCKETS]> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of all connections together, as far as they were counted.
    pub fn total(&self) -> usize {
        self.total.load(Relaxed)
    }

    /// A connection is as large as this now. O(1), and O(log n) when it has changed its bucket.
    pub fn charge(&self, client: &Client, bytes: usize) {
        let is_replica = client.kind.load(Relaxed) == ClientKind::Replica as u8;
        let bytes = if is_replica { 0 } else { bytes };
        self.count(client, bytes);
        let may_go = !is_replica && !client.no_evict.load(Relaxed);
        let bucket = if may_go { bucket_of(bytes) } else { NO_BUCKET };
        if client.bucket.load(Relaxed) != bucket {
            self.move_to(client, bucket);
        }
        // Either this sees that it was killed meanwhile, or whoever killed it forgets it after this.
        if client.killed.load(Acquire) {
            self.forget(client);
        }
    }

    /// A connection is gone. O(1) where it was never counted.
    pub fn forget(&self, client: &Client) {
        if client.charged.load(Relaxed) > 0 {
            self.count(client, 0);
        }
        if client.bucket.load(Relaxed) != NO_BUCKET {
            self.move_to(client, NO_BUCKET);
        }
    }

    /// True while a thread has to free what somebody had that was killed.
    #[inline]
    pub fn is_any_dying(&self) -> bool {
        self.dying.load(Relaxed) > 0
    }

    /// A connection is killed: what it occupies stays until its thread has seen that. [`Sizes::freed`] comes later.
    pub(super) fn dies(&self, client: &Client) {
        let bytes = client.charged.load(Relaxed);
        client.dying.fetch_add(bytes, AcqRel);
        self.dying.fetch_add(bytes, Relaxed);
    }

    /// What a killed connection occupied is free.
    pub(super) fn freed(&self, client: &Client) {
        if client.dying.load(Relaxed) > 0 {
            self.dying.fetch_sub(client.dying.swap(0, AcqRel), Relaxed);
        }
    }

    fn count(&self, client: &Client, bytes: usize) {
        let before = client.charged.swap(bytes, AcqRel);
        self.total.fetch_add(bytes.wrapping_sub(before), Relaxed);
    }

    fn move_to(&self, client: &Client, bucket: u8) {
        let mut buckets = self.buckets();
        let before = client.bucket.swap(bucket, AcqRel);
        if let Some(before) = buckets.get_mut(before as usize) {
            before.remove(&client.id);
        }
        if let Some(after) = buckets.get_mut(bucket as usize) {
            after.insert(client.id);
        }
    }

    /// One of the largest that may go, the one that came first.
    fn largest(&self) -> Option<u64> {
        self.buckets().iter().rev().find_map(|bucket| bucket.first().copied())
    }

    /// Nobody knows of a connection with this id any more.
    fn drop_id(&self, id: u64) {
        for bucket in &mut *self.buckets() {
            bucket.remove(&id);
        }
    }
}

impl Clients {
    /// What connections occupy together.
    pub fn sizes(&self) -> &Sizes {
        &self.sizes
    }
}

impl Shared {
    /// Bytes that connections may occupy together; `None` for any number.
    pub fn clients_memory_limit(&self) -> Option<usize> {
        let hot = self.config.hot();
        let bytes = match (hot.maxmemory_clients.get(), hot.maxmemory.get()) {
            (0, _) => return None,
            (percent @ ..0, 0) => {
                debug_assert!(percent < 0, "a share of no limit is none");
                return None;
            }
            (percent @ ..0, maxmemory) => u128::from(maxmemory) * u128::from(percent.unsigned_abs()) / 100,
            (bytes, _) => u128::from(bytes.unsigned_abs()),
        };
        Some(usize::try_from(bytes).unwrap_or(usize::MAX).max(LIMIT_MIN))
    }

    /// A connection grew or shrank. If all together are too large now, the largest are closed.
    #[cold]
    pub fn charge_client(&self, client: &Client) {
        let Some(limit) = self.clients_memory_limit() else { return };
        let sizes = &self.clients.sizes;
        sizes.charge(client, client.memory().total());
        if sizes.total() >= limit {
            self.evict_clients(limit);
        }
    }

    /// `maxmemory-clients`, or what it is a share of, was changed: nobody was counted so far, perhaps.
    pub fn follow_clients_memory(&self) {
        let limit = self.clients_memory_limit();
        for client in self.clients.all() {
            match limit {
                Some(_) => self.clients.sizes.charge(&client, client.memory().total()),
                None => self.clients.sizes.forget(&client),
            }
        }
        if let Some(limit) = limit
            && self.clients.sizes.total() >= limit
        {
            self.evict_clients(limit);
        }
    }

    /// Closes the largest connections until all together are below `limit`.
    #[cold]
    fn evict_clients(&self, limit: usize) {
        let sizes = &self.clients.sizes;
        let _alone = sizes.evicting.lock().unwrap_or_else(PoisonError::into_inner);
        while sizes.total() >= limit {
            let Some(id) = sizes.largest() else {
                if !sizes.was_in_vain.swap(true, Relaxed) {
                    tracing::warn!("Over client maxmemory after evicting all evictable clients");
                }
                return;
            };
            let Some(client) = self.clients.get(id) else {
                // It was killed, and whoever did that is about to forget it.
                sizes.drop_id(id);
                continue;
            };
            tracing::info!("Evicting client: {}", self.describe_client_in_log(&client));
            if self.clients.kill(&client) {
                self.stats.evicted_clients.fetch_add(1, Relaxed);
            }
        }
        sizes.was_in_vain.store(false, Relaxed);
    }

    /// A connection, for administrators.
    pub fn describe_client(&self, client: &Client) -> String {
        client.describe(clock::unix_ms(), self.last_command(client), 0)
    }

    /// The same as the log may show it.
    pub fn describe_client_in_log(&self, client: &Client) -> String {
        let hides_names = self.config.hot().hide_user_data_from_log.get();
        client.describe_as(clock::unix_ms(), self.last_command(client), 0, hides_names)
    }

    /// What comes from users, as the log may show it.
    pub fn shown_in_log<'t>(&self, text: &'t [u8]) -> Cow<'t, str> {
        if self.config.hot().hide_user_data_from_log.get() {
            return "(redacted)".into();
        }
        String::from_utf8_lossy(text)
    }

    /// Name of the command a connection called last.
    pub fn last_command(&self, client: &Client) -> &'static str {
        let last = client.last_command.load(Relaxed).checked_sub(1);
        last.and_then(|id| self.registry.by_id(id as usize)).map_or("NULL", |entry| &entry.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn client(id: u64) -> Arc<Client> {
        Arc::new(Client::new(id, "a:1".into(), "b:2".into(), 3, 0, false, true))
    }

    #[test]
    fn sizes_double_from_bucket_to_bucket() {
        let buckets = [0, 1 << 14, (1 << 15) - 1, 1 << 15, 1 << 16, 1 << 32, usize::MAX].map(bucket_of);
        assert_eq!(buckets, [0, 0, 0, 1, 2, 18, 18]);
    }

    #[test]
    fn the_largest_goes_first_and_takes_its_bytes_along() {
        let (sizes, small, large) = (Sizes::default(), client(1), client(2));
        sizes.charge(&small, 1000);
        sizes.charge(&large, 100_000);
        assert_eq!((sizes.total(), sizes.largest()), (101_000, Some(2)));
        sizes.charge(&small, 1 << 20);
        assert_eq!(sizes.largest(), Some(1));
        sizes.charge(&small, 10);
        sizes.forget(&large);
        sizes.forget(&large);
        assert_eq!((sizes.total(), sizes.largest()), (10, Some(1)));
    }

    #[test]
    fn who_may_not_be_evicted_counts_and_stays() {
        let (sizes, exempt) = (Sizes::default(), client(1));
        sizes.charge(&exempt, 5000);
        exempt.no_evict.store(true, Relaxed);
        sizes.charge(&exempt, 5000);
        assert_eq!((sizes.total(), sizes.largest()), (5000, None));
    }

    #[test]
    fn what_the_killed_have_is_known_until_it_is_free() {
        let (sizes, client) = (Sizes::default(), client(1));
        sizes.charge(&client, 5000);
        sizes.dies(&client);
        sizes.forget(&client);
        assert!(sizes.is_any_dying());
        sizes.freed(&client);
        sizes.freed(&client);
        assert!(!sizes.is_any_dying());
    }

    #[test]
    fn who_was_killed_is_not_counted_again() {
        let (sizes, gone) = (Sizes::default(), client(1));
        gone.kill();
        sizes.charge(&gone, 5000);
        assert_eq!((sizes.total(), sizes.largest()), (0, None));
    }
}
