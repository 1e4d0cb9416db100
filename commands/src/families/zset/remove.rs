//! Removing members by name, rank, score and range of names.

use super::range::{name_range, places_of_ranks, score_range};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use std::ops::Range;
use tidegate_data::{EventClass, Key, Write, Zset, ZsetRef};

const REMOVES: KeySpec = KeySpec::first().rw().delete();

pub(super) static ZREM: Command = command("ZREM", "key member [member ...]", zrem)
    .about(
        "1.2.0",
        "O(M*log(N)) with N being the number of members of the sorted set and M the number of members to be removed.",
        "Removes members from a sorted set, and the key when none is left.",
    )
    .arity(-3)
    .keys(REMOVES)
    .flags(&[Flag::Write, Flag::Fast])
    .history(&[("2.4.0", "Several members.")]);

fn zrem(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let mut removed = 0;
    if let Some(mut zset) = cx.keys.write_as::<Zset>(key)? {
        for name in args.rest() {
            removed += i64::from(zset.change_if(|zset| zset.remove(name)));
        }
        if removed > 0 {
            zset.event(EventClass::Zset, "zrem");
        }
    }
    reply.integer(removed);
    Ok(Outcome::changed_if(removed > 0))
}

const COMPLEXITY: &str =
    "O(log(N)+M) with N being the number of members of the sorted set and M the number of members removed.";

pub(super) static ZREMRANGEBYRANK: Command =
    command("ZREMRANGEBYRANK", "key start stop", |cx, args, reply| {
        let key = args.key()?;
        let (start, stop) = (args.integer()?, args.integer()?);
        remove_range(cx, reply, key, "zremrangebyrank", |zset| places_of_ranks(start, stop, zset.len()))
    })
    .about("2.0.0", COMPLEXITY, "Removes the members of a range of ranks.")
    .arity(4)
    .keys(REMOVES)
    .flags(&[Flag::Write]);

pub(super) static ZREMRANGEBYSCORE: Command =
    command("ZREMRANGEBYSCORE", "key min max", |cx, args, reply| {
        let key = args.key()?;
        let range = score_range(args.next()?, args.next()?)?;
        remove_range(cx, reply, key, "zremrangebyscore", |zset| zset.places_of_scores(range))
    })
    .about("1.2.0", COMPLEXITY, "Removes the members with scores in a range.")
    .arity(4)
    .keys(REMOVES)
    .flags(&[Flag::Write]);

pub(super) static ZREMRANGEBYLEX: Command =
    command("ZREMRANGEBYLEX", "key min(string) max(string)", |cx, args, reply| {
        let key = args.key()?;
        let range = name_range(args.next()?, args.next()?)?;
        remove_range(cx, reply, key, "zremrangebylex", |zset| zset.places_of_names(range, false, 0))
    })
    .about("2.8.9", COMPLEXITY, "Removes the members with names in a range, where all scores are equal.")
    .arity(4)
    .keys(REMOVES)
    .flags(&[Flag::Write]);

fn remove_range(
    cx: &mut Ctx,
    reply: &mut Reply,
    key: Key,
    event: &'static str,
    places: impl FnOnce(ZsetRef) -> Range<usize>,
) -> Result<Outcome, Error> {
    let mut removed = 0;
    if let Some(mut zset) = cx.keys.write_as::<Zset>(key)? {
        let places = places(zset.view());
        removed = places.len();
        if removed > 0 {
            take_out(&mut zset, places);
            zset.count_changes(removed as u64 - 1);
            zset.event(EventClass::Zset, event);
        }
    }
    reply.integer(removed as i64);
    Ok(Outcome::changed_if(removed > 0))
}

/// Takes out members, as garbage if these are all.
pub(super) fn take_out(zset: &mut Write<'_, '_, '_, Zset>, places: Range<usize>) {
    if places.len() == zset.view().len() {
        zset.clear();
    } else {
        zset.change().remove_range(places);
    }
}

#[cfg(test)]
mod tests {
    use crate::model::check::{check, check_effects, check_events};

    const ADD: &str = "ZADD k 1 a 2 b 3 c 4 d 5 e";
    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn zrem_removes_members() {
        check(&[ADD, "ZREM k a x e a"], ":2");
        check(&[ADD, "ZREM k a x e", "ZRANGE k 0 -1"], "*3 $1 b $1 c $1 d");
        check(&[ADD, "ZREM k a b c d e", "EXISTS k"], ":0");
        check(&["ZREM k a"], ":0");
        check(&["SET k v", "ZREM k a"], WRONG_TYPE);
        check_effects(&[ADD, "ZREM k a"], &["ZREM k a"]);
        check_effects(&[ADD, "ZREM k x"], &[]);
        check_events(&[ADD, "ZREM k a b"], &["zrem k"]);
        check_events(&["ZADD k 1 a", "ZREM k a"], &["zrem k", "del k"]);
    }

    #[test]
    fn zremrangebyrank() {
        check(&[ADD, "ZREMRANGEBYRANK k 1 2"], ":2");
        check(&[ADD, "ZREMRANGEBYRANK k 1 -2", "ZRANGE k 0 -1"], "*2 $1 a $1 e");
        check(&[ADD, "ZREMRANGEBYRANK k 7 9"], ":0");
        check(&[ADD, "ZREMRANGEBYRANK k 0 -1", "EXISTS k"], ":0");
        check(&["ZREMRANGEBYRANK k x 9"], "-ERR value is not an integer or out of range");
        check(&["SET k v", "ZREMRANGEBYRANK k 0 1"], WRONG_TYPE);
        check_events(&[ADD, "ZREMRANGEBYRANK k 0 -1"], &["zremrangebyrank k", "del k"]);
    }

    #[test]
    fn zremrangebyscore() {
        check(&[ADD, "ZREMRANGEBYSCORE k (1 3"], ":2");
        check(&[ADD, "ZREMRANGEBYSCORE k 3 1"], ":0");
        check(&["ZREMRANGEBYSCORE k 3 1"], ":0");
        check(&["ZREMRANGEBYSCORE k 3 x"], "-ERR min or max is not a float");
        check_effects(&[ADD, "ZREMRANGEBYSCORE k 1 2"], &["ZREMRANGEBYSCORE k 1 2"]);
        check_events(&[ADD, "ZREMRANGEBYSCORE k 1 2"], &["zremrangebyscore k"]);
    }

    #[test]
    fn zremrangebylex() {
        check(&["ZADD k 0 a 0 b 0 c", "ZREMRANGEBYLEX k [a (c"], ":2");
        check(&["ZADD k 0 a 0 b 0 c", "ZREMRANGEBYLEX k - +", "EXISTS k"], ":0");
        check(&["ZREMRANGEBYLEX k a +"], "-ERR min or max not valid string range item");
        check_events(&["ZADD k 0 a 0 b", "ZREMRANGEBYLEX k - [a"], &["zremrangebylex k"]);
    }
}
