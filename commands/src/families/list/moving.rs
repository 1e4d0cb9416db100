//! From one list to another: `LMOVE` and its old form `RPOPLPUSH`.

use super::{End, node_limit, push, remove};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use smallvec::SmallVec;
use tidegate_data::types::string::INT_LEN_MAX;
use tidegate_data::{EventClass, Key, List};

pub(super) static LMOVE: Command =
    command("LMOVE", "source destination <wherefrom: LEFT|RIGHT> <whereto: LEFT|RIGHT>", lmove)
        .about(
            "6.2.0",
            "O(1)",
            "Takes an element from an end of one list, adds it at an end of another and returns it.",
        )
        .arity(5)
        .keys(KeySpec::first().rw().access().delete())
        .keys(KeySpec::at(2).rw().insert())
        .flags(&[Flag::Write, Flag::DenyOom]);

fn lmove(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let (source, destination) = (args.key()?, args.key()?);
    let (from, to) = (End::read(args)?, End::read(args)?);
    move_or_null(cx, (source, from), (destination, to), reply)
}

pub(super) static RPOPLPUSH: Command = command("RPOPLPUSH", "source destination", rpoplpush)
    .about(
        "1.2.0",
        "O(1)",
        "Takes the last element of one list, adds it at the head of another and returns it.",
    )
    .arity(3)
    .keys(KeySpec::first().rw().access().delete())
    .keys(KeySpec::at(2).rw().insert())
    .flags(&[Flag::Write, Flag::DenyOom])
    .deprecated("6.2.0", "`LMOVE` with the `RIGHT` and `LEFT` arguments");

fn rpoplpush(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let (source, destination) = (args.key()?, args.key()?);
    move_or_null(cx, (source, End::Right), (destination, End::Left), reply)
}

fn move_or_null(cx: &mut Ctx, from: (Key, End), to: (Key, End), reply: &mut Reply) -> Result<Outcome, Error> {
    if move_one(cx, from, to, reply)? {
        return Ok(Outcome::Changed);
    }
    reply.null();
    Ok(Outcome::Same)
}

/// Moves an element and answers it; false, and nothing answered, if there is no source.
pub(super) fn move_one(
    cx: &mut Ctx,
    (source, from): (Key, End),
    (destination, to): (Key, End),
    reply: &mut Reply,
) -> Result<bool, Error> {
    let Some(list) = cx.keys.for_write_as::<List>(source)? else { return Ok(false) };
    let item = match from {
        End::Left => list.get(0),
        End::Right => list.get(list.len() - 1),
    };
    let item = item.expect("a list in the keyspace is never empty");
    let item: SmallVec<[u8; 64]> = item.bytes(&mut [0; INT_LEN_MAX]).into();
    let limit = node_limit(&cx.env);
    let before = cx.keys.log().changes;
    // Added first: the other order would delete a list of one element that is turned round in itself.
    let mut list = cx.keys.write_or_create::<List>(destination)?;
    push(list.change(), to, &item, limit);
    list.event(EventClass::List, to.push_event());
    drop(list);
    let mut list = cx.keys.write_as::<List>(source)?.expect("the source was there a moment ago");
    remove(list.change(), from, 1);
    list.event(EventClass::List, from.pop_event());
    drop(list);
    cx.keys.log().recount(before, 1);
    reply.bulk(&item);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_changes, check_effects, check_events, check_lookups};

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn lmove() {
        for (ends, moved, source, destination) in [
            ("LEFT LEFT", "$1 a", "*2 $1 b $1 c", "*3 $1 a $1 x $1 y"),
            ("LEFT RIGHT", "$1 a", "*2 $1 b $1 c", "*3 $1 x $1 y $1 a"),
            ("RIGHT LEFT", "$1 c", "*2 $1 a $1 b", "*3 $1 c $1 x $1 y"),
            ("right right", "$1 c", "*2 $1 a $1 b", "*3 $1 x $1 y $1 c"),
        ] {
            let mut bench = Bench::default();
            bench.run("RPUSH k a b c");
            bench.run("RPUSH l x y");
            assert_eq!(bench.run(&format!("LMOVE k l {ends}")).text(), moved, "{ends}");
            assert_eq!(bench.run("LRANGE k 0 -1").text(), source, "{ends}");
            assert_eq!(bench.run("LRANGE l 0 -1").text(), destination, "{ends}");
        }
        check(&["RPUSH k a", "LMOVE k l LEFT RIGHT", "EXISTS k l"], ":1");
        check(&["RPUSH k 12", "LMOVE k l LEFT RIGHT", "LRANGE l 0 -1"], "*1 $2 12");
        check(&["LMOVE k l LEFT RIGHT"], "$-1");
        assert_eq!(Bench::resp3().run("LMOVE k l LEFT RIGHT").text(), "_");
        check_changes(&["RPUSH k a", "LMOVE k l LEFT RIGHT"], 1);
        check_changes(&["RPUSH k a b", "RPOPLPUSH k k"], 1);
    }

    #[test]
    fn a_list_turns_round_in_itself() {
        for (ends, moved, left) in [
            ("LEFT RIGHT", "$1 a", "*3 $1 b $1 c $1 a"),
            ("RIGHT LEFT", "$1 c", "*3 $1 c $1 a $1 b"),
            ("LEFT LEFT", "$1 a", "*3 $1 a $1 b $1 c"),
            ("RIGHT RIGHT", "$1 c", "*3 $1 a $1 b $1 c"),
        ] {
            check(&["RPUSH k a b c", &format!("LMOVE k k {ends}")], moved);
            check(&["RPUSH k a b c", &format!("LMOVE k k {ends}"), "LRANGE k 0 -1"], left);
        }
        check(&["RPUSH k a", "PEXPIRE k 500", "RPOPLPUSH k k", "PTTL k"], ":500");
        check_events(&["RPUSH k a", "LMOVE k k LEFT RIGHT"], &["rpush k", "lpop k"]);
    }

    #[test]
    fn lmove_refuses() {
        check(&["LMOVE k l UP LEFT"], "-ERR syntax error");
        check(&["SET k x", "LMOVE k l LEFT UP"], "-ERR syntax error");
        check(&["SET k x", "LMOVE k l LEFT LEFT"], WRONG_TYPE);
        check(&["RPUSH k a", "SET l x", "LMOVE k l LEFT LEFT"], WRONG_TYPE);
        check(&["RPUSH k a", "SET l x", "LMOVE k l LEFT LEFT", "LRANGE k 0 -1"], "*1 $1 a");
        check(&["SET l x", "LMOVE k l LEFT LEFT"], "$-1");
        check(&["LMOVE k l LEFT"], "-ERR wrong number of arguments for 'lmove' command");
    }

    #[test]
    fn rpoplpush() {
        check(&["RPUSH k a b", "RPOPLPUSH k l"], "$1 b");
        check(&["RPUSH k a b", "RPUSH l x", "RPOPLPUSH k l", "LRANGE l 0 -1"], "*2 $1 b $1 x");
        check(&["RPUSH k a b", "RPOPLPUSH k k", "LRANGE k 0 -1"], "*2 $1 b $1 a");
        check(&["RPOPLPUSH k l"], "$-1");
        check(&["RPUSH k a", "SET l x", "RPOPLPUSH k l"], WRONG_TYPE);
        check_effects(&["RPUSH k a", "RPOPLPUSH k l"], &["RPOPLPUSH k l"]);
        check_effects(&["RPOPLPUSH k l"], &[]);
    }

    #[test]
    fn what_is_told() {
        check_effects(&["RPUSH k a", "LMOVE k l LEFT RIGHT"], &["LMOVE k l LEFT RIGHT"]);
        check_events(&["RPUSH k a", "LMOVE k l LEFT RIGHT"], &["new l", "rpush l", "lpop k", "del k"]);
        check_events(&["RPUSH k a b", "RPUSH l x", "LMOVE k l RIGHT LEFT"], &["lpush l", "rpop k"]);
        check_lookups(&["RPUSH k a", "LMOVE k l RIGHT LEFT"], 0, 0);
    }
}
