//! `TDIGEST.MERGE`.

use super::{NO_KEY, compression};
use crate::families::sketch::wrong_arity;
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command, parse_i64};
use tidegate_data::Key;
use tidegate_data::types::tdigest::TDigest;

pub(super) static TDIGEST_MERGE: Command = command(
    "TDIGEST.MERGE",
    "destination numkeys source [source ...] [COMPRESSION compression] [OVERRIDE]",
    tdigest_merge,
)
.about(
    "1.0.0",
    "O(N·K) where N is the number of digests and K that of nodes of each.",
    "Adds the numbers of t-digests to another, or replaces it, and creates it if it does not exist.",
)
.arity(-4)
.keys(KeySpec::first().rw().insert())
.keys(KeySpec::counted(2, 1).ro().access())
.flags(&[Flag::Write, Flag::DenyOom]);

fn tdigest_merge(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    const OVERFLOW: Error = Error::new("ERR T-Digest: overflow detected");
    let destination = args.key()?;
    let sources = sources(args)?;
    let (mut asked_compression, mut overrides) = (None, false);
    while !args.is_done() {
        if args.take_word("COMPRESSION") {
            asked_compression = Some(compression(args)?);
        } else if args.take_word("OVERRIDE") {
            overrides = true;
        } else {
            return Err(Error::new("ERR T-Digest: wrong keyword"));
        }
    }
    let existing = cx.keys.for_write_as::<TDigest>(destination)?.map(TDigest::compression);
    let kept = existing.filter(|_| !overrides);
    for source in &sources {
        super::digest(cx, *source)?;
    }
    let mut digests = Vec::with_capacity(sources.len() + 1);
    if kept.is_some() {
        digests.push(cx.keys.view_as::<TDigest>(destination)?.ok_or(NO_KEY)?);
    }
    for source in &sources {
        digests.push(cx.keys.view_as::<TDigest>(*source)?.ok_or(NO_KEY)?);
    }
    let largest = digests.iter().map(|digest| digest.compression()).max();
    let compression = asked_compression.or(kept).or(largest).ok_or(NO_KEY)?;
    // The destination may be one of the sources.
    let merged = TDigest::merged(compression, &digests).map_err(|_| OVERFLOW)?;
    let mut target = cx.keys.write_or_create::<TDigest>(destination)?;
    *target.change() = merged;
    drop(target);
    reply.ok();
    Ok(Outcome::Changed)
}

fn sources<'a>(args: &mut Args<'a>) -> Result<Vec<Key<'a>>, Error> {
    let len = parse_i64(args.next()?).ok_or(Error::new("ERR T-Digest: error parsing numkeys"))?;
    if len < 1 {
        return Err(Error::new("ERR T-Digest: numkeys needs to be a positive integer"));
    }
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if len > args.remaining() {
        return Err(wrong_arity("tdigest.merge"));
    }
    (0..len).map(|_| args.key()).collect()
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check_effects};

    fn bench() -> Bench {
        let mut bench = Bench::default();
        for line in [
            "TDIGEST.CREATE a COMPRESSION 10",
            "TDIGEST.CREATE b COMPRESSION 50",
            "TDIGEST.ADD a 1 1 1 1 1",
            "TDIGEST.ADD b 2 2 2",
            "SET s x",
        ] {
            bench.run(line);
        }
        bench
    }

    fn field(bench: &mut Bench, key: &str, name: &str) -> String {
        let info = bench.run(&format!("TDIGEST.INFO {key}")).text();
        let (_, rest) = info.split_once(&format!("+{name} :")).unwrap();
        rest.split(' ').next().unwrap().to_owned()
    }

    #[test]
    fn tdigest_merge() {
        let mut bench = bench();
        let steps = [
            // A new one has the largest compression.
            ("TDIGEST.MERGE c 2 a b", "8", "50"),
            ("TDIGEST.MERGE c 1 a", "13", "50"),
            ("TDIGEST.MERGE c 1 a OVERRIDE", "5", "10"),
            ("TDIGEST.MERGE c 1 b override compression 30", "3", "30"),
            ("TDIGEST.MERGE c 1 c", "6", "30"),
            ("TDIGEST.MERGE c 2 c c OVERRIDE", "12", "30"),
        ];
        for (line, observations, compression) in steps {
            assert_eq!(bench.run(line).text(), "+OK", "{line}");
            assert_eq!(field(&mut bench, "c", "Observations"), observations, "{line}");
            assert_eq!(field(&mut bench, "c", "Compression"), compression, "{line}");
        }
        assert_eq!(bench.run("TDIGEST.MIN c").text(), "$1 2");
    }

    #[test]
    fn what_cannot_be_merged() {
        let mut bench = bench();
        for (line, error) in [
            ("TDIGEST.MERGE c x a", "-ERR T-Digest: error parsing numkeys"),
            ("TDIGEST.MERGE c 0 a", "-ERR T-Digest: numkeys needs to be a positive integer"),
            ("TDIGEST.MERGE c -1 a", "-ERR T-Digest: numkeys needs to be a positive integer"),
            ("TDIGEST.MERGE c 2 a", "-ERR wrong number of arguments for 'tdigest.merge' command"),
            ("TDIGEST.MERGE c 1 a x", "-ERR T-Digest: wrong keyword"),
            ("TDIGEST.MERGE c 1 a COMPRESSION", "-ERR T-Digest: error parsing compression parameter"),
            (
                "TDIGEST.MERGE c 1 a COMPRESSION 0",
                "-ERR T-Digest: compression parameter needs to be a positive integer",
            ),
            ("TDIGEST.MERGE c 1 none", "-ERR T-Digest: key does not exist"),
            ("TDIGEST.MERGE c 1 s", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("TDIGEST.MERGE s 1 a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ] {
            let ran = bench.run(line);
            assert_eq!((ran.text(), ran.effects.len()), (error.to_owned(), 0), "{line}");
        }
        check_effects(&["TDIGEST.CREATE a", "TDIGEST.MERGE c 1 a"], &["TDIGEST.MERGE c 1 a"]);
    }
}
