//! Taking out the members with the lowest or highest scores, without waiting.

use super::remove::take_out;
use super::{End, reply_member};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Protocol, Reply, command, parse_i64};
use tidegate_data::{EventClass, Key, Keys, Write, Zset};

const POPS: KeySpec = KeySpec::first().rw().access().delete();
const COMPLEXITY: &str = "O(log(N)*M) with N being the number of members of the sorted set, and M the number of members taken out.";

pub(super) static ZPOPMIN: Command =
    command("ZPOPMIN", "key [count]", |cx, args, reply| zpop(cx, args, reply, End::Lowest))
        .about("5.0.0", COMPLEXITY, "Takes out the members with the lowest scores.")
        .arity(-2)
        .keys(POPS)
        .flags(&[Flag::Write, Flag::Fast]);

pub(super) static ZPOPMAX: Command =
    command("ZPOPMAX", "key [count]", |cx, args, reply| zpop(cx, args, reply, End::Highest))
        .about("5.0.0", COMPLEXITY, "Takes out the members with the highest scores.")
        .arity(-2)
        .keys(POPS)
        .flags(&[Flag::Write, Flag::Fast]);

fn zpop(cx: &mut Ctx, args: &mut Args, reply: &mut Reply, end: End) -> Result<Outcome, Error> {
    let key = args.key()?;
    let count = if args.is_done() { None } else { Some(args.next()?) };
    args.end()?;
    let count = match count {
        None => None,
        Some(count) => {
            let count = parse_i64(count).and_then(|count| usize::try_from(count).ok());
            Some(count.ok_or(Error::new("ERR value is out of range, must be positive"))?)
        }
    };
    let Some(mut zset) = cx.keys.write_as::<Zset>(key)? else {
        reply.array(0);
        return Ok(Outcome::Same);
    };
    let popped = count.unwrap_or(1).min(zset.view().len());
    // One member that was not counted is an array of two in both protocols.
    let as_pairs = count.is_some() && reply.protocol() == Protocol::Resp3;
    reply.array(if as_pairs { popped } else { 2 * popped });
    pop(&mut zset, end, popped, as_pairs, reply);
    Ok(Outcome::changed_if(popped > 0))
}

/// Takes out `count` members, which must be there, and answers them and their scores, each pair as an array if wanted.
pub(super) fn pop(
    zset: &mut Write<'_, '_, '_, Zset>,
    end: End,
    count: usize,
    as_pairs: bool,
    reply: &mut Reply,
) {
    if count == 0 {
        return;
    }
    let view = zset.view();
    let places = match end {
        End::Lowest => 0..count,
        End::Highest => view.len() - count..view.len(),
    };
    for (member, score) in view.range(places.clone(), end == End::Highest) {
        if as_pairs {
            reply.array(2);
        }
        reply_member(reply, member);
        reply.double(score);
    }
    take_out(zset, places);
    zset.count_changes(count as u64 - 1);
    zset.event(EventClass::Zset, if end == End::Lowest { "zpopmin" } else { "zpopmax" });
}

pub(super) static ZMPOP: Command =
    command("ZMPOP", "numkeys key [key ...] <where: MIN|MAX> [COUNT count]", zmpop)
        .about(
            "7.0.0",
            "O(K) + O(M*log(N)) where K is the number of keys given, N the number of members of the sorted set, and M the number of members taken out.",
            "Takes members out of the first of several sorted sets that has any.",
        )
        .arity(-4)
        .keys(KeySpec::counted(1, 1).rw().access().delete())
        .flags(&[Flag::Write]);

fn zmpop(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let many = Many::parse(args)?;
    if let Some(outcome) = many.pop(&mut cx.keys, args, false, reply)? {
        return Ok(outcome);
    }
    reply.null_array();
    Ok(Outcome::Same)
}

/// What `ZMPOP` and `BZMPOP` take out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Many {
    pub(super) end: End,
    pub(super) count: usize,
}

impl Many {
    /// Reads `numkeys key [key ...] MIN|MAX [COUNT count]`.
    pub(super) fn parse(args: &mut Args) -> Result<Self, Error> {
        let positive = |text: &[u8], name: &str| {
            let number = parse_i64(text).filter(|number| *number > 0);
            number.ok_or_else(|| Error::text(format!("ERR {name} should be greater than 0")))
        };
        let keys = positive(args.next()?, "numkeys")?;
        if usize::try_from(keys).map_or(true, |keys| keys >= args.remaining()) {
            return Err(Error::Syntax);
        }
        args.skip(keys as usize);
        let end = if args.take_word("MIN") {
            End::Lowest
        } else if args.take_word("MAX") {
            End::Highest
        } else {
            return Err(Error::Syntax);
        };
        let mut count = None;
        while !args.is_done() {
            if count.is_some() || args.remaining() < 2 || !args.take_word("COUNT") {
                return Err(Error::Syntax);
            }
            count = Some(positive(args.next()?, "count")?);
        }
        Ok(Many { end, count: count.map_or(1, |count| usize::try_from(count).unwrap_or(usize::MAX)) })
    }

    /// Takes members out of the first of the request's keys that has any, and answers with its name; `None` if none
    /// has. A key of another type is an error, or is passed over.
    pub(super) fn pop(
        self,
        keys: &mut Keys,
        args: &Args,
        skip_wrong_types: bool,
        reply: &mut Reply,
    ) -> Result<Option<Outcome>, Error> {
        for key in args.keys() {
            let mut zset = match keys.write_as::<Zset>(key) {
                Ok(Some(zset)) => zset,
                Ok(None) => continue,
                Err(_) if skip_wrong_types => continue,
                Err(wrong_type) => return Err(wrong_type.into()),
            };
            let popped = self.count.min(zset.view().len());
            reply.array(2);
            reply.bulk(key.bytes());
            reply.array(popped);
            pop(&mut zset, self.end, popped, true, reply);
            return Ok(Some(replayed(self.end, key, Some(popped))));
        }
        Ok(None)
    }
}

/// How taking out is replayed.
pub(super) fn replayed(end: End, key: Key, count: Option<usize>) -> Outcome {
    let name: &[u8] = if end == End::Lowest { b"ZPOPMIN" } else { b"ZPOPMAX" };
    match count {
        None => Outcome::changed_as(&[name, key.bytes()]),
        Some(count) => Outcome::changed_as(&[name, key.bytes(), count.to_string().as_bytes()]),
    }
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events};

    const ADD: &str = "ZADD k 1 a 2 b 3.5 c";
    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn zpopmin_and_zpopmax() {
        check(&[ADD, "ZPOPMIN k"], "*2 $1 a $1 1");
        check(&[ADD, "ZPOPMAX k 2"], "*4 $1 c $3 3.5 $1 b $1 2");
        check(&[ADD, "ZPOPMIN k 9223372036854775807", "EXISTS k"], ":0");
        check(&[ADD, "ZPOPMIN k 0"], "*0");
        check(&["ZPOPMIN k"], "*0");
        check(&["ZPOPMIN k 1 2"], "-ERR syntax error");
        check(&["ZPOPMIN k -1"], "-ERR value is out of range, must be positive");
        check(&["ZPOPMAX k x"], "-ERR value is out of range, must be positive");
        check(&["SET k v", "ZPOPMIN k 0"], WRONG_TYPE);
        check_effects(&[ADD, "ZPOPMIN k 2"], &["ZPOPMIN k 2"]);
        check_effects(&[ADD, "ZPOPMIN k 0"], &[]);
        check_events(&[ADD, "ZPOPMIN k 2"], &["zpopmin k"]);
        check_events(&[ADD, "ZPOPMAX k 3"], &["zpopmax k", "del k"]);
        let mut bench = Bench::resp3();
        bench.run(ADD);
        assert_eq!(bench.run("ZPOPMIN k").text(), "*2 $1 a ,1");
        assert_eq!(bench.run("ZPOPMIN k 1").text(), "*1 *2 $1 b ,2");
        assert_eq!(bench.run("ZPOPMIN k 0").text(), "*0");
    }

    #[test]
    fn zmpop_takes_the_first_key_with_members() {
        check(&[ADD, "ZMPOP 2 x k MIN"], "*2 $1 k *1 *2 $1 a $1 1");
        check(&[ADD, "ZMPOP 2 x k max COUNT 2"], "*2 $1 k *2 *2 $1 c $3 3.5 *2 $1 b $1 2");
        check(&["ZMPOP 2 x k MIN"], "*-1");
        check(&["SET x v", ADD, "ZMPOP 2 x k MIN"], WRONG_TYPE);
        check(&["SET x v", ADD, "ZMPOP 2 k x MIN"], "*2 $1 k *1 *2 $1 a $1 1");
        check(&["ZMPOP 0 k MIN"], "-ERR numkeys should be greater than 0");
        check(&["ZMPOP x k MIN"], "-ERR numkeys should be greater than 0");
        check(&["ZMPOP 9223372036854775807 k MIN"], "-ERR syntax error");
        check(&["ZMPOP 2 k MIN"], "-ERR syntax error");
        check(&["ZMPOP 1 k FIRST"], "-ERR syntax error");
        check(&["ZMPOP 1 k MIN COUNT"], "-ERR syntax error");
        check(&["ZMPOP 1 k MIN COUNT 1 COUNT 1"], "-ERR syntax error");
        check(&["ZMPOP 1 k MIN COUNT 0"], "-ERR count should be greater than 0");
        check(&["ZMPOP 1 k MIN COUNT x"], "-ERR count should be greater than 0");
        check_effects(&[ADD, "ZMPOP 1 k MIN COUNT 9"], &["ZPOPMIN k 3"]);
        check_effects(&[ADD, "ZMPOP 1 k MAX"], &["ZPOPMAX k 1"]);
        check_events(&[ADD, "ZMPOP 1 k MIN COUNT 9"], &["zpopmin k", "del k"]);
    }
}
