//! `CMS.INITBYDIM`, `CMS.INITBYPROB`.

use super::TOO_LARGE;
use crate::families::sketch::{number_in, store};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command, parse_double};
use tidegate_data::Key;
use tidegate_data::types::cms::Cms;

pub(super) static CMS_INITBYDIM: Command = command("CMS.INITBYDIM", "key width depth", cms_initbydim)
    .about("1.0.0", "O(1)", "Creates a count-min sketch of this width and depth.")
    .arity(4)
    .keys(KeySpec::first().ow().insert())
    .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

fn cms_initbydim(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = new_key(cx, args)?;
    let width = number_in(args, 1..=i64::MAX, "CMS: invalid width")?;
    let depth = number_in(args, 1..=i64::MAX, "CMS: invalid depth")?;
    create(cx, key, (width as u64, depth as u64), reply)
}

pub(super) static CMS_INITBYPROB: Command =
    command("CMS.INITBYPROB", "key error probability", cms_initbyprob)
        .about(
            "1.0.0",
            "O(1)",
            "Creates a count-min sketch for an error rate and the probability of a larger error.",
        )
        .arity(4)
        .keys(KeySpec::first().ow().insert())
        .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

fn cms_initbyprob(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = new_key(cx, args)?;
    let error = share(args, "CMS: invalid overestimation value")?;
    let probability = share(args, "CMS: invalid prob value")?;
    create(cx, key, Cms::dimensions(error, probability), reply)
}

/// A number between 0 and 1.
fn share(args: &mut Args, error: &'static str) -> Result<f64, Error> {
    let share = parse_double(args.next()?).filter(|share| *share > 0.0 && *share < 1.0);
    share.ok_or(Error::new(error))
}

/// A key that is not there: whatever type it has if it is.
fn new_key<'a>(cx: &mut Ctx, args: &mut Args<'a>) -> Result<Key<'a>, Error> {
    let key = args.key()?;
    if cx.keys.for_write(key).is_some() {
        return Err(Error::new("CMS: key already exists"));
    }
    Ok(key)
}

fn create(cx: &mut Ctx, key: Key, (width, depth): (u64, u64), reply: &mut Reply) -> Result<Outcome, Error> {
    store(cx, key, |room| Cms::new(width, depth, room), TOO_LARGE)?;
    reply.ok();
    Ok(Outcome::Changed)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events};

    #[test]
    fn cms_initbydim() {
        check(&["CMS.INITBYDIM c 1000 5"], "+OK");
        check(&["CMS.INITBYDIM c 1000 5", "CMS.INFO c"], "*6 +width :1000 +depth :5 +count :0");
        check(&["CMS.INITBYDIM c 1000 5", "CMS.INITBYDIM c x x"], "-CMS: key already exists");
        check(&["SET c x", "CMS.INITBYDIM c 1000 5"], "-CMS: key already exists");
        for width in ["0", "-1", "x"] {
            check(&[&format!("CMS.INITBYDIM c {width} 5")], "-CMS: invalid width");
            check(&[&format!("CMS.INITBYDIM c 5 {width}")], "-CMS: invalid depth");
        }
        for line in ["2147483648 2147483648", "9223372036854775807 2", "1 100000", "1073741824 1"] {
            check(&[&format!("CMS.INITBYDIM c {line}")], "-CMS: Insufficient memory to create the key");
        }
        check_effects(&["CMS.INITBYDIM c 10 5"], &["CMS.INITBYDIM c 10 5"]);
        check_events(&["CMS.INITBYDIM c 10 5"], &["new c"]);
        let mut bench = Bench::default();
        bench.limits.memory_left = 1000;
        let no_room = "-OOM command not allowed when used memory > 'maxmemory'.";
        assert_eq!(bench.run("CMS.INITBYDIM c 1000 5").text(), no_room);
    }

    #[test]
    fn cms_initbyprob() {
        check(&["CMS.INITBYPROB p 0.001 0.01", "CMS.INFO p"], "*6 +width :2000 +depth :7 +count :0");
        check(&["CMS.INITBYPROB p 0.001 0.01", "CMS.INITBYPROB p 0.1 0.1"], "-CMS: key already exists");
        for share in ["0", "1", "-0.5", "x", "2"] {
            check(&[&format!("CMS.INITBYPROB p {share} 0.1")], "-CMS: invalid overestimation value");
            check(&[&format!("CMS.INITBYPROB p 0.1 {share}")], "-CMS: invalid prob value");
        }
        check(&["CMS.INITBYPROB p 1e-300 0.1"], "-CMS: Insufficient memory to create the key");
        check(&["CMS.INITBYPROB p 0.1 1e-300"], "-CMS: Insufficient memory to create the key");
    }
}
