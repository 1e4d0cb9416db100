//! Snapshots and the append-only file.

use super::{
    Directive, Effect, INT_MAX, INT_MIN, Kind, LONG_MAX, MIB, choice, directive, number, text, yes_no,
};
use crate::config::choices::{AppendAck, AppendFsync, SanitizeDumpPayload};
use crate::config::value::Value;

pub(super) static ROWS: &[Directive] = &[
    directive("save", Kind::Save).multi(),
    yes_no("stop-writes-on-bgsave-error", true)
        .hot(|hot, value| hot.stop_writes_on_bgsave_error.store(value)),
    yes_no("rdbcompression", true).hot(|hot, value| hot.rdbcompression.store(value)),
    yes_no("rdbchecksum", true).immutable(),
    text("dbfilename", "dump.rdb").protected().check(|value| base_name(value, "dbfilename", "filename")),
    yes_no("rdb-del-sync-files", false),
    yes_no("rdb-save-incremental-fsync", true),
    number("rdb-key-save-delay", INT_MIN..=INT_MAX, 0).hidden(),
    number("key-load-delay", INT_MIN..=INT_MAX, 0).hidden().hot(|hot, value| hot.key_load_delay.store(value)),
    number("loading-process-events-interval-bytes", 1024..=INT_MAX, 2 * MIB).hidden(),
    choice("sanitize-dump-payload", SanitizeDumpPayload::WORDS, SanitizeDumpPayload::No as i64)
        .debug()
        .hot(|hot, value| hot.sanitize_dump_payload.store(value)),
    yes_no("appendonly", false)
        .deny_loading()
        .effect(Effect::AppendOnly)
        .hot(|hot, value| hot.appendonly.store(value)),
    text("appendfilename", "appendonly.aof")
        .immutable()
        .check(|value| file_name(value, "appendfilename", "filename")),
    text("appenddirname", "appendonlydir")
        .immutable()
        .check(|value| file_name(value, "appenddirname", "dirname")),
    choice("appendfsync", AppendFsync::WORDS, AppendFsync::EverySec as i64)
        .hot(|hot, value| hot.appendfsync.store(value)),
    yes_no("no-appendfsync-on-rewrite", false).hot(|hot, value| hot.no_appendfsync_on_rewrite.store(value)),
    number("auto-aof-rewrite-percentage", 0..=INT_MAX, 100),
    number("auto-aof-rewrite-min-size", 0..=LONG_MAX, 64 * MIB).bytes(),
    yes_no("aof-load-truncated", true),
    yes_no("aof-use-rdb-preamble", true),
    yes_no("aof-timestamp-enabled", false),
    yes_no("aof-rewrite-incremental-fsync", true),
    yes_no("aof-disable-auto-gc", false).effect(Effect::AofHistory),
    // Of Tidegate.
    choice("appendonly-ack", AppendAck::WORDS, AppendAck::Written as i64)
        .hot(|hot, value| hot.appendonly_ack.store(value)),
    yes_no("appendonly-bootstrap", false),
    yes_no("aof-checksum", true),
    number("aof-error-exit-after", 0..=INT_MAX, 30),
    number("log-max-unwritten", 1..=LONG_MAX, 64 * MIB).bytes(),
];

/// Refuses anything that could lead out of the data directory.
fn base_name(value: &mut Value, name: &str, what: &str) -> Result<(), String> {
    match value {
        Value::Text(Some(text)) if text.iter().any(|byte| matches!(byte, b'/' | b'\\')) => {
            Err(format!("{name} can't be a path, just a {what}"))
        }
        _ => Ok(()),
    }
}

fn file_name(value: &mut Value, name: &str, what: &str) -> Result<(), String> {
    if value.bits() == 0 {
        return Err(format!("{name} can't be empty"));
    }
    base_name(value, name, what)
}
