//! `TDIGEST.QUANTILE`, `TDIGEST.CDF`, `TDIGEST.RANK`, `TDIGEST.REVRANK`, `TDIGEST.BYRANK`, `TDIGEST.BYREVRANK`.

use super::digest;
use crate::model::{
    Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command, parse_double, parse_i64,
};
use smallvec::SmallVec;
use tidegate_data::types::tdigest::Merged;

/// The rank of a number in an empty digest.
const NO_RANK: i64 = -2;

pub(super) static TDIGEST_QUANTILE: Command =
    command("TDIGEST.QUANTILE", "key quantile [quantile ...]", |cx, args, reply| {
        let answer =
            |asked: &Merged, share: f64, reply: &mut Reply| reply.short_double(asked.quantile(share));
        answer_each(cx, args, quantile, answer, reply)
    })
    .about(
        "1.0.0",
        "O(N·K) where N is the number of quantiles and K that of nodes.",
        "Returns the numbers below which these shares of the numbers of a t-digest lie.",
    )
    .arity(-3)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly]);

fn quantile(text: &[u8]) -> Result<f64, Error> {
    let share = parse_double(text).ok_or(Error::new("ERR T-Digest: error parsing quantile"))?;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err(Error::new("ERR T-Digest: quantile should be in [0,1]"))
    }
}

pub(super) static TDIGEST_CDF: Command =
    command("TDIGEST.CDF", "key value [value ...]", |cx, args, reply| {
        let number = |text: &[u8]| parse_double(text).ok_or(Error::new("ERR T-Digest: error parsing cdf"));
        let answer =
            |asked: &Merged, number: f64, reply: &mut Reply| reply.short_double(asked.share_below(number));
        answer_each(cx, args, number, answer, reply)
    })
    .about(
        "1.0.0",
        "O(N·K) where N is the number of numbers and K that of nodes.",
        "Returns the shares of the numbers of a t-digest that are not greater than these.",
    )
    .arity(-3)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly]);

pub(super) static TDIGEST_RANK: Command =
    command("TDIGEST.RANK", "key value [value ...]", |cx, args, reply| {
        let answer = |asked: &Merged, number: f64, reply: &mut Reply| {
            reply.integer(asked.rank(number).unwrap_or(NO_RANK));
        };
        answer_each(cx, args, value, answer, reply)
    })
    .about(
        "1.0.0",
        "O(N·K) where N is the number of numbers and K that of nodes.",
        "Estimates how many numbers of a t-digest are less than these.",
    )
    .arity(-3)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly]);

pub(super) static TDIGEST_REVRANK: Command =
    command("TDIGEST.REVRANK", "key value [value ...]", |cx, args, reply| {
        let answer = |asked: &Merged, number: f64, reply: &mut Reply| {
            reply.integer(asked.reverse_rank(number).unwrap_or(NO_RANK));
        };
        answer_each(cx, args, value, answer, reply)
    })
    .about(
        "1.0.0",
        "O(N·K) where N is the number of numbers and K that of nodes.",
        "Estimates how many numbers of a t-digest are greater than these.",
    )
    .arity(-3)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly]);

fn value(text: &[u8]) -> Result<f64, Error> {
    parse_double(text).ok_or(Error::new("ERR T-Digest: error parsing value"))
}

pub(super) static TDIGEST_BYRANK: Command =
    command("TDIGEST.BYRANK", "key rank [rank ...]", |cx, args, reply| {
        let answer = |asked: &Merged, rank: u64, reply: &mut Reply| reply.short_double(asked.by_rank(rank));
        answer_each(cx, args, rank, answer, reply)
    })
    .about(
        "1.0.0",
        "O(N·K) where N is the number of ranks and K that of nodes.",
        "Estimates the numbers of a t-digest that have these many below them.",
    )
    .arity(-3)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly]);

pub(super) static TDIGEST_BYREVRANK: Command =
    command("TDIGEST.BYREVRANK", "key reverse_rank [reverse_rank ...]", |cx, args, reply| {
        let answer =
            |asked: &Merged, rank: u64, reply: &mut Reply| reply.short_double(asked.by_reverse_rank(rank));
        answer_each(cx, args, rank, answer, reply)
    })
    .about(
        "1.0.0",
        "O(N·K) where N is the number of ranks and K that of nodes.",
        "Estimates the numbers of a t-digest that have these many above them.",
    )
    .arity(-3)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly]);

fn rank(text: &[u8]) -> Result<u64, Error> {
    let rank = parse_i64(text).ok_or(Error::new("ERR T-Digest: error parsing rank"))?;
    u64::try_from(rank).map_err(|_| Error::new("ERR T-Digest: rank needs to be non negative"))
}

/// Answers an array: one thing for each question, all of which must make sense.
fn answer_each<Q: Copy>(
    cx: &mut Ctx,
    args: &mut Args,
    read: fn(&[u8]) -> Result<Q, Error>,
    answer: fn(&Merged<'_>, Q, &mut Reply<'_>),
    reply: &mut Reply,
) -> Result<Outcome, Error> {
    let key = args.key()?;
    let digest = digest(cx, key)?;
    let questions = args.rest().map(read).collect::<Result<SmallVec<[Q; 8]>, _>>()?;
    let asked = digest.ask();
    reply.array(questions.len());
    questions.into_iter().for_each(|question| answer(&asked, question, reply));
    Ok(Outcome::Same)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects};

    const NEW: &str = "TDIGEST.CREATE q";

    fn numbers(range: std::ops::Range<i32>) -> String {
        let numbers: Vec<_> = range.map(|number| number.to_string()).collect();
        format!("TDIGEST.ADD q {}", numbers.join(" "))
    }

    #[test]
    fn tdigest_quantile() {
        check(&[NEW, "TDIGEST.ADD q 1 2 3 4 5", "TDIGEST.QUANTILE q 0.5 0.8"], "*2 $1 3 $1 5");
        check(&[NEW, "TDIGEST.QUANTILE q 0.5"], "*1 $3 nan");
        check(&[NEW, "TDIGEST.QUANTILE q x"], "-ERR T-Digest: error parsing quantile");
        check(&[NEW, "TDIGEST.QUANTILE q 0.1 1.1"], "-ERR T-Digest: quantile should be in [0,1]");
        let mut bench = Bench::resp3();
        bench.run(NEW);
        bench.run("TDIGEST.ADD q 1 2 3 4 5");
        assert_eq!(bench.run("TDIGEST.QUANTILE q 0.5 0.8").text(), "*2 ,3 ,5");
    }

    #[test]
    fn tdigest_cdf() {
        let mut bench = Bench::default();
        bench.run(NEW);
        bench.run(&numbers(1..11));
        assert_eq!(bench.run("TDIGEST.CDF q 0 1 5.5 11").text(), "*4 $1 0 $4 0.05 $3 0.5 $1 1");
        check(&[NEW, "TDIGEST.CDF q 1"], "*1 $3 nan");
        check(&[NEW, "TDIGEST.CDF q x"], "-ERR T-Digest: error parsing cdf");
    }

    #[test]
    fn tdigest_rank_and_tdigest_revrank() {
        let mut bench = Bench::default();
        bench.run("TDIGEST.CREATE q COMPRESSION 500");
        assert_eq!(bench.run("TDIGEST.RANK q 1").text(), "*1 :-2");
        assert_eq!(bench.run("TDIGEST.REVRANK q 1").text(), "*1 :-2");
        bench.run(&numbers(0..20));
        assert_eq!(bench.run("TDIGEST.RANK q -20 20 9").text(), "*3 :-1 :20 :9");
        assert_eq!(bench.run("TDIGEST.REVRANK q 21 0 10").text(), "*3 :-1 :19 :9");
        check(&[NEW, "TDIGEST.RANK q x"], "-ERR T-Digest: error parsing value");
        check(&[NEW, "TDIGEST.REVRANK q x"], "-ERR T-Digest: error parsing value");
    }

    #[test]
    fn tdigest_byrank_and_tdigest_byrevrank() {
        let mut bench = Bench::default();
        bench.run("TDIGEST.CREATE q");
        assert_eq!(bench.run("TDIGEST.BYRANK q 0").text(), "*1 $3 nan");
        bench.run(&numbers(1..11));
        assert_eq!(bench.run("TDIGEST.BYRANK q 0 9 100").text(), "*3 $1 1 $2 10 $3 inf");
        assert_eq!(bench.run("TDIGEST.BYREVRANK q 0 9 100").text(), "*3 $2 10 $1 1 $4 -inf");
        for name in ["TDIGEST.BYRANK", "TDIGEST.BYREVRANK"] {
            assert_eq!(bench.run(&format!("{name} q x")).text(), "-ERR T-Digest: error parsing rank");
            assert_eq!(
                bench.run(&format!("{name} q -1")).text(),
                "-ERR T-Digest: rank needs to be non negative"
            );
        }
    }

    #[test]
    fn all_of_them_need_a_digest() {
        for name in ["QUANTILE", "CDF", "RANK", "REVRANK", "BYRANK", "BYREVRANK"] {
            let line = format!("TDIGEST.{name} q 0");
            check(&[&line], "-ERR T-Digest: key does not exist");
            check(&["SET q x", &line], "-WRONGTYPE Operation against a key holding the wrong kind of value");
            check_effects(&[NEW, "TDIGEST.ADD q 5 6", &line], &[]);
        }
    }
}
