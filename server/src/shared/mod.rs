//! The only process-wide state, split by owner. Threads share it behind one `Arc`; nothing here is on the path of
//! an ordinary command except relaxed atomics.

mod attempts;
mod clients;
mod hotkeys;
mod latency;
mod loading;
mod pause;
mod pubsub;
mod rates;
mod reclaim;
mod saving;
mod sizes;
mod slowlog;
mod stats;
mod tracking;
mod trouble;
mod ttl;

pub use attempts::Attempts;
pub use clients::Clients;
pub use hotkeys::{HotKeys, Wanted as HotWanted};
pub use latency::{LatencyMonitor, LatencySeries};
pub use loading::{LoadProgress, Loading};
pub use pause::{Pause, PauseKind};
pub use pubsub::{PubSub, Published, Topic};
pub use rates::{Rate, Rates};
pub use reclaim::{Awaited, Reclaim, Removed};
pub use saving::Saving;
pub use sizes::{NO_BUCKET, Sizes};
pub use slowlog::{Slowlog, SlowlogEntry};
pub use stats::{CommandStats, ErrorStats, Histogram, Stats, ThreadStats, add};
pub use tracking::{Tracking, tell_self};
pub use trouble::DiskTrouble;
pub use ttl::AverageTtl;

use crate::acl::{self, Users};
use crate::aof::Rewriting;
use crate::audit::Audit;
use crate::clock;
use crate::config::{ClientClass, Config};
use crate::metrics::Metrics;
use crate::migrate::Mover;
use crate::native::NativeState;
use crate::net::listen::{Listening, Security};
use crate::process::oom::OomScore;
use crate::registry::Registry;
use crate::script::Scripts;
use crate::script::functions::Libraries;
use crate::session::{Client, Gate};
use crate::shard::Shards;
use crate::shard::exec::EventStream;
use crate::snapshot::Snapshots;
use crate::tls::Tls;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use tidegate_data::{KeyHasher, NodeLimit};
use tidegate_persistence::aof::Aof;
use tidegate_persistence::disk::{Disk, RealDisk};
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
    /// Who may do what.
    pub users: Users,
    /// Connections.
    pub clients: Clients,
    /// Subscriptions.
    pub pubsub: PubSub,
    /// Where keyspace events are recorded.
    pub event_stream: EventStream,
    /// Who caches keys.
    pub tracking: Tracking,
    /// Figures for `INFO`.
    pub stats: Stats,
    /// The slow log: of `COMMANDLOG`, the one of slow commands.
    pub slowlog: Slowlog,
    /// `COMMANDLOG`: large requests.
    pub large_requests: Slowlog,
    /// `COMMANDLOG`: large replies.
    pub large_replies: Slowlog,
    /// `audit-log`
    pub audit: Audit,
    /// `HOTKEYS`
    pub hotkeys: HotKeys,
    /// Wrong passwords of late.
    pub attempts: Attempts,
    /// `LATENCY`
    pub latency: Arc<LatencyMonitor>,
    /// `CLIENT PAUSE`
    pub pause: Pause,
    /// Frees large things in the background.
    pub reclaim: Reclaim,
    /// Libraries of functions.
    pub libraries: Libraries,
    /// Where execution units go.
    pub journal: Arc<dyn Journal>,
    /// It takes them: [`Journal::is_enabled`], to be asked at no cost. It changes only while all shards are held.
    pub journaled: AtomicBool,
    /// The journal, if it is a file.
    pub aof: Option<Arc<Aof>>,
    /// Whether that is to be rewritten.
    pub rewriting: Rewriting,
    /// Whether the data set is being loaded while connections are served, and how far.
    pub loading: Loading,
    /// By thread: whose replies wait for the journal.
    pub gates: Box<[Arc<Gate>]>,
    /// Where files are.
    pub disk: Arc<dyn Disk>,
    /// Figures about saving and loading.
    pub saving: Saving,
    /// Sends keys to other servers.
    pub mover: Mover,
    /// The snapshot under way.
    pub snapshots: Snapshots,
    /// What commands of our own share.
    pub native: NativeState,
    /// Who this process is.
    pub identity: Identity,
    /// Switches that `DEBUG` turns.
    pub debug: DebugSwitches,
    /// Scripts: their texts, and those that run for long.
    pub scripts: Scripts,
    /// Raised by `SHUTDOWN` and signals.
    pub shutdown: crate::server::Shutdown,
    /// How long keys still live on average.
    pub average_ttl: AverageTtl,
    /// The sockets connections come from.
    pub listening: Listening,
    /// The same for encrypted connections.
    pub tls_listening: Listening,
    /// What those are accepted with.
    pub tls: Tls,
    /// Where figures are served.
    pub metrics: Metrics,
    /// How readily the kernel kills this process.
    pub oom_score: OomScore,
    /// The program's name as it was called; the process title shows it.
    pub program: OsString,
}

/// Who this process is.
#[derive(Debug)]
pub struct Identity {
    /// 40 hexadecimal digits, new at every start.
    pub run_id: String,
    /// 40 hexadecimal digits: the replication history.
    pub replication_id: Mutex<String>,
    /// When it started, Unix milliseconds.
    pub started_ms: i64,
    /// Worker threads.
    pub threads: usize,
}

impl Identity {
    /// The present replication history.
    pub fn replication_id(&self) -> String {
        self.replication_id.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins another replication history.
    pub fn set_replication_id(&self, id: String) {
        *self.replication_id.lock().unwrap_or_else(PoisonError::into_inner) = id;
    }
}

/// Switches that `DEBUG` turns.
#[derive(Debug)]
pub struct DebugSwitches {
    /// `DEBUG SET-ACTIVE-EXPIRE`
    pub active_expire: AtomicBool,
    /// `DEBUG SET-SKIP-CHECKSUM-VALIDATION`: payloads and files may be damaged.
    pub skip_checksums: AtomicBool,
    /// `DEBUG PAUSE-CRON`
    pub pause_cron: AtomicBool,
    /// `DEBUG QUICKLIST-PACKED-THRESHOLD`: elements of lists of so many bytes are not packed with others.
    pub list_alone_len: AtomicUsize,
    /// `DEBUG SET-DISABLE-DENY-SCRIPTS`: scripts may call what they normally may not.
    pub allow_all_in_scripts: AtomicBool,
}

impl Default for DebugSwitches {
    fn default() -> Self {
        DebugSwitches {
            active_expire: AtomicBool::new(true),
            skip_checksums: AtomicBool::new(false),
            pause_cron: AtomicBool::new(false),
            list_alone_len: AtomicUsize::new(NodeLimit::ALONE_LEN),
            allow_all_in_scripts: AtomicBool::new(false),
        }
    }
}

/// Shards of the keyspace.
const SHARDS: usize = 64;

impl Shared {
    /// The state of a process with this configuration: no sockets, no threads of workers yet.
    pub fn new(
        config: Config,
        renamed: &[(String, String)],
        journal: Arc<dyn Journal>,
    ) -> Result<Self, String> {
        let threads = config.threads().max(1);
        // Commands are never unloaded; a leaked registry lets every thread name them without counting references.
        let registry: &'static Registry = Box::leak(Box::new(Registry::new(renamed)?));
        let users = Users::new(registry, config.text("requirepass").as_deref());
        acl::load_configured(&users, &config)?;
        let hasher = KeyHasher::new(random_u64());
        KeyHasher::seed_members(random_u64());
        let identity = Identity {
            run_id: random_hex(40),
            replication_id: Mutex::new(random_hex(40)),
            started_ms: clock::unix_ms(),
            threads,
        };
        let shared = Shared {
            shards: Shards::new(SHARDS, config.databases(), &hasher),
            average_ttl: AverageTtl::new(config.databases()),
            config,
            hasher,
            registry,
            users,
            clients: Clients::default(),
            pubsub: PubSub::default(),
            event_stream: EventStream::default(),
            tracking: Tracking::default(),
            stats: Stats::new(threads, registry.ids()),
            slowlog: Slowlog::default(),
            large_requests: Slowlog::default(),
            large_replies: Slowlog::default(),
            audit: Audit::default(),
            attempts: Attempts::default(),
            hotkeys: HotKeys::default(),
            latency: Arc::default(),
            pause: Pause::default(),
            reclaim: Reclaim::default(),
            libraries: Libraries::default(),
            journaled: AtomicBool::new(journal.is_enabled()),
            journal,
            aof: None,
            rewriting: Rewriting::default(),
            loading: Loading::default(),
            gates: (0..threads).map(|_| Arc::default()).collect(),
            disk: Arc::new(RealDisk),
            saving: Saving::new(clock::unix_ms() / 1000),
            mover: Mover::default(),
            snapshots: Snapshots::default(),
            native: NativeState::new(SHARDS, threads),
            identity,
            debug: DebugSwitches::default(),
            scripts: Scripts::new(threads),
            shutdown: crate::server::Shutdown::default(),
            listening: Listening::new(Security::Plain),
            tls_listening: Listening::new(Security::Tls),
            tls: Tls::default(),
            metrics: Metrics::default(),
            oom_score: OomScore::default(),
            program: std::env::args_os().next().unwrap_or_default(),
        };
        shared.registry.enable_native(shared.config.flag("native-enabled"));
        let regression_ms = shared.config.number("clock-max-regression-ms");
        shared.native.clock.regression_max_ms.store(regression_ms, Relaxed);
        shared.native.configure_ids(&shared.config, &shared.identity);
        let frozen_ms = shared.config.number("debug-clock-freeze");
        if frozen_ms > 0 {
            shared.native.clock.freeze(frozen_ms);
        }
        shared.event_stream.follow(&shared)?;
        Ok(shared)
    }
}

impl Shared {
    /// Sends a line to everyone who monitors.
    #[cold]
    pub fn feed_monitors(&self, line: &[u8]) {
        let hot = self.config.hot();
        let limit = hot.output_limits.get(ClientClass::Normal).hard_or_never();
        self.clients.each_monitor(|monitor| {
            let waiting = monitor.send(line) + monitor.output.load(Relaxed);
            // Its thread looks at this as well, but may be busy with something else for long.
            if waiting as u64 >= limit {
                self.close_for_output(monitor);
            } else if hot.maxmemory_clients.get() != 0 {
                self.charge_client(monitor);
            }
        });
    }

    /// A client does not read what it asks for: it is closed without another byte, from any thread.
    #[cold]
    pub fn close_for_output(&self, client: &Client) {
        if !self.clients.kill(client) {
            return;
        }
        self.stats.output_buffer_disconnections.fetch_add(1, Relaxed);
        tracing::warn!(
            "Client {} scheduled to be closed ASAP for overcoming of output buffer limits.",
            self.describe_client_in_log(client)
        );
    }
}

/// 64 bits from the operating system.
pub fn random_u64() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the system has a random source");
    u64::from_ne_bytes(bytes)
}

/// `digits` random hexadecimal digits.
pub fn random_hex(digits: usize) -> String {
    let mut text = String::new();
    while text.len() < digits {
        write!(text, "{:016x}", random_u64()).expect("writing to a String cannot fail");
    }
    text.truncate(digits);
    text
}
