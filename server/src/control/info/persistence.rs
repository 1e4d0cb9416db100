//! The sections about where data goes: persistence, replication, cluster.

use super::{Page, View};
use crate::shared::Shared;
use crate::snapshot::Kind;
use std::sync::atomic::Ordering::Relaxed;
use tidegate_persistence::aof::Status;

pub(super) fn persistence(view: &View<'_>, page: &mut Page) {
    let shared = view.shared;
    page.head("Persistence");
    let saving = &shared.saving;
    let running = shared.snapshots.running();
    let progress = running.map(|(_, progress)| progress).unwrap_or_default();
    let percent = progress.keys as f64 * 100.0 / progress.keys_total.max(1) as f64;
    let is_saving = matches!(running, Some((Kind::Save, _)));
    let (last_took_s, last_copied) = saving.last_background();
    let is_loading = shared.loading.is_on();
    page.field("loading", u8::from(is_loading));
    page.field("async_loading", 0);
    page.field("current_cow_peak", progress.copied);
    page.field("current_cow_size", progress.copied);
    page.field("current_cow_size_age", 0);
    page.field("current_fork_perc", format_args!("{percent:.2}"));
    page.field("current_save_keys_processed", progress.keys);
    page.field("current_save_keys_total", progress.keys_total);
    let changes = shared.stats.total(|thread| &thread.changes);
    page.field("rdb_changes_since_last_save", saving.changes_since(changes));
    page.field("rdb_bgsave_in_progress", u8::from(is_saving));
    page.field("rdb_last_save_time", saving.last_save_s());
    page.field("rdb_last_bgsave_status", if saving.is_fine() { "ok" } else { "err" });
    page.field("rdb_last_bgsave_time_sec", last_took_s);
    let current_s = if is_saving { progress.elapsed_ms.max(0) / 1000 } else { -1 };
    page.field("rdb_current_bgsave_time_sec", current_s);
    let (loaded, expired) = saving.loaded();
    page.field("rdb_saves", saving.saves());
    page.field("rdb_last_cow_size", last_copied);
    page.field("rdb_last_load_keys_expired", expired);
    page.field("rdb_last_load_keys_loaded", loaded);
    append_only(shared, page);
    if is_loading {
        loading(shared, page);
    }
}

/// How far loading the data set is.
fn loading(shared: &Shared, page: &mut Page) {
    let progress = shared.loading.progress();
    page.field("loading_start_time", progress.started_s);
    page.field("loading_total_bytes", progress.total);
    page.field("loading_rdb_used_mem", progress.used_memory);
    page.field("loading_loaded_bytes", progress.loaded);
    page.field("loading_loaded_perc", format_args!("{:.2}", progress.percent()));
    page.field("loading_eta_seconds", progress.rest_s(crate::clock::unix_ms() / 1000));
}

fn append_only(shared: &Shared, page: &mut Page) {
    let is_enabled = shared.journaled.load(Relaxed);
    page.field("aof_enabled", u8::from(is_enabled));
    let unused = Status::default();
    let status = shared.aof.as_ref().map_or(&unused, |aof| aof.status());
    let is_rewriting = status.is_rewriting.load(Relaxed);
    let word = |is_fine: bool| if is_fine { "ok" } else { "err" };
    page.field("aof_rewrite_in_progress", u8::from(is_rewriting));
    page.field("aof_rewrite_scheduled", u8::from(shared.rewriting.is_scheduled()));
    page.field("aof_last_rewrite_time_sec", status.rewrite_took_s.load(Relaxed));
    let so_far_s = crate::clock::unix_ms() / 1000 - status.rewrite_began_s.load(Relaxed);
    page.field("aof_current_rewrite_time_sec", if is_rewriting { so_far_s.max(0) } else { -1 });
    page.field("aof_last_bgrewrite_status", word(status.rewrite_worked.load(Relaxed)));
    page.field("aof_rewrites", status.rewrites.load(Relaxed));
    page.field("aof_rewrites_consecutive_failures", status.rewrites_failed.load(Relaxed));
    page.field("aof_last_write_status", word(status.write_worked.load(Relaxed)));
    page.zeros(&["aof_last_cow_size", "module_fork_in_progress", "module_fork_last_cow_size"]);
    let Some(aof) = shared.aof.as_ref().filter(|_| is_enabled) else { return };
    page.field("aof_current_size", status.size.load(Relaxed));
    page.field("aof_base_size", status.base_size.load(Relaxed));
    page.field("aof_pending_rewrite", 0);
    page.field("aof_buffer_length", aof.log().tail().saturating_sub(aof.log().written()));
    page.field("aof_pending_bio_fsync", u8::from(status.is_syncing.load(Relaxed)));
    page.field("aof_delayed_fsync", status.delayed_syncs.load(Relaxed));
}

pub(super) fn replication(view: &View<'_>, page: &mut Page) {
    let hot = view.shared.config.hot();
    page.head("Replication");
    page.field("role", "master");
    page.field("connected_slaves", 0);
    if hot.min_replicas_to_write.get() > 0 && hot.min_replicas_max_lag.get() > 0 {
        page.field("min_slaves_good_slaves", 0);
    }
    page.field("master_failover_state", "no-failover");
    page.field("master_replid", view.shared.identity.replication_id());
    page.field("master_replid2", "0".repeat(40));
    page.field("master_repl_offset", 0);
    page.field("second_repl_offset", -1);
    page.field("repl_backlog_active", 0);
    page.field("repl_backlog_size", hot.repl_backlog_size.get());
    page.zeros(&["repl_backlog_first_byte_offset", "repl_backlog_histlen"]);
}

pub(super) fn cluster(view: &View<'_>, page: &mut Page) {
    page.head("Cluster");
    page.field("cluster_enabled", u8::from(view.shared.config.hot().cluster_enabled.get()));
}
