//! `ACL`: who this connection is, and which commands are of which category.

use super::help::help;
use super::{Control, ControlCtx, Flow, control};
use crate::registry::Entry;
use tidegate_commands::model::{Acl, Args, Command, Error, Family, Flag, Reply, container, family};

pub(super) static FAMILY: Family<Control> = family("server", Acl::NONE, &[&ACL]);

static ACL: Command<Control> = container("ACL", &[&CAT, &HELP, &WHOAMI]).about(
    "6.0.0",
    "Depends on subcommand.",
    "A container of commands about users and their rights.",
);

static CAT: Command<Control> = control("CAT", "[categoryname]", cat)
    .about(
        "6.0.0",
        "O(1) since the categories and commands are a fixed set.",
        "Lists the categories, or the commands of one.",
    )
    .arity(-2)
    .flags(&[Flag::Noscript, Flag::Loading, Flag::Stale]);

fn cat(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    if args.remaining() > 1 {
        return Err(super::help::unknown_form(args));
    }
    let Some(wanted) = args.peek() else {
        reply.array(Acl::ALL.len());
        for (_, name) in Acl::ALL {
            reply.bulk(name.as_bytes());
        }
        return Ok(Flow::Done);
    };
    let found = Acl::ALL.iter().find(|(_, name)| wanted.eq_ignore_ascii_case(name.as_bytes()));
    let Some((category, _)) = found else {
        let mut text = b"ERR Unknown category '".to_vec();
        text.extend_from_slice(&wanted[..wanted.len().min(128)]);
        text.push(b'\'');
        return Err(Error::text(text));
    };
    let entries = cx.shared().registry.entries().iter();
    let all = entries.flat_map(|entry| std::iter::once(entry).chain(&entry.subcommands));
    let names: Vec<&Entry> = all.filter(|entry| entry.acl.has(*category)).collect();
    reply.array(names.len());
    for entry in names {
        reply.bulk(entry.name.as_bytes());
    }
    Ok(Flow::Done)
}

static WHOAMI: Command<Control> = control("WHOAMI", "", |cx, _, reply| {
    reply.bulk(cx.session.client.user.get().as_bytes());
    Ok(Flow::Done)
})
.about("6.0.0", "O(1)", "Returns the name of the user of this connection.")
.arity(2)
.flags(&[Flag::Noscript, Flag::Loading, Flag::Stale]);

static HELP: Command<Control> = control("HELP", "", |_, _, reply| {
    help(
        reply,
        "ACL",
        &[
            "CAT [<category>]",
            "    The categories, or the commands of <category>.",
            "WHOAMI",
            "    The name of the user of this connection.",
        ],
    );
    Ok(Flow::Done)
})
.about("6.0.0", "O(1)", "Lists the subcommands.")
.arity(2)
.flags(&[Flag::Loading, Flag::Stale]);
