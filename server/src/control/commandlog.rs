//! `COMMANDLOG` of Valkey 8.1: commands that took long, and those whose request or reply was large. The log of slow commands is
//! what `SLOWLOG` shows.

use super::help::help;
use super::slowlog::{count_of, write_newest};
use super::{Control, ControlCtx, Flow, control};
use crate::shared::{Shared, Slowlog};
use tidegate_commands::model::{Acl, Args, Command, Error, Family, Flag, Reply, container, family};

pub(super) static FAMILY: Family<Control> = family("server", Acl::NONE, &[&COMMANDLOG]);

static COMMANDLOG: Command<Control> = container("COMMANDLOG", &[&GET, &HELP, &LEN, &RESET]).about(
    "8.1.0",
    "Depends on subcommand.",
    "A container of commands about the logs of slow and of large commands.",
);

const TYPE_SYNTAX: &str = "<type: slow: SLOW|large-request: LARGE-REQUEST|large-reply: LARGE-REPLY>";

fn log_of<'s>(shared: &'s Shared, name: &[u8]) -> Result<&'s Slowlog, Error> {
    let logs: [(&str, &Slowlog); 3] = [
        ("slow", &shared.slowlog),
        ("large-request", &shared.large_requests),
        ("large-reply", &shared.large_replies),
    ];
    let found = logs.into_iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name));
    let unknown = Error::new("ERR type should be one of the following: slow, large-request, large-reply");
    found.map(|(_, log)| log).ok_or(unknown)
}

static GET: Command<Control> = control(
    "GET",
    "count <type: slow: SLOW|large-request: LARGE-REQUEST|large-reply: LARGE-REPLY>",
    |cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply| {
        let count = count_of(args.next()?)?;
        let log = log_of(cx.shared(), args.next()?)?;
        write_newest(log, count, reply);
        Ok(Flow::Done)
    },
)
.about("8.1.0", "O(N) where N is the number of entries returned", "Returns the newest entries of a log.")
.arity(4)
.flags(&[Flag::Admin, Flag::Loading, Flag::Stale])
.tips(&["request_policy:all_nodes", "nondeterministic_output"]);

static LEN: Command<Control> = control("LEN", TYPE_SYNTAX, |cx, args, reply| {
    reply.integer(log_of(cx.shared(), args.next()?)?.len() as i64);
    Ok(Flow::Done)
})
.about("8.1.0", "O(1)", "Returns the number of entries of a log.")
.arity(3)
.flags(&[Flag::Admin, Flag::Loading, Flag::Stale])
.tips(&["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"]);

static RESET: Command<Control> = control("RESET", TYPE_SYNTAX, |cx, args, reply| {
    log_of(cx.shared(), args.next()?)?.reset();
    reply.ok();
    Ok(Flow::Done)
})
.about("8.1.0", "O(N) where N is the number of entries of the log", "Forgets all entries of a log.")
.arity(3)
.flags(&[Flag::Admin, Flag::Loading, Flag::Stale])
.tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]);

static HELP: Command<Control> = control("HELP", "", |_, _, reply| {
    help(
        reply,
        "COMMANDLOG",
        &[
            "GET <count> <type>",
            "    The newest <count> entries (-1 for all) of a log, each of them:",
            "    id, time, microseconds or bytes, arguments, client address, client name.",
            "LEN <type>",
            "    The number of entries of a log.",
            "RESET <type>",
            "    Forget all entries of a log.",
            "The types are slow, large-request and large-reply.",
        ],
    );
    Ok(Flow::Done)
})
.about("8.1.0", "O(1)", "Lists the subcommands.")
.arity(2)
.flags(&[Flag::Loading, Flag::Stale]);
