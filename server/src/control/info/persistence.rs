//! The sections about where data goes: persistence, replication, cluster.

use super::{Page, View};

pub(super) fn persistence(view: &View<'_>, page: &mut Page) {
    let shared = view.shared;
    page.head("Persistence");
    page.zeros(&["loading", "async_loading", "current_cow_peak", "current_cow_size", "current_cow_size_age"]);
    page.field("current_fork_perc", "0.00");
    page.zeros(&["current_save_keys_processed", "current_save_keys_total"]);
    let saving = &shared.saving;
    let changes = shared.stats.total(|thread| &thread.changes);
    page.field("rdb_changes_since_last_save", saving.changes_since(changes));
    page.field("rdb_bgsave_in_progress", 0);
    page.field("rdb_last_save_time", saving.last_save_s());
    page.field("rdb_last_bgsave_status", if saving.is_fine() { "ok" } else { "err" });
    page.field("rdb_last_bgsave_time_sec", -1);
    page.field("rdb_current_bgsave_time_sec", -1);
    let (loaded, expired) = saving.loaded();
    page.field("rdb_saves", saving.saves());
    page.field("rdb_last_cow_size", 0);
    page.field("rdb_last_load_keys_expired", expired);
    page.field("rdb_last_load_keys_loaded", loaded);
    page.field("aof_enabled", u8::from(shared.journal.is_enabled()));
    page.zeros(&["aof_rewrite_in_progress", "aof_rewrite_scheduled"]);
    page.field("aof_last_rewrite_time_sec", -1);
    page.field("aof_current_rewrite_time_sec", -1);
    page.field("aof_last_bgrewrite_status", "ok");
    page.zeros(&["aof_rewrites", "aof_rewrites_consecutive_failures"]);
    page.field("aof_last_write_status", "ok");
    page.zeros(&["aof_last_cow_size", "module_fork_in_progress", "module_fork_last_cow_size"]);
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
