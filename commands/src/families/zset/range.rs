//! Ranges by rank, by score and by name: reading, storing and counting them.

use super::{limits, reply_members};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command, parse_bound};
use std::ops::Range;
use tidegate_data::types::string::INT_LEN_MAX;
use tidegate_data::types::zset::{NameBound, NameRange, ScoreRange};
use tidegate_data::{Zset, ZsetRef};

const READS: KeySpec = KeySpec::first().ro().access();
const COMPLEXITY: &str =
    "O(log(N)+M) with N being the number of members of the sorted set and M the number of members returned.";

pub(super) static ZRANGE: Command = command(
    "ZRANGE",
    "key start(string) stop(string) [sortby: BYSCORE|BYLEX]@6.2.0 [REV]@6.2.0 [LIMIT offset count]@6.2.0 [WITHSCORES]",
    |cx, args, reply| zrange(cx, args, reply, Form { kind: None, from_end: None }),
)
.about("1.2.0", COMPLEXITY, "Lists the members of a range of a sorted set.")
.arity(-4)
.keys(READS)
.flags(&[Flag::Readonly])
.history(&[("6.2.0", "Options `REV`, `BYSCORE`, `BYLEX` and `LIMIT`.")]);

pub(super) static ZREVRANGE: Command =
    command("ZREVRANGE", "key start stop [WITHSCORES]", |cx, args, reply| {
        zrange(cx, args, reply, Form { kind: Some(Kind::Ranks), from_end: Some(true) })
    })
    .about("1.2.0", COMPLEXITY, "Lists the members of a range of ranks, the highest score first.")
    .arity(-4)
    .keys(READS)
    .flags(&[Flag::Readonly])
    .deprecated("6.2.0", "`ZRANGE` with the `REV` argument");

pub(super) static ZRANGEBYSCORE: Command =
    command("ZRANGEBYSCORE", "key min max [WITHSCORES]@2.0.0 [LIMIT offset count]", |cx, args, reply| {
        zrange(cx, args, reply, Form { kind: Some(Kind::Scores), from_end: Some(false) })
    })
    .about("1.0.5", COMPLEXITY, "Lists the members with scores in a range.")
    .arity(-4)
    .keys(READS)
    .flags(&[Flag::Readonly])
    .history(&[("2.0.0", "Option `WITHSCORES`.")])
    .deprecated("6.2.0", "`ZRANGE` with the `BYSCORE` argument");

pub(super) static ZREVRANGEBYSCORE: Command =
    command("ZREVRANGEBYSCORE", "key max min [WITHSCORES] [LIMIT offset count]", |cx, args, reply| {
        zrange(cx, args, reply, Form { kind: Some(Kind::Scores), from_end: Some(true) })
    })
    .about("2.2.0", COMPLEXITY, "Lists the members with scores in a range, the highest score first.")
    .arity(-4)
    .keys(READS)
    .flags(&[Flag::Readonly])
    .history(&[("2.1.6", "Bounds may be exclusive.")])
    .deprecated("6.2.0", "`ZRANGE` with the `REV` and `BYSCORE` arguments");

pub(super) static ZRANGEBYLEX: Command =
    command("ZRANGEBYLEX", "key min(string) max(string) [LIMIT offset count]", |cx, args, reply| {
        zrange(cx, args, reply, Form { kind: Some(Kind::Names), from_end: Some(false) })
    })
    .about("2.8.9", COMPLEXITY, "Lists the members with names in a range, where all scores are equal.")
    .arity(-4)
    .keys(READS)
    .flags(&[Flag::Readonly])
    .deprecated("6.2.0", "`ZRANGE` with the `BYLEX` argument");

pub(super) static ZREVRANGEBYLEX: Command =
    command("ZREVRANGEBYLEX", "key max(string) min(string) [LIMIT offset count]", |cx, args, reply| {
        zrange(cx, args, reply, Form { kind: Some(Kind::Names), from_end: Some(true) })
    })
    .about("2.8.9", COMPLEXITY, "Lists the members with names in a range, the last name first.")
    .arity(-4)
    .keys(READS)
    .flags(&[Flag::Readonly])
    .deprecated("6.2.0", "`ZRANGE` with the `REV` and `BYLEX` arguments");

pub(super) static ZRANGESTORE: Command = command(
    "ZRANGESTORE",
    "dst src min(string) max(string) [sortby: BYSCORE|BYLEX] [REV] [LIMIT offset count]",
    zrangestore,
)
.about(
    "6.2.0",
    "O(log(N)+M) with N being the number of members of the sorted set and M the number of members stored.",
    "Stores the members of a range of a sorted set under another key.",
)
.arity(-5)
.keys(KeySpec::first().ow().update())
.keys(KeySpec::at(2).ro().access())
.flags(&[Flag::Write, Flag::DenyOom]);

/// What the bounds of a range are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ranks,
    Scores,
    Names,
}

/// What the name of a command says about its range already.
#[derive(Debug, Clone, Copy)]
struct Form {
    kind: Option<Kind>,
    from_end: Option<bool>,
}

/// A range with its bounds.
#[derive(Debug, Clone, Copy)]
enum Bounds<'a> {
    Ranks(i64, i64),
    Scores(ScoreRange),
    Names(NameRange<'a>),
}

/// What is asked for.
#[derive(Debug)]
struct Query<'a> {
    bounds: Bounds<'a>,
    from_end: bool,
    with_scores: bool,
    /// How many members to skip; nothing is left when it is negative.
    offset: i64,
    /// How many members at most; negative: all.
    count: i64,
}

impl<'a> Query<'a> {
    /// Reads the bounds and all that follows. The options come first, as in Redis.
    fn parse(args: &mut Args<'a>, form: Form, stores: bool) -> Result<Self, Error> {
        let bounds = [args.next()?, args.next()?];
        let Form { mut kind, mut from_end } = form;
        let (mut with_scores, mut offset, mut count) = (false, 0, -1);
        while !args.is_done() {
            if !stores && args.take_word("WITHSCORES") {
                with_scores = true;
            } else if args.remaining() >= 3 && args.take_word("LIMIT") {
                offset = args.integer()?;
                count = args.integer()?;
            } else if from_end.is_none() && args.take_word("REV") {
                from_end = Some(true);
            } else if kind.is_none() && args.take_word("BYLEX") {
                kind = Some(Kind::Names);
            } else if kind.is_none() && args.take_word("BYSCORE") {
                kind = Some(Kind::Scores);
            } else {
                return Err(Error::Syntax);
            }
        }
        let (kind, from_end) = (kind.unwrap_or(Kind::Ranks), from_end.unwrap_or(false));
        if count != -1 && kind == Kind::Ranks {
            return Err(Error::new(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if with_scores && kind == Kind::Names {
            return Err(Error::new("ERR syntax error, WITHSCORES not supported in combination with BYLEX"));
        }
        // Backwards, the greater bound comes first.
        let [min, max] = if from_end { [bounds[1], bounds[0]] } else { bounds };
        let bounds = match kind {
            Kind::Ranks => {
                let [start, stop] = bounds.map(crate::model::parse_i64);
                Bounds::Ranks(start.ok_or(Error::NotInteger)?, stop.ok_or(Error::NotInteger)?)
            }
            Kind::Scores => Bounds::Scores(score_range(min, max)?),
            Kind::Names => Bounds::Names(name_range(min, max)?),
        };
        Ok(Query { bounds, from_end, with_scores, offset, count })
    }

    /// The places of what is asked for.
    fn places(&self, zset: ZsetRef) -> Range<usize> {
        let skipped = usize::try_from(self.offset);
        let places = match (self.bounds, skipped) {
            // Ranks have no limit.
            (Bounds::Ranks(start, stop), _) => {
                let Range { start, end } = places_of_ranks(start, stop, zset.len());
                return if self.from_end { zset.len() - end..zset.len() - start } else { start..end };
            }
            (_, Err(_)) => return 0..0,
            (Bounds::Scores(range), Ok(skipped)) => {
                let Range { start, end } = zset.places_of_scores(range);
                let left = (end - start).saturating_sub(skipped);
                if self.from_end { start..start + left } else { end - left..end }
            }
            (Bounds::Names(range), Ok(skipped)) => zset.places_of_names(range, self.from_end, skipped),
        };
        let count = usize::try_from(self.count).unwrap_or(usize::MAX).min(places.len());
        if self.from_end { places.end - count..places.end } else { places.start..places.start + count }
    }
}

/// The places from one rank to another, both included; negative ones count from the end.
pub(super) fn places_of_ranks(start: i64, stop: i64, len: usize) -> Range<usize> {
    let len = len as i64;
    let absolute = |rank: i64| if rank < 0 { rank.saturating_add(len) } else { rank };
    let start = absolute(start).max(0);
    let stop = absolute(stop).min(len - 1);
    if start > stop { 0..0 } else { start as usize..stop as usize + 1 }
}

/// Reads the bounds of a range of scores; `(` excludes one.
pub(super) fn score_range(min: &[u8], max: &[u8]) -> Result<ScoreRange, Error> {
    let bound = |text: &[u8]| -> Result<(f64, bool), Error> {
        let (text, is_excluded) = match text {
            [b'(', text @ ..] => (text, true),
            text => (text, false),
        };
        let value = parse_bound(text).ok_or(Error::new("ERR min or max is not a float"))?;
        Ok((value, is_excluded))
    };
    let (min, above_min) = bound(min)?;
    let (max, below_max) = bound(max)?;
    Ok(ScoreRange { min, max, above_min, below_max })
}

/// Reads the bounds of a range of names: `-`, `+`, or a name after `[` (included) or `(` (excluded).
pub(super) fn name_range<'a>(min: &'a [u8], max: &'a [u8]) -> Result<NameRange<'a>, Error> {
    let bound = |text: &'a [u8]| match text {
        // Redis sees the end of a C string.
        [b'-'] | [b'-', 0, ..] => Ok(NameBound::Lowest),
        [b'+'] | [b'+', 0, ..] => Ok(NameBound::Highest),
        [b'[', name @ ..] => Ok(NameBound::Included(name)),
        [b'(', name @ ..] => Ok(NameBound::Excluded(name)),
        _ => Err(Error::new("ERR min or max not valid string range item")),
    };
    Ok(NameRange { min: bound(min)?, max: bound(max)? })
}

fn zrange(cx: &mut Ctx, args: &mut Args, reply: &mut Reply, form: Form) -> Result<Outcome, Error> {
    let key = args.key()?;
    let query = Query::parse(args, form, false)?;
    let Some(zset) = cx.keys.read_as::<Zset>(key)? else {
        reply.array(0);
        return Ok(Outcome::Same);
    };
    reply_members(reply, zset.range(query.places(zset), query.from_end), query.with_scores);
    Ok(Outcome::Same)
}

fn zrangestore(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let target = args.key()?;
    let source = args.key()?;
    let query = Query::parse(args, Form { kind: None, from_end: None }, true)?;
    let limits = limits(cx);
    let mut result = Zset::default();
    if let Some(zset) = cx.keys.read_as::<Zset>(source)? {
        let mut scratch = [0; INT_LEN_MAX];
        let places = query.places(zset);
        if places.len() > limits.len && matches!(query.bounds, Bounds::Ranks(..)) {
            // Redis knows the number of members before only here; a negative zero can tell.
            result = Zset::large();
        }
        for (member, score) in zset.range(places, query.from_end) {
            result.put(member.bytes(&mut scratch), score, limits);
        }
    }
    Ok(super::algebra::store(cx, target, result, "zrangestore", reply))
}

pub(super) static ZCOUNT: Command = command("ZCOUNT", "key min max", zcount)
    .about(
        "2.0.0",
        "O(log(N)) with N being the number of members of the sorted set.",
        "Counts the members with scores in a range.",
    )
    .arity(4)
    .keys(READS)
    .flags(&[Flag::Readonly, Flag::Fast]);

fn zcount(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let range = score_range(args.next()?, args.next()?)?;
    let zset = cx.keys.read_as::<Zset>(key)?;
    reply.integer(zset.map_or(0, |zset| zset.places_of_scores(range).len() as i64));
    Ok(Outcome::Same)
}

pub(super) static ZLEXCOUNT: Command = command("ZLEXCOUNT", "key min(string) max(string)", zlexcount)
    .about(
        "2.8.9",
        "O(log(N)) with N being the number of members of the sorted set.",
        "Counts the members with names in a range, where all scores are equal.",
    )
    .arity(4)
    .keys(READS)
    .flags(&[Flag::Readonly, Flag::Fast]);

fn zlexcount(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let range = name_range(args.next()?, args.next()?)?;
    let zset = cx.keys.read_as::<Zset>(key)?;
    reply.integer(zset.map_or(0, |zset| zset.places_of_names(range, false, 0).len() as i64));
    Ok(Outcome::Same)
}

#[cfg(test)]
mod tests;
