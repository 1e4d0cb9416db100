//! `SCRIPT`, as far as it can be answered without a script engine: there are no scripts, and forgetting all of them
//! succeeds.

use super::functions::FUNCTION;
use super::help::help;
use super::{Control, Flow, control};
use tidegate_commands::model::{Acl, Args, Command, Error, Family, Flag, Reply, container, family};

pub(super) static FAMILY: Family<Control> = family("scripting", Acl::NONE, &[&FUNCTION, &SCRIPT]);

fn flush(args: &mut Args, reply: &mut Reply, refusal: Error) -> Result<Flow, Error> {
    if !args.is_done() && (!(args.take_word("SYNC") || args.take_word("ASYNC")) || !args.is_done()) {
        return Err(refusal);
    }
    reply.ok();
    Ok(Flow::Done)
}

static SCRIPT: Command<Control> = container("SCRIPT", &[&SCRIPT_EXISTS, &SCRIPT_FLUSH, &SCRIPT_HELP]).about(
    "2.6.0",
    "Depends on subcommand.",
    "Manages cached scripts.",
);

static SCRIPT_EXISTS: Command<Control> = control("EXISTS", "sha1 [sha1 ...]", |_, args, reply| {
    reply.array(args.remaining());
    args.rest().for_each(|_| reply.integer(0));
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

static SCRIPT_FLUSH: Command<Control> = control("FLUSH", "[async: ASYNC|SYNC]@6.2.0", |_, args, reply| {
    flush(args, reply, Error::new("ERR SCRIPT FLUSH only support SYNC|ASYNC option"))
})
.about("2.6.0", "O(N) with N being the number of scripts in cache", "Forgets all cached scripts.")
.arity(-2)
.flags(&[Flag::Noscript])
.acl(Acl::SCRIPTING)
.tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
.history(&[("6.2.0", "Added the `ASYNC` and `SYNC` flushing mode modifiers.")]);

static SCRIPT_HELP: Command<Control> = control("HELP", "", |_, _, reply| {
    help(
        reply,
        "SCRIPT",
        &[
            "EXISTS <sha1> [<sha1> ...]",
            "    Tells which scripts are cached.",
            "FLUSH [ASYNC|SYNC]",
            "    Forgets all cached scripts.",
        ],
    );
    Ok(Flow::Done)
})
.about("5.0.0", "O(1)", "Lists the subcommands.")
.arity(2)
.flags(&[Flag::Loading, Flag::Stale])
.acl(Acl::SCRIPTING);
