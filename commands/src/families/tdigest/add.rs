//! `TDIGEST.CREATE`, `TDIGEST.RESET`, `TDIGEST.ADD`.

use super::{COMPRESSION, NO_KEY, compression};
use crate::families::sketch::wrong_arity;
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command, parse_double};
use smallvec::SmallVec;
use tidegate_data::types::tdigest::TDigest;

pub(super) static TDIGEST_CREATE: Command =
    command("TDIGEST.CREATE", "key [COMPRESSION compression]", tdigest_create)
        .about("1.0.0", "O(1)", "Creates an empty t-digest.")
        .arity(-2)
        .keys(KeySpec::first().ow().insert())
        .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

fn tdigest_create(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    if !matches!(args.remaining(), 0 | 2) {
        return Err(wrong_arity("tdigest.create"));
    }
    if cx.keys.for_write(key).is_some() {
        return Err(Error::new("ERR T-Digest: key already exists"));
    }
    let compression = match args.is_done() {
        true => COMPRESSION,
        false if args.take_word("COMPRESSION") => compression(args)?,
        false => return Err(Error::new("ERR T-Digest: wrong keyword")),
    };
    cx.keys.store(key, TDigest::new(compression));
    reply.ok();
    Ok(Outcome::Changed)
}

pub(super) static TDIGEST_RESET: Command = command("TDIGEST.RESET", "key", tdigest_reset)
    .about("1.0.0", "O(1)", "Removes all numbers from a t-digest.")
    .arity(2)
    .keys(KeySpec::first().rw().delete())
    .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

fn tdigest_reset(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let mut digest = cx.keys.write_as::<TDigest>(key)?.ok_or(NO_KEY)?;
    digest.change().reset();
    drop(digest);
    reply.ok();
    Ok(Outcome::Changed)
}

pub(super) static TDIGEST_ADD: Command = command("TDIGEST.ADD", "key value [value ...]", tdigest_add)
    .about("1.0.0", "O(N) where N is the number of numbers added.", "Adds numbers to a t-digest.")
    .arity(-3)
    .keys(KeySpec::first().rw().insert())
    .flags(&[Flag::Write, Flag::DenyOom]);

fn tdigest_add(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    const NO_NUMBER: Error = Error::new("ERR T-Digest: error parsing val parameter");
    const INFINITE: Error = Error::new("ERR T-Digest: val parameter needs to be a finite number");
    const OVERFLOW: Error = Error::new("ERR T-Digest: overflow detected");
    let key = args.key()?;
    let mut digest = cx.keys.write_as::<TDigest>(key)?.ok_or(NO_KEY)?;
    let mut numbers = SmallVec::<[f64; 8]>::new();
    while !args.is_done() {
        let number = parse_double(args.next()?).ok_or(NO_NUMBER)?;
        if !number.is_finite() {
            return Err(INFINITE);
        }
        numbers.push(number);
    }
    if digest.view().size() > i64::MAX as u64 - numbers.len() as u64 {
        return Err(OVERFLOW);
    }
    let target = digest.change();
    let result = numbers.iter().try_for_each(|number| target.add(*number));
    debug_assert!(result.is_ok(), "there is room for all of them");
    drop(digest);
    reply.ok();
    Ok(Outcome::Changed)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{check, check_effects, check_events};

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn tdigest_create() {
        check(&["TDIGEST.CREATE q"], "+OK");
        check(&["TDIGEST.CREATE q compression 500"], "+OK");
        check(&["TDIGEST.CREATE q", "TDIGEST.CREATE q"], "-ERR T-Digest: key already exists");
        check(&["SET q x", "TDIGEST.CREATE q"], "-ERR T-Digest: key already exists");
        check(
            &["TDIGEST.CREATE q COMPRESSION"],
            "-ERR wrong number of arguments for 'tdigest.create' command",
        );
        check(&["TDIGEST.CREATE q x 100"], "-ERR T-Digest: wrong keyword");
        check(&["TDIGEST.CREATE q COMPRESSION x"], "-ERR T-Digest: error parsing compression parameter");
        let not_positive = "-ERR T-Digest: compression parameter needs to be a positive integer";
        check(&["TDIGEST.CREATE q COMPRESSION 0"], not_positive);
        check(&["TDIGEST.CREATE q COMPRESSION -1"], not_positive);
        check(&["TDIGEST.CREATE q COMPRESSION 9223372036854775807"], "-ERR T-Digest: allocation failed");
        check_effects(&["TDIGEST.CREATE q"], &["TDIGEST.CREATE q"]);
        check_events(&["TDIGEST.CREATE q"], &["new q"]);
    }

    #[test]
    fn tdigest_reset() {
        check(&["TDIGEST.CREATE q", "TDIGEST.RESET q"], "+OK");
        check(&["TDIGEST.CREATE q", "TDIGEST.ADD q 1 2", "TDIGEST.RESET q", "TDIGEST.MAX q"], "$3 nan");
        check(&["TDIGEST.RESET q"], "-ERR T-Digest: key does not exist");
        check(&["SET q x", "TDIGEST.RESET q"], WRONG_TYPE);
        check_effects(&["TDIGEST.CREATE q", "TDIGEST.RESET q"], &["TDIGEST.RESET q"]);
    }

    #[test]
    fn tdigest_add() {
        check(&["TDIGEST.CREATE q", "TDIGEST.ADD q 1 2.5 -3e5"], "+OK");
        check(&["TDIGEST.ADD q 1"], "-ERR T-Digest: key does not exist");
        check(&["SET q x", "TDIGEST.ADD q 1"], WRONG_TYPE);
        for number in ["x", "nan", ""] {
            let line = format!("TDIGEST.ADD q 1 {}", if number.is_empty() { "\"\"" } else { number });
            check(&["TDIGEST.CREATE q", &line], "-ERR T-Digest: error parsing val parameter");
            check_effects(&["TDIGEST.CREATE q", &line], &[]);
        }
        let infinite = "-ERR T-Digest: val parameter needs to be a finite number";
        check(&["TDIGEST.CREATE q", "TDIGEST.ADD q inf"], infinite);
        check(&["TDIGEST.CREATE q", "TDIGEST.ADD q 1 -inf"], infinite);
        check_effects(&["TDIGEST.CREATE q", "TDIGEST.ADD q 1"], &["TDIGEST.ADD q 1"]);
        check_events(&["TDIGEST.CREATE q", "TDIGEST.ADD q 1"], &[]);
    }
}
