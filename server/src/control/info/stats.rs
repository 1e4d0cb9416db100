//! The sections about what happened: totals and rates, by command, by error, latencies, keys.

use super::{Page, View};
use crate::acl::{Reason, What};
use crate::config::value::format_percentile;
use crate::registry::Entry;
use crate::shared::{Histogram, Rate, Stats, Topic};
use std::sync::atomic::Ordering::Relaxed;
use tidegate_data::Target;
use tidegate_persistence::quote::quoted;

pub(super) fn stats(view: &View<'_>, page: &mut Page) {
    let stats = &view.shared.stats;
    let kib = |rate: &Rate| format!("{:.2}", rate.per_second() as f64 / 1024.0);
    page.head("Stats");
    page.field("total_connections_received", stats.connections.load(Relaxed));
    page.field("total_commands_processed", stats.executed());
    page.field("instantaneous_ops_per_sec", stats.rates.commands.per_second());
    page.field("total_net_input_bytes", stats.sum(|thread| &thread.received));
    page.field("total_net_output_bytes", stats.sum(|thread| &thread.sent));
    page.zeros(&["total_net_repl_input_bytes", "total_net_repl_output_bytes"]);
    page.field("instantaneous_input_kbps", kib(&stats.rates.received));
    page.field("instantaneous_output_kbps", kib(&stats.rates.sent));
    page.field("instantaneous_input_repl_kbps", "0.00");
    page.field("instantaneous_output_repl_kbps", "0.00");
    page.field("rejected_connections", stats.rejected_connections.load(Relaxed));
    page.zeros(&["sync_full", "sync_partial_ok", "sync_partial_err"]);
    page.field("expired_keys", stats.sum(|thread| &thread.expired));
    page.field("expired_stale_perc", "0.00");
    page.zeros(&["expired_time_cap_reached_count", "expire_cycle_cpu_milliseconds"]);
    page.field("evicted_keys", stats.sum(|thread| &thread.evicted));
    page.field("evicted_clients", stats.evicted_clients.load(Relaxed));
    let (total_ms, present_ms) = stats.exceeded_ms();
    page.field("total_eviction_exceeded_time", total_ms);
    page.field("current_eviction_exceeded_time", present_ms);
    page.field("keyspace_hits", stats.sum(|thread| &thread.hits));
    page.field("keyspace_misses", stats.sum(|thread| &thread.misses));
    let pubsub = &view.shared.pubsub;
    page.field("notify_stream_lost", view.shared.event_stream.lost.load(Relaxed));
    page.field("pubsub_channels", pubsub.len(Topic::Channel));
    page.field("pubsub_patterns", pubsub.len(Topic::Pattern));
    page.field("pubsubshard_channels", pubsub.len(Topic::ShardChannel));
    page.zeros(&["latest_fork_usec"]);
    // A snapshot is no fork here, but what tells of one in Redis.
    page.field("total_forks", view.shared.snapshots.begun());
    page.field("migrate_cached_sockets", view.shared.mover.cached());
    page.zeros(&[
        "slave_expires_tracked_keys",
        "active_defrag_hits",
        "active_defrag_misses",
        "active_defrag_key_hits",
        "active_defrag_key_misses",
        "total_active_defrag_time",
        "current_active_defrag_time",
    ]);
    page.field("tracking_total_keys", view.tracked_keys);
    page.field("tracking_total_items", view.tracked_items);
    page.field("tracking_total_prefixes", view.shared.tracking.prefix_count());
    page.field("unexpected_error_replies", 0);
    page.field("total_error_replies", stats.sum(|thread| &thread.errors));
    page.field("dump_payload_sanitizations", 0);
    page.field("total_reads_processed", stats.sum(|thread| &thread.reads));
    page.field("total_writes_processed", stats.sum(|thread| &thread.writes));
    let beyond_the_first = |figure: fn(&crate::shared::ThreadStats) -> &std::sync::atomic::AtomicU64| {
        let first = stats.current().next().filter(|first| std::ptr::eq(*first, &raw const *stats.threads[0]));
        stats.sum(figure) - first.map_or(0, |first| figure(first).load(Relaxed))
    };
    page.field("io_threaded_reads_processed", beyond_the_first(|thread| &thread.reads));
    page.field("io_threaded_writes_processed", beyond_the_first(|thread| &thread.writes));
    let denied = |reason| view.shared.users.log.denied(What::Request(reason));
    page.field("acl_access_denied_auth", view.shared.users.log.denied(What::Auth));
    page.field("acl_access_denied_cmd", denied(Reason::Command));
    page.field("acl_access_denied_key", denied(Reason::Key));
    page.field("acl_access_denied_channel", denied(Reason::Channel));
    page.field("acl_access_denied_db", denied(Reason::Database));
    page.zeros(&["reply_buffer_shrinks", "reply_buffer_expands"]);
    let audit = view.shared.audit.figures();
    page.field("audit_log_written", audit.written.load(Relaxed));
    page.field("audit_log_dropped", audit.dropped.load(Relaxed));
}

/// Figures of one command over all threads.
struct Totals {
    calls: u64,
    nanos: u64,
    rejected: u64,
    failed: u64,
}

impl Totals {
    fn of(stats: &Stats, id: usize) -> Self {
        let mut totals = Totals { calls: 0, nanos: 0, rejected: 0, failed: 0 };
        for command in stats.current().map(|thread| &thread.commands[id]) {
            totals.calls += command.calls.load(Relaxed);
            totals.nanos += command.nanos.load(Relaxed);
            totals.rejected += command.rejected.load(Relaxed);
            totals.failed += command.failed.load(Relaxed);
        }
        totals
    }
}

fn entries<'a>(view: &'a View<'_>) -> impl Iterator<Item = &'a Entry> {
    let all = view.shared.registry.entries().iter();
    all.flat_map(|entry| std::iter::once(entry).chain(&entry.subcommands))
}

pub(super) fn commands(view: &View<'_>, page: &mut Page) {
    page.head("Commandstats");
    for entry in entries(view) {
        let totals = Totals::of(&view.shared.stats, entry.id);
        if totals.calls == 0 && totals.failed == 0 && totals.rejected == 0 {
            continue;
        }
        let us = totals.nanos / 1000;
        let each = if totals.calls == 0 { 0.0 } else { us as f64 / totals.calls as f64 };
        page.field(
            &format!("cmdstat_{}", entry.name),
            format_args!(
                "calls={},usec={us},usec_per_call={each:.2},rejected_calls={},failed_calls={}",
                totals.calls, totals.rejected, totals.failed
            ),
        );
    }
}

pub(super) fn errors(view: &View<'_>, page: &mut Page) {
    page.head("Errorstats");
    for (code, count) in view.shared.stats.errors.all() {
        page.field(&format!("errorstat_{}", safe(&code)), format_args!("count={count}"));
    }
}

/// A name with nothing in it that would break a line of `INFO`.
fn safe(name: &str) -> String {
    name.replace(['#', ':', '\n', '\r'], "_")
}

pub(super) fn latencies(view: &View<'_>, page: &mut Page) {
    page.head("Latencystats");
    if !view.shared.config.hot().latency_tracking.get() {
        return;
    }
    let percentiles = view.shared.config.percentiles();
    for entry in entries(view) {
        if Totals::of(&view.shared.stats, entry.id).calls == 0 {
            continue;
        }
        let merged = Histogram::default();
        for thread in view.shared.stats.current() {
            if let Some(histogram) = thread.commands[entry.id].histogram.get() {
                merged.merge(histogram);
            }
        }
        if merged.is_empty() {
            continue;
        }
        let texts: Vec<String> = percentiles
            .iter()
            .map(|percent| {
                let us = merged.percentile(*percent) as f64 / 1000.0;
                format!("p{}={us:.3}", format_percentile(*percent))
            })
            .collect();
        page.field(&format!("latency_percentiles_usec_{}", entry.name), texts.join(","));
    }
}

pub(super) fn quotas(view: &View<'_>, page: &mut Page) {
    // A server without quotas shows what Redis shows.
    if !view.shared.native.quotas.is_on() {
        return;
    }
    page.head("Quotas");
    for (number, quota) in view.shared.native.quotas.read().all().iter().enumerate() {
        let tally = &quota.tally;
        let kind = if matches!(quota.target, Target::Database(_)) { "database" } else { "prefix" };
        let (bytes, keys) = (tally.bytes(), tally.keys());
        let (evicted, refused) = (tally.evicted(), tally.refused());
        let (limit, policy, target) = (quota.limit, quota.policy.word, quoted(&quota.target.name()));
        page.field(
            &format!("quota_{number}"),
            format_args!(
                "kind={kind},limit={limit},bytes={bytes},keys={keys},policy={policy},evicted={evicted},\
                 refused={refused},target={target}"
            ),
        );
    }
}

pub(super) fn keyspace(view: &View<'_>, page: &mut Page) {
    page.head("Keyspace");
    for database in view.databases {
        let ttl_ms = if database.expires == 0 { 0 } else { view.shared.average_ttl.of(database.index) };
        page.field(
            &format!("db{}", database.index),
            format_args!("keys={},expires={},avg_ttl={ttl_ms}", database.keys, database.expires),
        );
    }
}
