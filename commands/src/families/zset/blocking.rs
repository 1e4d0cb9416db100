//! Taking out members, and waiting for them: `BZPOPMIN` and its relatives, and `BZPOPDUE` for queues of what is to be
//! done at a certain time.

use super::End;
use super::pop::{Many, pop, replayed};
use crate::model::{
    Args, Command, Ctx, Error, Flag, KeySpec, Null, Outcome, Reply, Wait, command, deadline_of_seconds,
    parse_double,
};
use tidegate_data::{Key, Keys, Write, Zset};

const FLAGS: &[Flag] = &[Flag::Write, Flag::Noscript, Flag::Fast, Flag::Blocking];
const TIMEOUT_IS_DOUBLE: &[(&str, &str)] = &[("6.0.0", "The timeout may have a fraction.")];

pub(super) static BZPOPMIN: Command =
    command("BZPOPMIN", "key [key ...] timeout", |cx, args, reply| bzpop(cx, args, reply, End::Lowest))
        .about(
            "5.0.0",
            "O(log(N)) with N being the number of members of the sorted set.",
            "Takes out the member with the lowest score of the first of several sorted sets that has any, or waits for one.",
        )
        .arity(-3)
        .keys(KeySpec::range(1, -2, 1).rw().access().delete())
        .flags(FLAGS)
        .history(TIMEOUT_IS_DOUBLE);

pub(super) static BZPOPMAX: Command =
    command("BZPOPMAX", "key [key ...] timeout", |cx, args, reply| bzpop(cx, args, reply, End::Highest))
        .about(
            "5.0.0",
            "O(log(N)) with N being the number of members of the sorted set.",
            "Takes out the member with the highest score of the first of several sorted sets that has any, or waits for one.",
        )
        .arity(-3)
        .keys(KeySpec::range(1, -2, 1).rw().access().delete())
        .flags(FLAGS)
        .history(TIMEOUT_IS_DOUBLE);

fn bzpop(cx: &mut Ctx, args: &mut Args, reply: &mut Reply, end: End) -> Result<Outcome, Error> {
    let deadline_ms = deadline_of_seconds(args.get(args.len() - 1), cx.env.now_ms())?;
    let is_retry = cx.env.is_retry();
    for key in args.keys() {
        let Some(mut zset) = candidate(&mut cx.keys, key, is_retry)? else { continue };
        pop_one(&mut zset, key, end, reply);
        return Ok(replayed(end, key, None));
    }
    let name: &[u8] = if end == End::Lowest { b"BZPOPMIN" } else { b"BZPOPMAX" };
    let mut wait = Wait::new(deadline_ms, Null::Array);
    for key in args.keys() {
        wait.on(key, &[name, key.bytes(), b"0"]);
    }
    Ok(wait.into())
}

/// The sorted set at a key; `None` without key. Another type is an error at first, and passed over after waiting.
fn candidate<'k, 'a, 'n>(
    keys: &'k mut Keys<'a>,
    key: Key<'n>,
    is_retry: bool,
) -> Result<Option<Write<'k, 'a, 'n, Zset>>, Error> {
    match keys.write_as::<Zset>(key) {
        Ok(found) => Ok(found),
        Err(_) if is_retry => Ok(None),
        Err(wrong_type) => Err(wrong_type.into()),
    }
}

/// Takes out one member and answers key, name and score.
fn pop_one(zset: &mut Write<'_, '_, '_, Zset>, key: Key, end: End, reply: &mut Reply) {
    reply.array(3);
    reply.bulk(key.bytes());
    pop(zset, end, 1, false, reply);
}

pub(super) static BZMPOP: Command =
    command("BZMPOP", "timeout numkeys key [key ...] <where: MIN|MAX> [COUNT count]", bzmpop)
        .about(
            "7.0.0",
            "O(K) + O(M*log(N)) where K is the number of keys given, N the number of members of the sorted set, and M the number of members taken out.",
            "Takes members out of the first of several sorted sets that has any, or waits for some.",
        )
        .arity(-5)
        .keys(KeySpec::counted(2, 1).rw().access().delete())
        .flags(&[Flag::Write, Flag::Blocking]);

fn bzmpop(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let timeout = args.next()?;
    let many = Many::parse(args)?;
    // The timeout is looked at last.
    let deadline_ms = deadline_of_seconds(timeout, cx.env.now_ms())?;
    if let Some(outcome) = many.pop(&mut cx.keys, args, cx.env.is_retry(), reply)? {
        return Ok(outcome);
    }
    let end: &[u8] = if many.end == End::Lowest { b"MIN" } else { b"MAX" };
    let count = many.count.to_string();
    let mut wait = Wait::new(deadline_ms, Null::Array);
    for key in args.keys() {
        wait.on(key, &[b"BZMPOP", b"0", b"1", key.bytes(), end, b"COUNT", count.as_bytes()]);
    }
    Ok(wait.into())
}

/// The queue of things to do at a time, without polling: scores are Unix times in seconds, and a member comes out once its
/// time has come, to the client that has waited longest.
pub(super) static BZPOPDUE: Command =
    command("BZPOPDUE", "key [key ...] max-score timeout", bzpopdue)
        .about(
            "0.1.0",
            "O(log(N)) with N being the number of members of the sorted set.",
            "Takes out the member with the lowest score of the first of several sorted sets where that score is not above a limit, or waits for one. The limit `now` is the Unix time in seconds: a member with a later score is waited for until its time has come.",
        )
        .arity(-4)
        .keys(KeySpec::range(1, -3, 1).rw().access().delete())
        .flags(FLAGS);

/// Up to which score members come out.
#[derive(Debug, Clone, Copy)]
enum Limit {
    Now,
    Score(f64),
}

fn bzpopdue(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let limit_text = args.get(args.len() - 2);
    let limit = if limit_text.eq_ignore_ascii_case(b"now") {
        Limit::Now
    } else {
        let score = parse_double(limit_text).ok_or(Error::new("ERR max-score is not a float or 'now'"))?;
        Limit::Score(score)
    };
    let now_ms = cx.env.now_ms();
    let deadline_ms = deadline_of_seconds(args.get(args.len() - 1), now_ms)?;
    let max = match limit {
        Limit::Now => seconds(now_ms),
        Limit::Score(score) => score,
    };
    let is_retry = cx.env.is_retry();
    let mut wait = Wait::new(deadline_ms, Null::Array);
    for key in args.keys() {
        let mut found = candidate(&mut cx.keys, key, is_retry)?;
        let lowest = found.as_ref().and_then(|zset| zset.view().at(0)).map(|(_, score)| score);
        if let (Some(zset), Some(lowest)) = (&mut found, lowest)
            && lowest <= max
        {
            pop_one(zset, key, End::Lowest, reply);
            return Ok(replayed(End::Lowest, key, None));
        }
        wait.on(key, &[b"BZPOPDUE", key.bytes(), limit_text, b"0"]);
        if let (Limit::Now, Some(due_ms)) = (limit, lowest.and_then(due_ms)) {
            wait.or_at(due_ms);
        }
    }
    Ok(wait.into())
}

/// A time as a score.
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

/// The first millisecond at which a score is not above the time; `None` if that is never.
fn due_ms(score: f64) -> Option<i64> {
    /// Up to here a double tells milliseconds apart.
    const MS_MAX: f64 = (1_u64 << 53) as f64;
    let ms = (score * 1000.0).ceil();
    if !(0.0..MS_MAX).contains(&ms) {
        return None;
    }
    let ms = ms as i64;
    // The product was rounded.
    (ms.saturating_sub(1)..=ms + 1).find(|&ms| seconds(ms) >= score)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{
        Bench, START_MS, check, check_effects, check_events, check_retry, check_waits,
    };

    const ADD: &str = "ZADD k 1 a 2 b 3.5 c";
    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn bzpopmin_and_bzpopmax() {
        check(&[ADD, "BZPOPMIN x k 0"], "*3 $1 k $1 a $1 1");
        check(&[ADD, "BZPOPMAX x k 0.1"], "*3 $1 k $1 c $3 3.5");
        check(&["SET x v", ADD, "BZPOPMIN x k 0"], WRONG_TYPE);
        check(&["SET x v", "BZPOPMIN x x"], "-ERR timeout is not a float or out of range");
        check(&["BZPOPMIN x -1"], "-ERR timeout is negative");
        check_effects(&[ADD, "BZPOPMIN x k 0"], &["ZPOPMIN k"]);
        check_effects(&[ADD, "BZPOPMAX x k 0"], &["ZPOPMAX k"]);
        check_events(&["ZADD k 1 a", "BZPOPMIN k 0"], &["zpopmin k", "del k"]);
        check_waits(&["BZPOPMIN x y 1.5"], &["BZPOPMIN x 0", "BZPOPMIN y 0"], Some(1500));
        check_waits(&["BZPOPMAX x 0"], &["BZPOPMAX x 0"], None);
        check_retry(&["SET x v", "BZPOPMIN x 0"], "wait");
        check_retry(&[ADD, "BZPOPMIN k 0"], "*3 $1 k $1 a $1 1");
        let mut bench = Bench::resp3();
        bench.run(ADD);
        assert_eq!(bench.run("BZPOPMAX k 0").text(), "*3 $1 k $1 c ,3.5");
        assert_eq!(bench.run("BZPOPMAX x 0").text(), "_");
    }

    #[test]
    fn bzmpop() {
        check(&[ADD, "BZMPOP 0 2 x k MIN"], "*2 $1 k *1 *2 $1 a $1 1");
        check(&[ADD, "BZMPOP 0 2 x k MAX COUNT 9"], "*2 $1 k *3 *2 $1 c $3 3.5 *2 $1 b $1 2 *2 $1 a $1 1");
        check(&["SET x v", "BZMPOP 0 1 x MIN"], WRONG_TYPE);
        check(&["BZMPOP x 1 x MIN"], "-ERR timeout is not a float or out of range");
        check(&["BZMPOP x 0 x MIN"], "-ERR numkeys should be greater than 0");
        check(&["BZMPOP -1 1 x MIN COUNT 0"], "-ERR count should be greater than 0");
        check(&["BZMPOP -1 1 x MIN"], "-ERR timeout is negative");
        check_effects(&[ADD, "BZMPOP 0 1 k MIN COUNT 9"], &["ZPOPMIN k 3"]);
        check_waits(
            &["BZMPOP 2 2 x y MAX COUNT 3"],
            &["BZMPOP 0 1 x MAX COUNT 3", "BZMPOP 0 1 y MAX COUNT 3"],
            Some(2000),
        );
        check_retry(&["SET x v", "BZMPOP 0 1 x MIN"], "wait");
    }

    #[test]
    fn bzpopdue_takes_what_is_due() {
        check(&[ADD, "BZPOPDUE x k now 0"], "*3 $1 k $1 a $1 1");
        check(&[ADD, "BZPOPDUE k 1 0"], "*3 $1 k $1 a $1 1");
        check(&["ZADD k 1699999999.999 a", "BZPOPDUE k NOW 0"], "*3 $1 k $1 a $18 1699999999.9990001");
        check(&["ZADD k 1700000000 a", "BZPOPDUE k now 0"], "*3 $1 k $1 a $10 1700000000");
        check(&["SET x v", "BZPOPDUE x now 0"], WRONG_TYPE);
        check(&["BZPOPDUE x then 0"], "-ERR max-score is not a float or 'now'");
        check(&["BZPOPDUE x now x"], "-ERR timeout is not a float or out of range");
        check_effects(&[ADD, "BZPOPDUE k now 0"], &["ZPOPMIN k"]);
        check_events(&["ZADD k 1 a", "BZPOPDUE k now 0"], &["zpopmin k", "del k"]);
        check_waits(&[ADD, "BZPOPDUE k x 0.5 1"], &["BZPOPDUE k 0.5 0", "BZPOPDUE x 0.5 0"], Some(1000));
        check_retry(&["SET x v", "BZPOPDUE x now 0"], "wait");
    }

    #[test]
    fn bzpopdue_waits_until_something_is_due() {
        let mut bench = Bench::default();
        for (score, retry_at_ms) in [
            ("1700000000.001", Some(START_MS + 1)),
            ("1700000000.0001", Some(START_MS + 1)),
            ("1700000001", Some(START_MS + 1000)),
            ("1e300", None),
            ("inf", None),
        ] {
            bench.run(&format!("ZADD k {score} a"));
            let wait = bench.run("BZPOPDUE k now 0").wait.expect("nothing is due");
            assert_eq!(wait.keys[0].retry_at_ms, retry_at_ms, "{score}");
            assert_eq!(wait.deadline_ms, None);
            if let Some(at_ms) = retry_at_ms {
                let mut later = Bench::default();
                later.now_ms = at_ms;
                later.run(&format!("ZADD k {score} a"));
                assert!(later.run("BZPOPDUE k now 0").wait.is_none(), "{score}");
                later.run(&format!("ZADD k {score} a"));
                later.now_ms -= 1;
                assert!(later.run("BZPOPDUE k now 0").wait.is_some(), "{score}");
            }
        }
    }
}
