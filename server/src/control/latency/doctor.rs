//! `LATENCY DOCTOR`: what the spikes were, and what may be done about them, for humans.

use crate::config::choices::AppendFsync;
use crate::shared::{LatencySeries, Shared};
use std::fmt::Write as _;

/// The report as of `now_s`, Unix seconds.
pub(super) fn report(shared: &Shared, now_s: i64) -> String {
    let events = shared.latency.all();
    let threshold_ms = shared.config.hot().latency_monitor_threshold.get();
    if events.is_empty() && threshold_ms == 0 {
        return "The latency monitor is off and has seen nothing so far. It watches everything that takes longer than \
                a number of milliseconds of your choice: CONFIG SET latency-monitor-threshold <milliseconds>.\n"
            .into();
    }
    let mut text = String::new();
    let mut advice = Vec::new();
    if !events.is_empty() {
        text.push_str("The latency monitor has seen these spikes:\n\n");
    }
    for (index, (event, series)) in events.iter().enumerate() {
        writeln!(text, "{}. {event}: {}", index + 1, describe(series, now_s))
            .expect("writing to a String cannot fail");
        for one in advice_about(shared, event) {
            if !advice.contains(&one) {
                advice.push(one);
            }
        }
    }
    if huge_pages() > 0 {
        advice.push(Advice::HugePages);
    }
    match (events.is_empty(), advice.is_empty()) {
        (true, true) => text.push_str("Nothing took longer than the configured threshold. All is well.\n"),
        (false, true) => text.push_str("\nThere is no easy advice about spikes of these kinds.\n"),
        _ => {
            text.push_str("\nWhat you may look into:\n\n");
            advice.sort_unstable();
            for one in advice {
                writeln!(text, "- {}", one.text(threshold_ms)).expect("writing to a String cannot fail");
            }
        }
    }
    text
}

fn describe(series: &LatencySeries, now_s: i64) -> String {
    let count = series.samples.len().max(1) as i64;
    let mean = series.samples.iter().map(|(_, ms)| ms).sum::<i64>() / count;
    let deviation = series.samples.iter().map(|(_, ms)| (mean - ms).abs()).sum::<i64>() / count;
    let oldest_s = series.samples.iter().map(|(time_s, _)| *time_s).min().unwrap_or(now_s);
    let period = (now_s - oldest_s).max(1) as f64 / count as f64;
    format!(
        "{} latency spikes (average {mean}ms, mean deviation {deviation}ms, period {period:.2} sec). Worst all time \
         event {}ms.",
        series.samples.len(),
        series.max_ms
    )
}

/// Advice, in the order it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Advice {
    EnableSlowlog,
    LowerSlowlog,
    ReadSlowlog,
    Scheduling,
    LocalDisk,
    FasterDisk,
    DiskContention,
    NoFsyncDuringRewrite,
    RelaxFsync,
    LessWrites,
    LargeValues,
    Eviction,
    HugePages,
}

fn advice_about(shared: &Shared, event: &str) -> Vec<Advice> {
    use Advice::{
        DiskContention, EnableSlowlog, Eviction, FasterDisk, LargeValues, LessWrites, LocalDisk,
        LowerSlowlog, NoFsyncDuringRewrite, ReadSlowlog, RelaxFsync, Scheduling,
    };
    let hot = shared.config.hot();
    let slowlog_us = hot.slowlog_log_slower_than.get();
    match event {
        "command" if slowlog_us < 0 => vec![EnableSlowlog, ReadSlowlog, LargeValues],
        "command" if slowlog_us / 1000 > hot.latency_monitor_threshold.get() => {
            vec![LowerSlowlog, ReadSlowlog, LargeValues]
        }
        "command" => vec![ReadSlowlog, LargeValues],
        "fast-command" => vec![Scheduling],
        "aof-write-pending-fsync" => vec![LocalDisk, FasterDisk, DiskContention],
        "aof-write-active-child" => vec![NoFsyncDuringRewrite, FasterDisk],
        "aof-write-alone" => vec![LocalDisk, FasterDisk],
        "aof-fsync-always" if shared.config.appendfsync() == AppendFsync::Always => vec![RelaxFsync],
        "aof-fstat" | "rdb-unlink-temp-file" => vec![LocalDisk, DiskContention],
        "aof-rewrite-diff-write" | "aof-rename" => vec![LessWrites, LocalDisk, FasterDisk],
        "expire-cycle" | "eviction-del" => vec![LargeValues],
        "eviction-cycle" => vec![Eviction],
        _ => vec![],
    }
}

impl Advice {
    fn text(self, threshold_ms: i64) -> String {
        let text = match self {
            Advice::EnableSlowlog | Advice::LowerSlowlog => {
                return format!(
                    "The slow log does not record commands as short as the spikes above. Let it: CONFIG SET \
                     slowlog-log-slower-than {}",
                    threshold_ms * 1000
                );
            }
            Advice::ReadSlowlog => "SLOWLOG GET tells which commands took long, and with which arguments.",
            Advice::Scheduling => {
                "Commands that do little work took long: most likely the process did not get its processors. Look for \
                 other load on this machine, limits of its container, or a crowded host, and measure the machine \
                 itself with 'redis-cli --intrinsic-latency 100'."
            }
            Advice::LocalDisk => "Put the append-only file and snapshots on a local disk.",
            Advice::FasterDisk => {
                "A disk that syncs faster helps; use solid-state storage for heavy writing."
            }
            Advice::DiskContention => "Find out what else uses the disk, and move one of them.",
            Advice::NoFsyncDuringRewrite => {
                "If you can afford to lose more than a second of writes in a crash during a rewrite, set \
                 no-appendfsync-on-rewrite to yes."
            }
            Advice::RelaxFsync => {
                "Every write waits for the disk because appendfsync is 'always'. If losing a second of writes in a \
                 crash is acceptable, set it to 'everysec'."
            }
            Advice::LessWrites => {
                "Much is written while the append-only file is rewritten: combine small writes."
            }
            Advice::LargeValues => {
                "Deleting, expiring or reading very large values takes long: split them, delete with UNLINK, and page \
                 through them with the SCAN family."
            }
            Advice::Eviction => {
                "Many keys had to go at once. Lowering maxmemory, or single commands that store very much, lead to \
                 that."
            }
            Advice::HugePages => {
                "The process uses transparent huge pages, which make writes during a snapshot slow and waste memory. \
                 Turn them off: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled, at every boot, and \
                 restart."
            }
        };
        text.into()
    }
}

/// Memory of this process in transparent huge pages, in KiB; 0 when the system does not tell.
fn huge_pages() -> u64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("AnonHugePages:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::describe;
    use crate::shared::LatencySeries;

    #[test]
    fn a_series_in_figures() {
        let samples = [(100, 10), (110, 20), (120, 60)].into_iter().collect();
        let text = describe(&LatencySeries { samples, max_ms: 99 }, 130);
        assert_eq!(
            text,
            "3 latency spikes (average 30ms, mean deviation 20ms, period 10.00 sec). Worst all time event 99ms."
        );
    }
}
