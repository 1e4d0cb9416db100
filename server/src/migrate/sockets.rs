//! Connections to other servers, kept for a while after their use: keys are moved one after the other, or a few at a time.

use hashbrown::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// No more than this are kept.
const MOST: usize = 64;
/// Nor longer than this after their last use.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// A connection to another server.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) stream: TcpStream,
    /// The database it has selected, where that is known.
    pub(super) db: Option<i64>,
    /// What was received and not read yet.
    pub(super) input: Vec<u8>,
}

/// Those that nobody uses now, one for each server, by `host:port`.
#[derive(Debug)]
pub(super) struct Sockets {
    kept: HashMap<Vec<u8>, (Socket, Instant)>,
    /// How many there are, for `INFO`.
    count: Arc<AtomicUsize>,
}

impl Sockets {
    pub(super) fn new(count: Arc<AtomicUsize>) -> Self {
        Sockets { kept: HashMap::new(), count }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The socket of this server. It is the caller's from now on.
    pub(super) fn take(&mut self, name: &[u8]) -> Option<Socket> {
        let (socket, _) = self.kept.remove(name)?;
        self.note();
        Some(socket)
    }

    /// Keeps a socket that is in good order.
    pub(super) fn put(&mut self, name: Vec<u8>, socket: Socket) {
        if self.kept.len() >= MOST
            && !self.kept.contains_key(&name)
            && let Some(oldest) = self.kept.iter().min_by_key(|(_, (_, used))| *used)
        {
            let oldest = oldest.0.clone();
            self.kept.remove(&oldest);
        }
        self.kept.insert(name, (socket, Instant::now()));
        self.note();
    }

    /// Closes those that were not used for long.
    pub(super) fn close_idle(&mut self) {
        self.kept.retain(|_, (_, used)| used.elapsed() <= IDLE_MAX);
        self.note();
    }

    fn note(&self) {
        self.count.store(self.kept.len(), Relaxed);
    }
}
