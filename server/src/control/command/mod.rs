//! `COMMAND`: what commands there are, what they look like, where their keys are. Everything is read from the
//! registry, that is from the declarations.

mod docs;
mod info;
mod keys;

use super::help::help as help_lines;
use super::{Control, ControlCtx, Flow, control};
use crate::registry::{Entry, Registry};
use tidegate_commands::families::{Case, glob_matches};
use tidegate_commands::model::{Acl, Args, Command, Error, Family, Flag, Reply, family};

pub(super) static FAMILY: Family<Control> = family("server", Acl::CONNECTION, &[&COMMAND]);

static COMMAND: Command<Control> = control("COMMAND", "", command)
    .about(
        "2.8.13",
        "O(N) where N is the total number of Redis commands",
        "Tells the properties of all commands.",
    )
    .arity(-1)
    .flags(&[Flag::Loading, Flag::Stale])
    .tips(&["nondeterministic_output_order"])
    .subcommands(&[&COUNT, &LIST, &INFO, &DOCS, &GETKEYS, &GETKEYSANDFLAGS, &HELP]);

fn command(cx: &mut ControlCtx, _: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    all(cx, reply);
    Ok(Flow::Done)
}

fn all(cx: &ControlCtx, reply: &mut Reply) {
    let registry = cx.shared().registry;
    reply.array(registry.callable().count());
    for entry in registry.callable() {
        info::write(entry, reply);
    }
}

static COUNT: Command<Control> = control("COUNT", "", count)
    .about("2.8.13", "O(1)", "Tells how many commands there are.")
    .arity(2)
    .flags(&[Flag::Loading, Flag::Stale]);

fn count(cx: &mut ControlCtx, _: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    reply.integer(cx.shared().registry.callable().count() as i64);
    Ok(Flow::Done)
}

static LIST: Command<Control> =
    control("LIST", "[FILTERBY <filterby: MODULE module-name|ACLCAT category|PATTERN pattern>]", list)
        .about("7.0.0", "O(N) where N is the total number of Redis commands", "Lists the names of commands.")
        .arity(-2)
        .flags(&[Flag::Loading, Flag::Stale])
        .tips(&["nondeterministic_output_order"]);

/// What `COMMAND LIST` leaves in.
enum Filter<'a> {
    Everything,
    /// An unknown category holds no command.
    Category(Option<Acl>),
    Pattern(&'a [u8]),
    /// Commands come from no module.
    Module,
}

impl<'a> Filter<'a> {
    fn parse(args: &mut Args<'a>) -> Result<Self, Error> {
        let mut filter = Filter::Everything;
        while !args.is_done() {
            if !args.take_word("FILTERBY") || args.remaining() != 2 {
                return Err(Error::Syntax);
            }
            let kind = args.next()?;
            let value = args.next()?;
            filter = match kind.to_ascii_lowercase().as_slice() {
                b"module" => Filter::Module,
                b"aclcat" => Filter::Category(category(value)),
                b"pattern" => Filter::Pattern(value),
                _ => return Err(Error::Syntax),
            };
        }
        Ok(filter)
    }

    fn wants(&self, entry: &Entry) -> bool {
        match self {
            Filter::Everything => true,
            Filter::Category(category) => category.is_some_and(|category| entry.acl.has(category)),
            Filter::Pattern(pattern) => glob_matches(pattern, entry.name.as_bytes(), Case::Insensitive),
            Filter::Module => false,
        }
    }
}

fn category(name: &[u8]) -> Option<Acl> {
    let found = Acl::ALL.iter().find(|(_, known)| known.as_bytes().eq_ignore_ascii_case(name));
    found.map(|(category, _)| *category)
}

fn list(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let filter = Filter::parse(args)?;
    let entries = cx.shared().registry.callable();
    let with_subcommands = entries.flat_map(|entry| std::iter::once(entry).chain(&entry.subcommands));
    let wanted: Vec<&Entry> = with_subcommands.filter(|entry| filter.wants(entry)).collect();
    reply.array(wanted.len());
    for entry in wanted {
        reply.bulk(entry.name.as_bytes());
    }
    Ok(Flow::Done)
}

static INFO: Command<Control> = control("INFO", "[command-name [command-name ...]]", info)
    .about(
        "2.8.13",
        "O(N) where N is the number of commands to look up",
        "Tells the properties of some commands, or of all.",
    )
    .arity(-2)
    .flags(&[Flag::Loading, Flag::Stale])
    .tips(&["nondeterministic_output_order"])
    .history(&[("7.0.0", "Without a name it tells about all commands.")]);

fn info(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    if args.is_done() {
        all(cx, reply);
        return Ok(Flow::Done);
    }
    let names = args.rest();
    reply.array(names.len());
    for name in names {
        match named(cx.shared().registry, name) {
            Some(entry) => info::write(entry, reply),
            None => reply.null(),
        }
    }
    Ok(Flow::Done)
}

/// The command called `name`, or the subcommand called `container|name`.
fn named<'r>(registry: &'r Registry, name: &[u8]) -> Option<&'r Entry> {
    let mut words = name.split(|byte| *byte == b'|');
    let entry = registry.lookup(words.next()?)?;
    match (words.next(), words.next()) {
        (None, _) => Some(entry),
        (Some(own), None) => entry.subcommand(own),
        (Some(_), Some(_)) => None,
    }
}

static DOCS: Command<Control> = control("DOCS", "[command-name [command-name ...]]", docs)
    .about(
        "7.0.0",
        "O(N) where N is the number of commands to look up",
        "Tells the documentation of some commands, or of all.",
    )
    .arity(-2)
    .flags(&[Flag::Loading, Flag::Stale])
    .tips(&["nondeterministic_output_order"]);

/// Unlike `COMMAND INFO`, this leaves unknown names out.
fn docs(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let registry = cx.shared().registry;
    let entries: Vec<&Entry> = if args.is_done() {
        registry.callable().collect()
    } else {
        args.rest().filter_map(|name| named(registry, name)).collect()
    };
    docs::write_all(entries.into_iter(), reply);
    Ok(Flow::Done)
}

static GETKEYS: Command<Control> = control("GETKEYS", "", getkeys)
    .about(
        "2.8.13",
        "O(N) where N is the number of arguments to the command",
        "Tells which arguments of a request are keys.",
    )
    .arity(-4)
    .flags(&[Flag::Loading, Flag::Stale]);

fn getkeys(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let request: Vec<&[u8]> = args.rest().collect();
    let keys = keys::of_request(cx.shared().registry, &request)?;
    reply.array(keys.len());
    for key in keys {
        reply.bulk(request[key.arg]);
    }
    Ok(Flow::Done)
}

static GETKEYSANDFLAGS: Command<Control> = control("GETKEYSANDFLAGS", "", getkeysandflags)
    .about(
        "7.0.0",
        "O(N) where N is the number of arguments to the command",
        "Tells which arguments of a request are keys and what would happen to them.",
    )
    .arity(-4)
    .flags(&[Flag::Loading, Flag::Stale]);

fn getkeysandflags(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let request: Vec<&[u8]> = args.rest().collect();
    let keys = keys::of_request(cx.shared().registry, &request)?;
    reply.array(keys.len());
    for key in keys {
        reply.array(2);
        reply.bulk(request[key.arg]);
        info::write_statuses(key.flags.names(), reply);
    }
    Ok(Flow::Done)
}

static HELP: Command<Control> = control("HELP", "", help)
    .about("5.0.0", "O(1)", "Lists the subcommands.")
    .arity(2)
    .flags(&[Flag::Loading, Flag::Stale]);

fn help(_: &mut ControlCtx, _: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    help_lines(reply, "COMMAND", &HELP_LINES);
    Ok(Flow::Done)
}

const HELP_LINES: [&str; 14] = [
    "(no subcommand)",
    "    The properties of all commands.",
    "COUNT",
    "    The number of commands.",
    "LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]",
    "    The names of all commands, or of those that pass the filter.",
    "INFO [<command-name> ...]",
    "    The properties of these commands, or of all.",
    "DOCS [<command-name> ...]",
    "    The documentation of these commands, or of all.",
    "GETKEYS <full-command>",
    "    The keys among the arguments of a request.",
    "GETKEYSANDFLAGS <full-command>",
    "    The same, with what would happen to each key.",
];
