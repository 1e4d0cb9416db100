//! What commands of our own need of the process: their clocks, and soft state that is told to the journal later.

mod clock;
pub mod soft;
mod timers;

pub use clock::NativeClock;
pub use timers::Timers;

use crate::config::{Config, Value};
use crate::shared::{Identity, random_u64};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use tidegate_commands::families::ids::Ids;
use tidegate_commands::families::queue::{BindingBook, CallBook};
use tidegate_commands::families::ratelimit::PolicyBook;
use tidegate_commands::model::Books;
use tidegate_data::types::cache::TagBook;
use tidegate_data::{QuotaBook, slot};

/// What all threads share for commands of our own.
#[derive(Debug)]
pub struct NativeState {
    /// Their clocks.
    pub clock: Arc<NativeClock>,
    /// The policies of limiters.
    pub policies: Arc<PolicyBook>,
    /// What makes names.
    pub ids: Arc<Ids>,
    /// The tags of cached values.
    pub tags: Arc<TagBook>,
    /// Which queues get what is published.
    pub bindings: Arc<BindingBook>,
    /// Who waits for answers of queues.
    pub calls: Arc<CallBook>,
    /// What databases and prefixes may take.
    pub quotas: Arc<QuotaBook>,
    /// When shards have to look at keys that are waited for.
    pub timers: Timers,
    /// By shard: it has keys of which the journal has not heard.
    unflushed: Box<[AtomicU64]>,
    /// When the journal was told of the clocks, milliseconds of theirs.
    told_ms: AtomicI64,
}

impl NativeState {
    /// For this many shards.
    pub fn new(shards: usize, threads: usize) -> Self {
        let clock = Arc::new(NativeClock::default());
        let policies = Arc::<PolicyBook>::default();
        policies.begin_counting(crate::clock::unix_ms());
        NativeState {
            clock,
            policies,
            ids: Arc::new(Ids::new([random_u64(), random_u64()])),
            tags: Arc::default(),
            bindings: Arc::default(),
            calls: Arc::default(),
            quotas: Arc::default(),
            timers: Timers::new(shards, threads),
            unflushed: (0..shards.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            told_ms: AtomicI64::new(0),
        }
    }

    /// What a thread needs of it.
    pub fn books(&self) -> Books {
        Books {
            policies: Arc::clone(&self.policies),
            ids: Arc::clone(&self.ids),
            tags: Arc::clone(&self.tags),
            quotas: Arc::clone(&self.quotas),
            bindings: Arc::clone(&self.bindings),
            calls: Arc::clone(&self.calls),
        }
    }

    /// Takes `id-node` and `id-epoch` as they are configured. Without a number a server's node comes from its run id.
    pub fn configure_ids(&self, config: &Config, identity: &Identity) {
        let node = match config.value("id-node") {
            Value::Text(Some(node)) => std::str::from_utf8(&node).ok().and_then(|node| node.parse().ok()),
            _ => None,
        };
        self.ids.set_node(node.unwrap_or_else(|| slot(identity.run_id.as_bytes())));
        self.ids.set_epoch_ms(config.number("id-epoch"));
    }

    /// A shard has keys of which the journal has not heard. Call it with the shard held.
    pub(crate) fn note_unflushed(&self, shard: u16) {
        let word = &self.unflushed[shard as usize / 64];
        let bit = 1 << (shard % 64);
        if word.load(Relaxed) & bit == 0 {
            word.fetch_or(bit, Relaxed);
        }
    }

    fn note_flushed(&self, shard: u16) {
        self.unflushed[shard as usize / 64].fetch_and(!(1 << (shard % 64)), Relaxed);
    }

    /// True when a shard has such keys.
    pub fn is_unflushed(&self, shard: u16) -> bool {
        self.unflushed[shard as usize / 64].load(Relaxed) & 1 << (shard % 64) != 0
    }

    /// The words that tell the journal of the clocks, if it is time again: once a second.
    pub(crate) fn clock_words(&self) -> Option<[Vec<u8>; 3]> {
        /// Once in so many milliseconds.
        const TOLD_EVERY_MS: i64 = 1000;
        if !self.clock.is_used() {
            return None;
        }
        let (now_ms, token) = self.clock.readings();
        let told_ms = self.told_ms.load(Relaxed);
        if (told_ms..told_ms + TOLD_EVERY_MS).contains(&now_ms)
            || self.told_ms.compare_exchange(told_ms, now_ms, Relaxed, Relaxed).is_err()
        {
            return None;
        }
        Some([b"NATIVE.CLOCK".to_vec(), now_ms.to_string().into_bytes(), token.to_string().into_bytes()])
    }

    /// What a file says of it, by name: fields that Redis passes over. Nothing where nothing of it was ever used.
    pub fn aux(&self) -> Vec<(&'static str, String)> {
        let mut aux = Vec::new();
        if self.clock.is_used() {
            let (now_ms, token) = self.clock.readings();
            aux.push((AUX_CLOCK, format!("{now_ms} {token}")));
        }
        let policies = self.policies.to_text();
        if !policies.is_empty() {
            aux.push((AUX_POLICIES, policies));
        }
        if !self.bindings.is_empty() {
            aux.push((AUX_BINDINGS, self.bindings.to_text()));
        }
        if self.quotas.is_on() {
            aux.push((AUX_QUOTAS, self.quotas.to_text()));
        }
        aux
    }

    /// Takes from a file what [`aux`](Self::aux) has put there.
    pub fn load_aux(&self, name: &[u8], value: &str) {
        if name == AUX_POLICIES.as_bytes() {
            self.policies.replace_by_text(value);
        } else if name == AUX_BINDINGS.as_bytes() {
            self.bindings.replace_by_text(value);
        } else if name == AUX_QUOTAS.as_bytes() {
            // Tables hear of it when all is loaded.
            self.quotas.replace_by_text(value);
        } else if name == AUX_CLOCK.as_bytes()
            && let Some((now_ms, token)) = value.split_once(' ')
            && let (Ok(now_ms), Ok(token)) = (now_ms.parse(), token.parse())
        {
            self.clock.raise_to(now_ms, token);
        }
    }
}

const AUX_CLOCK: &str = "native-clock";
const AUX_POLICIES: &str = "native-policies";
const AUX_BINDINGS: &str = "native-bindings";
const AUX_QUOTAS: &str = "native-quotas";
