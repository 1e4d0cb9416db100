//! `BF.RESERVE`, `BF.ADD`, `BF.MADD`, `BF.INSERT`.

use crate::families::sketch::{
    CAPACITY_MAX, EXPANSION_MAX, FILTER_TOO_LARGE, added, filter_to_add_to, number, store, wrong_arity,
};
use crate::model::{
    Args, Command, Ctx, Effects, Error, Flag, KeySpec, Outcome, Reply, command, format_double, parse_double,
};
use tidegate_data::types::bloom::{Bloom, Hash, Refused, Settings};
use tidegate_data::{Key, Write};

const CANNOT_EXPAND: Error = Error::new("Nonscaling filters cannot expand");

pub(super) static BF_RESERVE: Command =
    command("BF.RESERVE", "key error_rate capacity [EXPANSION expansion] [NONSCALING]", bf_reserve)
        .about("1.0.0", "O(1)", "Creates an empty Bloom filter for a number of elements and an error rate.")
        .arity(-4)
        .keys(KeySpec::first().ow().insert())
        .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

fn bf_reserve(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    const ARGUMENTS_MAX: usize = 7;
    if args.len() > ARGUMENTS_MAX {
        return Err(wrong_arity("bf.reserve"));
    }
    let key = args.key()?;
    let error_rate = error_rate(args, "ERR bad error rate")?;
    let capacity = capacity(args, "ERR bad capacity")?;
    let mut growth = i64::from(cx.env.limits().sketches.bf_expansion_factor);
    let (mut expands, mut is_scaling) = (false, true);
    while !args.is_done() {
        if args.take_word("NONSCALING") {
            is_scaling = false;
        } else if args.take_word("EXPANSION") {
            if args.is_done() {
                return Err(Error::new("ERR no expansion"));
            }
            expands = true;
            growth = expansion(args, "ERR bad expansion")?;
        } else {
            // Other words are passed over there, too.
            args.next()?;
        }
    }
    if expands && !is_scaling {
        return Err(CANNOT_EXPAND);
    }
    if cx.keys.for_write_as::<Bloom>(key)?.is_some() {
        return Err(Error::new("ERR item exists"));
    }
    let expansion = u32::try_from(growth).ok().filter(|growth| is_scaling && *growth > 0);
    let settings = Settings { error_rate, capacity, expansion };
    store(cx, key, |room| Bloom::new(&settings, room), FILTER_TOO_LARGE)?;
    reply.ok();
    // What it says nothing about comes from the configuration.
    if expands || !is_scaling {
        return Ok(Outcome::Changed);
    }
    Ok(cx.env.changed_as(|| Outcome::ChangedAs(reserving(key, &settings))))
}

fn error_rate(args: &mut Args, error: &'static str) -> Result<f64, Error> {
    const RANGE: Error = Error::new("ERR error rate must be in the range (0.000000, 1.000000)");
    let rate = args.next().ok().and_then(parse_double).ok_or(Error::new(error))?;
    if rate > 0.0 && rate < 1.0 { Ok(rate) } else { Err(RANGE) }
}

fn capacity(args: &mut Args, error: &'static str) -> Result<u64, Error> {
    const RANGE: Error = Error::new("ERR capacity must be in the range [1, 1073741824]");
    let capacity = number(args, error)?;
    if (1..=CAPACITY_MAX).contains(&capacity) { Ok(capacity as u64) } else { Err(RANGE) }
}

fn expansion(args: &mut Args, error: &'static str) -> Result<i64, Error> {
    const RANGE: Error = Error::new("ERR expansion must be in the range [0, 32768]");
    let expansion = number(args, error)?;
    if (0..=EXPANSION_MAX).contains(&expansion) { Ok(expansion) } else { Err(RANGE) }
}

/// The command that makes such a filter, whatever the configuration.
fn reserving(key: Key, settings: &Settings) -> Effects {
    let (rate, capacity) = (format_double(settings.error_rate), settings.capacity.to_string());
    let command: &[&[u8]] = &[b"BF.RESERVE", key.bytes(), rate.as_bytes(), capacity.as_bytes()];
    let mut effects = Effects::default();
    match settings.expansion {
        Some(expansion) => {
            effects.push(&[command, &[b"EXPANSION", expansion.to_string().as_bytes()]].concat());
        }
        None => effects.push(&[command, &[b"NONSCALING"]].concat()),
    }
    effects
}

pub(super) static BF_ADD: Command = command("BF.ADD", "key item", bf_add)
    .about(
        "1.0.0",
        "O(K) where K is the number of hashes of an element.",
        "Adds an element to a Bloom filter, which is created if it does not exist.",
    )
    .arity(3)
    .keys(KeySpec::first().rw().insert())
    .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

fn bf_add(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let (key, item) = (args.key()?, args.next()?);
    let settings = configured(cx);
    let room = cx.env.limits().memory_left;
    let (mut filter, is_new) = filter_to_add_to(cx, key, true, |room| Bloom::new(&settings, room))?;
    let is_added = add(&mut filter, item, room)?;
    drop(filter);
    reply.boolean(is_added);
    if !is_new {
        return Ok(Outcome::changed_if(is_added));
    }
    Ok(madd(cx, key, Some(&settings), std::iter::once(item)))
}

pub(super) static BF_MADD: Command = command("BF.MADD", "key item [item ...]", bf_madd)
    .about(
        "1.0.0",
        "O(N·K) where N is the number of elements and K that of the hashes of each.",
        "Adds elements to a Bloom filter, which is created if it does not exist.",
    )
    .arity(-3)
    .keys(KeySpec::first().rw().insert())
    .flags(&[Flag::Write, Flag::DenyOom]);

fn bf_madd(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let settings = configured(cx);
    add_all(cx, key, &settings, true, args, reply)
}

pub(super) static BF_INSERT: Command = command(
    "BF.INSERT",
    "key [CAPACITY capacity] [ERROR error] [EXPANSION expansion] [NOCREATE] [NONSCALING] ITEMS item [item ...]",
    bf_insert,
)
.about(
    "1.0.0",
    "O(N·K) where N is the number of elements and K that of the hashes of each.",
    "Adds elements to a Bloom filter, which is created with these properties if it does not exist.",
)
.arity(-4)
.keys(KeySpec::first().rw().insert())
.flags(&[Flag::Write, Flag::DenyOom]);

fn bf_insert(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let mut settings = configured(cx);
    let (mut creates, mut is_scaling) = (true, true);
    let missing = || wrong_arity("bf.insert");
    while !args.take_word("ITEMS") {
        let option = args.next().map_err(|_| missing())?.to_ascii_uppercase();
        match &*option {
            b"NOCREATE" => creates = false,
            b"NONSCALING" => is_scaling = false,
            _ if args.is_done() => return Err(missing()),
            b"CAPACITY" => settings.capacity = capacity(args, "Bad capacity")?,
            b"ERROR" => settings.error_rate = error_rate(args, "Bad error rate")?,
            b"EXPANSION" => {
                let growth = expansion(args, "Bad expansion")?;
                settings.expansion = Some(growth as u32).filter(|growth| *growth > 0);
            }
            _ => return Err(Error::new("Unknown argument received")),
        }
    }
    if args.is_done() {
        return Err(missing());
    }
    if !is_scaling {
        settings.expansion = None;
    }
    add_all(cx, key, &settings, creates, args, reply)
}

/// What the configuration says of new filters.
fn configured(cx: &Ctx) -> Settings {
    let configured = &cx.env.limits().sketches;
    Settings {
        error_rate: configured.bf_error_rate,
        capacity: configured.bf_initial_size,
        expansion: Some(configured.bf_expansion_factor).filter(|growth| *growth > 0),
    }
}

fn add(filter: &mut Write<'_, '_, '_, Bloom>, item: &[u8], room: u64) -> Result<bool, Error> {
    let hash = Hash::of(item);
    let mut result = Ok(false);
    filter.change_if(|filter| {
        result = filter.add(hash, room);
        result == Ok(true)
    });
    result.map_err(|refused| match refused {
        Refused::Full => Error::new("ERR non scaling filter is full"),
        Refused::TooLarge => Error::new("ERR problem inserting into filter"),
    })
}

/// Adds all that is left of the arguments. The first that has no room ends it, with an error in its place.
fn add_all(
    cx: &mut Ctx,
    key: Key,
    settings: &Settings,
    creates: bool,
    args: &mut Args,
    reply: &mut Reply,
) -> Result<Outcome, Error> {
    let room = cx.env.limits().memory_left;
    let (mut filter, is_new) = filter_to_add_to(cx, key, creates, |room| Bloom::new(settings, room))?;
    let (mut len, mut has_changed, mut is_refused) = (0, is_new, false);
    let items = args.clone();
    let start = reply.mark();
    for item in args.rest() {
        len += 1;
        match add(&mut filter, item, room) {
            Ok(is_added) => {
                has_changed |= is_added;
                reply.boolean(is_added);
            }
            Err(error) => {
                reply.error(&error);
                is_refused = true;
                break;
            }
        }
    }
    drop(filter);
    reply.before(start, |reply| reply.array(len));
    if !has_changed || !is_new && !is_refused {
        return Ok(Outcome::changed_if(has_changed));
    }
    let found_room = items.clone().rest().take(len - usize::from(is_refused));
    Ok(madd(cx, key, is_new.then_some(settings), found_room))
}

/// What is journaled of elements that were added to a filter, which these settings made.
fn madd<'i>(
    cx: &Ctx,
    key: Key<'i>,
    settings: Option<&Settings>,
    items: impl Iterator<Item = &'i [u8]>,
) -> Outcome {
    let command: &[&[u8]] = &[b"BF.MADD", key.bytes()];
    match settings {
        Some(settings) => added(cx, Some(&|| reserving(key, settings)), command, items),
        None => added(cx, None, command, items),
    }
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events};

    #[test]
    fn bf_reserve() {
        check(&["BF.RESERVE b 0.001 100"], "+OK");
        check(&["BF.RESERVE b 0.001 100", "BF.RESERVE b 0.001 100"], "-ERR item exists");
        check(&["SET b x", "BF.RESERVE b 0.001 100"], WRONG_TYPE);
        check(&["BF.RESERVE b x 100"], "-ERR bad error rate");
        for rate in ["0", "1", "-0.5", "inf"] {
            let line = format!("BF.RESERVE b {rate} 100");
            check(&[&line], "-ERR error rate must be in the range (0.000000, 1.000000)");
        }
        check(&["BF.RESERVE b 0.1 x"], "-ERR bad capacity");
        check(&["BF.RESERVE b 0.1 0"], "-ERR capacity must be in the range [1, 1073741824]");
        check(&["BF.RESERVE b 0.1 1073741825"], "-ERR capacity must be in the range [1, 1073741824]");
        check(&["BF.RESERVE b 0.1 10 EXPANSION"], "-ERR no expansion");
        check(&["BF.RESERVE b 0.1 10 EXPANSION x"], "-ERR bad expansion");
        check(&["BF.RESERVE b 0.1 10 EXPANSION 32769"], "-ERR expansion must be in the range [0, 32768]");
        check(&["BF.RESERVE b 0.01 3 NONSCALING EXPANSION 2"], "-Nonscaling filters cannot expand");
        check(&["BF.RESERVE b 0.01 3 EXPANSION 2 NONSCALING"], "-Nonscaling filters cannot expand");
        check(&["BF.RESERVE b 0.01 3 a b c d"], "-ERR wrong number of arguments for 'bf.reserve' command");
        check(&["BF.RESERVE b 0.0000001 1073741824"], "-ERR Insufficient memory to create filter");
        check(&["BF.RESERVE b 0.01 3 nonscaling", "BF.INFO b EXPANSION"], "*1 $-1");
        check(&["BF.RESERVE b 0.01 3 expansion 0", "BF.INFO b EXPANSION"], "*1 $-1");
        check(&["BF.RESERVE b 0.01 3 expansion 4", "BF.INFO b EXPANSION"], "*1 :4");
        check_effects(&["BF.RESERVE b 0.01 3"], &["BF.RESERVE b 0.01 3 EXPANSION 2"]);
        check_effects(&["BF.RESERVE b 0.01 3 NONSCALING"], &["BF.RESERVE b 0.01 3 NONSCALING"]);
        check_events(&["BF.RESERVE b 0.01 3"], &["new b"]);
    }

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn bf_add() {
        check(&["BF.ADD b foo"], ":1");
        check(&["BF.ADD b foo", "BF.ADD b foo"], ":0");
        check(&["SET b x", "BF.ADD b foo"], WRONG_TYPE);
        check(
            &["BF.RESERVE b 0.01 1 NONSCALING", "BF.ADD b foo", "BF.ADD b bar"],
            "-ERR non scaling filter is full",
        );
        check_effects(&["BF.ADD b foo"], &["BF.RESERVE b 0.01 100 EXPANSION 2", "BF.MADD b foo"]);
        check_effects(&["BF.ADD b foo", "BF.ADD b bar"], &["BF.ADD b bar"]);
        check_effects(&["BF.ADD b foo", "BF.ADD b foo"], &[]);
        check_events(&["BF.ADD b foo"], &["new b"]);
        check_events(&["BF.ADD b foo", "BF.ADD b bar"], &[]);
        let mut bench = Bench::resp3();
        assert_eq!(bench.run("BF.ADD b foo").text(), "#t");
        assert_eq!(bench.run("BF.ADD b foo").text(), "#f");
    }

    #[test]
    fn the_configuration_makes_new_filters() {
        let mut bench = Bench::default();
        bench.limits.sketches.bf_error_rate = 0.1;
        bench.limits.sketches.bf_initial_size = 7;
        bench.limits.sketches.bf_expansion_factor = 0;
        bench.run("BF.ADD b foo");
        assert_eq!(bench.run("BF.INFO b CAPACITY").text(), "*1 :7");
        assert_eq!(bench.run("BF.INFO b EXPANSION").text(), "*1 $-1");
        bench.limits.memory_left = 1000;
        let no_room = "-OOM command not allowed when used memory > 'maxmemory'.";
        assert_eq!(bench.run("BF.RESERVE c 0.01 100000").text(), no_room);
        assert_eq!(bench.run("BF.RESERVE c 0.01 100").text(), "+OK");
    }

    #[test]
    fn bf_madd() {
        check(&["BF.MADD b foo bar"], "*2 :1 :1");
        check(&["BF.MADD b foo bar", "BF.MADD b foo new bar"], "*3 :0 :1 :0");
        check(
            &["BF.RESERVE b 0.01 2 NONSCALING", "BF.MADD b x y x z a b"],
            "*4 :1 :1 :0 -ERR non scaling filter is full",
        );
        check_effects(&["BF.MADD b x y"], &["BF.RESERVE b 0.01 100 EXPANSION 2", "BF.MADD b x y"]);
        check_effects(&["BF.ADD b x", "BF.MADD b x x"], &[]);
        // What found no room may find some when this is replayed.
        check_effects(&["BF.RESERVE b 0.01 2 NONSCALING", "BF.MADD b x y x z a b"], &["BF.MADD b x y x"]);
    }

    #[test]
    fn bf_insert() {
        check(&["BF.INSERT b ITEMS foo"], "*1 :1");
        check(&["BF.INSERT b CAPACITY 10 ERROR 0.5 EXPANSION 3 ITEMS foo", "BF.INFO b CAPACITY"], "*1 :10");
        check(&["BF.INSERT b CAPACITY 1 NONSCALING ITEMS a b c"], "*2 :1 -ERR non scaling filter is full");
        check(&["BF.INSERT b NOCREATE ITEMS foo"], "-ERR not found");
        check(&["BF.ADD b foo", "BF.INSERT b NOCREATE ITEMS foo"], "*1 :0");
        check(&["BF.INSERT b items ITEMS"], "*1 :1");
        let arity = "-ERR wrong number of arguments for 'bf.insert' command";
        check(&["BF.INSERT b NOCREATE ITEMS"], arity);
        check(&["BF.INSERT b NOCREATE NOCREATE"], arity);
        check(&["BF.INSERT b NOCREATE ERROR"], arity);
        check(&["BF.INSERT b ERROR x ITEMS a"], "-Bad error rate");
        check(&["BF.INSERT b CAPACITY x ITEMS a"], "-Bad capacity");
        check(&["BF.INSERT b EXPANSION x ITEMS a"], "-Bad expansion");
        check(&["BF.INSERT b FOO x ITEMS a"], "-Unknown argument received");
        check(&["SET b x", "BF.INSERT b ITEMS a"], WRONG_TYPE);
        check_effects(
            &["BF.INSERT b ERROR 0.001 CAPACITY 50 ITEMS a b"],
            &["BF.RESERVE b 0.001 50 EXPANSION 2", "BF.MADD b a b"],
        );
        check(
            &["BF.INSERT m ERROR 0.001 CAPACITY 50000 EXPANSION 2 ITEMS foo", "BF.DEBUG m"],
            "*2 $6 size:1 $81 bytes:98880 bits:791040 hashes:11 hashwidth:64 capacity:50000 size:1 ratio:0.0005",
        );
    }
}
