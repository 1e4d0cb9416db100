//! `CMS.INCRBY`, `CMS.QUERY`, `CMS.INFO`.

use super::{NO_KEY, sketch};
use crate::families::sketch::{info, wrong_arity};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command, parse_i64};
use smallvec::SmallVec;
use tidegate_data::types::cms::{COUNT_MAX, Cms};

pub(super) static CMS_INCRBY: Command =
    command("CMS.INCRBY", "key <items: item increment> [<items: item increment> ...]", cms_incrby)
        .about(
            "1.0.0",
            "O(N·D) where N is the number of elements and D the depth.",
            "Adds to the counts of elements in a count-min sketch.",
        )
        .arity(-4)
        .keys(KeySpec::first().rw().access().update())
        .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

fn cms_incrby(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    const OVERFLOW: Error = Error::new("CMS: INCRBY overflow");
    let key = args.key()?;
    if args.remaining() % 2 == 1 {
        return Err(wrong_arity("cms.incrby"));
    }
    let mut sketch = cx.keys.write_as::<Cms>(key)?.ok_or(NO_KEY)?;
    let mut pairs = SmallVec::<[(&[u8], u64); 4]>::new();
    while !args.is_done() {
        pairs.push((args.next()?, increment(args)?));
    }
    reply.array(pairs.len());
    let has_changed = sketch.change_if(|sketch| {
        for (item, by) in &pairs {
            match sketch.increment(item, *by) {
                COUNT_MAX => reply.error(&OVERFLOW),
                count => reply.integer(count.into()),
            }
        }
        pairs.iter().any(|(_, by)| *by > 0)
    });
    drop(sketch);
    Ok(Outcome::changed_if(has_changed))
}

fn increment(args: &mut Args) -> Result<u64, Error> {
    let number = parse_i64(args.next()?).ok_or(Error::new("CMS: Cannot parse number"))?;
    u64::try_from(number).map_err(|_| Error::new("CMS: Number cannot be negative"))
}

pub(super) static CMS_QUERY: Command = command("CMS.QUERY", "key item [item ...]", cms_query)
    .about(
        "1.0.0",
        "O(N·D) where N is the number of elements and D the depth.",
        "Returns the counts of elements in a count-min sketch.",
    )
    .arity(-3)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly, Flag::Fast]);

fn cms_query(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let sketch = sketch(cx, key)?;
    reply.array(args.remaining());
    for item in args.rest() {
        reply.integer(sketch.estimate(item).into());
    }
    Ok(Outcome::Same)
}

pub(super) static CMS_INFO: Command = command("CMS.INFO", "key", cms_info)
    .about("1.0.0", "O(1)", "Returns width, depth and total count of a count-min sketch.")
    .arity(2)
    .keys(KeySpec::first().ro())
    .flags(&[Flag::Readonly, Flag::Fast]);

fn cms_info(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let sketch = sketch(cx, key)?;
    info(reply, &[("width", sketch.width()), ("depth", sketch.depth()), ("count", sketch.count())]);
    Ok(Outcome::Same)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events};

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    const NEW: &str = "CMS.INITBYDIM c 1000 5";

    #[test]
    fn cms_incrby() {
        check(&["CMS.INITBYPROB c 0.001 0.01", "CMS.INCRBY c a 5"], "*1 :5");
        check(&[NEW, "CMS.INCRBY c a 5 b 3 a 1"], "*3 :5 :3 :6");
        check(&["CMS.INCRBY c a 5"], "-CMS: key does not exist");
        check(&["SET c x", "CMS.INCRBY c a 5"], WRONG_TYPE);
        check(&[NEW, "CMS.INCRBY c a x"], "-CMS: Cannot parse number");
        check(&[NEW, "CMS.INCRBY c a -1"], "-CMS: Number cannot be negative");
        check(&[NEW, "CMS.INCRBY c a 1 b"], "-ERR wrong number of arguments for 'cms.incrby' command");
        check(&[NEW, "CMS.INCRBY c a 1 b x"], "-CMS: Cannot parse number");
        check(&[NEW, "CMS.INCRBY c a 1 b x", "CMS.QUERY c a"], "*1 :0");
        check(&[NEW, "CMS.INCRBY c a 4294967295 b 1"], "*2 -CMS: INCRBY overflow :1");
        check(&[NEW, "CMS.INCRBY c a 9223372036854775807", "CMS.QUERY c a"], "*1 :4294967295");
        check_effects(&[NEW, "CMS.INCRBY c a 1 b x"], &[]);
        check_effects(&[NEW, "CMS.INCRBY c a 1"], &["CMS.INCRBY c a 1"]);
        check_effects(&[NEW, "CMS.INCRBY c a 0"], &[]);
        check_events(&[NEW, "CMS.INCRBY c a 1"], &[]);
    }

    #[test]
    fn cms_query() {
        check(&[NEW, "CMS.INCRBY c a 5", "CMS.QUERY c a b"], "*2 :5 :0");
        check(&["CMS.QUERY c a"], "-CMS: key does not exist");
        check(&["SET c x", "CMS.QUERY c a"], WRONG_TYPE);
    }

    #[test]
    fn cms_info() {
        check(&[NEW, "CMS.INCRBY c a 5 b 2", "CMS.INFO c"], "*6 +width :1000 +depth :5 +count :7");
        check(&["CMS.INFO c"], "-CMS: key does not exist");
        check(&["SET c x", "CMS.INFO c"], WRONG_TYPE);
        let mut bench = Bench::resp3();
        bench.run(NEW);
        assert_eq!(bench.run("CMS.INFO c").text(), "%3 +width :1000 +depth :5 +count :0");
    }
}
