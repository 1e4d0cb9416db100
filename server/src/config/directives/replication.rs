//! Being the replica of another server, and having replicas.

use super::{Directive, Effect, INT_MAX, Kind, LONG_MAX, MIB, choice, directive, number, unset, yes_no};
use crate::config::choices::{PropagationError, ReplDisklessLoad};
use crate::config::value::Value;

pub(super) static ROWS: &[Directive] = &[
    directive("replicaof", Kind::ReplicaOf)
        .multi()
        .immutable()
        .alias("slaveof")
        .hot(|hot, value| hot.replicaof.store(value)),
    unset("masteruser").sensitive(),
    unset("masterauth").sensitive(),
    yes_no("replica-serve-stale-data", true)
        .alias("slave-serve-stale-data")
        .hot(|hot, value| hot.replica_serve_stale_data.store(value)),
    yes_no("replica-read-only", true)
        .debug()
        .alias("slave-read-only")
        .hot(|hot, value| hot.replica_read_only.store(value)),
    yes_no("replica-lazy-flush", false)
        .alias("slave-lazy-flush")
        .hot(|hot, value| hot.replica_lazy_flush.store(value)),
    yes_no("replica-ignore-maxmemory", true)
        .alias("slave-ignore-maxmemory")
        .hot(|hot, value| hot.replica_ignore_maxmemory.store(value)),
    yes_no("replica-ignore-disk-write-errors", false),
    number("replica-priority", 0..=INT_MAX, 100).alias("slave-priority"),
    yes_no("replica-announced", true),
    unset("replica-announce-ip").alias("slave-announce-ip"),
    number("replica-announce-port", 0..=65535, 0).alias("slave-announce-port"),
    yes_no("repl-diskless-sync", true).debug(),
    number("repl-diskless-sync-delay", 0..=INT_MAX, 5),
    number("repl-diskless-sync-max-replicas", 0..=INT_MAX, 0),
    choice("repl-diskless-load", ReplDisklessLoad::WORDS, ReplDisklessLoad::Disabled as i64)
        .debug()
        .deny_loading(),
    number("repl-ping-replica-period", 1..=INT_MAX, 10).alias("repl-ping-slave-period"),
    number("repl-timeout", 1..=INT_MAX, 60).hot(|hot, value| hot.repl_timeout.store(value)),
    yes_no("repl-disable-tcp-nodelay", false),
    number("repl-backlog-size", 1..=LONG_MAX, MIB)
        .bytes()
        .check(at_least_16kb)
        .effect(Effect::ReplBacklog)
        .hot(|hot, value| hot.repl_backlog_size.store(value)),
    number("repl-backlog-ttl", 0..=LONG_MAX, 3600),
    number("min-replicas-to-write", 0..=INT_MAX, 0)
        .alias("min-slaves-to-write")
        .effect(Effect::GoodReplicas)
        .hot(|hot, value| hot.min_replicas_to_write.store(value)),
    number("min-replicas-max-lag", 0..=INT_MAX, 10)
        .alias("min-slaves-max-lag")
        .effect(Effect::GoodReplicas)
        .hot(|hot, value| hot.min_replicas_max_lag.store(value)),
    choice("propagation-error-behavior", PropagationError::WORDS, PropagationError::Ignore as i64),
];

/// A smaller backlog could not hold even one command; Redis raises it to the same size.
#[expect(clippy::unnecessary_wraps, reason = "checks have one signature")]
fn at_least_16kb(value: &mut Value) -> Result<(), String> {
    if let Value::Number(bytes) = value {
        *bytes = (*bytes).max(16 << 10);
    }
    Ok(())
}
