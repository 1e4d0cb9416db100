//! Changes between the ends: `LSET`, `LINSERT`, `LREM`, `LTRIM`.

use super::{indices, node_limit};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::{EventClass, List};

pub(super) static LSET: Command = command("LSET", "key index element", lset)
    .about(
        "1.0.0",
        "O(N) where N is the number of nodes, some kilobytes each, to the nearer end. The ends are O(1).",
        "Puts another element at an index, which counts from the end if negative.",
    )
    .arity(4)
    .keys(KeySpec::first().rw().update())
    .flags(&[Flag::Write, Flag::DenyOom]);

fn lset(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let mut list = cx.keys.write_as::<List>(key)?.ok_or(Error::NoSuchKey)?;
    let index = args.integer()?;
    let element = args.next()?;
    let index = indices(index, index, list.view().len()).next().ok_or(Error::IndexOutOfRange)?;
    list.change().set(index, element, node_limit(&cx.env));
    list.event(EventClass::List, "lset");
    reply.ok();
    Ok(Outcome::Changed)
}

pub(super) static LINSERT: Command = command("LINSERT", "key <where: BEFORE|AFTER> pivot element", linsert)
    .about(
        "2.2.0",
        "O(N) where N is the number of elements up to the pivot.",
        "Adds an element before or after the first one that equals the pivot.",
    )
    .arity(5)
    .keys(KeySpec::first().rw().insert())
    .flags(&[Flag::Write, Flag::DenyOom]);

fn linsert(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let offset = if args.take_word("AFTER") {
        1
    } else if args.take_word("BEFORE") {
        0
    } else {
        return Err(Error::Syntax);
    };
    let (pivot, element) = (args.next()?, args.next()?);
    let Some(mut list) = cx.keys.write_as::<List>(key)? else {
        reply.integer(0);
        return Ok(Outcome::Same);
    };
    let Some(index) = list.view().find(pivot) else {
        reply.integer(-1);
        return Ok(Outcome::Same);
    };
    list.change().insert(index + offset, element, node_limit(&cx.env));
    list.event(EventClass::List, "linsert");
    reply.integer(list.view().len() as i64);
    Ok(Outcome::Changed)
}

pub(super) static LREM: Command = command("LREM", "key count element", lrem)
    .about(
        "1.0.0",
        "O(N) where N is the length of the list.",
        "Removes elements that equal the given one: the first so many, the last so many if negative, all if 0.",
    )
    .arity(4)
    .keys(KeySpec::first().rw().delete())
    .flags(&[Flag::Write]);

fn lrem(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let count = args.integer()?;
    let element = args.next()?;
    let Some(mut list) = cx.keys.write_as::<List>(key)? else {
        reply.integer(0);
        return Ok(Outcome::Same);
    };
    // From the end where it begins to remove: queues take out what is near it.
    let found = if count < 0 { list.view().find_last(element) } else { list.view().find(element) };
    let Some(index) = found else {
        reply.integer(0);
        return Ok(Outcome::Same);
    };
    let limit = node_limit(&cx.env);
    let removed = match count.unsigned_abs() {
        1 => usize::from(list.change().remove_at(index, limit)),
        0 => list.change().remove_equal(element, usize::MAX, false, limit),
        most => list.change().remove_equal(element, most as usize, count < 0, limit),
    };
    list.count_changes(removed as u64 - 1);
    list.event(EventClass::List, "lrem");
    reply.integer(removed as i64);
    Ok(Outcome::Changed)
}

pub(super) static LTRIM: Command = command("LTRIM", "key start stop", ltrim)
    .about(
        "1.0.0",
        "O(N) where N is the number of nodes, some kilobytes each, that are removed.",
        "Removes all elements but those from one index to another, both inclusive.",
    )
    .arity(4)
    .keys(KeySpec::first().rw().delete())
    .flags(&[Flag::Write]);

fn ltrim(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let (start, stop) = (args.integer()?, args.integer()?);
    let before = cx.keys.log().changes;
    let Some(mut list) = cx.keys.write_as::<List>(key)? else {
        reply.ok();
        return Ok(Outcome::Same);
    };
    let len = list.view().len();
    let range = indices(start, stop, len);
    let removed = (len - range.len()) as u64;
    let content = list.change();
    content.remove_back(len - range.end);
    content.remove_front(range.start);
    list.event(EventClass::List, "ltrim");
    drop(list);
    // Redis announces the command, and fails a WATCH, even if nothing is cut off. It does not replay it then; here nothing
    // is announced that is not replayed.
    cx.keys.log().recount(before, removed.max(1));
    reply.ok();
    Ok(Outcome::Changed)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{check, check_changes, check_effects, check_events, check_lookups};

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    const NO_INTEGER: &str = "-ERR value is not an integer or out of range";

    #[test]
    fn lset() {
        check(&["RPUSH l a b c", "LSET l 1 x"], "+OK");
        check(&["RPUSH l a b c", "LSET l 1 x", "LRANGE l 0 -1"], "*3 $1 a $1 x $1 c");
        check(&["RPUSH l a b c", "LSET l -1 12", "LRANGE l 0 -1"], "*3 $1 a $1 b $2 12");
        check(&["RPUSH l a b c", "LSET l 3 x"], "-ERR index out of range");
        check(&["RPUSH l a b c", "LSET l -4 x"], "-ERR index out of range");
        check(&["RPUSH l a", "LSET l -9223372036854775808 x"], "-ERR index out of range");
        check(&["LSET l x y"], "-ERR no such key");
        check(&["SET l x", "LSET l x y"], WRONG_TYPE);
        check(&["RPUSH l a", "LSET l x y"], NO_INTEGER);
        check_effects(&["RPUSH l a", "LSET l 0 b"], &["LSET l 0 b"]);
        check_events(&["RPUSH l a", "LSET l 0 b"], &["lset l"]);
        check_events(&["RPUSH l a", "LSET l 5 b"], &[]);
        check_lookups(&["RPUSH l a", "LSET l 0 b"], 0, 0);
    }

    #[test]
    fn linsert() {
        check(&["RPUSH l a b b", "LINSERT l BEFORE b x"], ":4");
        check(&["RPUSH l a b b", "LINSERT l BEFORE b x", "LRANGE l 0 -1"], "*4 $1 a $1 x $1 b $1 b");
        check(&["RPUSH l a b b", "LINSERT l after b 7", "LRANGE l 0 -1"], "*4 $1 a $1 b $1 7 $1 b");
        check(&["RPUSH l a", "LINSERT l after a b", "LRANGE l 0 -1"], "*2 $1 a $1 b");
        check(&["RPUSH l 10", "LINSERT l before 10 b"], ":2");
        check(&["RPUSH l a", "LINSERT l AFTER x y"], ":-1");
        check(&["LINSERT l AFTER x y"], ":0");
        check(&["LINSERT l IN x y"], "-ERR syntax error");
        check(&["SET l x", "LINSERT l IN x y"], "-ERR syntax error");
        check(&["SET l x", "LINSERT l AFTER x y"], WRONG_TYPE);
        check_effects(&["RPUSH l a", "LINSERT l AFTER a b"], &["LINSERT l AFTER a b"]);
        check_effects(&["RPUSH l a", "LINSERT l AFTER x b"], &[]);
        check_events(&["RPUSH l a", "LINSERT l AFTER a b"], &["linsert l"]);
        check_events(&["RPUSH l a", "LINSERT l AFTER x b"], &[]);
    }

    #[test]
    fn lrem() {
        let list = "RPUSH l a b a 1 a b";
        for (line, reply, left) in [
            ("LREM l 0 a", ":3", "*3 $1 b $1 1 $1 b"),
            ("LREM l 1 a", ":1", "*5 $1 b $1 a $1 1 $1 a $1 b"),
            ("LREM l 2 a", ":2", "*4 $1 b $1 1 $1 a $1 b"),
            ("LREM l -1 a", ":1", "*5 $1 a $1 b $1 a $1 1 $1 b"),
            ("LREM l -2 a", ":2", "*4 $1 a $1 b $1 1 $1 b"),
            ("LREM l 10 b", ":2", "*4 $1 a $1 a $1 1 $1 a"),
            ("LREM l 1 1", ":1", "*5 $1 a $1 b $1 a $1 a $1 b"),
            ("LREM l 1 x", ":0", "*6 $1 a $1 b $1 a $1 1 $1 a $1 b"),
            ("LREM l -9223372036854775808 a", ":3", "*3 $1 b $1 1 $1 b"),
            ("LREM l 9223372036854775807 a", ":3", "*3 $1 b $1 1 $1 b"),
        ] {
            check(&[list, line], reply);
            check(&[list, line, "LRANGE l 0 -1"], left);
        }
        check(&["RPUSH l a a", "LREM l 0 a", "EXISTS l"], ":0");
        check(&["LREM l 0 a"], ":0");
        check(&["LREM l x a"], NO_INTEGER);
        check(&["SET l x", "LREM l x a"], NO_INTEGER);
        check(&["SET l x", "LREM l 0 a"], WRONG_TYPE);
        check_effects(&[list, "LREM l 2 a"], &["LREM l 2 a"]);
        check_effects(&[list, "LREM l 2 x"], &[]);
        check_events(&[list, "LREM l 2 a"], &["lrem l"]);
        check_events(&[list, "LREM l 2 x"], &[]);
        check_events(&["RPUSH l a a", "LREM l 0 a"], &["lrem l", "del l"]);
    }

    #[test]
    fn ltrim() {
        let list = "RPUSH l a b c d e";
        for (range, left) in [
            ("0 0", "*1 $1 a"),
            ("0 1", "*2 $1 a $1 b"),
            ("1 2", "*2 $1 b $1 c"),
            ("1 -2", "*3 $1 b $1 c $1 d"),
            ("-5 10", "*5 $1 a $1 b $1 c $1 d $1 e"),
            ("-100 0", "*1 $1 a"),
            ("4 4", "*1 $1 e"),
            ("2 1", "*0"),
            ("5 9", "*0"),
            ("-9223372036854775808 9223372036854775807", "*5 $1 a $1 b $1 c $1 d $1 e"),
            ("9223372036854775807 -9223372036854775808", "*0"),
        ] {
            check(&[list, &format!("LTRIM l {range}")], "+OK");
            check(&[list, &format!("LTRIM l {range}"), "LRANGE l 0 -1"], left);
        }
        check(&[list, "LTRIM l 1 0", "EXISTS l"], ":0");
        check(&["LTRIM l 0 1"], "+OK");
        check(&["LTRIM l x 1"], NO_INTEGER);
        check(&["SET l x", "LTRIM l 0 x"], NO_INTEGER);
        check(&["SET l x", "LTRIM l 0 1"], WRONG_TYPE);
        check_effects(&[list, "LTRIM l 1 2"], &["LTRIM l 1 2"]);
        check_effects(&["LTRIM l 1 2"], &[]);
        check_effects(&[list, "LTRIM l 0 -1"], &["LTRIM l 0 -1"]);
        check_changes(&[list, "LTRIM l 0 -1"], 1);
        check_changes(&[list, "LTRIM l 1 2"], 3);
        check_changes(&[list, "LTRIM l 1 0"], 5);
        check_events(&[list, "LTRIM l 1 2"], &["ltrim l"]);
        check_events(&[list, "LTRIM l 0 -1"], &["ltrim l"]);
        check_events(&[list, "LTRIM l 1 0"], &["ltrim l", "del l"]);
        check_events(&["LTRIM l 1 0"], &[]);
    }
}
