//! The only process-wide state, split by owner. Threads share it behind one `Arc`; nothing here is on the path of
//! an ordinary command except relaxed atomics.

mod clients;
mod latency;
mod pause;
mod reclaim;
mod slowlog;
mod stats;

pub use clients::Clients;
pub use latency::{LatencyMonitor, LatencySeries};
pub use pause::{Pause, PauseKind};
pub use reclaim::Reclaim;
pub use slowlog::{Slowlog, SlowlogEntry};
pub use stats::{CommandStats, ErrorStats, Histogram, Stats, ThreadStats, add};

use crate::config::Config;
use crate::registry::Registry;
use crate::shard::Shards;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32};
use tidegate_data::KeyHasher;
use tidegate_persistence::journal::Journal;

/// Everything that connections on different threads have in common.
#[derive(Debug)]
pub struct Shared {
    /// Settings.
    pub config: Config,
    /// The keyspace.
    pub shards: Shards,
    /// How keys are hashed in this process.
    pub hasher: KeyHasher,
    /// Commands by name.
    pub registry: &'static Registry,
    /// Connections.
    pub clients: Clients,
    /// Figures for `INFO`.
    pub stats: Stats,
    /// The slow log.
    pub slowlog: Slowlog,
    /// `LATENCY`
    pub latency: LatencyMonitor,
    /// `CLIENT PAUSE`
    pub pause: Pause,
    /// Frees large things in the background.
    pub reclaim: Reclaim,
    /// Where execution units go.
    pub journal: Arc<dyn Journal>,
    /// Who this process is.
    pub identity: Identity,
    /// Switches that `DEBUG` turns.
    pub debug: DebugSwitches,
    /// Raised by `SHUTDOWN` and signals.
    pub shutdown: crate::server::Shutdown,
}

/// Who this process is.
#[derive(Debug)]
pub struct Identity {
    /// 40 hexadecimal digits, new at every start.
    pub run_id: String,
    /// 40 hexadecimal digits: the replication history.
    pub replication_id: String,
    /// When it started, Unix milliseconds.
    pub started_ms: i64,
    /// The port it listens on; 0 for none.
    pub port: AtomicU32,
    /// Worker threads.
    pub threads: usize,
}

/// Switches that `DEBUG` turns.
#[derive(Debug)]
pub struct DebugSwitches {
    /// `DEBUG SET-ACTIVE-EXPIRE`
    pub active_expire: AtomicBool,
    /// `DEBUG PAUSE-CRON`
    pub pause_cron: AtomicBool,
}

impl Default for DebugSwitches {
    fn default() -> Self {
        DebugSwitches { active_expire: AtomicBool::new(true), pause_cron: AtomicBool::new(false) }
    }
}
