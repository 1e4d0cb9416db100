//! `CMS.MERGE`.

use super::{NO_KEY, TOO_LARGE, sketch};
use crate::families::sketch::no_room;
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command, parse_i64};
use tidegate_data::Key;
use tidegate_data::types::cms::{Cms, MergeError};

pub(super) static CMS_MERGE: Command =
    command("CMS.MERGE", "destination numkeys source [source ...] [WEIGHTS weight [weight ...]]", cms_merge)
        .about(
            "1.0.0",
            "O(N·S) where N is the number of sketches and S the size of each.",
            "Replaces the counts of a count-min sketch with the sums of those of others.",
        )
        .arity(-4)
        .keys(KeySpec::first().rw().update())
        .keys(KeySpec::counted(2, 1).ro().access())
        .flags(&[Flag::Write, Flag::DenyOom]);

fn cms_merge(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let destination = args.key()?;
    let dimensions = match cx.keys.for_write_as::<Cms>(destination)? {
        Some(sketch) => (sketch.width(), sketch.depth()),
        None => return Err(NO_KEY),
    };
    let sources = sources(args)?;
    for (source, _) in &sources {
        let source = sketch(cx, *source)?;
        if (source.width(), source.depth()) != dimensions {
            return Err(Error::new("CMS: width/depth is not equal"));
        }
    }
    let mut weighted = Vec::with_capacity(sources.len());
    for (source, weight) in &sources {
        weighted.push((cx.keys.view_as::<Cms>(*source)?.ok_or(NO_KEY)?, *weight));
    }
    // The destination may be one of the sources.
    let sum = Cms::sum(&weighted, cx.env.limits().memory_left).map_err(|error| match error {
        MergeError::Overflow => Error::new("CMS: MERGE overflow"),
        MergeError::TooLarge => no_room(cx, TOO_LARGE),
    })?;
    let mut sketch = cx.keys.write_as::<Cms>(destination)?.ok_or(NO_KEY)?;
    *sketch.change() = sum;
    drop(sketch);
    reply.ok();
    Ok(Outcome::Changed)
}

/// The sources and their weights.
fn sources<'a>(args: &mut Args<'a>) -> Result<Vec<(Key<'a>, i64)>, Error> {
    let len = parse_i64(args.next()?).ok_or(Error::new("CMS: invalid numkeys"))?;
    if len < 1 {
        return Err(Error::new("CMS: Number of keys must be positive"));
    }
    let left = args.remaining();
    let weights = (0..left).find(|at| args.get(args.index() + at).eq_ignore_ascii_case(b"WEIGHTS"));
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    match weights {
        None if left != len => return Err(Error::new("CMS: wrong number of keys")),
        Some(at) if at != len || left - at - 1 != len => {
            return Err(Error::new("CMS: wrong number of keys/weights"));
        }
        _ => {}
    }
    let keys = (0..len).map(|_| args.key()).collect::<Result<Vec<_>, _>>()?;
    if weights.is_some() {
        args.next()?;
    }
    let mut sources = Vec::with_capacity(len);
    for key in keys {
        let weight = match weights {
            Some(_) => parse_i64(args.next()?).ok_or(Error::new("CMS: invalid weight value"))?,
            None => 1,
        };
        sources.push((key, weight));
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects};

    fn bench() -> Bench {
        let mut bench = Bench::default();
        for line in [
            "CMS.INITBYDIM a 1000 5",
            "CMS.INITBYDIM b 1000 5",
            "CMS.INITBYDIM c 1000 5",
            "CMS.INITBYDIM other 1000 6",
            "CMS.INCRBY a foo 5 bar 3 baz 9",
            "CMS.INCRBY b foo 2 bar 3 baz 1",
            "SET s x",
        ] {
            bench.run(line);
        }
        bench
    }

    #[test]
    fn cms_merge() {
        let mut bench = bench();
        let mut merged = |line: &str| {
            assert_eq!(bench.run(line).text(), "+OK", "{line}");
            bench.run("CMS.QUERY c foo bar baz").text()
        };
        assert_eq!(merged("CMS.MERGE c 2 a b"), "*3 :7 :6 :10");
        assert_eq!(merged("CMS.MERGE c 2 a b WEIGHTS 1 2"), "*3 :9 :9 :11");
        assert_eq!(merged("CMS.MERGE c 2 a b weights 2 3"), "*3 :16 :15 :21");
        // The destination is a source.
        assert_eq!(merged("CMS.MERGE c 2 c a"), "*3 :21 :18 :30");
        assert_eq!(merged("CMS.MERGE c 1 c WEIGHTS 2"), "*3 :42 :36 :60");
        assert_eq!(merged("CMS.MERGE c 2 a a"), "*3 :10 :6 :18");
        assert_eq!(bench.run("CMS.INFO c").text(), "*6 +width :1000 +depth :5 +count :34");
    }

    #[test]
    fn what_cannot_be_merged() {
        let mut bench = bench();
        for (line, error) in [
            ("CMS.MERGE none 1 a", "-CMS: key does not exist"),
            ("CMS.MERGE c 1 none", "-CMS: key does not exist"),
            ("CMS.MERGE s 1 a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("CMS.MERGE c 1 s", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("CMS.MERGE c x a", "-CMS: invalid numkeys"),
            ("CMS.MERGE c 0 a", "-CMS: Number of keys must be positive"),
            ("CMS.MERGE c -1 a", "-CMS: Number of keys must be positive"),
            ("CMS.MERGE c 2 a", "-CMS: wrong number of keys"),
            ("CMS.MERGE c 1 a b", "-CMS: wrong number of keys"),
            ("CMS.MERGE c 9223372036854775807 a b", "-CMS: wrong number of keys"),
            ("CMS.MERGE c 2 a b WEIGHTS 1", "-CMS: wrong number of keys/weights"),
            ("CMS.MERGE c 1 a b WEIGHTS 1", "-CMS: wrong number of keys/weights"),
            ("CMS.MERGE c 1 a WEIGHTS x", "-CMS: invalid weight value"),
            ("CMS.MERGE c 1 other", "-CMS: width/depth is not equal"),
            ("CMS.MERGE c 1 a WEIGHTS -1", "-CMS: MERGE overflow"),
            ("CMS.MERGE c 1 a WEIGHTS 9223372036854775807", "-CMS: MERGE overflow"),
        ] {
            let ran = bench.run(line);
            assert_eq!((ran.text(), ran.effects.len()), (error.to_owned(), 0), "{line}");
        }
        check(&["CMS.MERGE c 1"], "-ERR wrong number of arguments for 'cms.merge' command");
        check_effects(
            &["CMS.INITBYDIM a 9 2", "CMS.INITBYDIM b 9 2", "CMS.MERGE b 1 a"],
            &["CMS.MERGE b 1 a"],
        );
    }
}
