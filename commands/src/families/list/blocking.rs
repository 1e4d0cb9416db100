//! Popping what is not there yet: `BLPOP`, `BRPOP`, `BLMPOP`, `BLMOVE`, `BRPOPLPUSH`.
//!
//! With a list at hand they are the commands without the B, and are replayed as those. Without one they wait; each key
//! names the same command about itself alone, to be run when it is touched.

use super::{End, FromFirst, moving::move_one, pop::pop_named, pop_one};
use crate::model::{
    Args, Command, Ctx, Env, Error, Flag, KeySpec, Null, Outcome, Reply, Wait, command, deadline_of_seconds,
};
use tidegate_data::types::string::{INT_LEN_MAX, format_int};
use tidegate_data::{Key, List, WrongType};

const TIMEOUT_HISTORY: &[(&str, &str)] = &[("6.0.0", "The timeout may have a fraction.")];

pub(super) static BLPOP: Command = command("BLPOP", "key [key ...] timeout", |cx, args, reply| {
    blocking_pop(cx, args, reply, End::Left, b"BLPOP")
})
.about(
    "2.0.0",
    "O(N) where N is the number of keys.",
    "Removes and returns the first element of the first list that there is, or waits for one.",
)
.arity(-3)
.keys(KeySpec::range(1, -2, 1).rw().access().delete())
.flags(&[Flag::Write, Flag::Noscript, Flag::Blocking])
.history(TIMEOUT_HISTORY);

pub(super) static BRPOP: Command = command("BRPOP", "key [key ...] timeout", |cx, args, reply| {
    blocking_pop(cx, args, reply, End::Right, b"BRPOP")
})
.about(
    "2.0.0",
    "O(N) where N is the number of keys.",
    "Removes and returns the last element of the first list that there is, or waits for one.",
)
.arity(-3)
.keys(KeySpec::range(1, -2, 1).rw().access().delete())
.flags(&[Flag::Write, Flag::Noscript, Flag::Blocking])
.history(TIMEOUT_HISTORY);

fn blocking_pop(
    cx: &mut Ctx,
    args: &mut Args,
    reply: &mut Reply,
    end: End,
    name: &[u8],
) -> Result<Outcome, Error> {
    let deadline_ms = deadline_of_seconds(args.get(args.len() - 1), cx.env.now_ms())?;
    for key in args.keys() {
        match cx.keys.write_as::<List>(key) {
            Ok(Some(list)) => {
                reply.array(2);
                reply.bulk(key.bytes());
                pop_one(list, end, reply);
                return Ok(Outcome::changed_as(&[end.pop_command(), key.bytes()]));
            }
            Ok(None) => {}
            Err(WrongType) => goes_on_waiting(&cx.env, Error::WrongType)?,
        }
    }
    let mut wait = Wait::new(deadline_ms, Null::Array);
    for key in args.keys() {
        wait.on(key, &[name, key.bytes(), b"0"]);
    }
    Ok(wait.into())
}

pub(super) static BLMPOP: Command =
    command("BLMPOP", "timeout numkeys key [key ...] <where: LEFT|RIGHT> [COUNT count]", blmpop)
        .about(
            "7.0.0",
            "O(N+M) where N is the number of keys and M is the number of elements returned.",
            "Removes and returns elements from the first of several lists that exists, or waits for one.",
        )
        .arity(-5)
        .keys(KeySpec::counted(2, 1).rw().access().delete())
        .flags(&[Flag::Write, Flag::Blocking]);

fn blmpop(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let timeout = args.next()?;
    let FromFirst { keys, end, count } = FromFirst::read(args)?;
    let deadline_ms = deadline_of_seconds(timeout, cx.env.now_ms())?;
    for key in &keys {
        match pop_named(cx, *key, end, count, reply) {
            Ok(Some(outcome)) => return Ok(outcome),
            Ok(None) => {}
            Err(error) => goes_on_waiting(&cx.env, error)?,
        }
    }
    let mut digits = [0; INT_LEN_MAX];
    let count = format_int(count as i64, &mut digits);
    let mut wait = Wait::new(deadline_ms, Null::Array);
    for key in keys {
        wait.on(key, &[b"BLMPOP", b"0", b"1", key.bytes(), end.word(), b"COUNT", count]);
    }
    Ok(wait.into())
}

pub(super) static BLMOVE: Command =
    command("BLMOVE", "source destination <wherefrom: LEFT|RIGHT> <whereto: LEFT|RIGHT> timeout", blmove)
        .about(
            "6.2.0",
            "O(1)",
            "Takes an element from an end of one list, adds it at an end of another and returns it, or waits for one.",
        )
        .arity(6)
        .keys(KeySpec::first().rw().access().delete())
        .keys(KeySpec::at(2).rw().insert())
        .flags(&[Flag::Write, Flag::DenyOom, Flag::Noscript, Flag::Blocking]);

fn blmove(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let (source, destination) = (args.key()?, args.key()?);
    let (from, to) = (End::read(args)?, End::read(args)?);
    let deadline_ms = deadline_of_seconds(args.next()?, cx.env.now_ms())?;
    if move_if_there(cx, (source, from), (destination, to), reply)? {
        let (from, to) = (from.word(), to.word());
        return Ok(Outcome::changed_as(&[b"LMOVE", source.bytes(), destination.bytes(), from, to]));
    }
    let mut wait = Wait::new(deadline_ms, Null::Bulk);
    wait.on(source, &[b"BLMOVE", source.bytes(), destination.bytes(), from.word(), to.word(), b"0"]);
    Ok(wait.into())
}

pub(super) static BRPOPLPUSH: Command = command("BRPOPLPUSH", "source destination timeout", brpoplpush)
    .about(
        "2.2.0",
        "O(1)",
        "Takes the last element of one list, adds it at the head of another and returns it, or waits for one.",
    )
    .arity(4)
    .keys(KeySpec::first().rw().access().delete())
    .keys(KeySpec::at(2).rw().insert())
    .flags(&[Flag::Write, Flag::DenyOom, Flag::Noscript, Flag::Blocking])
    .history(TIMEOUT_HISTORY)
    .deprecated("6.2.0", "`BLMOVE` with the `RIGHT` and `LEFT` arguments");

fn brpoplpush(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let (source, destination) = (args.key()?, args.key()?);
    let deadline_ms = deadline_of_seconds(args.next()?, cx.env.now_ms())?;
    if move_if_there(cx, (source, End::Right), (destination, End::Left), reply)? {
        return Ok(Outcome::changed_as(&[b"RPOPLPUSH", source.bytes(), destination.bytes()]));
    }
    let mut wait = Wait::new(deadline_ms, Null::Bulk);
    wait.on(source, &[b"BRPOPLPUSH", source.bytes(), destination.bytes(), b"0"]);
    Ok(wait.into())
}

/// Moves an element if there is one; false for a request that is to wait. Only a source of another type can be waited
/// out: one of the destination ends the waiting.
fn move_if_there(cx: &mut Ctx, from: (Key, End), to: (Key, End), reply: &mut Reply) -> Result<bool, Error> {
    if let Err(WrongType) = cx.keys.for_write_as::<List>(from.0) {
        goes_on_waiting(&cx.env, Error::WrongType)?;
        return Ok(false);
    }
    move_one(cx, from, to, reply)
}

/// A request that has waited overlooks a key of another type: it waits for a list.
pub(super) fn goes_on_waiting(env: &Env, error: Error) -> Result<(), Error> {
    if env.is_retry() && error == Error::WrongType { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events, check_retry, check_waits};

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn blpop() {
        check(&["RPUSH l a b", "BLPOP l 0"], "*2 $1 l $1 a");
        check(&["RPUSH l a b", "BLPOP k l 1", "LRANGE l 0 -1"], "*1 $1 b");
        check(&["RPUSH k 1", "RPUSH l a b", "BLPOP k l 1"], "*2 $1 k $1 1");
        check_waits(&["BLPOP k l 1.5"], &["BLPOP k 0", "BLPOP l 0"], Some(1500));
        check_waits(&["BLPOP l 0"], &["BLPOP l 0"], None);
        check_effects(&["RPUSH l a b", "BLPOP k l 0"], &["LPOP l"]);
        check_effects(&["BLPOP k l 0"], &[]);
        check_events(&["RPUSH l a", "BLPOP l 0"], &["lpop l", "del l"]);
        check_events(&["BLPOP l 0"], &[]);
        // Where nothing may wait.
        check(&["BLPOP l 0"], "*-1");
        assert_eq!(Bench::resp3().run("BLPOP l 0").text(), "_");
    }

    #[test]
    fn brpop() {
        check(&["RPUSH l a b", "BRPOP l 0"], "*2 $1 l $1 b");
        check_waits(&["BRPOP k l 0.001"], &["BRPOP k 0", "BRPOP l 0"], Some(1));
        check_effects(&["RPUSH l a b", "BRPOP l 3"], &["RPOP l"]);
        check_events(&["RPUSH l a b", "BRPOP l 3"], &["rpop l"]);
        check_retry(&["RPUSH l a b", "BRPOP l 0"], "*2 $1 l $1 b");
    }

    #[test]
    fn timeouts_are_read_first() {
        for (line, error) in [
            ("BLPOP l -1", "-ERR timeout is negative"),
            ("BLPOP l x", "-ERR timeout is not a float or out of range"),
            ("BRPOP l 1 inf", "-ERR timeout is negative"),
            ("BLMPOP x 1 l LEFT", "-ERR timeout is not a float or out of range"),
            ("BLMPOP -1 1 l UP", "-ERR syntax error"),
            ("BLMOVE l k LEFT LEFT -1", "-ERR timeout is negative"),
            ("BLMOVE l k UP LEFT -1", "-ERR syntax error"),
            ("BRPOPLPUSH l k x", "-ERR timeout is not a float or out of range"),
        ] {
            check(&["SET l x", line], error);
        }
        check(&["BLPOP l"], "-ERR wrong number of arguments for 'blpop' command");
    }

    #[test]
    fn another_type_is_waited_out_only_after_waiting_began() {
        check(&["SET k x", "RPUSH l a", "BLPOP k l 0"], WRONG_TYPE);
        check(&["SET k x", "RPUSH l a", "BLPOP l k 0"], "*2 $1 l $1 a");
        check(&["SET k x", "BLMPOP 0 1 k LEFT"], WRONG_TYPE);
        check(&["SET k x", "BLMOVE k l LEFT LEFT 0"], WRONG_TYPE);
        check(&["SET k x", "BRPOPLPUSH k l 0"], WRONG_TYPE);
        check_retry(&["SET k x", "BLPOP k 0"], "wait");
        check_retry(&["SET k x", "BLMPOP 0 1 k LEFT COUNT 1"], "wait");
        check_retry(&["SET k x", "BLMOVE k l LEFT LEFT 0"], "wait");
        check_retry(&["SET k x", "BRPOPLPUSH k l 0"], "wait");
        check_retry(&["SET l x", "RPUSH k a", "BLMOVE k l LEFT LEFT 0"], WRONG_TYPE);
    }

    #[test]
    fn blmpop() {
        check(&["RPUSH l a b c", "BLMPOP 0 2 k l LEFT"], "*2 $1 l *1 $1 a");
        check(&["RPUSH l a b c", "BLMPOP 1 2 k l RIGHT COUNT 2"], "*2 $1 l *2 $1 c $1 b");
        check_waits(
            &["BLMPOP 2 2 k l RIGHT"],
            &["BLMPOP 0 1 k RIGHT COUNT 1", "BLMPOP 0 1 l RIGHT COUNT 1"],
            Some(2000),
        );
        check_waits(&["BLMPOP 0 1 k left count 7"], &["BLMPOP 0 1 k LEFT COUNT 7"], None);
        check_effects(&["RPUSH l a b c", "BLMPOP 0 1 l LEFT COUNT 9"], &["LPOP l 3"]);
        check_events(&["RPUSH l a b c", "BLMPOP 0 1 l LEFT COUNT 9"], &["lpop l", "del l"]);
        check_retry(&["RPUSH k a b", "BLMPOP 0 1 k LEFT COUNT 7"], "*2 $1 k *2 $1 a $1 b");
        check(&["BLMPOP 0 1 k LEFT"], "*-1");
        check(&["BLMPOP 0 0 k LEFT"], "-ERR numkeys should be greater than 0");
        check(&["BLMPOP 0 1 k LEFT COUNT 0"], "-ERR count should be greater than 0");
        check(&["BLMPOP 0 9223372036854775807 k LEFT"], "-ERR syntax error");
    }

    #[test]
    fn blmove() {
        check(&["RPUSH k a b", "BLMOVE k l LEFT RIGHT 0"], "$1 a");
        check(&["RPUSH k a b", "BLMOVE k l RIGHT LEFT 0", "LRANGE l 0 -1"], "*1 $1 b");
        check_waits(&["BLMOVE k l right left 1"], &["BLMOVE k l RIGHT LEFT 0"], Some(1000));
        check_effects(&["RPUSH k a", "BLMOVE k l left right 0"], &["LMOVE k l LEFT RIGHT"]);
        check_events(&["RPUSH k a", "BLMOVE k l LEFT RIGHT 0"], &["new l", "rpush l", "lpop k", "del k"]);
        check_retry(&["RPUSH k a", "BLMOVE k k LEFT RIGHT 0"], "$1 a");
        check(&["RPUSH k a", "SET l x", "BLMOVE k l LEFT RIGHT 0"], WRONG_TYPE);
        check(&["SET l x", "BLMOVE k l LEFT RIGHT 0"], "$-1");
    }

    #[test]
    fn brpoplpush() {
        check(&["RPUSH k a b", "BRPOPLPUSH k l 0"], "$1 b");
        check_waits(&["BRPOPLPUSH k l 0"], &["BRPOPLPUSH k l 0"], None);
        check_effects(&["RPUSH k a", "BRPOPLPUSH k l 0"], &["RPOPLPUSH k l"]);
        check(&["BRPOPLPUSH k l 0"], "$-1");
    }
}
