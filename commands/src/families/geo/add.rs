//! `GEOADD`: it is `ZADD` with the scores of places.

use super::{limits, point};
use crate::model::{Args, Command, Ctx, Effects, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::types::string::{INT_LEN_MAX, format_int};
use tidegate_data::types::zset::Zset;
use tidegate_data::{EventClass, Key};

pub(super) static GEOADD: Command = command(
    "GEOADD",
    "key [condition: NX|XX]@6.2.0 [change: CH]@6.2.0 longitude latitude member [longitude latitude member ...]",
    geoadd,
)
.about(
    "3.2.0",
    "O(log(N)) for each item added, where N is the number of elements in the sorted set.",
    "Adds members with their places to a geo index, or moves members that are there.",
)
.arity(-5)
.keys(KeySpec::first().rw().update())
.flags(&[Flag::Write, Flag::DenyOom])
.history(&[("6.2.0", "Options `CH`, `NX` and `XX`.")]);

#[derive(Debug, Default)]
struct Options {
    only_new: bool,
    only_present: bool,
    count_moved: bool,
}

fn geoadd(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let mut options = Options::default();
    loop {
        if args.take_word("NX") {
            options.only_new = true;
        } else if args.take_word("XX") {
            options.only_present = true;
        } else if args.take_word("CH") {
            options.count_moved = true;
        } else {
            break;
        }
    }
    let contradicts = options.only_new && options.only_present;
    if contradicts || args.is_done() || !args.remaining().is_multiple_of(3) {
        return Err(Error::Syntax);
    }
    let mut members = Vec::with_capacity(args.remaining() / 3);
    while !args.is_done() {
        let score = point(args)?.score();
        members.push((score, args.next()?));
    }
    let limits = limits(cx);
    let (mut added, mut moved) = (0, 0);
    {
        let mut zset = cx.keys.write_or_create::<Zset>(key)?;
        for (score, member) in &members {
            let score = *score as f64;
            let old = zset.view().score(member);
            match old {
                None if options.only_present => continue,
                Some(_) if options.only_new => continue,
                Some(old) if old.to_bits() == score.to_bits() => continue,
                None => added += 1,
                Some(_) => moved += 1,
            }
            zset.change().put(member, score, limits);
        }
        if added + moved > 0 {
            zset.count_changes(added + moved - 1);
            zset.event(EventClass::Zset, "zadd");
        }
    }
    reply.integer((added + if options.count_moved { moved } else { 0 }) as i64);
    Ok(if added + moved > 0 { Outcome::ChangedAs(as_zadd(key, &options, &members)) } else { Outcome::Same })
}

/// The command that does the same with scores.
fn as_zadd(key: Key, options: &Options, members: &[(u64, &[u8])]) -> Effects {
    let mut digits = vec![[0; INT_LEN_MAX]; members.len()];
    let mut words: Vec<&[u8]> = vec![b"ZADD", key.bytes()];
    let given: [(bool, &[u8]); 3] =
        [(options.only_new, b"NX"), (options.only_present, b"XX"), (options.count_moved, b"CH")];
    words.extend(given.iter().filter(|(given, _)| *given).map(|(_, word)| *word));
    for ((score, member), digits) in members.iter().zip(&mut digits) {
        words.push(format_int(score.cast_signed(), digits));
        words.push(member);
    }
    let mut effects = Effects::default();
    effects.push(&words);
    effects
}

#[cfg(test)]
mod tests {
    use crate::model::check::{check, check_effects, check_events};

    #[test]
    fn geoadd() {
        check(&["GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania"], ":2");
        check(&["GEOADD g 1 1 a", "GEOADD g 1 1 a 2 2 b"], ":1");
        check(&["GEOADD g 1 1 a", "GEOADD g CH 2 2 a 2 2 b"], ":2");
        check(&["GEOADD g 1 1 a", "GEOADD g NX CH 2 2 a 2 2 b"], ":1");
        check(&["GEOADD g 1 1 a", "GEOADD g xx ch 2 2 a 2 2 b"], ":1");
        check(&["GEOADD g XX 2 2 a"], ":0");
        check(&["GEOADD g XX 2 2 a", "EXISTS g"], ":0");
        check(&["GEOADD g 1 1 a", "TYPE g"], "+zset");
        check_events(&["GEOADD g 1 1 a 2 2 b"], &["new g", "zadd g"]);
        check_events(&["GEOADD g 1 1 a", "GEOADD g 1 1 a"], &[]);
    }

    #[test]
    fn it_is_replayed_with_scores() {
        check_effects(
            &["GEOADD g CH 13.361389 38.115556 Palermo 0 0 b"],
            &["ZADD g CH 3479099956230698 Palermo 3377699720527872 b"],
        );
        check_effects(&["GEOADD g NX 13.361389 38.115556 a"], &["ZADD g NX 3479099956230698 a"]);
        check_effects(&["GEOADD g 0 0 a", "GEOADD g 0 0 a"], &[]);
    }

    #[test]
    fn geoadd_refuses() {
        check(&["GEOADD g 1 1 a 2 2"], "-ERR syntax error");
        check(&["GEOADD g NX XX 1 1 a"], "-ERR syntax error");
        check(&["GEOADD g NX CH CH"], "-ERR syntax error");
        check(&["GEOADD g x 1 a"], "-ERR value is not a valid float");
        check(&["GEOADD g 1 1 a 181 91 b"], "-ERR invalid longitude,latitude pair 181.000000,91.000000");
        check(&["GEOADD g 1 1 a inf -86 b", "EXISTS g"], ":0");
        check(
            &["SET g x", "GEOADD g 1 1 a"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }
}
