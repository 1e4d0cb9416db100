//! `BF.EXISTS`, `BF.MEXISTS`, `BF.CARD`, `BF.INFO`.

use super::filter;
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::types::bloom::{Bloom, Hash};

pub(super) static BF_EXISTS: Command = command("BF.EXISTS", "key item", bf_exists)
    .about(
        "1.0.0",
        "O(K) where K is the number of hashes of an element.",
        "Tells whether an element may have been added to a Bloom filter.",
    )
    .arity(3)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly, Flag::Fast]);

fn bf_exists(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let (key, item) = (args.key()?, args.next()?);
    // A key of another type has no elements either: clients rely on it that asking never fails.
    let filter = cx.keys.read_as::<Bloom>(key).unwrap_or_default();
    reply.boolean(filter.is_some_and(|filter| filter.contains(Hash::of(item))));
    Ok(Outcome::Same)
}

pub(super) static BF_MEXISTS: Command = command("BF.MEXISTS", "key item [item ...]", bf_mexists)
    .about(
        "1.0.0",
        "O(N·K) where N is the number of elements and K that of the hashes of each.",
        "Tells which elements may have been added to a Bloom filter.",
    )
    .arity(-3)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly]);

fn bf_mexists(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let filter = cx.keys.read_as::<Bloom>(key).unwrap_or_default();
    reply.array(args.remaining());
    for item in args.rest() {
        reply.boolean(filter.is_some_and(|filter| filter.contains(Hash::of(item))));
    }
    Ok(Outcome::Same)
}

pub(super) static BF_CARD: Command = command("BF.CARD", "key", bf_card)
    .about("1.0.0", "O(1)", "Returns how many elements were added to a Bloom filter.")
    .arity(2)
    .keys(KeySpec::first().ro())
    .flags(&[Flag::Readonly, Flag::Fast]);

fn bf_card(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let size = cx.keys.read_as::<Bloom>(key)?.map_or(0, Bloom::size);
    reply.integer(size as i64);
    Ok(Outcome::Same)
}

pub(super) static BF_INFO: Command =
    command("BF.INFO", "key [<single_value: CAPACITY|SIZE|FILTERS|ITEMS|EXPANSION>]", bf_info)
        .about("1.0.0", "O(1)", "Returns properties of a Bloom filter, or one of them.")
        .arity(-2)
        .keys(KeySpec::first().ro())
        .flags(&[Flag::Readonly, Flag::Fast]);

/// What there is to know: the word to ask for it, and its name.
const FIELDS: [(&str, &str); 5] = [
    ("CAPACITY", "Capacity"),
    ("SIZE", "Size"),
    ("FILTERS", "Number of filters"),
    ("ITEMS", "Number of items inserted"),
    ("EXPANSION", "Expansion rate"),
];

fn bf_info(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    if args.len() > 3 {
        return Err(Error::Arity("bf.info".into()));
    }
    let key = args.key()?;
    let filter = filter(cx, key)?;
    if args.is_done() {
        reply.map(FIELDS.len());
        for (word, name) in FIELDS {
            reply.simple(name);
            value(filter, word, reply);
        }
        return Ok(Outcome::Same);
    }
    let asked = args.next()?;
    let field = FIELDS.iter().find(|(word, _)| word.as_bytes().eq_ignore_ascii_case(asked));
    let (word, name) = field.ok_or(Error::new("Invalid information value"))?;
    if reply.protocol() == crate::model::Protocol::Resp3 {
        reply.map(1);
        reply.simple(name);
    } else {
        reply.array(1);
    }
    value(filter, word, reply);
    Ok(Outcome::Same)
}

fn value(filter: &Bloom, word: &str, reply: &mut Reply) {
    let value = match word {
        "CAPACITY" => filter.capacity(),
        "SIZE" => filter.told_size(),
        "FILTERS" => filter.links().len() as u64,
        "ITEMS" => filter.size(),
        _ => match filter.expansion() {
            Some(expansion) => expansion.into(),
            None => return reply.null(),
        },
    };
    reply.integer(value as i64);
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_lookups};

    #[test]
    fn bf_exists() {
        check(&["BF.EXISTS b foo"], ":0");
        check(&["BF.ADD b foo", "BF.EXISTS b foo"], ":1");
        check(&["BF.ADD b foo", "BF.EXISTS b bar"], ":0");
        check(&["SET b x", "BF.EXISTS b bar"], ":0");
        check_lookups(&["BF.ADD b foo", "BF.EXISTS b foo"], 1, 0);
    }

    #[test]
    fn bf_mexists() {
        check(&["BF.MEXISTS b foo bar"], "*2 :0 :0");
        check(&["BF.ADD b foo", "BF.MEXISTS b bar foo"], "*2 :0 :1");
        check(&["LPUSH b x", "BF.MEXISTS b bar"], "*1 :0");
        let mut bench = Bench::resp3();
        assert_eq!(bench.run("BF.MEXISTS b foo").text(), "*1 #f");
    }

    #[test]
    fn bf_card() {
        check(&["BF.CARD b"], ":0");
        check(&["BF.MADD b x y x", "BF.CARD b"], ":2");
        check(
            &["SET b x", "BF.CARD b"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }

    #[test]
    fn bf_info() {
        check(
            &["BF.ADD t item", "BF.INFO t"],
            "*10 +Capacity :100 +Size :240 +Number of filters :1 +Number of items inserted :1 +Expansion rate :2",
        );
        check(&["BF.RESERVE b 0.001 100", "BF.INFO b SIZE"], "*1 :296");
        check(&["BF.RESERVE b 0.001 100", "BF.INFO b filters"], "*1 :1");
        check(&["BF.RESERVE b 0.001 100", "BF.INFO b items"], "*1 :0");
        check(&["BF.RESERVE b 0.001 100", "BF.INFO b x"], "-Invalid information value");
        check(
            &["BF.RESERVE b 0.001 100", "BF.INFO b x y"],
            "-ERR wrong number of arguments for 'bf.info' command",
        );
        check(&["BF.INFO b"], "-ERR not found");
        check(
            &["SET b x", "BF.INFO b"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        let mut bench = Bench::resp3();
        bench.run("BF.RESERVE n 0.01 3 NONSCALING");
        assert_eq!(bench.run("BF.INFO n EXPANSION").text(), "%1 +Expansion rate _");
        assert!(bench.run("BF.INFO n").text().starts_with("%5 +Capacity :3 +Size "));
    }
}
