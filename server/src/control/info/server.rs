//! The sections about the process: server, clients, memory, processor time.

use super::figures::ratio;
use super::{Memory, Page, View, human};
use crate::config::choices::Supervised;
use crate::memory;
use crate::usage::{self, CpuTime, Whose};
use crate::version::{ALLOCATOR, BUILD, COMMIT, REDIS_VERSION, TIDEGATE_VERSION};
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;

pub(super) fn server(view: &View<'_>, page: &mut Page) {
    static SYSTEM: OnceLock<String> = OnceLock::new();
    let (config, identity) = (&view.shared.config, &view.shared.identity);
    let uptime_s = (view.now_ms - identity.started_ms).max(0) / 1000;
    let hz = config.hot().hz.get();
    page.head("Server");
    page.field("redis_version", REDIS_VERSION);
    page.field("redis_git_sha1", COMMIT);
    page.field("redis_git_dirty", 0);
    page.field("redis_build_id", format_args!("{BUILD:x}"));
    page.field("redis_mode", config.mode());
    page.field("os", SYSTEM.get_or_init(usage::system_name));
    page.field("arch_bits", usize::BITS);
    page.field(
        "monotonic_clock",
        if cfg!(target_arch = "x86_64") { "X86 TSC" } else { "POSIX clock_gettime" },
    );
    page.field("multiplexing_api", "epoll");
    page.field("atomicvar_api", "rust-core-atomic");
    page.field("gcc_version", "0.0.0");
    page.field("process_id", std::process::id());
    page.field("process_supervised", supervised(config.supervised()));
    page.field("run_id", &identity.run_id);
    let plain = view.shared.listening.port();
    page.field("tcp_port", if plain == 0 { view.shared.tls_listening.port() } else { plain });
    page.field("server_time_usec", crate::clock::unix_us());
    page.field("uptime_in_seconds", uptime_s);
    page.field("uptime_in_days", uptime_s / 86400);
    page.field("hz", hz);
    page.field("configured_hz", hz);
    let clock = &view.shared.native.clock;
    page.field("clock_behind_ms", clock.behind_ms());
    page.field("clock_forward_steps", clock.forward_steps());
    page.field("lru_clock", (view.now_ms / 1000) & 0x00ff_ffff);
    let executable = std::env::current_exe().unwrap_or_default();
    page.field("executable", executable.display());
    page.field("config_file", config.file().unwrap_or_else(|| "".as_ref()).display());
    page.field("io_threads_active", u8::from(identity.threads > 1));
    page.field("server_name", "tidegate");
    page.field("tidegate_version", TIDEGATE_VERSION);
    page.field("worker_threads", identity.threads);
}

fn supervised(by: Supervised) -> &'static str {
    match by {
        Supervised::No => "no",
        Supervised::Upstart => "upstart",
        Supervised::Systemd => "systemd",
        Supervised::Auto => "unknown",
    }
}

pub(super) fn clients(view: &View<'_>, page: &mut Page) {
    let (clients, stats) = (&view.shared.clients, &view.shared.stats);
    page.head("Clients");
    page.field("connected_clients", clients.len());
    page.field("cluster_connections", 0);
    page.field("maxclients", view.shared.config.hot().maxclients.get());
    page.field("client_recent_max_input_buffer", stats.largest_input.load(Relaxed));
    page.field("client_recent_max_output_buffer", stats.largest_output.load(Relaxed));
    page.field("blocked_clients", clients.blocked());
    page.field("tracking_clients", view.shared.tracking.len());
    page.field("clients_in_timeout_table", clients.limited_waits());
    page.field("total_blocking_keys", view.awaited);
}

pub(super) fn memory(view: &View<'_>, page: &mut Page) {
    let hot = view.shared.config.hot();
    let figures = Memory::now(view.shared, view.databases);
    let libraries = view.shared.libraries.get();
    let system = memory::total_system();
    let sized = |page: &mut Page, name: &str, bytes: usize| {
        page.field(name, bytes);
        page.field(&format!("{name}_human"), human(bytes as u64));
    };
    page.head("Memory");
    sized(page, "used_memory", figures.used);
    sized(page, "used_memory_rss", figures.resident);
    sized(page, "used_memory_peak", figures.peak);
    page.field("used_memory_peak_perc", format_args!("{:.2}%", figures.peak_percent()));
    page.field("used_memory_overhead", figures.overhead);
    page.field("used_memory_startup", figures.startup);
    page.field("used_memory_dataset", figures.dataset);
    page.field("used_memory_dataset_perc", format_args!("{:.2}%", figures.dataset_percent()));
    page.field("allocator_allocated", figures.used);
    page.field("allocator_active", figures.held);
    page.field("allocator_resident", figures.held);
    sized(page, "total_system_memory", system);
    let scripts = &view.shared.scripts;
    let ([evals, functions], texts) = (scripts.state_bytes(), scripts.bytes());
    let sources = libraries.bytes();
    page.field("used_memory_lua", evals);
    page.field("used_memory_vm_eval", evals);
    page.field("used_memory_lua_human", human(evals as u64));
    page.field("used_memory_scripts_eval", texts);
    page.field("number_of_cached_scripts", scripts.len());
    page.field("evicted_scripts", scripts.evicted());
    page.field("number_of_functions", libraries.functions_len());
    page.field("number_of_libraries", libraries.libraries().len());
    page.field("used_memory_vm_functions", functions);
    sized(page, "used_memory_vm_total", evals + functions);
    page.field("used_memory_functions", sources);
    sized(page, "used_memory_scripts", texts + sources);
    sized(page, "maxmemory", hot.maxmemory.get() as usize);
    page.field("maxmemory_policy", hot.maxmemory_policy.get().word());
    page.field("allocator_frag_ratio", format_args!("{:.2}", ratio(figures.held, figures.used)));
    page.field("allocator_frag_bytes", figures.held - figures.used);
    page.field("allocator_rss_ratio", format_args!("{:.2}", 1.0));
    page.field("allocator_rss_bytes", 0);
    page.field("rss_overhead_ratio", format_args!("{:.2}", ratio(figures.resident, figures.held)));
    page.field("rss_overhead_bytes", difference(figures.resident, figures.held));
    page.field("mem_fragmentation_ratio", format_args!("{:.2}", ratio(figures.resident, figures.used)));
    page.field("mem_fragmentation_bytes", difference(figures.resident, figures.used));
    page.field("mem_not_counted_for_evict", crate::dispatch::not_counted(view.shared));
    page.zeros(&["mem_replication_backlog", "mem_total_replication_buffers", "mem_clients_slaves"]);
    page.field("mem_clients_normal", figures.clients);
    page.field("mem_cluster_links", 0);
    page.field("mem_aof_buffer", figures.aof_buffer);
    page.field("mem_allocator", ALLOCATOR);
    page.field("active_defrag_running", 0);
    page.field("lazyfree_pending_objects", view.shared.reclaim.pending());
    page.field("lazyfreed_objects", view.shared.reclaim.freed());
}

fn difference(a: usize, b: usize) -> i64 {
    a as i64 - b as i64
}

pub(super) fn cpu(_: &View<'_>, page: &mut Page) {
    let pair = |page: &mut Page, suffix: &str, time: CpuTime| {
        for (kind, us) in [("sys", time.system_us), ("user", time.user_us)] {
            let name = format!("used_cpu_{kind}{suffix}");
            page.field(&name, format_args!("{}.{:06}", us / 1_000_000, us % 1_000_000));
        }
    };
    page.head("CPU");
    pair(page, "", usage::cpu_time(Whose::Process));
    pair(page, "_children", usage::cpu_time(Whose::Children));
    pair(page, "_main_thread", usage::cpu_time(Whose::Thread));
}
