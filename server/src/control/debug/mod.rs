//! `DEBUG`: what tests and people who look for faults need. Refused unless `enable-debug-command` allows it.

mod inspect;
mod sample;

use super::help::{help, unknown_form};
use super::{Control, ControlCtx, Flow, control};
use crate::acl::Access;
use crate::aof;
use crate::clock;
use crate::config::{Extent, value};
use crate::dataset::{self, Present};
use crate::dispatch::LOADING;
use crate::process::crash;
use crate::shared::random_hex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tidegate_commands::families::{Case, glob_matches};
use tidegate_commands::model::{Args, Command, Error, Flag, Reply, Rng, parse_i64};
use tidegate_data::NodeLimit;

pub(super) static DEBUG: Command<Control> = control("DEBUG", "", debug)
    .about("1.0.0", "Depends on subcommand.", "Looks inside, and changes what should stay alone.")
    .arity(-2)
    .flags(&[Flag::Admin, Flag::Noscript, Flag::Loading, Flag::Stale, Flag::Protected, Flag::System])
    .whole_keyspace();

fn debug(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let name = args.next()?.to_ascii_lowercase();
    if cx.shared().loading.is_on() && matches!(&*name, b"reload" | b"loadaof" | b"populate") {
        // What they would load or create is in the way of what is loaded already.
        return Err(Error::new(LOADING));
    }
    let words: Vec<&[u8]> = args.rest().collect();
    if matches!(&*name, b"object" | b"sdslen" | b"htstats-key" | b"digest-value") {
        // Its keys are no keys to Redis, who shows them to everybody that may call it.
        words.iter().try_for_each(|key| cx.may_use(key, Access::READ))?;
    }
    match (&*name, &words[..]) {
        (b"help", []) => {
            help(reply, "DEBUG", &HELP);
            return Ok(Flow::Done);
        }
        (b"sleep", [seconds]) => sleep(cx, seconds),
        (b"set-active-expire", [on]) => switch(&cx.shared().debug.active_expire, on),
        (b"pause-cron", [on]) => switch(&cx.shared().debug.pause_cron, on),
        (b"set-skip-checksum-validation", [on]) => switch(&cx.shared().debug.skip_checksums, on),
        (b"set-disable-deny-scripts", [on]) => switch(&cx.shared().debug.allow_all_in_scripts, on),
        (b"change-repl-id", []) => {
            tracing::warn!("Changing replication IDs after receiving DEBUG change-repl-id");
            cx.shared().identity.set_replication_id(random_hex(40));
        }
        (b"clock", [action, rest @ ..]) => set_clock(cx, action, rest)?,
        (b"jitter", [fraction]) => set_jitter(cx, fraction)?,
        (b"log", [message]) => tracing::warn!("DEBUG LOG: {}", String::from_utf8_lossy(message)),
        (b"error", [text]) => {
            reply.error(&Error::text(*text));
            return Ok(Flow::Done);
        }
        (b"object", [key]) => return inspect::object(cx, key, reply),
        (b"sdslen", [key]) => return inspect::string_sizes(cx, key, reply),
        (b"htstats", [db]) => return inspect::table_statistics(cx, db, reply),
        (b"htstats-key", [key]) => return inspect::key_table_statistics(cx, key, reply),
        (b"structsize", []) => return Ok(inspect::struct_sizes(reply)),
        (b"digest", []) => return Ok(inspect::digest(cx, reply)),
        (b"digest-value", keys) => return Ok(inspect::digest_values(cx, keys, reply)),
        (b"populate", [count, rest @ ..]) if rest.len() <= 2 => sample::populate(cx, count, rest)?,
        (b"protocol", [kind]) => return sample::protocol(kind, reply),
        (b"quicklist-packed-threshold", [size]) => packed_threshold(&cx.shared().debug.list_alone_len, size)?,
        (b"replybuffer", [what, setting]) => reply_buffer(args, what, setting)?,
        (b"stringmatch-len", [pattern, text]) => {
            reply.integer(i64::from(glob_matches(pattern, text, Case::Sensitive)));
            return Ok(Flow::Done);
        }
        (b"stringmatch-test", []) => {
            match_at_random(cx.worker.exec.rng());
            reply.simple("Apparently Redis did not crash: test passed");
            return Ok(Flow::Done);
        }
        (b"config-rewrite-force-all", []) => {
            let result = cx.shared().config.rewrite(None, Extent::All);
            result.map_err(|error| Error::text(format!("ERR CONFIG-REWRITE-FORCE-ALL failed: {error}")))?;
        }
        (b"reload", options) => reload(cx, options)?,
        (b"loadaof", _) => load_aof(cx)?,
        (b"aof-flush-sleep", [micros]) => {
            let micros = value::parse_lenient(micros, 10).unwrap_or(0);
            if let Some(aof) = &cx.shared().aof {
                aof.settings().write_nap_us.store(u64::try_from(micros).unwrap_or(0), Relaxed);
            }
        }
        (b"segfault", []) => crash::segfault(),
        (b"panic", []) => panic!("Panic requested by the DEBUG command"),
        (b"assert", []) => {
            assert!(words.len() > 1, "an assertion that fails was asked for by the DEBUG command");
        }
        (b"kill-snapshot", []) => {
            if !cx.shared().snapshots.kill() {
                return Err(Error::new("ERR There is no snapshot under way"));
            }
        }
        _ => return Err(unknown_form(args)),
    }
    reply.ok();
    Ok(Flow::Done)
}

/// `DEBUG CLOCK`: stops the clocks, moves them, lets them go again. Whoever waits looks at them again.
fn set_clock(cx: &mut ControlCtx, action: &[u8], words: &[&[u8]]) -> Result<(), Error> {
    let shared = Arc::clone(&cx.worker.shared);
    let clock = &shared.native.clock;
    let number = |word: &[u8]| parse_i64(word).filter(|ms| *ms >= 0).ok_or(Error::NotInteger);
    let moved = |is_frozen: bool| is_frozen.then_some(()).ok_or(Error::new("ERR the clock is not frozen"));
    match (&*action.to_ascii_lowercase(), words) {
        (b"freeze", [now_ms]) => clock.freeze(number(now_ms)?),
        // Whoever holds shards already cannot serve others on the way.
        (b"advance", [ms]) if cx.hold.is_none() => moved(cx.worker.advance_clocks(number(ms)?))?,
        (b"advance" | b"jump", [ms]) => moved(clock.advance(number(ms)?))?,
        (b"resume", []) => clock.resume(),
        _ => return Err(Error::Syntax),
    }
    cx.shared().clients.each(|client| {
        if client.is_blocked() {
            client.waker.wake();
        }
    });
    Ok(())
}

/// `DEBUG JITTER`: what stands for chance where delays are spread.
fn set_jitter(cx: &ControlCtx, fraction: &[u8]) -> Result<(), Error> {
    let fraction = tidegate_commands::model::parse_double(fraction).ok_or(Error::NotFloat)?;
    if !(0.0..=1.0).contains(&fraction) {
        return Err(Error::new("ERR the fraction must be between 0 and 1"));
    }
    cx.shared().native.clock.set_jitter((fraction * 1e6) as i64);
    Ok(())
}

/// `DEBUG RELOAD`: saves everything and loads it again.
fn reload(cx: &mut ControlCtx, options: &[&[u8]]) -> Result<(), Error> {
    let [mut flush, mut save, mut merge] = [true, true, false];
    for option in options {
        match &*option.to_ascii_lowercase() {
            b"merge" => merge = true,
            b"noflush" => flush = false,
            b"nosave" => save = false,
            _ => {
                return Err(Error::new(
                    "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.",
                ));
            }
        }
    }
    let present = match (flush, merge) {
        (true, _) => Present::Discarded,
        (false, true) => Present::Replaced,
        (false, false) => Present::Kept,
    };
    let shared = Arc::clone(&cx.worker.shared);
    cx.with_keyspace(|hold| {
        if save {
            dataset::save(&shared, hold).map_err(|_| Error::new("ERR"))?;
        }
        // Those who do not wait for a shard already are told so.
        shared.loading.begin(clock::unix_ms() / 1000);
        let loaded = dataset::load(&shared, Some(hold), present);
        shared.loading.end();
        loaded.map_err(|_| Error::new("ERR Error trying to load the RDB dump"))
    })?;
    tracing::warn!("DB reloaded by DEBUG RELOAD");
    Ok(())
}

/// `DEBUG LOADAOF`: throws everything away and loads the append-only file again.
fn load_aof(cx: &mut ControlCtx) -> Result<(), Error> {
    let shared = Arc::clone(&cx.worker.shared);
    if cx.in_transaction() {
        return Err(Error::new("ERR DEBUG LOADAOF is not possible inside a transaction"));
    }
    aof::load::reload(&shared).map_err(|failure| {
        tracing::warn!("{failure}");
        Error::new("ERR Error trying to load the AOF files, check server logs.")
    })?;
    tracing::warn!("Append Only File loaded by DEBUG LOADAOF");
    Ok(())
}

/// `0` is off; every other number is on, and every other word is off: Redis reads it with `atoi`.
fn switch(switch: &AtomicBool, word: &[u8]) {
    switch.store(value::parse_lenient(word, 10).is_some_and(|number| number != 0), Relaxed);
}

/// Stops everything that needs the keyspace: all shards are held while this thread sleeps.
fn sleep(cx: &mut ControlCtx, seconds: &[u8]) {
    let seconds = std::str::from_utf8(seconds).ok().and_then(|text| text.trim().parse::<f64>().ok());
    let pause = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    if let Some(pause) = pause {
        cx.with_keyspace(|_| std::thread::sleep(pause));
    }
}

/// Elements of this size are not packed with others from now on; 0 restores the usual size.
fn packed_threshold(threshold: &AtomicUsize, size: &[u8]) -> Result<(), Error> {
    /// Redis' limit: slightly below 4 GB.
    const SIZE_MAX: u64 = (1 << 32) - (1 << 20);
    match value::parse_memory(size) {
        Some(0) => threshold.store(NodeLimit::ALONE_LEN, Relaxed),
        Some(size @ 1..=SIZE_MAX) => threshold.store(size as usize, Relaxed),
        _ => {
            return Err(Error::new("ERR argument must be a memory value bigger than 1 and smaller than 4gb"));
        }
    }
    Ok(())
}

/// Checks the words; output buffers shrink by themselves whenever they are empty.
fn reply_buffer(args: &Args, what: &[u8], setting: &[u8]) -> Result<(), Error> {
    if what.eq_ignore_ascii_case(b"resizing") {
        return Ok(());
    }
    if !what.eq_ignore_ascii_case(b"peak-reset-time") {
        return Err(unknown_form(args));
    }
    let known = [&b"never"[..], b"reset"].iter().any(|word| setting.eq_ignore_ascii_case(word));
    if known || value::parse_strict(setting).is_some() { Ok(()) } else { Err(Error::NotInteger) }
}

/// Matches random patterns with random texts: nothing is expected but an end.
fn match_at_random(rng: &mut Rng) {
    const ALPHABET: &[u8] = b"ab*?[]^-\\\0";
    let mut word = |len: u64| -> Vec<u8> {
        (0..len).map(|_| ALPHABET[rng.below(ALPHABET.len() as u64) as usize]).collect()
    };
    for round in 0..50_000 {
        let (pattern, text) = (word(round % 32), word(round % 61));
        std::hint::black_box(glob_matches(&pattern, &text, Case::Sensitive));
    }
}

const HELP: [&str; 64] = [
    "AOF-FLUSH-SLEEP <microseconds>",
    "    Sleeps so long before the append-only file is written; 0 turns that off.",
    "ASSERT",
    "    Lets an assertion fail, which ends the server.",
    "CHANGE-REPL-ID",
    "    Begins another replication history.",
    "CLOCK FREEZE <unix-ms>|ADVANCE <ms>|JUMP <ms>|RESUME",
    "    Stops all clocks, moves them while they stand still, and lets them go again.",
    "CONFIG-REWRITE-FORCE-ALL",
    "    Writes all settings into the config file, those at their defaults too.",
    "DIGEST",
    "    Answers a fingerprint of the data set.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    Answers fingerprints of the values at keys.",
    "ERROR <text>",
    "    Answers with this error.",
    "HTSTATS <dbid>",
    "    Describes the tables of a database.",
    "HTSTATS-KEY <key>",
    "    Describes the table inside a value.",
    "JITTER <fraction>",
    "    Sets what stands for chance where commands of our own spread delays.",
    "KILL-SNAPSHOT",
    "    Lets the snapshot that is under way fail, as if somebody had killed its process.",
    "LOG <message>",
    "    Writes a message into the log.",
    "OBJECT <key>",
    "    Tells how a value is stored.",
    "PANIC",
    "    Panics, which ends the server.",
    "PAUSE-CRON <0|1>",
    "    Stops the periodic work.",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Creates keys <prefix>:<number> that are not there yet.",
    "PROTOCOL <type>",
    "    Answers with a reply of this type: string, integer, double, bignum, null, array, set, map,",
    "    attrib, push, verbatim, true or false.",
    "QUICKLIST-PACKED-THRESHOLD <size>",
    "    Sets the size from which elements of lists are not packed with others; 0 restores it.",
    "RELOAD [NOSAVE] [NOFLUSH] [MERGE]",
    "    Saves the data set and loads it again. NOSAVE loads the file that is there, NOFLUSH keeps the keys",
    "    that are there, MERGE lets the file replace them.",
    "REPLYBUFFER PEAK-RESET-TIME <NEVER|RESET|milliseconds>",
    "    Accepted; output buffers are given back when they are empty.",
    "REPLYBUFFER RESIZING <0|1>",
    "    Accepted, too.",
    "SDSLEN <key>",
    "    Tells the sizes of a key and its string.",
    "SEGFAULT",
    "    Ends the server with SIGSEGV.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Stops or starts the deletion of expired keys that nobody asks for.",
    "SET-DISABLE-DENY-SCRIPTS <0|1>",
    "    Lets scripts call every command.",
    "SET-SKIP-CHECKSUM-VALIDATION <0|1>",
    "    Lets RESTORE and files be loaded without a look at their checksums.",
    "SLEEP <seconds>",
    "    Stops the keyspace for a time, fractions allowed.",
    "STRINGMATCH-LEN <pattern> <text>",
    "    Matches a glob-style pattern.",
    "STRINGMATCH-TEST",
    "    Matches random patterns.",
    "STRUCTSIZE",
    "    Tells the sizes of the structures a key is stored in.",
];
