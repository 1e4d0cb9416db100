//! `CF.EXISTS`, `CF.MEXISTS`, `CF.COUNT`, `CF.INFO`.

use super::filter;
use crate::families::sketch::info;
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::types::cuckoo::{Cuckoo, Hash};

pub(super) static CF_EXISTS: Command = command("CF.EXISTS", "key item", cf_exists)
    .about(
        "1.0.0",
        "O(K) where K is the number of layers.",
        "Tells whether an element may have been added to a cuckoo filter.",
    )
    .arity(3)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly, Flag::Fast]);

fn cf_exists(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let (key, item) = (args.key()?, args.next()?);
    // A key of another type has no elements either: clients rely on it that asking never fails.
    let filter = cx.keys.read_as::<Cuckoo>(key).unwrap_or_default();
    reply.boolean(filter.is_some_and(|filter| filter.contains(Hash::of(item))));
    Ok(Outcome::Same)
}

pub(super) static CF_MEXISTS: Command = command("CF.MEXISTS", "key item [item ...]", cf_mexists)
    .about(
        "1.0.0",
        "O(N·K) where N is the number of elements and K that of layers.",
        "Tells which elements may have been added to a cuckoo filter.",
    )
    .arity(-3)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly]);

fn cf_mexists(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let filter = cx.keys.read_as::<Cuckoo>(key).unwrap_or_default();
    reply.array(args.remaining());
    for item in args.rest() {
        reply.boolean(filter.is_some_and(|filter| filter.contains(Hash::of(item))));
    }
    Ok(Outcome::Same)
}

pub(super) static CF_COUNT: Command = command("CF.COUNT", "key item", cf_count)
    .about(
        "1.0.0",
        "O(K) where K is the number of layers.",
        "Estimates how many times an element is in a cuckoo filter.",
    )
    .arity(3)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly, Flag::Fast]);

fn cf_count(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let (key, item) = (args.key()?, args.next()?);
    let filter = cx.keys.read_as::<Cuckoo>(key).unwrap_or_default();
    reply.integer(filter.map_or(0, |filter| filter.count(Hash::of(item))) as i64);
    Ok(Outcome::Same)
}

pub(super) static CF_INFO: Command = command("CF.INFO", "key", cf_info)
    .about("1.0.0", "O(1)", "Returns properties of a cuckoo filter.")
    .arity(2)
    .keys(KeySpec::first().ro())
    .flags(&[Flag::Readonly, Flag::Fast]);

fn cf_info(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let filter = filter(cx, key)?;
    let fields = [
        ("Size", filter.told_size()),
        ("Number of buckets", filter.buckets()),
        ("Number of filters", filter.layers_len() as u64),
        ("Number of items inserted", filter.items()),
        ("Number of items deleted", filter.deletes()),
        ("Bucket size", filter.bucket_size().into()),
        ("Expansion rate", filter.expansion().into()),
        ("Max iterations", filter.iterations_max().into()),
    ];
    info(reply, &fields);
    Ok(Outcome::Same)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check};

    #[test]
    fn cf_exists() {
        check(&["CF.EXISTS c x"], ":0");
        check(&["CF.ADD c x", "CF.EXISTS c x"], ":1");
        check(&["CF.ADD c x", "CF.EXISTS c y"], ":0");
        check(&["SET c x", "CF.EXISTS c x"], ":0");
    }

    #[test]
    fn cf_mexists() {
        check(&["CF.MEXISTS c x y"], "*2 :0 :0");
        check(&["CF.ADD c x", "CF.MEXISTS c x y"], "*2 :1 :0");
        check(&["SET c x", "CF.MEXISTS c x"], "*1 :0");
        let mut bench = Bench::resp3();
        bench.run("CF.ADD c x");
        assert_eq!(bench.run("CF.MEXISTS c x y").text(), "*2 #t #f");
    }

    #[test]
    fn cf_count() {
        check(&["CF.COUNT c x"], ":0");
        check(&["CF.ADD c x", "CF.ADD c x", "CF.COUNT c x"], ":2");
        check(&["SET c x", "CF.COUNT c x"], ":0");
    }

    #[test]
    fn cf_info() {
        check(&["CF.INFO c"], "-ERR not found");
        check(
            &["SET c x", "CF.INFO c"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        let mut bench = Bench::resp3();
        bench.run("CF.RESERVE c 9 EXPANSION 3");
        assert!(bench.run("CF.INFO c").text().starts_with("%8 +Size :64 +Number of buckets :4 "));
        assert!(bench.run("CF.INFO c").text().contains(" +Expansion rate :4 "));
    }
}
