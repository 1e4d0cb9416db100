//! Giving scores: `ZADD` and `ZINCRBY`.

use super::limits;
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command, parse_double};
use smallvec::SmallVec;
use tidegate_data::types::zset::Update;
use tidegate_data::{EventClass, Zset};

pub(super) static ZADD: Command = command(
    "ZADD",
    "key [condition: NX|XX]@3.0.2 [comparison: GT|LT]@6.2.0 [change:CH]@3.0.2 [increment:INCR]@3.0.2 \
     score member [score member ...]",
    |cx, args, reply| add(cx, args, reply, Options::default()),
)
.about(
    "1.2.0",
    "O(log(N)) for each member, where N is the number of members of the sorted set.",
    "Adds members to a sorted set or changes their scores.",
)
.arity(-4)
.keys(KeySpec::first().rw().update())
.flags(&[Flag::Write, Flag::DenyOom, Flag::Fast])
.history(&[
    ("2.4.0", "Several members."),
    ("3.0.2", "Options `XX`, `NX`, `CH` and `INCR`."),
    ("6.2.0", "Options `GT` and `LT`."),
]);

pub(super) static ZINCRBY: Command = command("ZINCRBY", "key increment member", |cx, args, reply| {
    add(cx, args, reply, Options { increments: true, ..Options::default() })
})
.about(
    "1.2.0",
    "O(log(N)) where N is the number of members of the sorted set.",
    "Adds to the score of a member of a sorted set.",
)
.arity(4)
.keys(KeySpec::first().rw().access().update())
.flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
struct Options {
    /// `NX`: only members that are not there.
    only_new: bool,
    /// `XX`: only members that are there.
    only_present: bool,
    /// `GT`: scores only grow.
    only_greater: bool,
    /// `LT`: scores only shrink.
    only_less: bool,
    /// `CH`: changed scores count as well.
    count_changed: bool,
    /// `INCR`: the score is added to the old one.
    increments: bool,
}

impl Options {
    fn read(&mut self, args: &mut Args) {
        loop {
            let option = if args.take_word("NX") {
                &mut self.only_new
            } else if args.take_word("XX") {
                &mut self.only_present
            } else if args.take_word("CH") {
                &mut self.count_changed
            } else if args.take_word("INCR") {
                &mut self.increments
            } else if args.take_word("GT") {
                &mut self.only_greater
            } else if args.take_word("LT") {
                &mut self.only_less
            } else {
                return;
            };
            *option = true;
        }
    }

    fn check(self, members: usize) -> Result<(), Error> {
        let Options { only_new, only_present, only_greater, only_less, .. } = self;
        if only_new && only_present {
            return Err(Error::new("ERR XX and NX options at the same time are not compatible"));
        }
        if usize::from(only_new) + usize::from(only_greater) + usize::from(only_less) > 1 {
            return Err(Error::new("ERR GT, LT, and/or NX options at the same time are not compatible"));
        }
        if self.increments && members > 1 {
            return Err(Error::new("ERR INCR option supports a single increment-element pair"));
        }
        Ok(())
    }

    /// The score of a member that has `old` and is given `given`; `None` to leave the member as it is.
    fn score(self, old: Option<f64>, given: f64) -> Result<Option<f64>, Error> {
        let Some(old) = old else { return Ok((!self.only_present).then_some(given)) };
        if self.only_new {
            return Ok(None);
        }
        let score = if self.increments { old + given } else { given };
        if score.is_nan() {
            return Err(Error::new("ERR resulting score is not a number (NaN)"));
        }
        let is_refused = (self.only_less && score >= old) || (self.only_greater && score <= old);
        Ok((!is_refused).then_some(score))
    }
}

fn add(cx: &mut Ctx, args: &mut Args, reply: &mut Reply, options: Options) -> Result<Outcome, Error> {
    let key = args.key()?;
    let mut options = options;
    options.read(args);
    if args.is_done() || !args.remaining().is_multiple_of(2) {
        return Err(Error::Syntax);
    }
    options.check(args.remaining() / 2)?;
    // All scores are read before anything happens.
    let mut members = SmallVec::<[(&[u8], f64); 4]>::new();
    while !args.is_done() {
        let score = parse_double(args.next()?).ok_or(Error::NotFloat)?;
        members.push((args.next()?, score));
    }
    let limits = limits(cx);
    let mut zset = cx.keys.write_or_create::<Zset>(key)?;
    let (mut added, mut changed) = (0_i64, 0_i64);
    let mut last_score = None;
    for (name, given) in members {
        let mut updated = Ok(Update::default());
        zset.change_if(|zset| {
            updated = zset.update(name, limits, |old| options.score(old, given));
            updated.as_ref().is_ok_and(|update| update.changes())
        });
        let update = updated?;
        last_score = update.new;
        match update.old {
            None if update.changes() => added += 1,
            Some(_) if update.changes() => changed += 1,
            _ => {}
        }
    }
    if added + changed > 0 {
        zset.event(EventClass::Zset, if options.increments { "zincr" } else { "zadd" });
    }
    match last_score {
        Some(score) if options.increments => reply.double(score),
        None if options.increments => reply.null(),
        _ => reply.integer(if options.count_changed { added + changed } else { added }),
    }
    Ok(Outcome::changed_if(added + changed > 0))
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events};

    #[test]
    fn zadd_adds_and_changes() {
        check(&["ZADD k 1 a 2 b"], ":2");
        check(&["ZADD k 1 a 2 b", "ZADD k 3 a 4 c"], ":1");
        check(&["ZADD k 1 a 2 b", "ZADD k CH 3 a 4 c 2 b"], ":2");
        check(&["ZADD k 1 a 2 a", "ZRANGE k 0 -1 WITHSCORES"], "*2 $1 a $1 2");
        check(&["ZADD k 1 \"\" 0x10 b inf c", "ZMSCORE k \"\" b c"], "*3 $1 1 $2 16 $3 inf");
        check(
            &["SET k v", "ZADD k 1 a"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        check(&["ZADD k 1 a 2"], "-ERR syntax error");
        check(&["ZADD k NX CH"], "-ERR syntax error");
        check(&["ZADD k 1 a x b"], "-ERR value is not a valid float");
        check(&["ZADD k 1 a nan b", "EXISTS k"], ":0");
        check_effects(&["ZADD k 1 a"], &["ZADD k 1 a"]);
        check_effects(&["ZADD k 1 a", "ZADD k CH 1 a"], &[]);
        check_events(&["ZADD k 1 a"], &["new k", "zadd k"]);
        check_events(&["ZADD k 1 a", "ZADD k 2 a 3 b"], &["zadd k"]);
        check_events(&["ZADD k 1 a", "ZADD k 1 a"], &[]);
    }

    #[test]
    fn zadd_has_conditions() {
        check(&["ZADD k XX 1 a"], ":0");
        check(&["ZADD k XX 1 a", "EXISTS k"], ":0");
        check(&["ZADD k NX 1 a", "ZADD k NX CH 2 a 2 b"], ":1");
        check(&["ZADD k 1 a 1 b", "ZADD k XX CH 2 a 1 b 1 c"], ":1");
        check(&["ZADD k 1 a", "ZADD k GT CH 0 a 1 a 5 b"], ":1");
        check(&["ZADD k 1 a", "ZADD k GT CH 2 a"], ":1");
        check(&["ZADD k 1 a", "ZADD k LT XX CH 0 a 0 b"], ":1");
        let incompatible = "-ERR GT, LT, and/or NX options at the same time are not compatible";
        check(&["ZADD k GT NX 1 a"], incompatible);
        check(&["ZADD k LT NX 1 a"], incompatible);
        check(&["ZADD k LT GT 1 a"], incompatible);
        check(&["ZADD k XX NX 1 a"], "-ERR XX and NX options at the same time are not compatible");
    }

    #[test]
    fn zadd_incr_answers_the_score() {
        check(&["ZADD k INCR 1.5 a"], "$3 1.5");
        check(&["ZADD k 1 a", "ZADD k INCR 1.5 a"], "$3 2.5");
        check(&["ZADD k 1 a", "ZADD k INCR NX 1.5 a"], "$-1");
        check(&["ZADD k 1 a", "ZADD k INCR XX 1.5 b"], "$-1");
        check(&["ZADD k INCR XX 1.5 b"], "$-1");
        check(&["ZADD k 1 a", "ZADD k INCR GT -1 a"], "$-1");
        check(&["ZADD k 1 a", "ZADD k INCR GT 0 a"], "$-1");
        check(&["ZADD k 1 a", "ZADD k INCR LT -1 a"], "$1 0");
        check(&["ZADD k INCR 1 a 1 b"], "-ERR INCR option supports a single increment-element pair");
        check(&["ZADD k inf a", "ZADD k INCR -inf a"], "-ERR resulting score is not a number (NaN)");
        check_events(&["ZADD k 1 a", "ZADD k INCR 1 a"], &["zincr k"]);
        let mut bench = Bench::resp3();
        assert_eq!(bench.run("ZADD k INCR 1.5 a").text(), ",1.5");
        assert_eq!(bench.run("ZADD k INCR NX 1.5 a").text(), "_");
    }

    #[test]
    fn zincrby_adds_to_a_score() {
        check(&["ZINCRBY k 1.5 a"], "$3 1.5");
        check(&["ZADD k 1 a", "ZINCRBY k 1e17 a"], "$5 1e+17");
        check(&["ZADD k 1 a", "ZINCRBY k 0 a"], "$1 1");
        check(&["ZINCRBY k x a"], "-ERR value is not a valid float");
        check(&["ZINCRBY k nx a"], "-ERR syntax error");
        check_effects(&["ZADD k 1 a", "ZINCRBY k 1 a"], &["ZINCRBY k 1 a"]);
        check_effects(&["ZADD k 1 a", "ZINCRBY k 0 a"], &[]);
        check_events(&["ZINCRBY k 1 a"], &["new k", "zincr k"]);
    }

    #[test]
    fn a_sorted_set_outgrows_its_record_and_its_packed_form() {
        let mut bench = Bench::default();
        for number in 0..128 {
            bench.run(&format!("ZADD k {number} member:{number}"));
            assert_eq!(bench.run("OBJECT ENCODING k").text(), "$8 listpack");
        }
        bench.run("ZADD k 1 a");
        assert_eq!(bench.run("OBJECT ENCODING k").text(), "$8 skiplist");
        assert_eq!(bench.run("ZRANK k member:127").text(), ":128");
        bench.run(&format!("ZADD l 1 {}", "x".repeat(64)));
        assert_eq!(bench.run("OBJECT ENCODING l").text(), "$8 listpack");
        bench.run(&format!("ZADD l 1 {}", "x".repeat(65)));
        assert_eq!(bench.run("OBJECT ENCODING l").text(), "$8 skiplist");
    }
}
