//! `XINFO`: what a stream, its groups and their consumers are like.

use super::range::reply_entries;
use super::{no_such_group, reply_entry, reply_id, unknown_form};
use crate::model::{Acl, Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command, container};
use tidegate_data::types::stream::{Consumer, Group, Stream, StreamId};

pub(super) static XINFO: Command = container("XINFO", &[&CONSUMERS, &GROUPS, &STREAM, &HELP])
    .about("5.0.0", "Depends on subcommand.", "Holds the commands that tell about streams.")
    .arity(-2);

static CONSUMERS: Command = command("CONSUMERS", "key groupname", consumers)
    .about("5.0.0", "O(1)", "Tells about the consumers of a group.")
    .arity(4)
    .keys(KeySpec::at(2).ro().access())
    .flags(&[Flag::Readonly])
    .acl(Acl::STREAM)
    .tips(&["nondeterministic_output"]);

fn consumers(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let name = args.next()?;
    let stream = cx.keys.read_as::<Stream>(key)?.ok_or(Error::NoSuchKey)?;
    let group = stream.groups().get(name).ok_or_else(|| no_such_group(key, name))?;
    let now_ms = cx.env.now_ms();
    reply.array(group.consumers_len());
    for (_, consumer) in group.consumers() {
        reply.map(3);
        reply.bulk(b"name");
        reply.bulk(consumer.name());
        number(reply, "pending", consumer.pending_len() as i64);
        number(reply, "idle", now_ms.saturating_sub(consumer.seen_ms).max(0));
    }
    Ok(Outcome::Same)
}

static GROUPS: Command = command("GROUPS", "key", groups)
    .about("5.0.0", "O(1)", "Tells about the consumer groups of a stream.")
    .arity(3)
    .keys(KeySpec::at(2).ro().access())
    .flags(&[Flag::Readonly])
    .acl(Acl::STREAM)
    .history(&[("7.0.0", "Added the `entries-read` and `lag` fields")]);

fn groups(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let stream = cx.keys.read_as::<Stream>(args.key()?)?.ok_or(Error::NoSuchKey)?;
    reply.array(stream.groups().len());
    for (name, group) in stream.groups().iter() {
        reply.map(6);
        reply.bulk(b"name");
        reply.bulk(name);
        number(reply, "consumers", group.consumers_len() as i64);
        number(reply, "pending", group.pending_len() as i64);
        reply_position(reply, stream, group);
    }
    Ok(Outcome::Same)
}

/// How far a group has read: three fields.
fn reply_position(reply: &mut Reply, stream: &Stream, group: &Group) {
    id(reply, "last-delivered-id", group.last_id());
    reply.bulk(b"entries-read");
    integer_or_null(reply, group.entries_read().map(|read| read as i64));
    reply.bulk(b"lag");
    integer_or_null(reply, stream.lag(group));
}

static STREAM: Command = command("STREAM", "key [FULL <full: [COUNT count]>]", stream)
    .about("5.0.0", "O(1)", "Tells about a stream.")
    .arity(-3)
    .keys(KeySpec::at(2).ro().access())
    .flags(&[Flag::Readonly])
    .acl(Acl::STREAM)
    .history(&[
        ("6.0.0", "Added the `FULL` modifier."),
        (
            "7.0.0",
            "Added the `max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, `entries-read` and \
             `lag` fields",
        ),
    ]);

fn stream(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    /// How many entries FULL shows unless it is told.
    const COUNT: usize = 10;
    let key = args.key()?;
    let stream = cx.keys.read_as::<Stream>(key)?.ok_or(Error::NoSuchKey)?;
    let full = match args.remaining() {
        0 => None,
        1 if args.take_word("FULL") => Some(COUNT),
        3 if args.take_word("FULL") && args.take_word("COUNT") => {
            Some(usize::try_from(args.integer()?).unwrap_or(COUNT))
        }
        _ => return Err(unknown_form("XINFO", args.get(1))),
    };
    let now_ms = cx.env.now_ms();
    let entries = stream.entries();
    // Streams whose producers do not ask for it look as they always did.
    let known = stream.idempotence();
    let more = if known.is_some() { 6 } else { 0 };
    reply.map(more + if full.is_some() { 9 } else { 10 });
    number(reply, "length", entries.len() as i64);
    number(reply, "radix-tree-keys", entries.nodes_len() as i64);
    number(reply, "radix-tree-nodes", entries.radix_len() as i64);
    id(reply, "last-generated-id", entries.last_id());
    id(reply, "max-deleted-entry-id", entries.max_deleted_id());
    number(reply, "entries-added", entries.added() as i64);
    id(reply, "recorded-first-entry-id", entries.first_id());
    if let Some(known) = known {
        let (producers, messages) = known.tracked(now_ms);
        number(reply, "idmp-duration", i64::from(known.limits().duration_s));
        number(reply, "idmp-maxsize", i64::from(known.limits().len_max));
        number(reply, "pids-tracked", producers as i64);
        number(reply, "iids-tracked", messages as i64);
        number(reply, "iids-added", known.added() as i64);
        number(reply, "iids-duplicates", known.duplicates() as i64);
    }
    match full {
        None => {
            number(reply, "groups", stream.groups().len() as i64);
            let all = (StreamId::MIN, StreamId::MAX);
            for (name, entry) in [
                ("first-entry", entries.range(all.0, all.1).next()),
                ("last-entry", entries.range_backwards(all.0, all.1).next()),
            ] {
                reply.bulk(name.as_bytes());
                match entry {
                    Some(entry) => reply_entry(reply, entry),
                    None => reply.null(),
                }
            }
        }
        Some(count) => reply_full(reply, stream, if count == 0 { usize::MAX } else { count }),
    }
    Ok(Outcome::Same)
}

fn reply_full(reply: &mut Reply, stream: &Stream, count: usize) {
    reply.bulk(b"entries");
    reply_entries(reply, stream.entries().range(StreamId::MIN, StreamId::MAX), Some(count));
    reply.bulk(b"groups");
    reply.array(stream.groups().len());
    for (name, group) in stream.groups().iter() {
        // Only a group that was given something back tells of it.
        let released = group.released_len();
        reply.map(7 + usize::from(released > 0));
        reply.bulk(b"name");
        reply.bulk(name);
        reply_position(reply, stream, group);
        number(reply, "pel-count", group.pending_len() as i64);
        if released > 0 {
            number(reply, "nacked-count", released as i64);
        }
        reply.bulk(b"pending");
        reply.array(group.pending_len().min(count));
        for (id, pending) in group.pending().take(count) {
            reply.array(4);
            reply_id(reply, *id);
            reply.bulk(pending.owner().map_or(b"", |owner| group.consumer(owner).name()));
            reply.integer(pending.delivered_ms());
            reply.integer(pending.deliveries as i64);
        }
        reply.bulk(b"consumers");
        reply.array(group.consumers_len());
        for (_, consumer) in group.consumers() {
            reply_consumer(reply, group, consumer, count);
        }
    }
}

fn reply_consumer(reply: &mut Reply, group: &Group, consumer: &Consumer, count: usize) {
    reply.map(4);
    reply.bulk(b"name");
    reply.bulk(consumer.name());
    number(reply, "seen-time", consumer.seen_ms);
    number(reply, "pel-count", consumer.pending_len() as i64);
    reply.bulk(b"pending");
    reply.array(consumer.pending_len().min(count));
    for id in consumer.pending(StreamId::MIN).take(count) {
        let pending = group.get_pending(id);
        reply.array(3);
        reply_id(reply, id);
        reply.integer(pending.map_or(0, |pending| pending.delivered_ms()));
        reply.integer(pending.map_or(0, |pending| pending.deliveries as i64));
    }
}

fn number(reply: &mut Reply, name: &str, value: i64) {
    reply.bulk(name.as_bytes());
    reply.integer(value);
}

fn id(reply: &mut Reply, name: &str, value: StreamId) {
    reply.bulk(name.as_bytes());
    reply_id(reply, value);
}

fn integer_or_null(reply: &mut Reply, value: Option<i64>) {
    match value {
        Some(value) => reply.integer(value),
        None => reply.null(),
    }
}

static HELP: Command = command("HELP", "", |_, _, reply| {
    reply.lines(HELP_LINES.into_iter());
    Ok(Outcome::Same)
})
.about("5.0.0", "O(1)", "Lists the subcommands.")
.arity(2)
.flags(&[Flag::Loading, Flag::Stale])
.acl(Acl::STREAM);

const HELP_LINES: [&str; 9] = [
    "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CONSUMERS <key> <groupname>",
    "    The consumers of a group.",
    "GROUPS <key>",
    "    The consumer groups of a stream.",
    "STREAM <key> [FULL [COUNT <count>]]",
    "    What a stream is like.",
    "HELP",
    "    Prints this help.",
];

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, START_MS, check};

    fn bench() -> Bench {
        let mut bench = Bench::default();
        for line in [
            "XADD s 1-0 a 1",
            "XADD s 2-0 a 2",
            "XGROUP CREATE s g 0",
            "XGROUP CREATECONSUMER s g b",
            "XREADGROUP GROUP g c COUNT 1 STREAMS s >",
        ] {
            bench.run(line);
        }
        bench.now_ms += 7;
        bench
    }

    const STREAM: &str = "$6 length :2 $15 radix-tree-keys :1 $16 radix-tree-nodes :2 $17 last-generated-id $3 2-0 \
                          $20 max-deleted-entry-id $3 0-0 $13 entries-added :2 $23 recorded-first-entry-id $3 1-0";
    const READ: &str = "$17 last-delivered-id $3 1-0 $12 entries-read :1 $3 lag :1";

    #[test]
    fn stream() {
        let ends = "$11 first-entry *2 $3 1-0 *2 $1 a $1 1 $10 last-entry *2 $3 2-0 *2 $1 a $1 2";
        assert_eq!(bench().run("XINFO STREAM s").text(), format!("*20 {STREAM} $6 groups :1 {ends}"));
        let mut resp3 = bench();
        resp3.protocol = crate::model::Protocol::Resp3;
        assert_eq!(resp3.run("XINFO STREAM s").text(), format!("%10 {STREAM} $6 groups :1 {ends}"));
        let empty = Bench::resp3().run("XGROUP CREATE s g $ MKSTREAM").text();
        assert_eq!(empty, "+OK");
        let mut empty = Bench::default();
        empty.run("XGROUP CREATE s g $ MKSTREAM");
        let info = empty.run("XINFO STREAM s").text();
        assert!(info.contains("radix-tree-keys :0 $16 radix-tree-nodes :1 "), "{info}");
        assert!(info.ends_with("$6 groups :1 $11 first-entry $-1 $10 last-entry $-1"), "{info}");
    }

    #[test]
    fn everything_about_a_stream() {
        let entry = "*2 $3 1-0 *2 $1 a $1 1";
        let consumers = format!(
            "$9 consumers *2 *8 $4 name $1 b $9 seen-time :{START_MS} $9 pel-count :0 $7 pending *0 \
             *8 $4 name $1 c $9 seen-time :{START_MS} $9 pel-count :1 $7 pending *1 *3 $3 1-0 :{START_MS} :1"
        );
        let groups = format!(
            "$6 groups *1 *14 $4 name $1 g {READ} $9 pel-count :1 $7 pending *1 *4 $3 1-0 $1 c :{START_MS} :1 {consumers}"
        );
        let reply = bench().run("XINFO STREAM s FULL COUNT 1").text();
        assert_eq!(reply, format!("*18 {STREAM} $7 entries *1 {entry} {groups}"));
        for all in ["XINFO STREAM s FULL", "XINFO STREAM s full count 0", "XINFO STREAM s FULL COUNT -1"] {
            let reply = bench().run(all).text();
            assert!(reply.contains("$7 entries *2 *2 $3 1-0"), "{reply}");
        }
    }

    #[test]
    fn groups_and_consumers() {
        assert_eq!(
            bench().run("XINFO GROUPS s").text(),
            format!("*1 *12 $4 name $1 g $9 consumers :2 $7 pending :1 {READ}")
        );
        assert_eq!(
            bench().run("XINFO CONSUMERS s g").text(),
            "*2 *6 $4 name $1 b $7 pending :0 $4 idle :7 *6 $4 name $1 c $7 pending :1 $4 idle :7"
        );
        check(&["XADD s 1 f v", "XINFO GROUPS s"], "*0");
        check(
            &["XADD s 1 f v", "XINFO CONSUMERS s g"],
            "-NOGROUP No such consumer group 'g' for key name 's'",
        );
    }

    #[test]
    fn refused() {
        for line in ["XINFO STREAM s", "XINFO STREAM s x", "XINFO GROUPS s", "XINFO CONSUMERS s g"] {
            check(&[line], "-ERR no such key");
            check(&["SET s x", line], "-WRONGTYPE Operation against a key holding the wrong kind of value");
        }
        let form = "-ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP.";
        for line in ["XINFO STREAM s x", "XINFO STREAM s FULL COUNT", "XINFO STREAM s FULL x 1"] {
            check(&["XADD s 1 f v", line], form);
        }
        check(
            &["XADD s 1 f v", "XINFO STREAM s FULL COUNT x"],
            "-ERR value is not an integer or out of range",
        );
        check(&["XINFO HELP x"], "-ERR wrong number of arguments for 'xinfo|help' command");
        let reply = Bench::default().run("XINFO HELP").text();
        assert!(reply.starts_with("*9 +XINFO <subcommand> "), "{reply}");
    }
}
