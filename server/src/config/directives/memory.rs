//! How much memory data may take, and what happens to keys that are too many or too old.

use super::{Directive, Effect, INT_MAX, LONG_MAX, MIB, ULONG_MAX, choice, number, yes_no};
use crate::config::choices::MaxmemoryPolicy;
use crate::config::value::Value;

pub(super) static ROWS: &[Directive] = &[
    number("maxmemory", 0..=ULONG_MAX, 0)
        .unsigned()
        .bytes()
        .effect(Effect::MaxMemory)
        .hot(|hot, value| hot.maxmemory.store(value)),
    choice("maxmemory-policy", MaxmemoryPolicy::WORDS, MaxmemoryPolicy::NoEviction as i64)
        .hot(|hot, value| hot.maxmemory_policy.store(value)),
    number("maxmemory-samples", 1..=INT_MAX, 5).hot(|hot, value| hot.maxmemory_samples.store(value)),
    number("maxmemory-eviction-tenacity", 0..=100, 10)
        .hot(|hot, value| hot.maxmemory_eviction_tenacity.store(value)),
    yes_no("evict-durable", false).hot(|hot, value| hot.evict_durable.store(value)),
    number("lfu-log-factor", 0..=INT_MAX, 10).hot(|hot, value| hot.lfu_log_factor.store(value)),
    number("lfu-decay-time", 0..=INT_MAX, 1).hot(|hot, value| hot.lfu_decay_time.store(value)),
    number("active-expire-effort", 1..=10, 1).hot(|hot, value| hot.active_expire_effort.store(value)),
    yes_no("lazyfree-lazy-eviction", false).debug().hot(|hot, value| hot.lazyfree_lazy_eviction.store(value)),
    yes_no("lazyfree-lazy-expire", false).debug().hot(|hot, value| hot.lazyfree_lazy_expire.store(value)),
    yes_no("lazyfree-lazy-server-del", false)
        .debug()
        .hot(|hot, value| hot.lazyfree_lazy_server_del.store(value)),
    yes_no("lazyfree-lazy-user-del", false).debug().hot(|hot, value| hot.lazyfree_lazy_user_del.store(value)),
    yes_no("lazyfree-lazy-user-flush", false)
        .debug()
        .hot(|hot, value| hot.lazyfree_lazy_user_flush.store(value)),
    yes_no("activerehashing", true).hot(|hot, value| hot.activerehashing.store(value)),
    yes_no("jemalloc-bg-thread", true).inert(),
    yes_no("activedefrag", false).debug().check(no_defragmentation),
    number("active-defrag-ignore-bytes", 1..=LONG_MAX, 100 * MIB).unsigned().bytes().inert(),
    number("active-defrag-threshold-lower", 0..=1000, 10).inert(),
    number("active-defrag-threshold-upper", 0..=1000, 100).inert(),
    number("active-defrag-cycle-min", 1..=99, 1).inert(),
    number("active-defrag-cycle-max", 1..=99, 25).inert(),
    number("active-defrag-max-scan-fields", 1..=LONG_MAX, 1000).inert(),
];

/// The text is that of a Redis without its own jemalloc: clients and tests recognise it.
fn no_defragmentation(value: &mut Value) -> Result<(), String> {
    if *value == Value::Bool(true) {
        return Err(
            "Active defragmentation cannot be enabled: it requires a Redis server compiled with a modified \
                    Jemalloc like the one shipped by default with the Redis source distribution"
                .to_owned(),
        );
    }
    Ok(())
}
