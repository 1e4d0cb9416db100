//! `ACL`: users and their rights, and which commands are of which category.

use super::help::{help, unknown_form};
use super::{Control, ControlCtx, Flow, control};
use crate::acl::{self, Asked, DEFAULT_USER, Reason, Selector, has_spaces, until_zero};
use crate::dispatch::Lookup;
use crate::registry::Entry;
use crate::shared::random_hex;
use std::sync::Arc;
use tidegate_commands::model::{
    Acl, Args, Command, Error, Family, Flag, Reply, StoredRequest, container, family, parse_i64,
};

pub(super) static FAMILY: Family<Control> = family("server", Acl::NONE, &[&ACL]);

static ACL: Command<Control> = container(
    "ACL",
    &[
        &CAT, &DELUSER, &DRYRUN, &GENPASS, &GETUSER, &HELP, &LIST, &LOAD, &LOG, &SAVE, &SETUSER, &USERS,
        &WHOAMI,
    ],
)
.about("6.0.0", "Depends on subcommand.", "A container of commands about users and their rights.");

const OPEN: &[Flag] = &[Flag::Noscript, Flag::Loading, Flag::Stale];
const ADMIN: &[Flag] = &[Flag::Admin, Flag::Noscript, Flag::Loading, Flag::Stale];

static CAT: Command<Control> = control("CAT", "[categoryname]", cat)
    .about(
        "6.0.0",
        "O(1) since the categories and commands are a fixed set.",
        "Lists the categories, or the commands of one.",
    )
    .arity(-2)
    .flags(OPEN);

fn cat(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    if args.remaining() > 1 {
        return Err(unknown_form(args));
    }
    let Some(wanted) = args.peek() else {
        // Those of families that do not exist yet may be named in rules, but there is nothing to see.
        let named = cx.shared().users.catalog.named();
        let used = |category: Acl| named.iter().any(|named| named.acl.has(category));
        let names: Vec<&str> =
            Acl::ALL.iter().filter(|(category, _)| used(*category)).map(|(_, name)| *name).collect();
        reply.array(names.len());
        for name in names {
            reply.bulk(name.as_bytes());
        }
        return Ok(Flow::Done);
    };
    let found = Acl::ALL.iter().find(|(_, name)| wanted.eq_ignore_ascii_case(name.as_bytes()));
    let Some((category, _)) = found else {
        return Err(quoted("ERR Unknown category '", &wanted[..wanted.len().min(128)], "'"));
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

fn quoted(before: &str, word: &[u8], after: &str) -> Error {
    Error::text([before.as_bytes(), word, after.as_bytes()].concat())
}

static SETUSER: Command<Control> = control("SETUSER", "username [rule [rule ...]]", setuser)
    .about(
        "6.0.0",
        "O(N). Where N is the number of rules provided.",
        "Makes a user, or changes its rules: all of them or, when one is wrong, none.",
    )
    .arity(-3)
    .flags(ADMIN)
    .secret_from(2)
    .history(&[
        ("6.2.0", "Added Pub/Sub channel patterns."),
        ("7.0.0", "Added selectors and key based permissions."),
    ]);

fn setuser(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let name = args.next()?;
    if has_spaces(name) {
        return Err(Error::new("ERR Usernames can't contain spaces or null characters"));
    }
    let rules: Vec<&[u8]> = args.rest().collect();
    let shared = Arc::clone(&cx.worker.shared);
    let result = shared.set_user(name, &rules, &cx.session.client);
    let is_closed = result.map_err(|text| Error::text([b"ERR ", text.as_slice()].concat()))?;
    reply.ok();
    Ok(if is_closed { Flow::Close } else { Flow::Done })
}

static DELUSER: Command<Control> = control("DELUSER", "username [username ...]", deluser)
    .about(
        "6.0.0",
        "O(1) amortized time considering the typical user.",
        "Removes users, and closes their connections.",
    )
    .arity(-3)
    .flags(ADMIN);

fn deluser(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let names: Vec<&[u8]> = args.rest().collect();
    if names.iter().any(|name| until_zero(name) == DEFAULT_USER) {
        return Err(Error::new("ERR The 'default' user cannot be removed"));
    }
    let shared = Arc::clone(&cx.worker.shared);
    let (deleted, is_own) = shared.delete_users(&names, &cx.session.client);
    if is_own {
        cx.session.lose_user(&shared.users);
    }
    reply.integer(deleted as i64);
    Ok(if is_own { Flow::Close } else { Flow::Done })
}

static GETUSER: Command<Control> = control("GETUSER", "username", getuser)
    .about(
        "6.0.0",
        "O(N). Where N is the number of password, command and pattern rules that the user has.",
        "Describes the rights of a user.",
    )
    .arity(3)
    .flags(ADMIN)
    .history(&[
        ("6.2.0", "Added Pub/Sub channel patterns."),
        ("7.0.0", "Added selectors and changed the format of key and channel patterns from a list to their rule representation."),
    ]);

fn getuser(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let users = &cx.worker.eternal.users;
    let Some(user) = users.get(args.next()?) else {
        reply.null();
        return Ok(Flow::Done);
    };
    let (own, more) = user.selectors().split_first().expect("every user has rules of its own");
    reply.map(6 + usize::from(own.is_of_few_dbs()));
    reply.bulk(b"flags");
    let flags: Vec<&str> = user.flags().collect();
    reply.set(flags.len());
    for flag in flags {
        reply.bulk(flag.as_bytes());
    }
    reply.bulk(b"passwords");
    reply.array(user.passwords().len());
    for password in user.passwords() {
        reply.bulk(password.to_string().as_bytes());
    }
    describe(cx, own, reply);
    reply.bulk(b"selectors");
    reply.array(more.len());
    for selector in more {
        reply.map(3 + usize::from(selector.is_of_few_dbs()));
        describe(cx, selector, reply);
    }
    Ok(Flow::Done)
}

fn describe(cx: &ControlCtx, selector: &Selector, reply: &mut Reply) {
    reply.bulk(b"commands");
    reply.bulk(&selector.describe_commands(&cx.shared().users.catalog));
    reply.bulk(b"keys");
    reply.bulk(&selector.describe_keys());
    reply.bulk(b"channels");
    reply.bulk(&selector.describe_channels());
    if selector.is_of_few_dbs() {
        reply.bulk(b"databases");
        reply.bulk(selector.describe_dbs().as_bytes());
    }
}

static LIST: Command<Control> = control("LIST", "", |cx, _, reply| {
    let lines = cx.shared().users.lines();
    reply.array(lines.len());
    for line in lines {
        reply.bulk(&[b"user ", line.as_slice()].concat());
    }
    Ok(Flow::Done)
})
.about(
    "6.0.0",
    "O(N). Where N is the number of configured users.",
    "Describes all users as a file of users would.",
)
.arity(2)
.flags(ADMIN);

static USERS: Command<Control> = control("USERS", "", |cx, _, reply| {
    let users = cx.shared().users.all();
    reply.array(users.len());
    for user in users {
        reply.bulk(user.name());
    }
    Ok(Flow::Done)
})
.about("6.0.0", "O(N). Where N is the number of configured users.", "Lists the names of all users.")
.arity(2)
.flags(ADMIN);

static WHOAMI: Command<Control> = control("WHOAMI", "", |cx, _, reply| {
    reply.bulk(cx.session.user.as_ref().map_or(DEFAULT_USER, |user| user.name()));
    Ok(Flow::Done)
})
.about("6.0.0", "O(1)", "Returns the name of the user of this connection.")
.arity(2)
.flags(OPEN);

const NO_FILE: Error = Error::new(
    "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER \
     command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users \
     in the Redis configuration.",
);

static LOAD: Command<Control> = control("LOAD", "", load)
    .about(
        "6.0.0",
        "O(N). Where N is the number of configured users.",
        "Reads all users from their file again.",
    )
    .arity(2)
    .flags(ADMIN);

fn load(cx: &mut ControlCtx, _: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let shared = Arc::clone(&cx.worker.shared);
    if shared.config.text("aclfile").is_none() {
        return Err(NO_FILE);
    }
    let is_own =
        shared.load_users(&cx.session.client).map_err(|errors| Error::text(format!("ERR {errors}")))?;
    if is_own {
        cx.session.lose_user(&shared.users);
    }
    reply.ok();
    Ok(if is_own { Flow::Close } else { Flow::Done })
}

static SAVE: Command<Control> = control("SAVE", "", save)
    .about("6.0.0", "O(N). Where N is the number of configured users.", "Writes all users to their file.")
    .arity(2)
    .flags(ADMIN);

fn save(cx: &mut ControlCtx, _: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let shared = cx.shared();
    let path = shared.config.path("aclfile").ok_or(NO_FILE)?;
    acl::save_file(&shared.users, &path).map_err(|error| {
        tracing::warn!("Writing ACL file for ACL SAVE: {error}");
        Error::new(
            "ERR There was an error trying to save the ACLs. Please check the server logs for more information",
        )
    })?;
    reply.ok();
    Ok(Flow::Done)
}

static GENPASS: Command<Control> = control("GENPASS", "[bits]", genpass)
    .about("6.0.0", "O(1)", "Returns a random password.")
    .arity(-2)
    .flags(OPEN);

fn genpass(_: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    const BITS_MAX: i64 = 4096;
    if args.remaining() > 1 {
        return Err(unknown_form(args));
    }
    let bits = match args.peek() {
        Some(bits) => parse_i64(bits).ok_or(Error::NotInteger)?,
        None => 256,
    };
    if !(1..=BITS_MAX).contains(&bits) {
        return Err(Error::new(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096",
        ));
    }
    reply.bulk(random_hex((bits as usize).div_ceil(4)).as_bytes());
    Ok(Flow::Done)
}

static LOG: Command<Control> = control("LOG", "[<operation: count|reset: RESET>]", log)
    .about(
        "6.0.0",
        "O(N) with N being the number of entries shown.",
        "Lists what was denied lately, or forgets it.",
    )
    .arity(-2)
    .flags(ADMIN);

fn log(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    if args.remaining() > 1 {
        return Err(unknown_form(args));
    }
    let count = match args.peek() {
        Some(word) if word.eq_ignore_ascii_case(b"reset") => {
            cx.shared().users.log.reset();
            reply.ok();
            return Ok(Flow::Done);
        }
        Some(count) => parse_i64(count).ok_or(Error::NotInteger)?,
        None => 10,
    };
    let entries = cx.shared().users.log.newest(usize::try_from(count).unwrap_or(0));
    let now_ms = crate::clock::unix_ms();
    reply.array(entries.len());
    for entry in entries {
        reply.map(7);
        reply.bulk(b"count");
        reply.integer(entry.count as i64);
        for (name, value) in [
            ("reason", entry.what.name().as_bytes()),
            ("context", entry.context.name().as_bytes()),
            ("object", &entry.object),
            ("username", &entry.username),
        ] {
            reply.bulk(name.as_bytes());
            reply.bulk(value);
        }
        reply.bulk(b"age-seconds");
        reply.double((now_ms - entry.at_ms) as f64 / 1000.0);
        reply.bulk(b"client-info");
        reply.bulk(entry.client.as_bytes());
    }
    Ok(Flow::Done)
}

static DRYRUN: Command<Control> = control("DRYRUN", "username command [arg [arg ...]]", dryrun)
    .about("7.0.0", "O(1).", "Tells whether a user may send a request.")
    .arity(-4)
    .flags(ADMIN);

fn dryrun(cx: &mut ControlCtx, args: &mut Args, reply: &mut Reply) -> Result<Flow, Error> {
    let shared = cx.worker.eternal;
    let name = args.next()?;
    let Some(user) = shared.users.get(name) else {
        return Err(quoted("ERR User '", until_zero(name), "' not found"));
    };
    let words: Vec<&[u8]> = args.rest().collect();
    let request = StoredRequest::of_words(&words);
    let Lookup::Found(entry) = Lookup::of(shared.registry, &request.bytes, &request.args) else {
        return Err(quoted("ERR Command '", until_zero(words[0]), "' not found"));
    };
    if !entry.accepts(words.len()) {
        return Err(Error::text(format!("ERR wrong number of arguments for '{}' command", entry.name)));
    }
    let db = cx.session.db as u32;
    let asked = Asked { entry, buf: &request.bytes, spans: &request.args, is_real: false, db };
    let Err(denied) = user.check(&asked) else {
        reply.ok();
        return Ok(Flow::Done);
    };
    let about = |what: &str| {
        let object = until_zero(words[denied.arg]);
        [b"This user has no permissions to access the '", object, b"' ", what.as_bytes()].concat()
    };
    reply.bulk(&match denied.reason {
        Reason::Command => {
            format!("This user has no permissions to run the '{}' command", entry.name).into_bytes()
        }
        Reason::Database => b"This user has no permissions to access one of the databases used".to_vec(),
        Reason::Key => about("key"),
        Reason::Channel => about("channel"),
    });
    Ok(Flow::Done)
}

static HELP: Command<Control> = control("HELP", "", |_, _, reply| {
    help(
        reply,
        "ACL",
        &[
            "CAT [<category>]",
            "    The categories, or the commands of <category>.",
            "DELUSER <username> [<username> ...]",
            "    Removes users.",
            "DRYRUN <username> <command> [<arg> ...]",
            "    Tells whether a user may send a request, without running it.",
            "GETUSER <username>",
            "    The rights of a user.",
            "GENPASS [<bits>]",
            "    A random password of 256 bits, or of <bits>.",
            "LIST",
            "    All users as a file of users would describe them.",
            "LOAD",
            "    Reads all users from their file.",
            "LOG [<count> | RESET]",
            "    What was denied lately.",
            "SAVE",
            "    Writes all users to their file.",
            "SETUSER <username> <rule> [<rule> ...]",
            "    Makes a user, or changes its rules.",
            "USERS",
            "    The names of all users.",
            "WHOAMI",
            "    The name of the user of this connection.",
        ],
    );
    Ok(Flow::Done)
})
.about("6.0.0", "O(1)", "Lists the subcommands.")
.arity(2)
.flags(&[Flag::Loading, Flag::Stale]);
