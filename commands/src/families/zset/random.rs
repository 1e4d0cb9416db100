//! `ZRANDMEMBER`.

use super::{begin_members, reply_entry, reply_member};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, Rng, command};
use tidegate_data::{Zset, ZsetRef};

/// Most members that may be asked for when each may come many times, and the most bytes of such a reply. Redis knows no
/// bound and makes the reply until memory ends.
const REPEATED_MAX: u64 = 1 << 24;
const REPEATED_SIZE_MAX: usize = 1 << 30;

const OUT_OF_RANGE: Error = Error::new("ERR value is out of range");

pub(super) static ZRANDMEMBER: Command =
    command("ZRANDMEMBER", "key [options: count [WITHSCORES]]", zrandmember)
        .about(
            "6.2.0",
            "O(N) where N is the number of members returned.",
            "Returns one or more random members of a sorted set.",
        )
        .arity(-2)
        .keys(KeySpec::first().ro().access())
        .flags(&[Flag::Readonly])
        .tips(&["nondeterministic_output"]);

fn zrandmember(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    if args.is_done() {
        let zset = cx.keys.read_as::<Zset>(key)?;
        let rng = cx.env.rng();
        match zset.and_then(|zset| zset.at(rng.below(zset.len() as u64) as usize)) {
            Some((member, _)) => reply_member(reply, member),
            None => reply.null(),
        }
        return Ok(Outcome::Same);
    }
    let count = args.integer()?;
    if count == i64::MIN {
        return Err(Error::text(format!(
            "ERR value is out of range, value must between {} and {}",
            -i64::MAX,
            i64::MAX
        )));
    }
    let with_scores = args.take_word("WITHSCORES");
    args.end()?;
    if with_scores && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(OUT_OF_RANGE);
    }
    let zset = cx.keys.read_as::<Zset>(key)?;
    let rng = cx.env.rng();
    match zset {
        None => reply.array(0),
        Some(zset) if count < 0 => repeat(zset, count.unsigned_abs(), with_scores, rng, reply)?,
        Some(zset) => {
            let count = usize::try_from(count).unwrap_or(usize::MAX).min(zset.len());
            let as_pairs = begin_members(reply, count, with_scores);
            zset.sample(count, &mut || rng.next(), |member, score| {
                reply_entry(reply, member, score, with_scores, as_pairs);
            });
        }
    }
    Ok(Outcome::Same)
}

/// Answers `count` random members, each independent of the others.
fn repeat(
    zset: ZsetRef,
    count: u64,
    with_scores: bool,
    rng: &mut Rng,
    reply: &mut Reply,
) -> Result<(), Error> {
    if count > REPEATED_MAX {
        return Err(OUT_OF_RANGE);
    }
    let start = reply.mark();
    let as_pairs = begin_members(reply, count as usize, with_scores);
    for _ in 0..count {
        let place = rng.below(zset.len() as u64) as usize;
        let (member, score) = zset.at(place).expect("a place below the number of members");
        reply_entry(reply, member, score, with_scores, as_pairs);
        if reply.mark() - start > REPEATED_SIZE_MAX {
            return Err(OUT_OF_RANGE);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_lookups};
    use std::collections::BTreeSet;

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn zrandmember() {
        check(&["ZRANDMEMBER k"], "$-1");
        check(&["ZADD k 1 a", "ZRANDMEMBER k"], "$1 a");
        check(&["ZADD k 1 a 2 b", "ZRANDMEMBER k 5 WITHSCORES"], "*4 $1 a $1 1 $1 b $1 2");
        check(&["ZADD k 1 a", "ZRANDMEMBER k -3"], "*3 $1 a $1 a $1 a");
        check(&["ZADD k 1 a", "ZRANDMEMBER k 0"], "*0");
        check(&["ZRANDMEMBER k 5"], "*0");
        check(&["ZRANDMEMBER k x"], "-ERR value is not an integer or out of range");
        check(&["ZRANDMEMBER k 1 2"], "-ERR syntax error");
        check(&["ZRANDMEMBER k 1 WITHSCORES x"], "-ERR syntax error");
        check(&["SET k x", "ZRANDMEMBER k"], WRONG_TYPE);
        check(&["SET k x", "ZRANDMEMBER k 1"], WRONG_TYPE);
        check(
            &["ZRANDMEMBER k -9223372036854775808"],
            "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        );
        check(&["ZRANDMEMBER k 4611686018427387904 WITHSCORES"], "-ERR value is out of range");
        check(&["ZADD k 1 a", "ZRANDMEMBER k -9223372036854775807"], "-ERR value is out of range");
        check(&["ZADD k 1 a", "ZRANDMEMBER k 9223372036854775807"], "*1 $1 a");
        check_effects(&["ZADD k 1 a 2 b", "ZRANDMEMBER k 1"], &[]);
        check_lookups(&["ZADD k 1 a 2 b", "ZRANDMEMBER k 1"], 1, 0);
        let mut bench = Bench::resp3();
        bench.run("ZADD k 1 a");
        assert_eq!(bench.run("ZRANDMEMBER k -2 WITHSCORES").text(), "*2 *2 $1 a ,1 *2 $1 a ,1");
    }

    #[test]
    fn different_members() {
        for members in [20, 1000] {
            let mut bench = Bench::default();
            for number in 0..members {
                bench.run(&format!("ZADD k {number} m{number}"));
            }
            for count in [1, 3, members / 2, members - 1] {
                let text = bench.run(&format!("ZRANDMEMBER k {count}")).text();
                let found: BTreeSet<&str> = text.split(' ').filter(|word| word.starts_with('m')).collect();
                assert_eq!(found.len(), count);
            }
        }
    }
}
