//! The process-wide registry of connections.

use crate::session::Client;
use dashmap::DashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// All connections by id.
#[derive(Debug, Default)]
pub struct Clients {
    by_id: DashMap<u64, Arc<Client>, foldhash::fast::RandomState>,
    last_id: AtomicU64,
    /// Connections that want to see every command.
    monitors: AtomicUsize,
    /// Connections being parked or waiting for keys.
    pub blocked: AtomicUsize,
}

impl Clients {
    /// An id that was never given before.
    pub fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Relaxed) + 1
    }

    /// Number of connections.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// True when nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// A connection came.
    pub fn add(&self, client: &Arc<Client>) {
        self.by_id.insert(client.id, Arc::clone(client));
    }

    /// A connection went.
    pub fn remove(&self, client: &Client) {
        self.by_id.remove(&client.id);
        self.set_monitoring(client, false);
    }

    /// The connection with this id.
    pub fn get(&self, id: u64) -> Option<Arc<Client>> {
        self.by_id.get(&id).map(|client| Arc::clone(&client))
    }

    /// All connections, oldest first. O(N log N).
    pub fn all(&self) -> Vec<Arc<Client>> {
        let mut all: Vec<_> = self.by_id.iter().map(|entry| Arc::clone(entry.value())).collect();
        all.sort_unstable_by_key(|client| client.id);
        all
    }

    /// Turns `MONITOR` on or off for a connection.
    pub fn set_monitoring(&self, client: &Client, on: bool) {
        if client.monitoring.swap(on, Relaxed) != on {
            if on {
                self.monitors.fetch_add(1, Relaxed);
            } else {
                self.monitors.fetch_sub(1, Relaxed);
            }
        }
    }

    /// True when somebody monitors.
    #[inline]
    pub fn is_monitored(&self) -> bool {
        self.monitors.load(Relaxed) > 0
    }

    /// Sends a line to everyone who monitors.
    pub fn feed_monitors(&self, line: &[u8]) {
        for entry in &self.by_id {
            if entry.monitoring.load(Relaxed) {
                entry.send(line);
            }
        }
    }
}
