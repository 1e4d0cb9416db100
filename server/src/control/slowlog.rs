//! `SLOWLOG`: the latest commands that took long.

use super::help::help;
use super::{Control, ControlCtx, Flow, control};
use crate::shared::Slowlog;
use tidegate_commands::model::{
    Acl, Args, Command, Error, Family, Flag, Reply, container, family, parse_i64,
};

pub(super) static FAMILY: Family<Control> = family("server", Acl::NONE, &[&SLOWLOG]);

static SLOWLOG: Command<Control> = container("SLOWLOG", &[&GET, &HELP, &LEN, &RESET]).about(
    "2.2.12",
    "Depends on subcommand.",
    "A container of commands about the slow log.",
);

static GET: Command<Control> = control("GET", "[count]", get)
    .about("2.2.12", "O(N) where N is the number of entries returned", "Returns the newest entries.")
    .arity(-2)
    .flags(&[Flag::Admin, Flag::Loading, Flag::Stale])
    .tips(&["request_policy:all_nodes", "nondeterministic_output"])
    .history(&[("4.0.0", "Added client IP address, port and name to the reply.")]);

/// Entries returned when the client does not say how many.
const COUNT_DEFAULT: usize = 10;

fn get(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    if args.remaining() > 1 {
        return Err(super::help::unknown_form(args));
    }
    let count = args.peek().map_or(Ok(COUNT_DEFAULT), count_of)?;
    write_newest(&cx.shared().slowlog, count, reply);
    Ok(Flow::Done)
}

/// How many entries are asked for.
pub(super) fn count_of(word: &[u8]) -> Result<usize, Error> {
    match parse_i64(word) {
        Some(-1) => Ok(usize::MAX),
        Some(count @ 0..) => Ok(count as usize),
        _ => Err(Error::new("ERR count should be greater than or equal to -1")),
    }
}

/// Writes the newest entries of a log.
pub(super) fn write_newest(log: &Slowlog, count: usize, reply: &mut Reply) {
    let entries = log.newest(count);
    reply.array(entries.len());
    for entry in &entries {
        reply.array(6);
        reply.integer(entry.id as i64);
        reply.integer(entry.time_s);
        reply.integer(entry.amount);
        reply.array(entry.args.len());
        for arg in &entry.args {
            reply.bulk(arg);
        }
        reply.bulk(entry.addr.as_bytes());
        reply.bulk(entry.name.as_bytes());
    }
}

static LEN: Command<Control> = control("LEN", "", |cx, _, reply| {
    reply.integer(cx.shared().slowlog.len() as i64);
    Ok(Flow::Done)
})
.about("2.2.12", "O(1)", "Returns the number of entries.")
.arity(2)
.flags(&[Flag::Admin, Flag::Loading, Flag::Stale])
.tips(&["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"]);

static RESET: Command<Control> = control("RESET", "", |cx, _, reply| {
    cx.shared().slowlog.reset();
    reply.ok();
    Ok(Flow::Done)
})
.about("2.2.12", "O(N) where N is the number of entries in the slowlog", "Forgets all entries.")
.arity(2)
.flags(&[Flag::Admin, Flag::Loading, Flag::Stale])
.tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]);

static HELP: Command<Control> = control("HELP", "", |_, _, reply| {
    help(
        reply,
        "SLOWLOG",
        &[
            "GET [<count>]",
            "    The newest <count> entries (default: 10; -1 for all), each of them:",
            "    id, time, microseconds, arguments, client address, client name.",
            "LEN",
            "    The number of entries.",
            "RESET",
            "    Forget all entries.",
        ],
    );
    Ok(Flow::Done)
})
.about("6.2.0", "O(1)", "Lists the subcommands.")
.arity(2)
.flags(&[Flag::Loading, Flag::Stale]);
