//! Logs, statistics, notifications, and the long-running scripts that disturb them.

use super::{Directive, Effect, INT_MAX, Kind, LONG_MAX, MIB, choice, directive, number, text, yes_no};
use crate::config::choices::{AuditLevel, LogFormat, LogLevel, SYSLOG_FACILITY};

pub(super) static ROWS: &[Directive] = &[
    choice("loglevel", LogLevel::WORDS, LogLevel::Notice as i64).hot(|hot, value| hot.loglevel.store(value)),
    text("logfile", "").immutable(),
    // Tidegate's own: lines for programs that collect logs.
    choice("log-format", LogFormat::WORDS, LogFormat::Text as i64)
        .hot(|hot, value| hot.log_format.store(value)),
    yes_no("syslog-enabled", false).immutable().inert(),
    text("syslog-ident", "redis").immutable().inert(),
    choice("syslog-facility", SYSLOG_FACILITY, 128).immutable().inert(),
    yes_no("always-show-logo", false).immutable(),
    // Of Redis 8: keep what users store out of the log.
    yes_no("hide-user-data-from-log", false)
        .hot(|hot, value| hot.hide_user_data_from_log.store(value))
        .effect(Effect::CrashLog),
    yes_no("crash-log-enabled", true).effect(Effect::CrashLog),
    yes_no("crash-memcheck-enabled", true).inert(),
    yes_no("use-exit-on-panic", false).hidden().inert(),
    number("watchdog-period", 0..=INT_MAX, 0).hidden().inert(),
    text("ignore-warnings", ""),
    // The aliases and the other command logs are those of Valkey 8.1.
    number("slowlog-log-slower-than", -1..=LONG_MAX, 10_000)
        .alias("commandlog-execution-slower-than")
        .hot(|hot, value| hot.slowlog_log_slower_than.store(value)),
    number("slowlog-max-len", 0..=LONG_MAX, 128)
        .alias("commandlog-slow-execution-max-len")
        .hot(|hot, value| hot.slowlog_max_len.store(value)),
    number("commandlog-request-larger-than", -1..=LONG_MAX, MIB)
        .hot(|hot, value| hot.commandlog_request_larger_than.store(value)),
    number("commandlog-large-request-max-len", 0..=LONG_MAX, 128)
        .hot(|hot, value| hot.commandlog_large_request_max_len.store(value)),
    number("commandlog-reply-larger-than", -1..=LONG_MAX, MIB)
        .hot(|hot, value| hot.commandlog_reply_larger_than.store(value)),
    number("commandlog-large-reply-max-len", 0..=LONG_MAX, 128)
        .hot(|hot, value| hot.commandlog_large_reply_max_len.store(value)),
    // Tidegate's own: who did what.
    choice("audit-log", AuditLevel::WORDS, AuditLevel::Off as i64)
        .hot(|hot, value| hot.audit_log.store(value))
        .effect(Effect::Audit),
    text("audit-log-file", "audit.log").effect(Effect::Audit),
    number("audit-log-max-size", 0..=LONG_MAX, 100 * MIB).bytes().effect(Effect::Audit),
    number("audit-log-files", 0..=1000, 5).effect(Effect::Audit),
    number("latency-monitor-threshold", 0..=LONG_MAX, 0)
        .hot(|hot, value| hot.latency_monitor_threshold.store(value)),
    yes_no("latency-tracking", true).hot(|hot, value| hot.latency_tracking.store(value)),
    directive("latency-tracking-info-percentiles", Kind::Percentiles).multi(),
    directive("notify-keyspace-events", Kind::Events)
        .hot(|hot, value| hot.notify_keyspace_events.store(value)),
    // Tidegate's own: keyspace events that nobody misses.
    text("notify-stream", "").effect(Effect::NotifyStream),
    number("notify-stream-db", 0..=INT_MAX, 0).effect(Effect::NotifyStream),
    number("notify-stream-maxlen", 0..=LONG_MAX, 10_000).effect(Effect::NotifyStream),
    // Tidegate's own: figures for Prometheus.
    number("metrics-port", 0..=65535, 0).effect(Effect::MetricsPort),
    yes_no("metrics-public", false),
    number("busy-reply-threshold", 0..=LONG_MAX, 5000)
        .alias("lua-time-limit")
        .hot(|hot, value| hot.busy_reply_threshold.store(value)),
    number("script-memory-limit", MIB as i128..=LONG_MAX, 256 * MIB)
        .unsigned()
        .bytes()
        .hot(|hot, value| hot.script_memory_limit.store(value)),
    yes_no("lua-enable-deprecated-api", false).immutable().hidden(),
];
