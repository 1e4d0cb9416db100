//! One set and the members one names: `SADD`, `SREM`, `SMOVE`, `SISMEMBER`, ... and all of them: `SMEMBERS`.

use super::{limits, reply_member};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::types::set::{Member, Set, SetRef};
use tidegate_data::{EventClass, NEVER_MS};

pub(super) static SADD: Command = command("SADD", "key member [member ...]", sadd)
    .about(
        "1.0.0",
        "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.",
        "Adds members to a set, creating it when missing.",
    )
    .arity(-3)
    .keys(KeySpec::first().rw().insert())
    .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast])
    .history(&[("2.4.0", "Accepts multiple `member` arguments.")]);

fn sadd(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let limits = limits(cx);
    let mut set = cx.keys.write_or_create::<Set>(key)?;
    let mut added = 0;
    for member in args.rest() {
        added += u64::from(set.change_if(|set| set.add(member, &limits)));
    }
    if added > 0 {
        set.event(EventClass::Set, "sadd");
    }
    reply.integer(added as i64);
    Ok(Outcome::changed_if(added > 0))
}

pub(super) static SREM: Command = command("SREM", "key member [member ...]", srem)
    .about("1.0.0", "O(N) where N is the number of members to be removed.", "Removes members from a set.")
    .arity(-3)
    .keys(KeySpec::first().rw().delete())
    .flags(&[Flag::Write, Flag::Fast])
    .history(&[("2.4.0", "Accepts multiple `member` arguments.")]);

fn srem(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let Some(mut set) = cx.keys.write_as::<Set>(key)? else {
        reply.integer(0);
        return Ok(Outcome::Same);
    };
    let mut removed = 0;
    for member in args.rest() {
        removed += u64::from(set.change_if(|set| set.remove(member)));
    }
    if removed > 0 {
        set.event(EventClass::Set, "srem");
    }
    reply.integer(removed as i64);
    Ok(Outcome::changed_if(removed > 0))
}

pub(super) static SMOVE: Command = command("SMOVE", "source destination member", smove)
    .about("1.0.0", "O(1)", "Moves a member from one set to another, which is created when missing.")
    .arity(4)
    .keys(KeySpec::first().rw().access().delete())
    .keys(KeySpec::at(2).rw().insert())
    .flags(&[Flag::Write, Flag::Fast]);

fn smove(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let (from, to) = (args.key()?, args.key()?);
    let member = args.next()?;
    // Redis looks both up, even where there is nothing to move.
    cx.keys.for_write(from);
    cx.keys.for_write(to);
    let Some(source) = cx.keys.view_as::<Set>(from)? else {
        reply.integer(0);
        return Ok(Outcome::Same);
    };
    let deadline_ms = source.deadline_ms(member);
    let destination = cx.keys.view_as::<Set>(to)?;
    let is_new = destination.is_none_or(|set| !set.contains(Member::Text(member)));
    reply.integer(i64::from(deadline_ms.is_some()));
    let Some(deadline_ms) = deadline_ms.filter(|_| from.bytes() != to.bytes()) else {
        return Ok(Outcome::Same);
    };
    let limits = limits(cx);
    if let Some(mut source) = cx.keys.write_as::<Set>(from)? {
        source.change().remove(member);
        source.event(EventClass::Set, "srem");
    }
    if is_new {
        let mut destination = cx.keys.write_or_create::<Set>(to)?;
        destination.change().add(member, &limits);
        // A member that moves takes its deadline along; one that was there keeps its own.
        if deadline_ms != NEVER_MS {
            destination.change().set_deadline(member, Some(deadline_ms));
        }
        destination.event(EventClass::Set, "sadd");
    }
    Ok(Outcome::Changed)
}

pub(super) static SCARD: Command = command("SCARD", "key", |cx, args, reply| {
    let len = cx.keys.read_as::<Set>(args.key()?)?.map_or(0, SetRef::len);
    reply.integer(len as i64);
    Ok(Outcome::Same)
})
.about("1.0.0", "O(1)", "Returns the number of members of a set.")
.arity(2)
.keys(KeySpec::first().ro())
.flags(&[Flag::Readonly, Flag::Fast]);

pub(super) static SISMEMBER: Command = command("SISMEMBER", "key member", |cx, args, reply| {
    let set = cx.keys.read_as::<Set>(args.key()?)?;
    let member = Member::Text(args.next()?);
    reply.integer(i64::from(set.is_some_and(|set| set.contains(member))));
    Ok(Outcome::Same)
})
.about("1.0.0", "O(1)", "Tells whether a set has a member.")
.arity(3)
.keys(KeySpec::first().ro())
.flags(&[Flag::Readonly, Flag::Fast]);

pub(super) static SMISMEMBER: Command =
    command("SMISMEMBER", "key member [member ...]", |cx, args, reply| {
        let set = cx.keys.read_as::<Set>(args.key()?)?;
        reply.array(args.remaining());
        for member in args.rest() {
            reply.integer(i64::from(set.is_some_and(|set| set.contains(Member::Text(member)))));
        }
        Ok(Outcome::Same)
    })
    .about(
        "6.2.0",
        "O(N) where N is the number of elements being checked for membership",
        "Tells of several members whether a set has them.",
    )
    .arity(-3)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly, Flag::Fast]);

pub(super) static SMEMBERS: Command = command("SMEMBERS", "key", |cx, args, reply| {
    let set = cx.keys.read_as::<Set>(args.key()?)?;
    reply.set(set.map_or(0, SetRef::len));
    for member in set.into_iter().flat_map(SetRef::iter) {
        reply_member(reply, member);
    }
    Ok(Outcome::Same)
})
.about("1.0.0", "O(N) where N is the set cardinality.", "Returns all members of a set.")
.arity(2)
.keys(KeySpec::first().ro().access())
.flags(&[Flag::Readonly])
.tips(&["nondeterministic_output_order"]);

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events, check_lookups};

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn sadd() {
        check(&["SADD s a b a"], ":2");
        check(&["SADD s a", "SADD s a b c"], ":2");
        check(&["SADD s a", "SADD s a"], ":0");
        check(&["SET s x", "SADD s a"], WRONG_TYPE);
        check(&["SADD s"], "-ERR wrong number of arguments for 'sadd' command");
        check_effects(&["SADD s a", "SADD s a b"], &["SADD s a b"]);
        check_effects(&["SADD s a", "SADD s a"], &[]);
        check_events(&["SADD s a b"], &["new s", "sadd s"]);
        check_events(&["SADD s a", "SADD s b"], &["sadd s"]);
        check_events(&["SADD s a", "SADD s a"], &[]);
        check_lookups(&["SADD s a"], 0, 0);
    }

    #[test]
    fn encodings() {
        check(&["SADD s 1 2 -3", "OBJECT ENCODING s"], "$6 intset");
        check(&["SADD s 1 2 x", "OBJECT ENCODING s"], "$9 hashtable");
        check(&["SADD s 1 2 x", "SREM s x", "OBJECT ENCODING s"], "$9 hashtable");
        check(&["SADD s 1 02", "OBJECT ENCODING s"], "$9 hashtable");
        check(&["SADD s 9223372036854775807", "OBJECT ENCODING s"], "$6 intset");
        check(&["SADD s 9223372036854775808", "OBJECT ENCODING s"], "$9 hashtable");
        let mut bench = Bench::default();
        for n in 0..512 {
            bench.run(&format!("SADD s {n}"));
        }
        assert_eq!(bench.run("OBJECT ENCODING s").text(), "$6 intset");
        bench.run("SADD s 512");
        assert_eq!(bench.run("OBJECT ENCODING s").text(), "$9 hashtable");
        bench.limits.encodings.set_max_intset_entries = 0;
        assert_eq!(bench.run("SADD t 1").text(), ":1");
        assert_eq!(bench.run("OBJECT ENCODING t").text(), "$9 hashtable");
        assert_eq!(bench.run("SISMEMBER t 1").text(), ":1");
    }

    #[test]
    fn srem() {
        check(&["SADD s a b c", "SREM s a x c"], ":2");
        check(&["SADD s 1 2 3", "SREM s 1 x 03 3"], ":2");
        check(&["SREM s a"], ":0");
        check(&["SADD s a", "SREM s x"], ":0");
        check(&["SADD s a b", "SREM s a b c", "EXISTS s"], ":0");
        check(&["SET s x", "SREM s a"], WRONG_TYPE);
        check_effects(&["SADD s a b", "SREM s a x"], &["SREM s a x"]);
        check_effects(&["SADD s a b", "SREM s x"], &[]);
        check_events(&["SADD s a b", "SREM s a"], &["srem s"]);
        check_events(&["SADD s a b", "SREM s a b"], &["srem s", "del s"]);
        check_events(&["SADD s a b", "SREM s x"], &[]);
    }

    #[test]
    fn smove() {
        check(&["SADD a 1 x", "SADD b 2", "SMOVE a b x"], ":1");
        check(&["SADD a 1 x", "SADD b 2", "SMOVE a b x", "SMISMEMBER b 2 x"], "*2 :1 :1");
        check(&["SADD a 1 x", "SMOVE a b x", "SMEMBERS a"], "*1 $1 1");
        check(&["SADD a 1", "SMOVE a b 1", "EXISTS a b"], ":1");
        check(&["SADD a 1", "SMOVE a b 2"], ":0");
        check(&["SADD b 1", "SMOVE a b 2"], ":0");
        check(&["SADD a 1", "SMOVE a a 1"], ":1");
        check(&["SADD a 1", "SMOVE a a 2"], ":0");
        check(&["SET b x", "SMOVE a b 2"], ":0");
        check(&["SET b x", "SADD a 1", "SMOVE a b 2"], WRONG_TYPE);
        check(&["SET a x", "SADD b 1", "SMOVE a b 2"], WRONG_TYPE);
        check_effects(&["SADD a 1", "SMOVE a b 1"], &["SMOVE a b 1"]);
        check_effects(&["SADD a 1", "SMOVE a a 1"], &[]);
        check_effects(&["SADD a 1", "SMOVE a b 2"], &[]);
        check_events(&["SADD a 1 2", "SMOVE a b 1"], &["srem a", "new b", "sadd b"]);
        check_events(&["SADD a 1", "SADD b 1", "SMOVE a b 1"], &["srem a", "del a"]);
        check_events(&["SADD a 1", "SMOVE a b 1"], &["srem a", "del a", "new b", "sadd b"]);
        check_events(&["SADD a 1", "SMOVE a a 1"], &[]);
    }

    #[test]
    fn looking_at_one_set() {
        check(&["SCARD s"], ":0");
        check(&["SADD s a b 1", "SCARD s"], ":3");
        check(&["SISMEMBER s a"], ":0");
        check(&["SADD s a", "SISMEMBER s a"], ":1");
        check(&["SADD s a", "SISMEMBER s b"], ":0");
        check(&["SMISMEMBER s a b"], "*2 :0 :0");
        check(&["SADD s 1 3", "SMISMEMBER s 1 2 3 03"], "*4 :1 :0 :1 :0");
        check(&["SMEMBERS s"], "*0");
        check(&["SADD s 10 -1 7", "SMEMBERS s"], "*3 $2 -1 $1 7 $2 10");
        for line in ["SCARD s", "SISMEMBER s a", "SMISMEMBER s a", "SMEMBERS s"] {
            check(&["SET s x", line], WRONG_TYPE);
            check_effects(&["SADD s a", line], &[]);
            check_events(&[line], &["keymiss s"]);
            check_lookups(&["SADD s a", line], 1, 0);
            check_lookups(&[line], 0, 1);
        }
        let mut bench = Bench::resp3();
        assert_eq!(bench.run("SMEMBERS s").text(), "~0");
        bench.run("SADD s 5 1");
        assert_eq!(bench.run("SMEMBERS s").text(), "~2 $1 1 $1 5");
    }
}
