//! `EVAL`, `EVALSHA` and `SCRIPT`.

use super::functions::{FCALL, FCALL_RO, FUNCTION};
use super::help::help;
use super::pubsub::deliver;
use super::{Control, ControlCtx, Flow, control};
use crate::dispatch::monitor_line;
use crate::script::{Code, Invocation, Kind, Permits, Script, Sha, parse_sha, sha_of};
use crate::shared::add;
use std::borrow::Cow;
use std::sync::Arc;
use tidegate_commands::model::{
    Acl, Args, Command, Error, Family, Flag, KeySpec, Reply, container, family, parse_i64,
};

pub(super) static FAMILY: Family<Control> = family(
    "scripting",
    Acl::NONE,
    &[&EVAL, &EVAL_RO, &EVALSHA, &EVALSHA_RO, &SCRIPT, &FCALL, &FCALL_RO, &FUNCTION],
);

const COMPLEXITY: &str = "Depends on the script that is executed.";
pub(super) const WRITES: &[Flag] =
    &[Flag::Noscript, Flag::Stale, Flag::SkipMonitor, Flag::NoMandatoryKeys, Flag::MayReplicate];
pub(super) const READS: &[Flag] =
    &[Flag::Noscript, Flag::Stale, Flag::SkipMonitor, Flag::NoMandatoryKeys, Flag::Readonly];

static EVAL: Command<Control> =
    control("EVAL", "script numkeys [key [key ...]] [arg [arg ...]]", |cx, args, reply| {
        eval(cx, args, reply, false, false)
    })
    .about("2.6.0", COMPLEXITY, "Runs a script.")
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

static EVAL_RO: Command<Control> =
    control("EVAL_RO", "script numkeys [key [key ...]] [arg [arg ...]]", |cx, args, reply| {
        eval(cx, args, reply, false, true)
    })
    .about("7.0.0", COMPLEXITY, "Runs a script that only reads.")
    .arity(-3)
    .keys(
        KeySpec::counted(2, 1)
            .ro()
            .access()
            .notes("We cannot tell how the keys will be used so we assume the worst, RO and ACCESS"),
    )
    .flags(READS)
    .acl(Acl::SCRIPTING);

static EVALSHA: Command<Control> =
    control("EVALSHA", "sha1 numkeys [key [key ...]] [arg [arg ...]]", |cx, args, reply| {
        eval(cx, args, reply, true, false)
    })
    .about("2.6.0", COMPLEXITY, "Runs a cached script.")
    .arity(-3)
    .keys(KeySpec::counted(2, 1).rw().access().update())
    .flags(WRITES)
    .acl(Acl::SCRIPTING);

static EVALSHA_RO: Command<Control> =
    control("EVALSHA_RO", "sha1 numkeys [key [key ...]] [arg [arg ...]]", |cx, args, reply| {
        eval(cx, args, reply, true, true)
    })
    .about("7.0.0", COMPLEXITY, "Runs a cached script that only reads.")
    .arity(-3)
    .keys(KeySpec::counted(2, 1).ro().access())
    .flags(READS)
    .acl(Acl::SCRIPTING);

fn eval(
    cx: &mut ControlCtx,
    args: &mut Args,
    reply: &mut Reply,
    by_sha: bool,
    read_only: bool,
) -> Result<Flow, Error> {
    feed_monitors(cx, args);
    let text = args.next()?;
    let no_such_script = || Error::new("NOSCRIPT No matching script. Please use EVAL.");
    if by_sha && text.len() != 40 {
        return Err(no_such_script());
    }
    let sha = if by_sha { parse_sha(text) } else { Some(sha_of(text)) };
    let keys = parse_i64(args.next()?).ok_or(Error::NotInteger)?;
    let keys = checked_keys(keys, args)?;
    let script = match (sha, by_sha) {
        (None, _) => return Err(no_such_script()),
        (Some(sha), true) => find(cx, &sha)?.ok_or_else(no_such_script)?,
        (Some(sha), false) => {
            if let Some(script) = find(cx, &sha)? {
                script
            } else {
                let script = load(cx, text)?;
                let shared = cx.shared();
                shared.scripts.bring(&script, shared.config.hot().script_memory_limit.get());
                script
            }
        }
    };
    check_permits(cx, script.shebang.permits, read_only)?;
    run(cx, Code::Script(&script), Invocation { args, first_key: args.index(), keys, read_only }, reply)
}

/// How many of the arguments that follow are keys.
pub(super) fn checked_keys(keys: i64, args: &Args) -> Result<usize, Error> {
    if keys > args.remaining() as i64 {
        return Err(Error::new("ERR Number of keys can't be greater than number of args"));
    }
    usize::try_from(keys).map_err(|_| Error::new("ERR Number of keys can't be negative"))
}

/// Whether a script or a function may run now.
pub(super) fn check_permits(cx: &ControlCtx, permits: Permits, read_only: bool) -> Result<(), Error> {
    if permits.declared {
        if permits.no_cluster && cx.shared().config.hot().cluster_enabled.get() {
            return Err(Error::new("ERR Can not run script on cluster, 'no-cluster' flag is set."));
        }
        if permits.may_write()
            && cx.worker.disk_trouble
            && let Some(trouble) = cx.shared().disk_trouble()
        {
            return Err(trouble.refusal_of_script());
        }
        if permits.may_write() && read_only {
            return Err(Error::new("ERR Can not execute a script with write flag using *_ro command."));
        }
        if cx.worker.out_of_memory && permits.needs_memory() {
            return Err(Error::new(
                "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'",
            ));
        }
    }
    Ok(())
}

/// Runs a script or a function.
pub(super) fn run(
    cx: &mut ControlCtx,
    code: Code<'_>,
    call: Invocation<'_>,
    reply: &mut Reply,
) -> Result<Flow, Error> {
    let transaction = match (&mut cx.hold, cx.roam) {
        (Some(hold), Some(roam)) => Some((&mut **hold, roam)),
        (Some(_), None) => return Err(Error::new("ERR This Redis command is not allowed from script")),
        (None, _) => None,
    };
    let (is_alone, mark) = (transaction.is_none(), reply.mark());
    let verdict = cx.worker.run_script(cx.session, code, call, transaction, reply)?;
    if is_alone && !cx.session.client.mailbox.is_empty() {
        // What it published to its own connection comes before the reply, as with PUBLISH.
        reply.before(mark, |reply| deliver(cx, reply));
    }
    if verdict.failed {
        add(&cx.worker.stats.commands[cx.entry.id].failed, 1);
        for text in &verdict.uncounted {
            cx.worker.count_error_text(text);
        }
    }
    Ok(Flow::Done)
}

/// Before the script's own commands, not after them as with other commands.
pub(super) fn feed_monitors(cx: &mut ControlCtx, args: &Args) {
    if cx.shared().clients.is_monitored() {
        let words: Vec<Cow<'_, [u8]>> = (0..args.len()).map(|index| args.get(index).into()).collect();
        cx.shared().feed_monitors(&monitor_line(cx.session, &words));
    }
}

/// The script with this SHA1, compiled for this thread.
fn find(cx: &mut ControlCtx, sha: &Sha) -> Result<Option<Arc<Script>>, Error> {
    let shared = cx.worker.eternal;
    let Some(engine) = &mut cx.worker.engine else { return Ok(None) };
    if let Some(script) = engine.known(shared, sha) {
        return Ok(Some(script));
    }
    let Some(script) = shared.scripts.get(sha) else { return Ok(None) };
    engine.compile(shared, cx.worker.exec.rng(), &script)?;
    Ok(Some(script))
}

/// Compiles a script for this thread.
fn load(cx: &mut ControlCtx, text: &[u8]) -> Result<Arc<Script>, Error> {
    let shared = cx.worker.eternal;
    let script = Arc::new(Script::new(text)?);
    let Some(engine) = &mut cx.worker.engine else {
        return Err(Error::new("ERR This Redis command is not allowed from script"));
    };
    engine.compile(shared, cx.worker.exec.rng(), &script)?;
    Ok(script)
}

static SCRIPT: Command<Control> = container(
    "SCRIPT",
    &[&SCRIPT_DEBUG, &SCRIPT_EXISTS, &SCRIPT_FLUSH, &SCRIPT_HELP, &SCRIPT_KILL, &SCRIPT_LOAD, &SCRIPT_SHOW],
)
.about("2.6.0", "Depends on subcommand.", "Manages cached scripts.");

static SCRIPT_DEBUG: Command<Control> = control("DEBUG", "<mode: YES|SYNC|NO>", |_, args, reply| {
    if args.take_word("NO") {
        reply.ok();
        return Ok(Flow::Done);
    }
    if args.take_word("YES") || args.take_word("SYNC") {
        return Err(Error::new("ERR There is no debugger of scripts"));
    }
    Err(Error::new("ERR Use SCRIPT DEBUG YES/SYNC/NO"))
})
.about("3.2.0", "O(1)", "Sets the debugging of scripts: there is none.")
.arity(3)
.flags(&[Flag::Noscript])
.acl(Acl::SCRIPTING);

static SCRIPT_EXISTS: Command<Control> = control("EXISTS", "sha1 [sha1 ...]", |cx, args, reply| {
    reply.array(args.remaining());
    for text in args.rest() {
        let is_there = parse_sha(text).is_some_and(|sha| cx.shared().scripts.get(&sha).is_some());
        reply.integer(i64::from(is_there));
    }
    Ok(Flow::Done)
})
.about(
    "2.6.0",
    "O(N) with N being the number of scripts to check (so checking a single script is an O(1) operation).",
    "Tells which scripts are cached.",
)
.arity(-3)
.flags(&[Flag::Noscript])
.acl(Acl::SCRIPTING)
.tips(&["request_policy:all_shards", "response_policy:agg_logical_and"]);

static SCRIPT_FLUSH: Command<Control> = control("FLUSH", "[async: ASYNC|SYNC]@6.2.0", |cx, args, reply| {
    if !args.is_done() && (!(args.take_word("SYNC") || args.take_word("ASYNC")) || !args.is_done()) {
        return Err(Error::new("ERR SCRIPT FLUSH only support SYNC|ASYNC option"));
    }
    cx.shared().scripts.flush();
    reply.ok();
    Ok(Flow::Done)
})
.about("2.6.0", "O(N) with N being the number of scripts in cache", "Forgets all cached scripts.")
.arity(-2)
.flags(&[Flag::Noscript])
.acl(Acl::SCRIPTING)
.tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
.history(&[("6.2.0", "Added the `ASYNC` and `SYNC` flushing mode modifiers.")]);

static SCRIPT_KILL: Command<Control> = control("KILL", "", |cx, _, reply| {
    cx.shared().scripts.busy.kill(Kind::Eval)?;
    reply.ok();
    Ok(Flow::Done)
})
.about("2.6.0", "O(1)", "Ends the script that runs for too long.")
.arity(2)
.flags(&[Flag::Noscript, Flag::AllowBusy])
.acl(Acl::SCRIPTING)
.tips(&["request_policy:all_shards", "response_policy:one_succeeded"]);

static SCRIPT_LOAD: Command<Control> = control("LOAD", "script", |cx, args, reply| {
    let text = args.next()?;
    let script = match find(cx, &sha_of(text))? {
        Some(script) => script,
        None => load(cx, text)?,
    };
    cx.shared().scripts.keep(&script);
    reply.bulk(script.name().as_bytes());
    Ok(Flow::Done)
})
.about(
    "2.6.0",
    "O(N) with N being the length in bytes of the script body.",
    "Compiles a script and caches it.",
)
.arity(3)
.flags(&[Flag::Noscript, Flag::Stale])
.acl(Acl::SCRIPTING)
.tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]);

static SCRIPT_SHOW: Command<Control> = control("SHOW", "sha1", |cx, args, reply| {
    let script = parse_sha(args.next()?).and_then(|sha| cx.shared().scripts.get(&sha));
    let script = script.ok_or(Error::new("NOSCRIPT No matching script."))?;
    reply.bulk(&script.text);
    Ok(Flow::Done)
})
.about("8.0.0", "O(1).", "Shows the text of a cached script.")
.arity(3)
.flags(&[Flag::Noscript])
.acl(Acl::SCRIPTING);

static SCRIPT_HELP: Command<Control> = control("HELP", "", |_, _, reply| {
    help(
        reply,
        "SCRIPT",
        &[
            "DEBUG (YES|SYNC|NO)",
            "    Sets the debugging of scripts. There is no debugger: only NO is accepted.",
            "EXISTS <sha1> [<sha1> ...]",
            "    Tells which scripts are cached.",
            "FLUSH [ASYNC|SYNC]",
            "    Forgets all cached scripts.",
            "KILL",
            "    Ends the script that runs for too long, if it has not written.",
            "LOAD <script>",
            "    Compiles a script and caches it.",
            "SHOW <sha1>",
            "    Shows the text of a cached script.",
        ],
    );
    Ok(Flow::Done)
})
.about("5.0.0", "O(1)", "Lists the subcommands.")
.arity(2)
.flags(&[Flag::Loading, Flag::Stale])
.acl(Acl::SCRIPTING);
