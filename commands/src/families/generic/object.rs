//! `OBJECT`: how a value is kept.

use crate::model::{Acl, Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command, container};
use tidegate_data::{Access, Key, Record, ValueRef};

pub(super) static OBJECT: Command = container("OBJECT", &[&ENCODING, &FREQ, &HELP, &IDLETIME, &REFCOUNT])
    .about("2.2.3", "Depends on subcommand.", "Holds the commands that tell how values are kept.")
    .arity(-2);

static ENCODING: Command = command("ENCODING", "key", |cx, args, reply| {
    look(cx, args, reply, |_, record, reply| {
        reply.bulk(record.value().encoding_name().as_bytes());
        Ok(())
    })
})
.about("2.2.3", "O(1)", "Tells the internal encoding of a value.")
.arity(3)
.keys(KeySpec::at(2).ro())
.flags(&[Flag::Readonly])
.acl(Acl::KEYSPACE)
.tips(&["nondeterministic_output"]);

static FREQ: Command = command("FREQ", "key", |cx, args, reply| look(cx, args, reply, frequency))
    .about("4.0.0", "O(1)", "Tells the logarithmic counter of accesses to a key.")
    .arity(3)
    .keys(KeySpec::at(2).ro())
    .flags(&[Flag::Readonly])
    .acl(Acl::KEYSPACE)
    .tips(&["nondeterministic_output"]);

fn frequency(view: &View, record: &Record, reply: &mut Reply) -> Result<(), Error> {
    if !view.lfu {
        return Err(Error::new(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    reply.integer(i64::from(view.access.frequency(record.access())));
    Ok(())
}

static IDLETIME: Command = command("IDLETIME", "key", |cx, args, reply| look(cx, args, reply, idle_time))
    .about("2.2.3", "O(1)", "Tells how many seconds ago a key was accessed.")
    .arity(3)
    .keys(KeySpec::at(2).ro())
    .flags(&[Flag::Readonly])
    .acl(Acl::KEYSPACE)
    .tips(&["nondeterministic_output"]);

fn idle_time(view: &View, record: &Record, reply: &mut Reply) -> Result<(), Error> {
    if view.lfu {
        return Err(Error::new(
            "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    let access = match view.access {
        // A client that leaves no trace still asks by the same clock.
        Access::Untouched(_) => Access::lru(view.now_ms),
        access => access,
    };
    reply.integer(i64::from(access.idle_s(record.access())));
    Ok(())
}

/// Redis shares one object for each small integer and reports it as referred to without bound. Nothing is shared
/// here, but clients see the same numbers.
static REFCOUNT: Command = command("REFCOUNT", "key", |cx, args, reply| {
    look(cx, args, reply, |view, record, reply| {
        let shared = matches!(record.value(), ValueRef::Int(0..=9999));
        reply.integer(if shared && view.shared_integers { i64::from(i32::MAX) } else { 1 });
        Ok(())
    })
})
.about("2.2.3", "O(1)", "Tells how often a value is referred to.")
.arity(3)
.keys(KeySpec::at(2).ro())
.flags(&[Flag::Readonly])
.acl(Acl::KEYSPACE)
.tips(&["nondeterministic_output"]);

/// What the subcommands need besides the record.
struct View {
    access: Access,
    now_ms: i64,
    lfu: bool,
    shared_integers: bool,
}

/// Calls `answer` with the record; answers null without one. A miss counts but is not announced.
fn look(
    cx: &mut Ctx,
    args: &mut Args,
    reply: &mut Reply,
    answer: fn(&View, &Record, &mut Reply) -> Result<(), Error>,
) -> Result<Outcome, Error> {
    let key: Key = args.key()?;
    let limits = cx.env.limits();
    let view = View {
        access: cx.keys.rules().access,
        now_ms: cx.env.now_ms(),
        lfu: limits.lfu,
        shared_integers: limits.shared_integers,
    };
    match cx.keys.inspect_silently(key) {
        Some(record) => answer(&view, record, reply)?,
        None => reply.null(),
    }
    Ok(Outcome::Same)
}

static HELP: Command = command("HELP", "", |_, _, reply| {
    reply.lines(HELP_LINES.into_iter());
    Ok(Outcome::Same)
})
.about("6.2.0", "O(1)", "Lists the subcommands.")
.arity(2)
.flags(&[Flag::Loading, Flag::Stale])
.acl(Acl::KEYSPACE);

const HELP_LINES: [&str; 11] = [
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    The internal encoding of the value at <key>.",
    "FREQ <key>",
    "    The logarithmic counter of accesses to <key>; LFU policies only.",
    "IDLETIME <key>",
    "    Seconds since the last access to <key>; not with LFU policies.",
    "REFCOUNT <key>",
    "    The number of references to the value at <key>.",
    "HELP",
    "    Prints this help.",
];

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events, check_lookups};

    #[test]
    fn encodings_of_strings() {
        check(&["SET a 123", "OBJECT ENCODING a"], "$3 int");
        check(&["SET a abc", "object encoding a"], "$6 embstr");
        check(&["SET a 123456789012345678901234567890123456789012345", "OBJECT ENCODING a"], "$3 raw");
        check(&["OBJECT ENCODING a"], "$-1");
        check_effects(&["OBJECT ENCODING a"], &[]);
        check_events(&["OBJECT ENCODING a"], &[]);
        check_lookups(&["SET a x", "OBJECT ENCODING a"], 1, 0);
        check_lookups(&["OBJECT ENCODING a"], 0, 1);
        check(&["OBJECT ENCODING"], "-ERR wrong number of arguments for 'object|encoding' command");
    }

    #[test]
    fn small_integers_look_shared() {
        check(&["SET a 0", "OBJECT REFCOUNT a"], ":2147483647");
        check(&["SET a 9999", "OBJECT REFCOUNT a"], ":2147483647");
        check(&["SET a 10000", "OBJECT REFCOUNT a"], ":1");
        check(&["SET a -1", "OBJECT REFCOUNT a"], ":1");
        check(&["SET a x", "OBJECT REFCOUNT a"], ":1");
        check(&["OBJECT REFCOUNT a"], "$-1");
        let mut bench = Bench::default();
        bench.limits.shared_integers = false;
        bench.run("SET a 1");
        assert_eq!(bench.run("OBJECT REFCOUNT a").text(), ":1");
    }

    #[test]
    fn idle_time_and_frequency_exclude_each_other() {
        check(&["SET a 1", "OBJECT IDLETIME a"], ":0");
        check(&["OBJECT FREQ a"], "$-1");
        check(
            &["SET a 1", "OBJECT FREQ a"],
            "-ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
        );
        let mut bench = Bench::default();
        bench.limits.lfu = true;
        assert_eq!(bench.run("OBJECT IDLETIME a").text(), "$-1");
        bench.run("SET a 1");
        assert!(bench.run("OBJECT FREQ a").text().starts_with(':'));
        assert_eq!(
            bench.run("OBJECT IDLETIME a").text(),
            "-ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."
        );
    }

    #[test]
    fn help_lists_the_subcommands() {
        let reply = Bench::default().run("OBJECT HELP").text();
        assert!(reply.starts_with("*11 +OBJECT <subcommand> "), "{reply}");
        assert!(reply.ends_with("+HELP +    Prints this help."), "{reply}");
    }
}
