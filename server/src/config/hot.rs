//! The settings that commands and connections read while they work, as plain atomics: reading one costs an ordinary
//! load. [`crate::config::Config`] writes them whenever the directive they belong to changes; nobody else does.
//!
//! All accesses are relaxed. A setting changed by CONFIG SET is seen by the other threads a moment later, and two
//! settings changed together may be seen one after the other.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use super::choices::{
    AppendAck, AppendFsync, AuditLevel, LogFormat, LogLevel, MaxmemoryPolicy, ProtectedAction,
    SanitizeDumpPayload,
};
use super::value::{ClientClass, Events, OutputLimit, Value};
use tidegate_commands::model::{SketchSettings, parse_double};
use tidegate_data::Encodings;

/// A value that fits a [`Cell`].
pub trait Word {
    fn from_bits(bits: i64) -> Self;
}

impl Word for bool {
    fn from_bits(bits: i64) -> Self {
        bits != 0
    }
}

macro_rules! numbers {
    ($($number:ty),+) => { $(
        impl Word for $number {
            fn from_bits(bits: i64) -> Self {
                bits as Self
            }
        }
    )+ };
}
numbers!(u8, u16, i32, u32, i64, u64, usize);

impl Word for f64 {
    fn from_bits(bits: i64) -> Self {
        f64::from_bits(bits as u64)
    }
}

macro_rules! choices {
    ($($choice:ty),+) => { $(
        impl Word for $choice {
            fn from_bits(bits: i64) -> Self {
                Self::from_number(bits)
            }
        }
    )+ };
}
choices!(
    AppendAck,
    AppendFsync,
    AuditLevel,
    LogFormat,
    LogLevel,
    MaxmemoryPolicy,
    ProtectedAction,
    SanitizeDumpPayload
);

impl Word for Events {
    fn from_bits(bits: i64) -> Self {
        Self(bits as u32)
    }
}

/// One setting. The range of its directive guarantees that the value fits `T`.
#[derive(Debug)]
pub struct Cell<T>(AtomicI64, PhantomData<fn() -> T>);

impl<T: Word> Cell<T> {
    /// The current value.
    #[inline]
    pub fn get(&self) -> T {
        T::from_bits(self.0.load(Relaxed))
    }

    pub(super) fn store(&self, value: &Value) {
        self.0.store(value.bits(), Relaxed);
    }

    const fn new(bits: i64) -> Self {
        Self(AtomicI64::new(bits), PhantomData)
    }
}

impl Cell<f64> {
    /// Stores a text that was checked to be a number.
    pub(super) fn store_double(&self, value: &Value) {
        if let Value::Text(Some(text)) = value
            && let Some(number) = parse_double(text)
        {
            self.0.store(number.to_bits() as i64, Relaxed);
        }
    }
}

/// The output limits of the three classes of clients.
#[derive(Debug)]
pub struct OutputLimits([[AtomicI64; 3]; 3]);

impl OutputLimits {
    /// The limit of a class.
    pub fn get(&self, class: ClientClass) -> OutputLimit {
        let [hard, soft, seconds] = &self.0[class as usize];
        OutputLimit {
            hard: hard.load(Relaxed) as u64,
            soft: soft.load(Relaxed) as u64,
            soft_seconds: seconds.load(Relaxed),
        }
    }

    pub(super) fn store(&self, value: &Value) {
        let Value::OutputLimits(limits) = value else { return };
        for (cells, limit) in self.0.iter().zip(limits) {
            cells[0].store(limit.hard as i64, Relaxed);
            cells[1].store(limit.soft as i64, Relaxed);
            cells[2].store(limit.soft_seconds, Relaxed);
        }
    }

    const fn new() -> Self {
        Self([const { [const { AtomicI64::new(0) }; 3] }; 3])
    }
}

macro_rules! hot {
    ($($(#[$doc:meta])* $name:ident: $kind:ty,)+) => {
        /// See the module. The fields are named after their directives.
        #[derive(Debug)]
        pub struct Hot {
            $($(#[$doc])* pub $name: Cell<$kind>,)+
            /// `client-output-buffer-limit`.
            pub output_limits: OutputLimits,
        }

        impl Hot {
            /// All zero. [`super::Config`] stores the defaults before anyone reads.
            pub(super) const fn new() -> Self {
                Self { $($name: Cell::new(0),)+ output_limits: OutputLimits::new() }
            }
        }
    };
}

hot! {
    // Connections.
    /// Seconds a client may be idle; 0 means for ever.
    timeout: u64,
    /// Seconds between TCP keep-alive probes; 0 turns them off.
    tcp_keepalive: u32,
    maxclients: usize,
    protected_mode: bool,
    /// Bytes of the longest argument.
    proto_max_bulk_len: usize,
    /// Bytes of the largest unprocessed input of one client.
    client_query_buffer_limit: usize,
    /// Bytes all clients together may use; a negative number is a percentage of `maxmemory`; 0 means no limit.
    maxmemory_clients: i64,
    /// Keys remembered for client-side caching; 0 means no limit.
    tracking_table_max_keys: usize,
    /// Whether the default user has a password set by `requirepass`.
    requirepass: bool,
    acllog_max_len: usize,
    /// Milliseconds that the answer to a wrong password waits when there were too many; 0 for none.
    auth_failure_delay: i64,
    /// Wrong passwords of one address that are answered at once.
    auth_failure_burst: u64,
    /// Seconds a connection may take to say who it is; 0 for as long as it likes.
    preauth_timeout: u64,

    // What is observed.
    loglevel: LogLevel,
    log_format: LogFormat,
    /// Microseconds from which a command is logged; negative logs none, 0 logs all.
    slowlog_log_slower_than: i64,
    slowlog_max_len: usize,
    /// Bytes from which a request, or a reply, is logged; negative logs none.
    commandlog_request_larger_than: i64,
    commandlog_large_request_max_len: usize,
    commandlog_reply_larger_than: i64,
    commandlog_large_reply_max_len: usize,
    audit_log: AuditLevel,
    /// Milliseconds from which an event enters the latency history; 0 turns it off.
    latency_monitor_threshold: i64,
    latency_tracking: bool,
    notify_keyspace_events: Events,
    hide_user_data_from_log: bool,

    // Timers.
    /// Runs of the background tasks per second.
    hz: u32,
    dynamic_hz: bool,
    /// 1 (little) to 10 (much): how hard expired keys are looked for.
    active_expire_effort: u32,
    activerehashing: bool,
    /// Milliseconds after which a running script makes other clients receive -BUSY; 0 means never.
    busy_reply_threshold: i64,
    /// Bytes the interpreter of a thread may occupy.
    script_memory_limit: usize,

    // Memory.
    /// Bytes; 0 means no limit.
    maxmemory: u64,
    maxmemory_policy: MaxmemoryPolicy,
    maxmemory_samples: u32,
    maxmemory_eviction_tenacity: u32,
    /// Keys of types that keep what nobody else does may be evicted, too.
    evict_durable: bool,
    lfu_log_factor: u32,
    /// Minutes after which the access frequency of an untouched key is lowered; 0 means at every scan.
    lfu_decay_time: u32,
    lazyfree_lazy_eviction: bool,
    lazyfree_lazy_expire: bool,
    lazyfree_lazy_server_del: bool,
    lazyfree_lazy_user_del: bool,
    lazyfree_lazy_user_flush: bool,
    /// Bytes used by the journal's buffers and replicas do not count against `maxmemory` on a replica.
    replica_ignore_maxmemory: bool,

    // Encodings.
    hash_max_listpack_entries: usize,
    hash_max_listpack_value: usize,
    /// Positive: entries of a node; -1 to -5: 4, 8, 16, 32 or 64 KiB of a node.
    list_max_listpack_size: i32,
    list_compress_depth: u32,
    set_max_intset_entries: usize,
    set_max_listpack_entries: usize,
    set_max_listpack_value: usize,
    zset_max_listpack_entries: usize,
    zset_max_listpack_value: usize,
    hll_sparse_max_bytes: usize,
    stream_node_max_bytes: usize,
    stream_node_max_entries: u64,

    // New sketches.
    /// Above 0 and below 1.
    bf_error_rate: f64,
    bf_initial_size: u64,
    bf_expansion_factor: u32,
    cf_bucket_size: u8,
    cf_initial_size: u64,
    cf_max_iterations: u16,
    cf_expansion_factor: u16,
    cf_max_expansions: usize,

    // Persistence and replication.
    appendonly: bool,
    appendfsync: AppendFsync,
    appendonly_ack: AppendAck,
    no_appendfsync_on_rewrite: bool,
    stop_writes_on_bgsave_error: bool,
    key_load_delay: i64,
    sanitize_dump_payload: SanitizeDumpPayload,
    rdbcompression: bool,
    /// Whether this server replicates another one.
    replicaof: bool,
    replica_read_only: bool,
    replica_serve_stale_data: bool,
    replica_lazy_flush: bool,
    min_replicas_to_write: u32,
    /// Seconds.
    min_replicas_max_lag: i64,
    /// Bytes.
    repl_backlog_size: u64,
    /// Seconds.
    repl_timeout: i64,

    // Commands of our own.
    /// Milliseconds after which the journal hears of soft state; 0: at once.
    native_soft_flush_ms: i64,
    /// Largest limit of `RL.SLIDING ... LOG`.
    rl_log_max_entries: i64,
    /// Largest answer that `IDEM.COMPLETE` keeps, in bytes.
    idem_max_response: u64,

    // Cluster.
    cluster_enabled: bool,
    cluster_require_full_coverage: bool,
    cluster_allow_reads_when_down: bool,
    cluster_allow_pubsubshard_when_down: bool,

    // Gates.
    enable_debug_command: ProtectedAction,
    enable_protected_configs: ProtectedAction,
    enable_module_command: ProtectedAction,
}

impl Hot {
    /// What new sketches are like.
    pub fn sketches(&self) -> SketchSettings {
        SketchSettings {
            bf_error_rate: self.bf_error_rate.get(),
            bf_initial_size: self.bf_initial_size.get(),
            bf_expansion_factor: self.bf_expansion_factor.get(),
            cf_bucket_size: self.cf_bucket_size.get(),
            cf_initial_size: self.cf_initial_size.get(),
            cf_max_iterations: self.cf_max_iterations.get(),
            cf_expansion_factor: self.cf_expansion_factor.get(),
            cf_max_expansions: self.cf_max_expansions.get(),
        }
    }

    /// When collections change their encoding.
    pub fn encodings(&self) -> Encodings {
        Encodings {
            hash_max_listpack_entries: self.hash_max_listpack_entries.get(),
            hash_max_listpack_value: self.hash_max_listpack_value.get(),
            list_max_listpack_size: self.list_max_listpack_size.get(),
            list_compress_depth: self.list_compress_depth.get(),
            set_max_intset_entries: self.set_max_intset_entries.get(),
            set_max_listpack_entries: self.set_max_listpack_entries.get(),
            set_max_listpack_value: self.set_max_listpack_value.get(),
            zset_max_listpack_entries: self.zset_max_listpack_entries.get(),
            zset_max_listpack_value: self.zset_max_listpack_value.get(),
            hll_sparse_max_bytes: self.hll_sparse_max_bytes.get(),
            stream_node_max_bytes: self.stream_node_max_bytes.get(),
            stream_node_max_entries: self.stream_node_max_entries.get(),
            // What no directive sets.
            ..Encodings::default()
        }
    }
}
