//! `XGROUP`: making and managing consumer groups.

use super::ids;
use super::{c_text, no_such_group, unknown_form};
use crate::model::{
    Acl, Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command, container, parse_i64,
};
use tidegate_data::types::stream::{Group, Stream, StreamId};
use tidegate_data::{EventClass, Key, Write};

pub(super) static XGROUP: Command =
    container("XGROUP", &[&CREATE, &SETID, &DESTROY, &CREATECONSUMER, &DELCONSUMER, &HELP])
        .about("5.0.0", "Depends on subcommand.", "Holds the commands that manage consumer groups.")
        .arity(-2);

const NO_KEY: Error = Error::new(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.",
);

static CREATE: Command =
    command("CREATE", "key groupname <id: id|new_id:$> [MKSTREAM] [ENTRIESREAD entries_read]", create)
        .about("5.0.0", "O(1)", "Creates a consumer group.")
        .arity(-5)
        .keys(KeySpec::at(2).rw().insert())
        .flags(&[Flag::Write, Flag::DenyOom])
        .acl(Acl::STREAM)
        .history(&[("7.0.0", "Added the `entries_read` named argument.")]);

/// What `CREATE` and `SETID` may be told besides the ID.
#[derive(Debug, Default)]
struct Position {
    makes_stream: bool,
    entries_read: Option<u64>,
}

impl Position {
    fn parse(args: &mut Args, may_make_stream: bool) -> Result<Self, Error> {
        let mut position = Position::default();
        while !args.is_done() {
            if may_make_stream && args.take_word("MKSTREAM") {
                position.makes_stream = true;
            } else if args.remaining() >= 2 && args.take_word("ENTRIESREAD") {
                let entries = parse_i64(args.next()?).ok_or(Error::NotInteger)?;
                if entries < -1 {
                    return Err(Error::new("ERR value for ENTRIESREAD must be positive or -1"));
                }
                position.entries_read = u64::try_from(entries).ok();
            } else {
                return Err(unknown_form("XGROUP", args.get(1)));
            }
        }
        Ok(position)
    }
}

fn create(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    /// Each option once.
    const ARGS_MAX: usize = 8;
    let key = args.key()?;
    let (name, id) = (args.next()?, args.next()?);
    let position = Position::parse(args, true)?;
    let stream = cx.keys.for_write_as::<Stream>(key)?;
    if stream.is_none() && !position.makes_stream {
        return Err(NO_KEY);
    }
    if args.len() > ARGS_MAX {
        return Err(unknown_form("XGROUP", args.get(1)));
    }
    let id = if c_text(id) == b"$" {
        stream.map_or(StreamId::MIN, |stream| stream.entries().last_id())
    } else {
        ids::parse_strict(id, 0)?
    };
    if stream.is_some_and(|stream| stream.groups().get(name).is_some()) {
        return Err(Error::new("BUSYGROUP Consumer Group name already exists"));
    }
    let mut stream = cx.keys.write_or_create::<Stream>(key)?;
    stream.change_untold().parts_mut().groups.add(name, Group::new(id, position.entries_read));
    if stream.is_new() {
        stream.touch();
    } else {
        stream.note();
    }
    stream.event(EventClass::Stream, "xgroup-create");
    reply.ok();
    Ok(Outcome::Changed)
}

/// The stream and a group in it, which must be there.
fn with_group<'k, 'a, 'n>(
    cx: &'k mut Ctx<'a>,
    key: Key<'n>,
    name: &[u8],
) -> Result<Write<'k, 'a, 'n, Stream>, Error> {
    let stream = cx.keys.write_as::<Stream>(key)?.ok_or(NO_KEY)?;
    if stream.view().groups().get(name).is_none() {
        return Err(no_such_group(key, name));
    }
    Ok(stream)
}

/// Tells of a change to a group.
fn changed(mut stream: Write<Stream>, event: &'static str) -> Outcome {
    stream.note();
    stream.event(EventClass::Stream, event);
    Outcome::Changed
}

static SETID: Command = command("SETID", "key groupname <id: id|new_id:$> [ENTRIESREAD entries_read]", setid)
    .about("5.0.0", "O(1)", "Sets how far a consumer group has read.")
    .arity(-5)
    .keys(KeySpec::at(2).rw().update())
    .flags(&[Flag::Write])
    .acl(Acl::STREAM)
    .history(&[("7.0.0", "Added the optional `entries_read` argument.")]);

fn setid(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let (name, id) = (args.next()?, args.next()?);
    let position = Position::parse(args, false)?;
    let mut stream = with_group(cx, key, name)?;
    if !matches!(args.len(), 5 | 7) {
        return Err(unknown_form("XGROUP", args.get(1)));
    }
    let id = if c_text(id) == b"$" { stream.view().entries().last_id() } else { ids::parse(id, 0)? };
    let groups = &mut stream.change_untold().parts_mut().groups;
    groups.change(name, |group| group.set_position(id, position.entries_read));
    reply.ok();
    Ok(changed(stream, "xgroup-setid"))
}

static DESTROY: Command = command("DESTROY", "key groupname", destroy)
    .about(
        "5.0.0",
        "O(N) where N is the number of entries in the group's pending entries list (PEL).",
        "Removes a consumer group.",
    )
    .arity(4)
    .keys(KeySpec::at(2).rw().delete())
    .flags(&[Flag::Write])
    .acl(Acl::STREAM);

fn destroy(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let name = args.next()?;
    let mut stream = cx.keys.write_as::<Stream>(key)?.ok_or(NO_KEY)?;
    let removed = stream.change_untold().parts_mut().groups.remove(name);
    reply.integer(i64::from(removed.is_some()));
    if removed.is_none() {
        return Ok(Outcome::Same);
    }
    // Who waits for new entries of the group learns that there will be none.
    stream.wake();
    Ok(changed(stream, "xgroup-destroy"))
}

static CREATECONSUMER: Command = command("CREATECONSUMER", "key groupname consumername", create_consumer)
    .about("6.2.0", "O(1)", "Creates a consumer in a group.")
    .arity(5)
    .keys(KeySpec::at(2).rw().insert())
    .flags(&[Flag::Write, Flag::DenyOom])
    .acl(Acl::STREAM);

fn create_consumer(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let (name, consumer) = (args.next()?, args.next()?);
    let now_ms = cx.env.now_ms();
    let mut stream = with_group(cx, key, name)?;
    let groups = &mut stream.change_untold().parts_mut().groups;
    let is_new = groups.change(name, |group| {
        let is_new = group.find_consumer(consumer).is_none();
        if is_new {
            group.consumer_named(consumer, now_ms);
        }
        is_new
    });
    let is_new = is_new == Some(true);
    reply.integer(i64::from(is_new));
    if !is_new {
        return Ok(Outcome::Same);
    }
    let _: Outcome = changed(stream, "xgroup-createconsumer");
    // The clock is only remembered as the time of the consumer's last visit.
    Ok(Outcome::changed_as(&[b"XGROUP", b"CREATECONSUMER", key.bytes(), name, consumer]))
}

static DELCONSUMER: Command = command("DELCONSUMER", "key groupname consumername", delete_consumer)
    .about(
        "5.0.0",
        "O(1)",
        "Removes a consumer with all that is pending for it, and tells how much that was.",
    )
    .arity(5)
    .keys(KeySpec::at(2).rw().delete())
    .flags(&[Flag::Write])
    .acl(Acl::STREAM);

fn delete_consumer(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let (name, consumer) = (args.next()?, args.next()?);
    let mut stream = with_group(cx, key, name)?;
    let groups = &mut stream.change_untold().parts_mut().groups;
    let pending = groups
        .change(name, |group| group.find_consumer(consumer).map(|found| group.delete_consumer(found)))
        .flatten();
    reply.integer(pending.unwrap_or(0) as i64);
    Ok(if pending.is_some() { changed(stream, "xgroup-delconsumer") } else { Outcome::Same })
}

static HELP: Command = command("HELP", "", |_, _, reply| {
    reply.lines(HELP_LINES.into_iter());
    Ok(Outcome::Same)
})
.about("5.0.0", "O(1)", "Lists the subcommands.")
.arity(2)
.flags(&[Flag::Loading, Flag::Stale])
.acl(Acl::STREAM);

const HELP_LINES: [&str; 17] = [
    "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CREATE <key> <groupname> <id|$> [option]",
    "    Create a consumer group. Options are:",
    "    * MKSTREAM",
    "      Create an empty stream where there is none.",
    "    * ENTRIESREAD entries_read",
    "      How many entries were read up to the ID.",
    "CREATECONSUMER <key> <groupname> <consumer>",
    "    Create a consumer in a group.",
    "DELCONSUMER <key> <groupname> <consumer>",
    "    Remove a consumer.",
    "DESTROY <key> <groupname>",
    "    Remove a group.",
    "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
    "    Set how far a group has read.",
    "HELP",
    "    Prints this help.",
];

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events};

    const ADD: &str = "XADD s 5-0 f v";
    const GROUP: &str = "XGROUP CREATE s g 0";
    const NO_GROUP: &str = "-NOGROUP No such consumer group 'g' for key name 's'";

    fn no_key() -> String {
        let mut text = Vec::new();
        text.extend_from_slice(&super::NO_KEY.message());
        format!("-{}", String::from_utf8_lossy(&text))
    }

    #[test]
    fn create() {
        check(&[ADD, GROUP], "+OK");
        check(&[ADD, GROUP, GROUP], "-BUSYGROUP Consumer Group name already exists");
        check(&["XGROUP CREATE s g $ MKSTREAM"], "+OK");
        check(&["XGROUP CREATE s g $ MKSTREAM", "XLEN s"], ":0");
        check(&["XGROUP CREATE s g $"], &no_key());
        check(
            &["XGROUP CREATE s g x MKSTREAM"],
            "-ERR Invalid stream ID specified as stream command argument",
        );
        check(&["XGROUP CREATE s g x MKSTREAM", "EXISTS s"], ":0");
        check(&[ADD, "XGROUP CREATE s g -"], "-ERR Invalid stream ID specified as stream command argument");
        check(
            &[ADD, "XGROUP CREATE s g 0 ENTRIESREAD -2"],
            "-ERR value for ENTRIESREAD must be positive or -1",
        );
        check(&[ADD, "XGROUP CREATE s g 0 ENTRIESREAD x"], "-ERR value is not an integer or out of range");
        check(
            &[ADD, "XGROUP CREATE s g 0 ENTRIESREAD"],
            "-ERR unknown subcommand or wrong number of arguments for 'CREATE'. Try XGROUP HELP.",
        );
        check(
            &[ADD, "XGROUP create s g 0 ENTRIESREAD 1 ENTRIESREAD 1"],
            "-ERR unknown subcommand or wrong number of arguments for 'create'. Try XGROUP HELP.",
        );
        check(&["SET s x", GROUP], "-WRONGTYPE Operation against a key holding the wrong kind of value");
        check_effects(&[ADD, GROUP], &[GROUP]);
        check_events(&[ADD, GROUP], &["xgroup-create s"]);
        check_events(&["XGROUP CREATE s g $ MKSTREAM"], &["new s", "xgroup-create s"]);
        let info = "XINFO GROUPS s";
        check(
            &[ADD, "XGROUP CREATE s g $ ENTRIESREAD 3", info],
            "*1 *12 $4 name $1 g $9 consumers :0 $7 pending :0 $17 last-delivered-id $3 5-0 $12 entries-read :3 $3 lag :-2",
        );
    }

    #[test]
    fn setid() {
        let set = "XGROUP SETID s g $ ENTRIESREAD 1";
        check(&[ADD, GROUP, set], "+OK");
        check(&[ADD, GROUP, set, "XREADGROUP GROUP g c STREAMS s >"], "*-1");
        check(&[ADD, GROUP, "XGROUP SETID s g -"], "+OK");
        check(&[ADD, "XGROUP SETID s g $"], NO_GROUP);
        check(&["XGROUP SETID s g $"], &no_key());
        check(
            &[ADD, GROUP, "XGROUP SETID s g x"],
            "-ERR Invalid stream ID specified as stream command argument",
        );
        check(
            &[ADD, GROUP, "XGROUP SETID s g 0 MKSTREAM"],
            "-ERR unknown subcommand or wrong number of arguments for 'SETID'. Try XGROUP HELP.",
        );
        check(
            &[ADD, GROUP, "XGROUP SETID s g 0 ENTRIESREAD 1 ENTRIESREAD 1"],
            "-ERR unknown subcommand or wrong number of arguments for 'SETID'. Try XGROUP HELP.",
        );
        check_effects(&[ADD, GROUP, set], &[set]);
        check_events(&[ADD, GROUP, set], &["xgroup-setid s"]);
    }

    #[test]
    fn destroy() {
        let destroy = "XGROUP DESTROY s g";
        check(&[ADD, GROUP, destroy], ":1");
        check(&[ADD, destroy], ":0");
        check(&[destroy], &no_key());
        check_effects(&[ADD, GROUP, destroy], &[destroy]);
        check_effects(&[ADD, destroy], &[]);
        check_events(&[ADD, GROUP, destroy], &["xgroup-destroy s"]);
    }

    #[test]
    fn consumers() {
        let (create, delete) = ("XGROUP CREATECONSUMER s g c", "XGROUP DELCONSUMER s g c");
        check(&[ADD, GROUP, create], ":1");
        check(&[ADD, GROUP, create, create], ":0");
        check(&[ADD, create], NO_GROUP);
        check(&[create], &no_key());
        check_effects(&[ADD, GROUP, create], &[create]);
        check_events(&[ADD, GROUP, create], &["xgroup-createconsumer s"]);
        check_effects(&[ADD, GROUP, create, create], &[]);
        check(&[ADD, GROUP, "XREADGROUP GROUP g c STREAMS s >", delete], ":1");
        check(&[ADD, GROUP, "XREADGROUP GROUP g c STREAMS s >", delete, "XPENDING s g"], "*4 :0 $-1 $-1 *-1");
        check(&[ADD, GROUP, delete], ":0");
        check(&[ADD, delete], NO_GROUP);
        check_effects(&[ADD, GROUP, create, delete], &[delete]);
        check_events(&[ADD, GROUP, create, delete], &["xgroup-delconsumer s"]);
        check_effects(&[ADD, GROUP, delete], &[]);
    }

    #[test]
    fn help_lists_the_subcommands() {
        check(&["XGROUP HELP x"], "-ERR wrong number of arguments for 'xgroup|help' command");
        let reply = Bench::default().run("XGROUP HELP").text();
        assert!(reply.starts_with("*17 +XGROUP <subcommand> ") && reply.ends_with("Prints this help."));
    }
}
