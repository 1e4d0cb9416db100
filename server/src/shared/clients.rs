//! The process-wide registry of connections.

use super::Sizes;
use crate::session::Client;
use dashmap::DashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// All connections by id.
#[derive(Debug, Default)]
pub struct Clients {
    by_id: DashMap<u64, Arc<Client>, foldhash::fast::RandomState>,
    last_id: AtomicU64,
    /// Connections that want to see every command.
    monitors: Mutex<Vec<Arc<Client>>>,
    /// Their number, to be read without the lock.
    monitor_count: AtomicUsize,
    /// Connections let in and not yet closed, those on their way to their thread included.
    admitted: AtomicUsize,
    /// The number given last by [`Clients::next_ticket`].
    last_ticket: AtomicU64,
    /// What they occupy.
    pub(super) sizes: Sizes,
}

impl Clients {
    /// An id that was never given before.
    pub fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Relaxed) + 1
    }

    /// A number that was never given before, above all that were.
    pub fn next_ticket(&self) -> u64 {
        self.last_ticket.fetch_add(1, Relaxed) + 1
    }

    /// Number of connections with a request that waits. O(N).
    pub fn blocked(&self) -> usize {
        self.by_id.iter().filter(|client| client.is_blocked()).count()
    }

    /// Number of connections with a request that waits for a limited time. O(N).
    pub fn limited_waits(&self) -> usize {
        let limited = |client: &Client| client.waiting.is_waiting() && client.waits_limited.load(Relaxed);
        self.by_id.iter().filter(|client| limited(client)).count()
    }

    /// Number of connections.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// True when nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Lets a connection in unless there are `most` already. Whoever lets it in calls [`Clients::release`] at its end.
    pub fn admit(&self, most: usize) -> bool {
        if self.admitted.fetch_add(1, Relaxed) < most {
            return true;
        }
        self.release();
        false
    }

    /// A connection that was let in is closed.
    pub fn release(&self) {
        self.admitted.fetch_sub(1, Relaxed);
    }

    /// A connection came.
    pub fn add(&self, client: &Arc<Client>) {
        self.by_id.insert(client.id, Arc::clone(client));
    }

    /// A connection went.
    pub fn remove(&self, client: &Arc<Client>) {
        self.by_id.remove(&client.id);
        self.sizes.forget(client);
        self.sizes.freed(client);
        self.set_monitoring(client, false);
    }

    /// The connection with this id. One that was killed is gone, even if its thread does not know yet.
    pub fn get(&self, id: u64) -> Option<Arc<Client>> {
        let client = self.by_id.get(&id).map(|client| Arc::clone(&client))?;
        (!client.killed.load(Relaxed)).then_some(client)
    }

    /// All connections, oldest first. O(N log N).
    pub fn all(&self) -> Vec<Arc<Client>> {
        let alive = self.by_id.iter().filter(|client| !client.killed.load(Relaxed));
        let mut all: Vec<_> = alive.map(|entry| Arc::clone(entry.value())).collect();
        all.sort_unstable_by_key(|client| client.id);
        all
    }

    /// Closes a connection, which is gone for everybody else from now on; its thread learns of it later. False when
    /// somebody else did that already. O(1).
    pub fn kill(&self, client: &Client) -> bool {
        // Whoever takes it out of the list last sees to it that it does not count as dying for ever.
        self.sizes.dies(client);
        if self.by_id.remove(&client.id).is_none() {
            self.sizes.freed(client);
        }
        let first = client.kill();
        self.sizes.forget(client);
        first
    }

    /// Visits all connections in no order. `visit` must not come back to this registry.
    pub fn each(&self, mut visit: impl FnMut(&Client)) {
        for entry in &self.by_id {
            visit(&entry);
        }
    }

    /// Turns `MONITOR` on or off for a connection; false when it was so already.
    pub fn set_monitoring(&self, client: &Arc<Client>, on: bool) -> bool {
        if client.monitoring.swap(on, Relaxed) == on {
            return false;
        }
        let mut monitors = self.monitors.lock().unwrap_or_else(PoisonError::into_inner);
        monitors.retain(|other| !Arc::ptr_eq(other, client));
        if on {
            monitors.push(Arc::clone(client));
        }
        self.monitor_count.store(monitors.len(), Relaxed);
        true
    }

    /// True when somebody monitors.
    #[inline]
    pub fn is_monitored(&self) -> bool {
        self.monitor_count.load(Relaxed) > 0
    }

    /// Visits everyone who monitors. `visit` must not turn that on or off.
    pub(super) fn each_monitor(&self, visit: impl FnMut(&Client)) {
        let monitors = self.monitors.lock().unwrap_or_else(PoisonError::into_inner);
        monitors.iter().map(|monitor| &**monitor).for_each(visit);
    }
}
