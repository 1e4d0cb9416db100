//! `TDIGEST.MIN`, `TDIGEST.MAX`, `TDIGEST.TRIMMED_MEAN`, `TDIGEST.INFO`.

use super::digest;
use crate::families::sketch::info;
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command, parse_double};

pub(super) static TDIGEST_MIN: Command = command("TDIGEST.MIN", "key", |cx, args, reply| {
    let key = args.key()?;
    let least = digest(cx, key)?.min();
    reply.short_double(least.unwrap_or(f64::NAN));
    Ok(Outcome::Same)
})
.about("1.0.0", "O(1)", "Returns the least number that was added to a t-digest.")
.arity(2)
.keys(KeySpec::first().ro().access())
.flags(&[Flag::Readonly, Flag::Fast]);

pub(super) static TDIGEST_MAX: Command = command("TDIGEST.MAX", "key", |cx, args, reply| {
    let key = args.key()?;
    let greatest = digest(cx, key)?.max();
    reply.short_double(greatest.unwrap_or(f64::NAN));
    Ok(Outcome::Same)
})
.about("1.0.0", "O(1)", "Returns the greatest number that was added to a t-digest.")
.arity(2)
.keys(KeySpec::first().ro().access())
.flags(&[Flag::Readonly, Flag::Fast]);

pub(super) static TDIGEST_TRIMMED_MEAN: Command =
    command("TDIGEST.TRIMMED_MEAN", "key low_cut_quantile high_cut_quantile", tdigest_trimmed_mean)
        .about(
            "1.0.0",
            "O(K) where K is the number of nodes.",
            "Returns the mean of the numbers of a t-digest between two quantiles.",
        )
        .arity(4)
        .keys(KeySpec::first().ro().access())
        .flags(&[Flag::Readonly]);

fn tdigest_trimmed_mean(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    const RANGE: Error =
        Error::new("ERR T-Digest: low_cut_percentile and high_cut_percentile should be in [0,1]");
    const ORDER: Error =
        Error::new("ERR T-Digest: low_cut_percentile should be lower than high_cut_percentile");
    let key = args.key()?;
    let digest = digest(cx, key)?;
    let mut cut = |error| parse_double(args.next()?).ok_or(Error::new(error));
    let low = cut("ERR T-Digest: error parsing low_cut_percentile")?;
    let high = cut("ERR T-Digest: error parsing high_cut_percentile")?;
    if ![low, high].iter().all(|cut| (0.0..=1.0).contains(cut)) {
        return Err(RANGE);
    }
    if low >= high {
        return Err(ORDER);
    }
    reply.short_double(digest.ask().trimmed_mean(low, high));
    Ok(Outcome::Same)
}

pub(super) static TDIGEST_INFO: Command = command("TDIGEST.INFO", "key", tdigest_info)
    .about("1.0.0", "O(1)", "Returns the properties of a t-digest.")
    .arity(2)
    .keys(KeySpec::first().ro())
    .flags(&[Flag::Readonly, Flag::Fast]);

fn tdigest_info(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let digest = digest(cx, key)?;
    let fields = [
        ("Compression", digest.compression()),
        ("Capacity", digest.capacity()),
        ("Merged nodes", digest.merged_nodes() as u64),
        ("Unmerged nodes", digest.unmerged_nodes() as u64),
        ("Merged weight", digest.merged_weight()),
        ("Unmerged weight", digest.unmerged_weight()),
        ("Observations", digest.size()),
        ("Total compressions", digest.compressions()),
        ("Memory usage", digest.told_size()),
    ];
    info(reply, &fields);
    Ok(Outcome::Same)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check};

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    const NEW: &str = "TDIGEST.CREATE q";

    #[test]
    fn tdigest_min_and_tdigest_max() {
        check(&[NEW, "TDIGEST.ADD q 3 1 2.5", "TDIGEST.MIN q"], "$1 1");
        check(&[NEW, "TDIGEST.ADD q 3 1 2.5", "TDIGEST.MAX q"], "$1 3");
        for name in ["TDIGEST.MIN q", "TDIGEST.MAX q"] {
            check(&[NEW, name], "$3 nan");
            check(&[name], "-ERR T-Digest: key does not exist");
            check(&["SET q x", name], WRONG_TYPE);
        }
        let mut bench = Bench::resp3();
        bench.run(NEW);
        assert_eq!(bench.run("TDIGEST.MIN q").text(), ",nan");
    }

    #[test]
    fn tdigest_trimmed_mean() {
        let add = "TDIGEST.ADD q 1 2 3 4 5 6 7 8 9";
        check(&[NEW, add, "TDIGEST.TRIMMED_MEAN q 0.1 0.9"], "$1 5");
        check(&[NEW, add, "TDIGEST.TRIMMED_MEAN q 0.4 0.5"], "$3 4.5");
        check(&[NEW, "TDIGEST.TRIMMED_MEAN q 0.1 0.9"], "$3 nan");
        check(&["TDIGEST.TRIMMED_MEAN q 0.1 0.9"], "-ERR T-Digest: key does not exist");
        check(&["SET q x", "TDIGEST.TRIMMED_MEAN q 0.1 0.9"], WRONG_TYPE);
        check(&[NEW, "TDIGEST.TRIMMED_MEAN q x 0.9"], "-ERR T-Digest: error parsing low_cut_percentile");
        check(&[NEW, "TDIGEST.TRIMMED_MEAN q 0.1 x"], "-ERR T-Digest: error parsing high_cut_percentile");
        let range = "-ERR T-Digest: low_cut_percentile and high_cut_percentile should be in [0,1]";
        check(&[NEW, "TDIGEST.TRIMMED_MEAN q -1 0.9"], range);
        check(&[NEW, "TDIGEST.TRIMMED_MEAN q 0.1 1.5"], range);
        let order = "-ERR T-Digest: low_cut_percentile should be lower than high_cut_percentile";
        check(&[NEW, "TDIGEST.TRIMMED_MEAN q 0.5 0.5"], order);
    }

    #[test]
    fn tdigest_info() {
        let mut bench = Bench::default();
        bench.run(NEW);
        (1..=10_000).for_each(|number| drop(bench.run(&format!("TDIGEST.ADD q {number}"))));
        assert_eq!(
            bench.run("TDIGEST.INFO q").text(),
            "*18 +Compression :100 +Capacity :610 +Merged nodes :51 +Unmerged nodes :422 +Merged weight :9578 \
             +Unmerged weight :422 +Observations :10000 +Total compressions :17 +Memory usage :9840"
        );
        check(&["TDIGEST.INFO q"], "-ERR T-Digest: key does not exist");
        check(&["SET q x", "TDIGEST.INFO q"], WRONG_TYPE);
        let mut bench = Bench::resp3();
        bench.run(NEW);
        assert!(bench.run("TDIGEST.INFO q").text().starts_with("%9 +Compression :100 "));
    }
}
