//! Looking at single members: score and rank.

use super::End;
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::Zset;

const READS: KeySpec = KeySpec::first().ro().access();
const FLAGS: &[Flag] = &[Flag::Readonly, Flag::Fast];

pub(super) static ZCARD: Command = command("ZCARD", "key", zcard)
    .about("1.2.0", "O(1)", "Tells the number of members of a sorted set.")
    .arity(2)
    .keys(KeySpec::first().ro())
    .flags(FLAGS);

fn zcard(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let zset = cx.keys.read_as::<Zset>(args.key()?)?;
    reply.integer(zset.map_or(0, |zset| zset.len() as i64));
    Ok(Outcome::Same)
}

pub(super) static ZSCORE: Command = command("ZSCORE", "key member", zscore)
    .about("1.2.0", "O(1)", "Tells the score of a member of a sorted set.")
    .arity(3)
    .keys(READS)
    .flags(FLAGS);

fn zscore(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let zset = cx.keys.read_as::<Zset>(args.key()?)?;
    let name = args.next()?;
    reply_score(reply, zset.and_then(|zset| zset.score(name)));
    Ok(Outcome::Same)
}

fn reply_score(reply: &mut Reply, score: Option<f64>) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

pub(super) static ZMSCORE: Command = command("ZMSCORE", "key member [member ...]", zmscore)
    .about(
        "6.2.0",
        "O(N) where N is the number of members asked for.",
        "Tells the scores of several members of a sorted set.",
    )
    .arity(-3)
    .keys(READS)
    .flags(FLAGS);

fn zmscore(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let zset = cx.keys.read_as::<Zset>(args.key()?)?;
    let names = args.rest();
    reply.array(names.len());
    for name in names {
        reply_score(reply, zset.and_then(|zset| zset.score(name)));
    }
    Ok(Outcome::Same)
}

const WITHSCORE_ADDED: &[(&str, &str)] = &[("7.2.0", "Option `WITHSCORE`.")];

pub(super) static ZRANK: Command =
    command("ZRANK", "key member [WITHSCORE]@7.2.0", |cx, args, reply| rank(cx, args, reply, End::Lowest))
        .about("2.0.0", "O(log(N))", "Tells the place of a member of a sorted set, from the lowest score on.")
        .arity(-3)
        .keys(READS)
        .flags(FLAGS)
        .history(WITHSCORE_ADDED);

pub(super) static ZREVRANK: Command =
    command("ZREVRANK", "key member [WITHSCORE]@7.2.0", |cx, args, reply| {
        rank(cx, args, reply, End::Highest)
    })
    .about("2.0.0", "O(log(N))", "Tells the place of a member of a sorted set, from the highest score on.")
    .arity(-3)
    .keys(READS)
    .flags(FLAGS)
    .history(WITHSCORE_ADDED);

fn rank(cx: &mut Ctx, args: &mut Args, reply: &mut Reply, from: End) -> Result<Outcome, Error> {
    let key = args.key()?;
    let name = args.next()?;
    let with_score = args.take_word("WITHSCORE");
    if !args.is_done() {
        // In Redis 7.0 nothing may follow.
        let command = if from == End::Lowest { "zrank" } else { "zrevrank" };
        return Err(Error::Arity(command.into()));
    }
    let zset = cx.keys.read_as::<Zset>(key)?;
    let found = zset.and_then(|zset| {
        let (place, score) = zset.rank(name)?;
        Some((if from == End::Lowest { place } else { zset.len() - 1 - place }, score))
    });
    match found {
        None if with_score => reply.null_array(),
        None => reply.null(),
        Some((place, score)) => {
            if with_score {
                reply.array(2);
            }
            reply.integer(place as i64);
            if with_score {
                reply.double(score);
            }
        }
    }
    Ok(Outcome::Same)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_lookups};

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn zcard_counts_members() {
        check(&["ZCARD k"], ":0");
        check(&["ZADD k 1 a 1 b", "ZCARD k"], ":2");
        check(&["SET k v", "ZCARD k"], WRONG_TYPE);
        check_lookups(&["ZADD k 1 a", "ZCARD k"], 1, 0);
        check_lookups(&["ZCARD k"], 0, 1);
    }

    #[test]
    fn zscore_and_zmscore() {
        check(&["ZADD k 0.1 a", "ZSCORE k a"], "$19 0.10000000000000001");
        check(&["ZADD k 1e300 a", "ZSCORE k a"], "$23 1.0000000000000001e+300");
        check(&["ZADD k -inf a", "ZSCORE k a"], "$4 -inf");
        check(&["ZADD k 1 a", "ZSCORE k b"], "$-1");
        check(&["ZSCORE k b"], "$-1");
        check(&["SET k v", "ZSCORE k b"], WRONG_TYPE);
        check(&["ZADD k 1 a", "ZMSCORE k a b"], "*2 $1 1 $-1");
        check(&["ZMSCORE k a b"], "*2 $-1 $-1");
        check(&["SET k v", "ZMSCORE k b"], WRONG_TYPE);
        let mut bench = Bench::resp3();
        bench.run("ZADD k 1.5 a");
        assert_eq!(bench.run("ZMSCORE k a b").text(), "*2 ,1.5 _");
    }

    #[test]
    fn zrank_and_zrevrank() {
        let add = "ZADD k 1 a 2 b 2.5 c";
        check(&[add, "ZRANK k b"], ":1");
        check(&[add, "ZRANK k c"], ":2");
        check(&[add, "ZREVRANK k c"], ":0");
        check(&[add, "ZRANK k x"], "$-1");
        check(&["ZREVRANK k x"], "$-1");
        check(&[add, "ZRANK k c withscore"], "*2 :2 $3 2.5");
        check(&[add, "ZREVRANK k a WITHSCORE"], "*2 :2 $1 1");
        check(&[add, "ZRANK k x WITHSCORE"], "*-1");
        check(&["ZRANK k x WITHSCORE"], "*-1");
        check(&["ZRANK k x WITHSCORES"], "-ERR wrong number of arguments for 'zrank' command");
        check(&["ZRANK k x a b"], "-ERR wrong number of arguments for 'zrank' command");
        check(&["ZREVRANK k x a b"], "-ERR wrong number of arguments for 'zrevrank' command");
        check(&["SET k v", "ZRANK k b"], WRONG_TYPE);
    }
}
