//! `MEMORY`: what keys and the process occupy, what might be wrong with it, and giving it back.

use super::help::help;
use super::info::{Database, Memory, human, ratio};
use super::{Control, ControlCtx, Flow, control};
use crate::memory;
use tidegate_commands::model::{Args, Command, Error, Flag, KeySpec, Reply, container};

pub(super) static MEMORY: Command<Control> = container(
    "MEMORY",
    &[&DOCTOR, &HELP, &MALLOC_STATS, &PURGE, &STATS, &USAGE],
)
.about("4.0.0", "Depends on subcommand.", "Tells about the use of memory.");

const TIPS: &[&str] = &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"];

static USAGE: Command<Control> = control("USAGE", "key [SAMPLES count]", usage)
    .about("4.0.0", "O(N) where N is the number of samples.", "Tells how many bytes a key occupies.")
    .arity(-3)
    .keys(KeySpec::at(2).ro())
    .flags(&[Flag::Readonly]);

/// The sizes of all values are known exactly, so the number of samples is checked and not needed.
fn usage(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let key = args.key()?;
    while !args.is_done() {
        if !args.take_word("SAMPLES") || args.integer()? < 0 {
            return Err(Error::Syntax);
        }
    }
    let bytes = cx.with_record(key.shard(), key.hash(), key.bytes(), |table, record| {
        Some(record?.heap_size() + table.index_bytes().div_ceil(table.len()))
    });
    match bytes {
        Some(bytes) => reply.integer(bytes as i64),
        None => reply.null(),
    }
    Ok(Flow::Done)
}

static STATS: Command<Control> = control("STATS", "", stats)
    .about("4.0.0", "O(1)", "Tells what memory is used for.")
    .arity(2)
    .tips(TIPS)
    .whole_keyspace();

fn stats(cx: &mut ControlCtx, _: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let databases = Database::all(cx);
    let memory = Memory::now(cx.shared(), &databases);
    let keys: usize = databases.iter().map(|database| database.keys).sum();
    reply.map(27 + databases.len());
    let bytes = |reply: &mut Reply, name: &str, bytes: i64| {
        reply.bulk(name.as_bytes());
        reply.integer(bytes);
    };
    bytes(reply, "peak.allocated", memory.peak as i64);
    bytes(reply, "total.allocated", memory.used as i64);
    bytes(reply, "startup.allocated", memory.startup as i64);
    bytes(reply, "replication.backlog", 0);
    bytes(reply, "clients.slaves", 0);
    bytes(reply, "clients.normal", memory.clients as i64);
    bytes(reply, "cluster.links", 0);
    bytes(reply, "aof.buffer", memory.aof_buffer as i64);
    bytes(reply, "lua.caches", memory.scripts as i64);
    bytes(reply, "functions.caches", memory.functions as i64);
    for database in &databases {
        reply.bulk(format!("db.{}", database.index).as_bytes());
        reply.map(3);
        bytes(reply, "overhead.hashtable.main", database.index_bytes as i64);
        bytes(reply, "overhead.hashtable.expires", 0);
        bytes(reply, "overhead.hashtable.slot-to-keys", 0);
    }
    bytes(reply, "overhead.total", memory.overhead as i64);
    bytes(reply, "keys.count", keys as i64);
    bytes(
        reply,
        "keys.bytes-per-key",
        memory.used.saturating_sub(memory.startup).checked_div(keys).unwrap_or(0) as i64,
    );
    bytes(reply, "dataset.bytes", memory.dataset as i64);
    share(reply, "dataset.percentage", memory.dataset_percent());
    share(reply, "peak.percentage", memory.peak_percent());
    bytes(reply, "allocator.allocated", memory.used as i64);
    bytes(reply, "allocator.active", memory.held as i64);
    bytes(reply, "allocator.resident", memory.held as i64);
    share(reply, "allocator-fragmentation.ratio", ratio(memory.held, memory.used));
    bytes(reply, "allocator-fragmentation.bytes", memory.held as i64 - memory.used as i64);
    share(reply, "allocator-rss.ratio", 1.0);
    bytes(reply, "allocator-rss.bytes", 0);
    share(reply, "rss-overhead.ratio", ratio(memory.resident, memory.held));
    bytes(reply, "rss-overhead.bytes", memory.resident as i64 - memory.held as i64);
    share(reply, "fragmentation", ratio(memory.resident, memory.used));
    bytes(reply, "fragmentation.bytes", memory.resident as i64 - memory.used as i64);
    Ok(Flow::Done)
}

fn share(reply: &mut Reply, name: &str, value: f64) {
    reply.bulk(name.as_bytes());
    reply.double(value);
}

static DOCTOR: Command<Control> = control("DOCTOR", "", doctor)
    .about("4.0.0", "O(1)", "Looks for problems with memory.")
    .arity(2)
    .tips(TIPS)
    .whole_keyspace();

/// Below this nothing can be said: what every process needs outweighs the data.
const TOO_LITTLE: usize = 5 << 20;

fn doctor(cx: &mut ControlCtx, _: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let databases = Database::all(cx);
    let memory = Memory::now(cx.shared(), &databases);
    let report = diagnose(&memory, cx.shared().clients.len());
    reply.verbatim("txt", report.as_bytes());
    Ok(Flow::Done)
}

fn diagnose(memory: &Memory, clients: usize) -> String {
    if memory.used < TOO_LITTLE {
        return "There is too little data to tell whether memory is used well.".into();
    }
    let mut findings = Vec::new();
    if ratio(memory.peak, memory.used) > 1.5 {
        findings.push(format!(
            "Peak: {} were in use once, now it is {}. The allocator may not have given all of the difference back; \
             MEMORY PURGE asks it to.",
            human(memory.peak as u64),
            human(memory.used as u64)
        ));
    }
    if ratio(memory.held, memory.used) > 1.4 && memory.held - memory.used > 10 << 20 {
        findings.push(format!(
            "Fragmentation: the allocator holds {} from the kernel for {} in use.",
            human(memory.held as u64),
            human(memory.used as u64)
        ));
    }
    if ratio(memory.resident, memory.held) > 1.1 && memory.resident - memory.held > 10 << 20 {
        findings.push(format!(
            "Resident memory: the process occupies {}, more than the allocator accounts for ({}).",
            human(memory.resident as u64),
            human(memory.held as u64)
        ));
    }
    if clients > 0 && memory.clients / clients > 200 << 10 {
        findings.push(format!(
            "Clients: {} on average for each of {clients} connections. Look for large replies that are not read \
             (omem in CLIENT LIST) and for large unfinished requests (qbuf).",
            human((memory.clients / clients) as u64)
        ));
    }
    if findings.is_empty() {
        return "No problem with memory was found.".into();
    }
    format!(" * {}\n", findings.join("\n * "))
}

static PURGE: Command<Control> = control("PURGE", "", purge)
    .about(
        "4.0.0",
        "Depends on how much memory is allocated, could be slow",
        "Asks the allocator to give free memory back.",
    )
    .arity(2)
    .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]);

fn purge(cx: &mut ControlCtx, _: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    memory::purge();
    cx.shared().reclaim.purge();
    reply.ok();
    Ok(Flow::Done)
}

static MALLOC_STATS: Command<Control> = control("MALLOC-STATS", "", malloc_stats)
    .about(
        "4.0.0",
        "Depends on how much memory is allocated, could be slow",
        "Shows the report of the allocator.",
    )
    .arity(2)
    .tips(TIPS);

fn malloc_stats(_: &mut ControlCtx, _: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    match memory::allocator_report() {
        Some(report) => reply.verbatim("txt", report.as_bytes()),
        None => reply.bulk(b"Stats not supported for the current allocator"),
    }
    Ok(Flow::Done)
}

static HELP: Command<Control> = control("HELP", "", |_, _, reply| {
    help(
        reply,
        "MEMORY",
        &[
            "DOCTOR",
            "    Looks for problems with memory.",
            "MALLOC-STATS",
            "    Shows the report of the allocator.",
            "PURGE",
            "    Asks the allocator to give free memory back.",
            "STATS",
            "    Tells what memory is used for.",
            "USAGE <key> [SAMPLES <count>]",
            "    Tells how many bytes a key and its value occupy.",
        ],
    );
    Ok(Flow::Done)
})
.about("4.0.0", "O(1)", "Lists the subcommands.")
.arity(2)
.flags(&[Flag::Loading, Flag::Stale]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_doctor_finds_what_is_wrong() {
        let mib = 1 << 20;
        let healthy = Memory {
            used: 100 * mib,
            peak: 110 * mib,
            held: 110 * mib,
            resident: 112 * mib,
            ..Memory::default()
        };
        assert_eq!(diagnose(&healthy, 1), "No problem with memory was found.");
        assert!(diagnose(&Memory { used: mib, ..healthy }, 1).starts_with("There is too little data"));
        let shrunk = Memory { peak: 900 * mib, held: 800 * mib, resident: 900 * mib, ..healthy };
        let report = diagnose(&shrunk, 1);
        assert_eq!(report.lines().count(), 3, "{report}");
        let report = diagnose(&Memory { clients: 4 * mib, ..healthy }, 2);
        assert!(report.contains("2.00M on average"), "{report}");
    }
}
