//! `CF.RESERVE`, and what makes a new filter.

use crate::families::sketch::{CAPACITY_MAX, EXPANSION_MAX, FILTER_TOO_LARGE, number, store};
use crate::model::{Args, Command, Ctx, Effects, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::Key;
use tidegate_data::types::cuckoo::{Cuckoo, Settings};

pub(super) static CF_RESERVE: Command = command(
    "CF.RESERVE",
    "key capacity [BUCKETSIZE bucketsize] [MAXITERATIONS maxiterations] [EXPANSION expansion]",
    cf_reserve,
)
.about("1.0.0", "O(1)", "Creates an empty cuckoo filter for a number of elements.")
.arity(-3)
.keys(KeySpec::first().ow().insert())
.flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

fn cf_reserve(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let capacity = number(args, "Bad capacity")?;
    let mut settings = configured(cx);
    let mut options = 0;
    while !args.is_done() {
        options += 1;
        if args.take_word("MAXITERATIONS") {
            settings.iterations_max = option(args, &ITERATIONS)? as u16;
        } else if args.take_word("BUCKETSIZE") {
            settings.bucket_size = option(args, &BUCKET_SIZE)? as u8;
        } else if args.take_word("EXPANSION") {
            settings.expansion = option(args, &EXPANSION)? as u16;
        } else {
            // Other words are passed over there, too.
            options -= 1;
            args.next()?;
        }
    }
    settings.capacity = checked_capacity(capacity, settings.bucket_size)?;
    if cx.keys.for_write_as::<Cuckoo>(key)?.is_some() {
        return Err(Error::new("ERR item exists"));
    }
    store(cx, key, |room| Cuckoo::new(&settings, room), FILTER_TOO_LARGE)?;
    reply.ok();
    // What it says nothing about comes from the configuration.
    if options >= 3 {
        return Ok(Outcome::Changed);
    }
    Ok(cx.env.changed_as(|| Outcome::ChangedAs(reserving(key, &settings))))
}

/// A number after a word: the greatest, and what is said of others.
struct Range {
    low: i64,
    high: i64,
    no_number: &'static str,
    beyond: &'static str,
}

const ITERATIONS: Range = Range {
    low: 1,
    high: 65_535,
    no_number: "Couldn't parse MAXITERATIONS",
    beyond: "MAXITERATIONS: value must be an integer between 1 and 65535, inclusive.",
};
const BUCKET_SIZE: Range = Range {
    low: 1,
    high: 255,
    no_number: "Couldn't parse BUCKETSIZE",
    beyond: "BUCKETSIZE: value must be an integer between 1 and 255, inclusive.",
};
const EXPANSION: Range = Range {
    low: 0,
    high: EXPANSION_MAX,
    no_number: "Couldn't parse EXPANSION",
    beyond: "EXPANSION: value must be an integer between 0 and 32768, inclusive.",
};

fn option(args: &mut Args, range: &Range) -> Result<i64, Error> {
    let number = number(args, range.no_number)?;
    if (range.low..=range.high).contains(&number) { Ok(number) } else { Err(Error::new(range.beyond)) }
}

/// A capacity that a filter of these buckets can have.
pub(super) fn checked_capacity(capacity: i64, bucket_size: u8) -> Result<u64, Error> {
    const RANGE: Error = Error::new("Capacity must be in the range [2 * BUCKETSIZE, 1073741824]");
    let range = 2 * i64::from(bucket_size)..=CAPACITY_MAX;
    if range.contains(&capacity) { Ok(capacity as u64) } else { Err(RANGE) }
}

/// What the configuration says of new filters.
pub(super) fn configured(cx: &Ctx) -> Settings {
    let configured = &cx.env.limits().sketches;
    Settings {
        capacity: configured.cf_initial_size,
        bucket_size: configured.cf_bucket_size,
        iterations_max: configured.cf_max_iterations,
        expansion: configured.cf_expansion_factor,
    }
}

/// The command that makes such a filter, whatever the configuration.
pub(super) fn reserving(key: Key, settings: &Settings) -> Effects {
    let Settings { capacity, bucket_size, iterations_max, expansion } = settings;
    let mut effects = Effects::default();
    effects.push(&[
        b"CF.RESERVE",
        key.bytes(),
        capacity.to_string().as_bytes(),
        b"BUCKETSIZE",
        bucket_size.to_string().as_bytes(),
        b"MAXITERATIONS",
        iterations_max.to_string().as_bytes(),
        b"EXPANSION",
        expansion.to_string().as_bytes(),
    ]);
    effects
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events};

    #[test]
    fn cf_reserve() {
        check(&["CF.RESERVE c 1000"], "+OK");
        check(&["CF.RESERVE c 1000", "CF.RESERVE c 1000"], "-ERR item exists");
        check(
            &["SET c x", "CF.RESERVE c 1000"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        check(&["CF.RESERVE c x"], "-Bad capacity");
        let range = "-Capacity must be in the range [2 * BUCKETSIZE, 1073741824]";
        for line in
            ["CF.RESERVE c 3", "CF.RESERVE c 7 BUCKETSIZE 4", "CF.RESERVE c 1073741825", "CF.RESERVE c -9"]
        {
            check(&[line], range);
        }
        for (word, max, low) in
            [("MAXITERATIONS", 65_535, 1), ("BUCKETSIZE", 255, 1), ("EXPANSION", 32_768, 0)]
        {
            let parse = format!("-Couldn't parse {word}");
            check(&[&format!("CF.RESERVE c 1000 {word} x")], &parse);
            check(&[&format!("CF.RESERVE c 1000 {word}")], &parse);
            let beyond = format!("-{word}: value must be an integer between {low} and {max}, inclusive.");
            check(&[&format!("CF.RESERVE c 1000 {word} {}", max + 1)], &beyond);
            check(&[&format!("CF.RESERVE c 1000 {word} {}", low - 1)], &beyond);
            check(&[&format!("CF.RESERVE c 1000 {word} {max}")], "+OK");
        }
        check_effects(&["CF.RESERVE c 9"], &["CF.RESERVE c 9 BUCKETSIZE 2 MAXITERATIONS 20 EXPANSION 1"]);
        check_effects(
            &["CF.RESERVE c 9 EXPANSION 2 MAXITERATIONS 3 BUCKETSIZE 4"],
            &["CF.RESERVE c 9 EXPANSION 2 MAXITERATIONS 3 BUCKETSIZE 4"],
        );
        check_events(&["CF.RESERVE c 9"], &["new c"]);
        let mut bench = Bench::default();
        bench.limits.memory_left = 1000;
        let no_room = "-OOM command not allowed when used memory > 'maxmemory'.";
        assert_eq!(bench.run("CF.RESERVE c 100000").text(), no_room);
    }
}
