//! `CLIENT`: what connections are, what they are called, and what may be done to them.

mod identity;
mod kill;
mod mode;
mod pause;
mod tracking;

pub(super) use identity::set_name;

use super::help::{help, unknown_form};
use super::{Control, Flow, control};
use crate::session::{Client, ClientKind};
use std::sync::atomic::Ordering::Relaxed;
use tidegate_commands::model::{Acl, Args, Command, Error, Family, Flag, Reply, container, family};

pub(super) static FAMILY: Family<Control> = family("connection", Acl::NONE, &[&CLIENT]);

static CLIENT: Command<Control> = container(
    "CLIENT",
    &[
        &tracking::CACHING,
        &identity::GETNAME,
        &tracking::GETREDIR,
        &HELP,
        &identity::ID,
        &identity::INFO,
        &kill::KILL,
        &identity::LIST,
        &mode::NO_EVICT,
        &mode::NO_TOUCH,
        &pause::PAUSE,
        &mode::REPLY,
        &identity::SETINFO,
        &identity::SETNAME,
        &tracking::TRACKING,
        &tracking::TRACKINGINFO,
        &kill::UNBLOCK,
        &pause::UNPAUSE,
    ],
)
.about("2.4.0", "Depends on subcommand.", "A container of commands about connections.");

/// Begins a subcommand with the flags and the category most of them share.
const fn sub(name: &'static str, syntax: &'static str, handler: Control) -> Command<Control> {
    control(name, syntax, handler).flags(&[Flag::Noscript, Flag::Loading, Flag::Stale]).acl(Acl::CONNECTION)
}

static HELP: Command<Control> = control("HELP", "", |_, _, reply| {
    help(reply, "CLIENT", &HELP_LINES);
    Ok(Flow::Done)
})
.about("5.0.0", "O(1)", "Lists the subcommands.")
.arity(2)
.flags(&[Flag::Loading, Flag::Stale])
.acl(Acl::CONNECTION);

const HELP_LINES: [&str; 46] = [
    "CACHING (YES|NO)",
    "    Say whether the keys of the next command are tracked, in OPTIN and OPTOUT mode.",
    "GETNAME",
    "    The name of this connection.",
    "GETREDIR",
    "    The ID of the connection that receives the invalidations of this one.",
    "ID",
    "    The ID of this connection.",
    "INFO",
    "    The line of CLIENT LIST about this connection.",
    "KILL <ip:port>",
    "    Close the connection that comes from <ip:port>.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Close all connections to which every option applies:",
    "    * ADDR (<ip:port>|<unixsocket>:0)",
    "      Its peer has this address.",
    "    * LADDR (<ip:port>|<unixsocket>:0)",
    "      It was made to this address of ours.",
    "    * ID <client-id>, TYPE (NORMAL|MASTER|REPLICA|PUBSUB), USER <username>",
    "      It is this one, of this type, of this user.",
    "    * MAXAGE <seconds>",
    "      It is at least this old.",
    "    * SKIPME (YES|NO)",
    "      Spare the connection that asks (default: yes).",
    "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] | LIST ID <client-id> [...]",
    "    A line for each connection, or those of a type, or these.",
    "NO-EVICT (ON|OFF)",
    "    Exempt this connection from being closed for the memory it uses.",
    "NO-TOUCH (ON|OFF)",
    "    Read keys from this connection without marking them as used.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Let all commands, or those that write, wait for <timeout> milliseconds.",
    "REPLY (ON|OFF|SKIP)",
    "    Answer commands, never, or not the next one.",
    "SETINFO <option> <value>",
    "    Tell the client library's LIB-NAME or LIB-VER.",
    "SETNAME <name>",
    "    Name this connection.",
    "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]] [OPTIN] [OPTOUT] [NOLOOP]",
    "    Turn invalidation messages for client-side caching on or off.",
    "TRACKINGINFO",
    "    What TRACKING was set to.",
    "UNBLOCK <client-id> [TIMEOUT|ERROR]",
    "    Let a waiting connection go on, as if its time had run out or with an error.",
    "UNPAUSE",
    "    End the pause.",
];

/// What `TYPE` may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TypeFilter {
    Kind(ClientKind),
    /// The link to our primary.
    Primary,
}

impl TypeFilter {
    fn parse(word: &[u8]) -> Result<Self, Error> {
        let known = [
            ("normal", TypeFilter::Kind(ClientKind::Normal)),
            ("slave", TypeFilter::Kind(ClientKind::Replica)),
            ("replica", TypeFilter::Kind(ClientKind::Replica)),
            ("pubsub", TypeFilter::Kind(ClientKind::Pubsub)),
            ("master", TypeFilter::Primary),
        ];
        let found = known.iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, filter)| *filter).ok_or_else(|| {
            let mut text = b"ERR Unknown client type '".to_vec();
            text.extend_from_slice(word);
            text.push(b'\'');
            Error::text(text)
        })
    }

    fn matches(self, client: &Client) -> bool {
        match self {
            TypeFilter::Kind(kind) => client.kind.load(Relaxed) == kind as u8,
            // The link to the primary is no client of ours.
            TypeFilter::Primary => false,
        }
    }
}

/// Reads `ON` or `OFF`.
fn on_off(args: &mut Args<'_>) -> Result<bool, Error> {
    let on = args.take_word("on");
    if on || args.take_word("off") { Ok(on) } else { Err(Error::Syntax) }
}

/// Answers `OK`.
fn ok(reply: &mut Reply<'_>) -> Result<Flow, Error> {
    reply.ok();
    Ok(Flow::Done)
}
