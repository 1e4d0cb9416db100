//! `FCALL` calls functions; `FUNCTION`: their libraries come, go, and are looked at.

use super::help::{help, unknown_form};
use super::script::{READS, WRITES, check_permits, checked_keys, feed_monitors, run};
use super::{Control, ControlCtx, Flow, control};
use crate::script::functions::{Declared, Policy, Set, dump, write_stats};
use crate::script::{Code, Invocation, Kind};
use crate::shared::add;
use std::sync::MutexGuard;
use std::sync::atomic::Ordering::Relaxed;
use tidegate_commands::families::{Case, glob_matches};
use tidegate_commands::model::{Acl, Args, Command, Error, Flag, KeySpec, Reply, container, parse_i64};

/// How long the code of a library may run while it is loaded.
const LOAD_MS_MAX: i64 = 500;

const COMPLEXITY: &str = "Depends on the function that is executed.";

pub(super) static FCALL: Command<Control> =
    control("FCALL", "function numkeys [key [key ...]] [arg [arg ...]]", |cx, args, reply| {
        fcall(cx, args, reply, false)
    })
    .about("7.0.0", COMPLEXITY, "Calls a function.")
    .arity(-3)
    .keys(
        KeySpec::counted(2, 1)
            .rw()
            .access()
            .update()
            .notes("We cannot tell how the keys will be used so we assume the worst, RW and UPDATE"),
    )
    .flags(WRITES)
    .acl(Acl::SCRIPTING);

pub(super) static FCALL_RO: Command<Control> =
    control("FCALL_RO", "function numkeys [key [key ...]] [arg [arg ...]]", |cx, args, reply| {
        fcall(cx, args, reply, true)
    })
    .about("7.0.0", COMPLEXITY, "Calls a function that only reads.")
    .arity(-3)
    .keys(
        KeySpec::counted(2, 1)
            .ro()
            .access()
            .notes("We cannot tell how the keys will be used so we assume the worst, RO and ACCESS"),
    )
    .flags(READS)
    .acl(Acl::SCRIPTING);

fn fcall(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply, read_only: bool) -> Result<Flow, Error> {
    feed_monitors(cx, args);
    let shared = cx.worker.eternal;
    let name = args.next()?;
    let Some(engine) = &mut cx.worker.engine else {
        return Err(Error::new("ERR This Redis command is not allowed from script"));
    };
    let callee = engine.functions.find(shared, name).ok_or(Error::new("ERR Function not found"))?;
    let keys = parse_i64(args.next()?).ok_or(Error::new("ERR Bad number of keys provided"))?;
    let keys = checked_keys(keys, args)?;
    check_permits(cx, callee.permits(), read_only)?;
    if let Some(engine) = &mut cx.worker.engine {
        engine.functions.prepare(&callee, shared.config.hot().script_memory_limit.get())?;
    }
    run(cx, Code::Function(&callee), Invocation { args, first_key: args.index(), keys, read_only }, reply)
}

pub(super) static FUNCTION: Command<Control> = container(
    "FUNCTION",
    &[
        &FUNCTION_DELETE,
        &FUNCTION_DUMP,
        &FUNCTION_FLUSH,
        &FUNCTION_HELP,
        &FUNCTION_KILL,
        &FUNCTION_LIST,
        &FUNCTION_LOAD,
        &FUNCTION_RESTORE,
        &FUNCTION_STATS,
    ],
)
.about("7.0.0", "Depends on subcommand.", "Manages functions.");

/// Every change of the libraries is one of the data set, which these words repeat whatever was there before. Call it before
/// anybody else changes them: under [`in_order`].
fn changed(cx: &mut ControlCtx, words: &[&[u8]]) {
    add(&cx.worker.stats.changes, 1);
    let within = cx.in_transaction();
    cx.worker.exec.journal_words(cx.session.db, words, within);
}

/// Keeps others from changing libraries until the change is journaled. A transaction does so itself, up to its end.
fn in_order(cx: &ControlCtx) -> Option<MutexGuard<'static, ()>> {
    (!cx.in_transaction()).then(|| cx.worker.eternal.libraries.in_order())
}

static FUNCTION_LOAD: Command<Control> = control("LOAD", "[REPLACE] function-code", |cx, args, reply| {
    let mut replaces = false;
    while args.remaining() > 1 {
        if !args.take_word("REPLACE") {
            let option = args.next()?;
            return Err(Error::text([b"ERR Unknown option given: ", option].concat()));
        }
        replaces = true;
    }
    let code = args.next()?;
    let libraries = &cx.worker.eternal.libraries;
    let order = in_order(cx);
    let name = libraries.load(code, replaces, LOAD_MS_MAX)?;
    changed(cx, &[b"FUNCTION", b"LOAD", b"REPLACE", code]);
    drop(order);
    reply.bulk(&name);
    Ok(Flow::Done)
})
.about("7.0.0", "O(1) (considering compilation time is redundant)", "Adds a library of functions.")
.arity(-3)
.flags(&[Flag::Noscript, Flag::Write, Flag::DenyOom])
.acl(Acl::SCRIPTING)
.tips(&["request_policy:all_shards", "response_policy:all_succeeded"]);

static FUNCTION_DELETE: Command<Control> = control("DELETE", "library-name", |cx, args, reply| {
    let name = args.next()?;
    let not_found = Err(Error::new("ERR Library not found"));
    let libraries = &cx.worker.eternal.libraries;
    let order = in_order(cx);
    libraries.change(|set| if set.remove(name) { Ok(()) } else { not_found })?;
    changed(cx, &[b"FUNCTION", b"DELETE", name]);
    drop(order);
    reply.ok();
    Ok(Flow::Done)
})
.about("7.0.0", "O(1)", "Removes a library and its functions.")
.arity(3)
.flags(&[Flag::Noscript, Flag::Write])
.acl(Acl::SCRIPTING)
.tips(&["request_policy:all_shards", "response_policy:all_succeeded"]);

static FUNCTION_FLUSH: Command<Control> = control("FLUSH", "[async: ASYNC|SYNC]", |cx, args, reply| {
    if args.remaining() > 1 {
        return Err(unknown_form(args));
    }
    if !args.is_done() && !args.take_word("SYNC") && !args.take_word("ASYNC") {
        return Err(Error::new("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"));
    }
    let libraries = &cx.worker.eternal.libraries;
    let order = in_order(cx);
    libraries.replace(Set::default());
    changed(cx, &[b"FUNCTION", b"FLUSH"]);
    drop(order);
    reply.ok();
    Ok(Flow::Done)
})
.about("7.0.0", "O(N) where N is the number of functions deleted", "Deletes all functions.")
.arity(-2)
.flags(&[Flag::Noscript, Flag::Write])
.acl(Acl::SCRIPTING)
.tips(&["request_policy:all_shards", "response_policy:all_succeeded"]);

static FUNCTION_LIST: Command<Control> =
    control("LIST", "[LIBRARYNAME library-name-pattern] [WITHCODE]", function_list)
        .about("7.0.0", "O(N) where N is the number of functions", "Lists the function libraries.")
        .arity(-2)
        .flags(&[Flag::Noscript])
        .acl(Acl::SCRIPTING)
        .tips(&["nondeterministic_output_order"]);

fn function_list(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let (mut pattern, mut with_code) = (None, false);
    while let Some(word) = args.peek() {
        if !with_code && args.take_word("WITHCODE") {
            with_code = true;
        } else if pattern.is_none() && args.take_word("LIBRARYNAME") {
            let given = args.next().map_err(|_| Error::new("ERR library name argument was not given"))?;
            pattern = Some(given);
        } else {
            return Err(Error::text([b"ERR Unknown argument ", word].concat()));
        }
    }
    let set = cx.shared().libraries.get();
    let matches = |name: &[u8]| pattern.is_none_or(|pattern| glob_matches(pattern, name, Case::Insensitive));
    let libraries: Vec<_> = set.libraries().filter(|library| matches(&library.name)).collect();
    reply.array(libraries.len());
    for library in libraries {
        reply.map(if with_code { 4 } else { 3 });
        reply.bulk(b"library_name");
        reply.bulk(&library.name);
        reply.bulk(b"engine");
        reply.bulk(b"LUA");
        reply.bulk(b"functions");
        reply.array(library.functions.len());
        library.functions.iter().for_each(|function| describe(function, reply));
        if with_code {
            reply.bulk(b"library_code");
            reply.bulk(&library.code);
        }
    }
    Ok(Flow::Done)
}

fn describe(function: &Declared, reply: &mut Reply) {
    reply.map(3);
    reply.bulk(b"name");
    reply.bulk(&function.name);
    reply.bulk(b"description");
    reply.bulk_or_null(function.description.as_deref());
    reply.bulk(b"flags");
    reply.set(function.flags.names().count());
    function.flags.names().for_each(|name| reply.simple(name));
}

static FUNCTION_STATS: Command<Control> = control("STATS", "", |cx, _, reply| {
    write_stats(cx.shared(), reply)?;
    Ok(Flow::Done)
})
.about("7.0.0", "O(1)", "Tells which function runs, and how many there are.")
.arity(2)
.flags(&[Flag::Noscript, Flag::AllowBusy])
.acl(Acl::SCRIPTING)
.tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]);

static FUNCTION_KILL: Command<Control> = control("KILL", "", |cx, _, reply| {
    cx.shared().scripts.busy.kill(Kind::Function)?;
    reply.ok();
    Ok(Flow::Done)
})
.about("7.0.0", "O(1)", "Ends the function that runs for too long.")
.arity(2)
.flags(&[Flag::Noscript, Flag::AllowBusy])
.acl(Acl::SCRIPTING)
.tips(&["request_policy:all_shards", "response_policy:one_succeeded"]);

static FUNCTION_DUMP: Command<Control> = control("DUMP", "", |cx, _, reply| {
    let shared = cx.shared();
    reply.bulk(&dump(&shared.libraries.get(), shared.config.hot().rdbcompression.get()));
    Ok(Flow::Done)
})
.about("7.0.0", "O(N) where N is the number of functions", "Returns all libraries as a payload.")
.arity(2)
.flags(&[Flag::Noscript])
.acl(Acl::SCRIPTING);

static FUNCTION_RESTORE: Command<Control> =
    control("RESTORE", "serialized-value [policy: FLUSH|APPEND|REPLACE]", |cx, args, reply| {
        if args.remaining() > 2 {
            return Err(unknown_form(args));
        }
        let payload = args.next()?;
        let policy = match args.peek().map(<[u8]>::to_ascii_lowercase).as_deref() {
            None | Some(b"append") => Policy::Append,
            Some(b"replace") => Policy::Replace,
            Some(b"flush") => Policy::Flush,
            Some(_) => {
                return Err(Error::new(
                    "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
                ));
            }
        };
        let shared = cx.worker.eternal;
        let verify = !shared.debug.skip_checksums.load(Relaxed);
        let order = in_order(cx);
        shared.libraries.restore(payload, policy, verify, LOAD_MS_MAX)?;
        let policy: &[u8] = if matches!(policy, Policy::Flush) { b"FLUSH" } else { b"REPLACE" };
        changed(cx, &[b"FUNCTION", b"RESTORE", payload, policy]);
        drop(order);
        reply.ok();
        Ok(Flow::Done)
    })
    .about(
        "7.0.0",
        "O(N) where N is the number of functions on the payload",
        "Adds the libraries of a payload.",
    )
    .arity(-3)
    .flags(&[Flag::Noscript, Flag::Write, Flag::DenyOom])
    .acl(Acl::SCRIPTING)
    .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]);

static FUNCTION_HELP: Command<Control> = control("HELP", "", |_, _, reply| {
    help(reply, "FUNCTION", HELP);
    Ok(Flow::Done)
})
.about("7.0.0", "O(1)", "Lists the subcommands.")
.arity(2)
.flags(&[Flag::Loading, Flag::Stale])
.acl(Acl::SCRIPTING);

const HELP: &[&str] = &[
    "DELETE <library-name>",
    "    Removes a library and its functions.",
    "DUMP",
    "    Returns all libraries as a payload for FUNCTION RESTORE.",
    "FLUSH [ASYNC|SYNC]",
    "    Deletes all functions.",
    "KILL",
    "    Ends the function that runs, unless it has written.",
    "LIST [LIBRARYNAME <pattern>] [WITHCODE]",
    "    Lists the function libraries.",
    "LOAD [REPLACE] <function-code>",
    "    Adds a library of functions.",
    "RESTORE <payload> [FLUSH|APPEND|REPLACE]",
    "    Adds the libraries of a payload. Those that are there go (FLUSH), must have other",
    "    names (APPEND, which is the default), or give way to those of the same name (REPLACE).",
    "STATS",
    "    Tells which function runs, and how many libraries and functions there are.",
];
