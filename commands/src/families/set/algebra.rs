//! What several sets have in common or not: `SINTER`, `SUNION`, `SDIFF`, their `STORE` and `CARD` forms.

use super::{limits, reply_member};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::types::set::{Member, Set, SetLimits, SetRef, algebra};
use tidegate_data::types::string::INT_LEN_MAX;
use tidegate_data::{Collection, EventClass, Key, Keys};

const INTER_COST: &str =
    "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.";
const SUM_COST: &str = "O(N) where N is the total number of elements in all given sets.";

/// Visits the members of a result until told to stop.
type Visit<'v> = &'v mut dyn FnMut(Member) -> bool;

/// The sets a command works on, in the order of their keys.
struct Operands<'a> {
    /// The first one; empty if there is no such key, or if it is among the others of a difference.
    first: SetRef<'a>,
    /// Those of the others that exist.
    others: Vec<SetRef<'a>>,
    /// Some key does not exist.
    is_missing: bool,
    /// When a result changes its form.
    limits: SetLimits,
}

impl<'a> Operands<'a> {
    /// Looks up all keys, as many reads. Stops at the first that holds no set.
    fn read(keys: &'a mut Keys, names: &[Key], limits: SetLimits) -> Result<Self, Error> {
        for name in names {
            keys.read_as::<Set>(*name)?;
        }
        let keys = &*keys;
        let mut operands = Operands { first: SetRef::EMPTY, others: Vec::new(), is_missing: false, limits };
        for (index, name) in names.iter().enumerate() {
            match keys.view_as::<Set>(*name)? {
                None => operands.is_missing = true,
                Some(set) if index == 0 => operands.first = set,
                Some(set) => operands.others.push(set),
            }
        }
        Ok(operands)
    }

    fn all(&self) -> Vec<SetRef<'a>> {
        std::iter::once(self.first).chain(self.others.iter().copied()).collect()
    }
}

fn intersect(sets: &Operands, visit: Visit) {
    if !sets.is_missing {
        algebra::intersect(&sets.all(), visit);
    }
}

fn intersection(sets: &Operands) -> Set {
    let mut result = Set::new();
    intersect(sets, &mut |member| {
        result.add(member.bytes(&mut [0; INT_LEN_MAX]), &sets.limits);
        true
    });
    result
}

fn unite(sets: &Operands, visit: Visit) {
    algebra::unite(&sets.all(), &sets.limits, visit);
}

fn union(sets: &Operands) -> Set {
    algebra::union(&sets.all(), &sets.limits)
}

fn subtract(sets: &Operands, visit: Visit) {
    algebra::subtract(sets.first, &sets.others, &sets.limits, visit);
}

fn difference(sets: &Operands) -> Set {
    algebra::difference(sets.first, &sets.others, &sets.limits)
}

pub(super) static SINTER: Command =
    command("SINTER", "key [key ...]", |cx, args, reply| answer(cx, args, reply, intersect))
        .about("1.0.0", INTER_COST, "Returns the members that all given sets have.")
        .arity(-2)
        .keys(KeySpec::all().ro().access())
        .flags(&[Flag::Readonly])
        .tips(&["nondeterministic_output_order"]);

pub(super) static SUNION: Command =
    command("SUNION", "key [key ...]", |cx, args, reply| answer(cx, args, reply, unite))
        .about("1.0.0", SUM_COST, "Returns the members that at least one of the given sets has.")
        .arity(-2)
        .keys(KeySpec::all().ro().access())
        .flags(&[Flag::Readonly])
        .tips(&["nondeterministic_output_order"]);

pub(super) static SDIFF: Command =
    command("SDIFF", "key [key ...]", |cx, args, reply| answer(cx, args, reply, subtract))
        .about("1.0.0", SUM_COST, "Returns the members that the first set has and none of the others.")
        .arity(-2)
        .keys(KeySpec::all().ro().access())
        .flags(&[Flag::Readonly])
        .tips(&["nondeterministic_output_order"]);

/// Answers the members that `each` visits.
fn answer(
    cx: &mut Ctx,
    args: &mut Args,
    reply: &mut Reply,
    each: fn(&Operands, Visit),
) -> Result<Outcome, Error> {
    let names: Vec<Key> = args.keys().collect();
    let limits = limits(cx);
    let operands = Operands::read(&mut cx.keys, &names, limits)?;
    let (mark, mut len) = (reply.mark(), 0);
    each(&operands, &mut |member| {
        reply_member(reply, member);
        len += 1;
        true
    });
    reply.before(mark, |reply| reply.set(len));
    Ok(Outcome::Same)
}

pub(super) static SINTERSTORE: Command =
    command("SINTERSTORE", "destination key [key ...]", |cx, args, reply| {
        store(cx, args, reply, "sinterstore", intersection)
    })
    .about("1.0.0", INTER_COST, "Stores the members that all given sets have as another set.")
    .arity(-3)
    .keys(KeySpec::first().rw().update())
    .keys(KeySpec::range(2, -1, 1).ro().access())
    .flags(&[Flag::Write, Flag::DenyOom]);

pub(super) static SUNIONSTORE: Command =
    command("SUNIONSTORE", "destination key [key ...]", |cx, args, reply| {
        store(cx, args, reply, "sunionstore", union)
    })
    .about("1.0.0", SUM_COST, "Stores the members that at least one of the given sets has as another set.")
    .arity(-3)
    .keys(KeySpec::first().ow().update())
    .keys(KeySpec::range(2, -1, 1).ro().access())
    .flags(&[Flag::Write, Flag::DenyOom]);

pub(super) static SDIFFSTORE: Command =
    command("SDIFFSTORE", "destination key [key ...]", |cx, args, reply| {
        store(cx, args, reply, "sdiffstore", difference)
    })
    .about("1.0.0", SUM_COST, "Stores the members that only the first of the given sets has as another set.")
    .arity(-3)
    .keys(KeySpec::first().ow().update())
    .keys(KeySpec::range(2, -1, 1).ro().access())
    .flags(&[Flag::Write, Flag::DenyOom]);

/// Stores a result whatever was at the destination before; an empty one deletes that.
fn store(
    cx: &mut Ctx,
    args: &mut Args,
    reply: &mut Reply,
    event: &'static str,
    result: fn(&Operands) -> Set,
) -> Result<Outcome, Error> {
    let destination = args.key()?;
    let names: Vec<Key> = args.keys().skip(1).collect();
    let limits = limits(cx);
    let result = result(&Operands::read(&mut cx.keys, &names, limits)?);
    let len = result.view().len();
    reply.integer(len as i64);
    let existed = cx.keys.store(destination, result);
    if len > 0 {
        cx.keys.event(EventClass::Set, event, destination);
    } else if existed {
        cx.keys.event(EventClass::Generic, "del", destination);
    }
    Ok(Outcome::changed_if(existed || len > 0))
}

pub(super) static SINTERCARD: Command =
    command("SINTERCARD", "numkeys key [key ...] [LIMIT limit]", |cx, args, reply| {
        count(cx, args, reply, intersect)
    })
    .about("7.0.0", INTER_COST, "Returns the number of members that all given sets have.")
    .arity(-3)
    .keys(KeySpec::counted(1, 1).ro().access())
    .flags(&[Flag::Readonly]);

pub(super) static SUNIONCARD: Command =
    command("SUNIONCARD", "numkeys key [key ...] [LIMIT limit]", |cx, args, reply| {
        count(cx, args, reply, unite)
    })
    .about("8.10.0", SUM_COST, "Returns the number of members that at least one of the given sets has.")
    .arity(-3)
    .keys(KeySpec::counted(1, 1).ro().access())
    .flags(&[Flag::Readonly]);

pub(super) static SDIFFCARD: Command =
    command("SDIFFCARD", "numkeys key [key ...] [LIMIT limit]", |cx, args, reply| {
        count(cx, args, reply, subtract)
    })
    .about("8.10.0", SUM_COST, "Returns the number of members that only the first of the given sets has.")
    .arity(-3)
    .keys(KeySpec::counted(1, 1).ro().access())
    .flags(&[Flag::Readonly]);

/// Answers how many members `each` visits, at most as many as `LIMIT` says (0: all).
fn count(
    cx: &mut Ctx,
    args: &mut Args,
    reply: &mut Reply,
    each: fn(&Operands, Visit),
) -> Result<Outcome, Error> {
    let Some(keys_len @ 1..) = args.integer().ok() else {
        return Err(Error::new("ERR numkeys should be greater than 0"));
    };
    let keys_len = usize::try_from(keys_len).unwrap_or(usize::MAX);
    if keys_len > args.remaining() {
        return Err(Error::new("ERR Number of keys can't be greater than number of args"));
    }
    args.skip(keys_len);
    let mut limit = 0;
    while !args.is_done() {
        if args.remaining() < 2 || !args.take_word("LIMIT") {
            return Err(Error::Syntax);
        }
        limit = match args.integer() {
            Ok(limit @ 0..) => limit,
            _ => return Err(Error::new("ERR LIMIT can't be negative")),
        };
    }
    let names: Vec<Key> = args.keys().collect();
    let limits = limits(cx);
    let operands = Operands::read(&mut cx.keys, &names, limits)?;
    let mut len = 0;
    each(&operands, &mut |_| {
        len += 1;
        len != limit
    });
    reply.integer(len);
    Ok(Outcome::Same)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events, check_lookups};

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn sinter() {
        check(&["SADD a 1 2 3", "SADD b 3 2 x", "SINTER a b"], "*2 $1 2 $1 3");
        check(&["SADD a 1 2 3", "SINTER a a"], "*3 $1 1 $1 2 $1 3");
        check(&["SADD a 1 2 3", "SINTER a b"], "*0");
        check(&["SADD a x", "SADD b y", "SINTER a b"], "*0");
        check(&["SINTER a"], "*0");
        check_effects(&["SADD a 1", "SINTER a"], &[]);
    }

    #[test]
    fn sunion() {
        check(&["SADD a 5 1", "SADD b 3 1", "SUNION b a c"], "*3 $1 1 $1 3 $1 5");
        check(&["SADD a x", "SUNION a a"], "*1 $1 x");
        check(&["SUNION a b"], "*0");
        check_effects(&["SADD a 1", "SUNION a"], &[]);
    }

    #[test]
    fn sdiff() {
        check(&["SADD a 5 1 7", "SADD b x 1", "SDIFF a b c"], "*2 $1 5 $1 7");
        check(&["SADD a 5", "SDIFF a a"], "*0");
        check(&["SADD b 5", "SDIFF a b"], "*0");
        check(&["SADD b 5", "SDIFF b a"], "*1 $1 5");
        check_effects(&["SADD a 1", "SDIFF a"], &[]);
    }

    #[test]
    fn resp3_answers_sets() {
        let mut bench = Bench::resp3();
        bench.run("SADD a 1");
        for line in ["SINTER a", "SUNION a", "SDIFF a"] {
            assert_eq!(bench.run(line).text(), "~1 $1 1");
        }
        for line in ["SINTER x", "SUNION x", "SDIFF x"] {
            assert_eq!(bench.run(line).text(), "~0");
        }
    }

    #[test]
    fn every_key_must_hold_a_set() {
        for name in ["SINTER", "SUNION", "SDIFF", "SINTERSTORE d", "SUNIONSTORE d", "SDIFFSTORE d"] {
            check(&["SET x 1", "SADD a 1", &format!("{name} x a")], WRONG_TYPE);
            check(&["SET x 1", "SADD a 1", &format!("{name} a x")], WRONG_TYPE);
            check(&["SET x 1", &format!("{name} none x")], WRONG_TYPE);
            check_lookups(&["SADD a 1", &format!("{name} none a")], 1, 1);
            check_lookups(&["SET x 1", &format!("{name} x none")], 1, 0);
        }
        check(&["SET x 1", "SINTERCARD 2 none x"], WRONG_TYPE);
        check(&["SET x 1", "SUNIONCARD 2 none x"], WRONG_TYPE);
        check(&["SET x 1", "SDIFFCARD 2 none x"], WRONG_TYPE);
    }

    #[test]
    fn sinterstore() {
        check(&["SADD a 1 2 3", "SADD b 3 2 x", "SINTERSTORE d a b"], ":2");
        check(&["SADD a 1 2 3", "SADD b 3 2 x", "SINTERSTORE d a b", "SMEMBERS d"], "*2 $1 2 $1 3");
        check(&["SADD a 1 2 3", "SADD b 3 x", "SINTERSTORE a a b", "SMEMBERS a"], "*1 $1 3");
        check(&["SADD a 1 x y", "SADD b 1", "SINTERSTORE d a b", "OBJECT ENCODING d"], "$6 intset");
        check(&["SET d v", "SADD a 1", "SINTERSTORE d a b"], ":0");
        check(&["SET d v", "SADD a 1", "SINTERSTORE d a b", "EXISTS d"], ":0");
        check(&["SET d v EX 100", "SADD a 1", "SINTERSTORE d a", "TTL d"], ":-1");
        check_effects(&["SADD a 1", "SINTERSTORE d a"], &["SINTERSTORE d a"]);
        check_effects(&["SET d v", "SINTERSTORE d a"], &["SINTERSTORE d a"]);
        check_effects(&["SINTERSTORE d a"], &[]);
        check_events(&["SADD a 1", "SINTERSTORE d a"], &["new d", "sinterstore d"]);
        check_events(&["SET d v", "SADD a 1", "SINTERSTORE d a"], &["sinterstore d"]);
        check_events(&["SET d v", "SINTERSTORE d a"], &["keymiss a", "del d"]);
        check_events(&["SINTERSTORE d a"], &["keymiss a"]);
    }

    #[test]
    fn sunionstore() {
        check(&["SADD a 1 2", "SADD b x", "SUNIONSTORE d a b c"], ":3");
        check(&["SADD a 1 2", "SADD b 3", "SUNIONSTORE d a b", "OBJECT ENCODING d"], "$6 intset");
        check(&["SADD a 1 2", "SADD b x", "SUNIONSTORE d a b", "OBJECT ENCODING d"], "$9 hashtable");
        check(&["SADD a 1", "SUNIONSTORE a x y", "EXISTS a"], ":0");
        check_effects(&["SADD a 1", "SUNIONSTORE d a"], &["SUNIONSTORE d a"]);
        check_events(&["SADD a 1", "SUNIONSTORE d a"], &["new d", "sunionstore d"]);
    }

    #[test]
    fn sdiffstore() {
        check(&["SADD a 1 2 x", "SADD b x", "SDIFFSTORE d a b c"], ":2");
        check(&["SADD a 1 2 x", "SADD b x", "SDIFFSTORE d a b", "OBJECT ENCODING d"], "$6 intset");
        // With many sets Redis copies the first one and removes from the copy, which keeps its form.
        check(
            &["SADD a 1 2 x", "SADD b x", "SDIFFSTORE d a b b b b b b b b b", "OBJECT ENCODING d"],
            "$9 hashtable",
        );
        check(&["SADD a 1", "SDIFFSTORE a a a", "EXISTS a"], ":0");
        check_effects(&["SADD a 1", "SDIFFSTORE d a"], &["SDIFFSTORE d a"]);
        check_events(&["SADD a 1", "SDIFFSTORE d a"], &["new d", "sdiffstore d"]);
    }

    #[test]
    fn cardinalities() {
        let sets = ["SADD a 1 2 3 x", "SADD b 2 3 y"];
        let check_card = |line: &str, reply: &str| check(&[sets[0], sets[1], line], reply);
        check_card("SINTERCARD 2 a b", ":2");
        check_card("SINTERCARD 2 a b LIMIT 1", ":1");
        check_card("SINTERCARD 2 a b LIMIT 0", ":2");
        check_card("SINTERCARD 2 a b limit 10 LIMIT 1", ":1");
        check_card("SINTERCARD 2 a none", ":0");
        check_card("SINTERCARD 1 b LIMIT 9223372036854775807", ":3");
        check_card("SUNIONCARD 2 a b", ":5");
        check_card("SUNIONCARD 2 a b LIMIT 3", ":3");
        check_card("SUNIONCARD 3 none b b", ":3");
        check_card("SDIFFCARD 2 a b", ":2");
        check_card("SDIFFCARD 2 a b LIMIT 1", ":1");
        check_card("SDIFFCARD 2 none b", ":0");
        check_effects(&[sets[0], "SINTERCARD 1 a"], &[]);
    }

    #[test]
    fn cardinalities_refuse() {
        for name in ["SINTERCARD", "SUNIONCARD", "SDIFFCARD"] {
            let refuses = |rest: &str, text: &str| check(&[&format!("{name} {rest}")], text);
            for rest in ["0 a", "-1 a", "x a"] {
                refuses(rest, "-ERR numkeys should be greater than 0");
            }
            refuses("2 a", "-ERR Number of keys can't be greater than number of args");
            refuses("9223372036854775807 a", "-ERR Number of keys can't be greater than number of args");
            refuses("1 a b", "-ERR syntax error");
            refuses("1 a LIMIT", "-ERR syntax error");
            refuses("1 a LIMIT -1", "-ERR LIMIT can't be negative");
            refuses("1 a LIMIT x", "-ERR LIMIT can't be negative");
            refuses("1", &format!("-ERR wrong number of arguments for '{}' command", name.to_lowercase()));
        }
    }
}
