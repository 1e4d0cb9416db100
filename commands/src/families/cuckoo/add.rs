//! `CF.ADD`, `CF.ADDNX`, `CF.INSERT`, `CF.INSERTNX`, `CF.DEL`.

use super::reserve::{checked_capacity, configured, reserving};
use crate::families::sketch::{FILTER_TOO_LARGE, added, filter_to_add_to, number, wrong_arity};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Protocol, Reply, command};
use std::collections::BTreeSet;
use tidegate_data::types::cuckoo::{Cuckoo, Hash, Refused, Settings};
use tidegate_data::{Key, Write};

/// Whether an element is added that seems to be there already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeated {
    Added,
    Kept,
}

pub(super) static CF_ADD: Command =
    command("CF.ADD", "key item", |cx, args, reply| add_one(cx, args, Repeated::Added, reply))
        .about(
            "1.0.0",
            "O(K + I) where K is the number of layers and I the number of fingerprints that have to move.",
            "Adds an element to a cuckoo filter, which is created if it does not exist.",
        )
        .arity(3)
        .keys(KeySpec::first().rw().insert())
        .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

pub(super) static CF_ADDNX: Command =
    command("CF.ADDNX", "key item", |cx, args, reply| add_one(cx, args, Repeated::Kept, reply))
        .about(
            "1.0.0",
            "O(K + I) where K is the number of layers and I the number of fingerprints that have to move.",
            "Adds an element to a cuckoo filter unless it seems to be there. Creates the filter if it does not exist.",
        )
        .arity(3)
        .keys(KeySpec::first().rw().insert())
        .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

fn add_one(cx: &mut Ctx, args: &mut Args, repeated: Repeated, reply: &mut Reply) -> Result<Outcome, Error> {
    let (key, item) = (args.key()?, args.next()?);
    let settings = configured(cx);
    let bounds = (cx.env.limits().sketches.cf_max_expansions, cx.env.limits().memory_left);
    let (mut filter, is_new) = filter_to_add_to(cx, key, true, |room| Cuckoo::new(&settings, room))?;
    let is_added = add(&mut filter, item, repeated, bounds).map_err(|refused| match refused {
        Refused::Full => Error::new("Filter is full"),
        Refused::LayersMax => Error::new("Maximum expansions reached"),
        Refused::TooLarge => FILTER_TOO_LARGE,
    })?;
    drop(filter);
    reply.boolean(is_added);
    if !is_new {
        return Ok(Outcome::changed_if(is_added));
    }
    Ok(inserted(cx, key, Some(&settings), repeated, std::iter::once(item)))
}

pub(super) static CF_INSERT: Command =
    command("CF.INSERT", "key [CAPACITY capacity] [NOCREATE] ITEMS item [item ...]", |cx, args, reply| {
        insert(cx, args, Repeated::Added, reply)
    })
    .about(
        "1.0.0",
        "O(N·(K + I)) where N is the number of elements, K that of layers and I that of fingerprints that have to move.",
        "Adds elements to a cuckoo filter, which is created with this capacity if it does not exist.",
    )
    .arity(-4)
    .keys(KeySpec::first().rw().insert())
    .flags(&[Flag::Write, Flag::DenyOom]);

pub(super) static CF_INSERTNX: Command =
    command("CF.INSERTNX", "key [CAPACITY capacity] [NOCREATE] ITEMS item [item ...]", |cx, args, reply| {
        insert(cx, args, Repeated::Kept, reply)
    })
    .about(
        "1.0.0",
        "O(N·(K + I)) where N is the number of elements, K that of layers and I that of fingerprints that have to move.",
        "Adds those elements to a cuckoo filter that do not seem to be there. Creates the filter if it does not exist.",
    )
    .arity(-4)
    .keys(KeySpec::first().rw().insert())
    .flags(&[Flag::Write, Flag::DenyOom]);

fn insert(cx: &mut Ctx, args: &mut Args, repeated: Repeated, reply: &mut Reply) -> Result<Outcome, Error> {
    let missing = || wrong_arity(if repeated == Repeated::Kept { "cf.insertnx" } else { "cf.insert" });
    let key = args.key()?;
    let mut settings = configured(cx);
    let mut creates = true;
    while !args.take_word("ITEMS") {
        if args.take_word("NOCREATE") {
            creates = false;
        } else if args.take_word("CAPACITY") {
            if args.is_done() {
                return Err(missing());
            }
            settings.capacity = checked_capacity(number(args, "Bad capacity")?, settings.bucket_size)?;
        } else if args.is_done() {
            return Err(missing());
        } else {
            return Err(Error::new("Unknown argument received"));
        }
    }
    if args.is_done() {
        return Err(missing());
    }
    let bounds = (cx.env.limits().sketches.cf_max_expansions, cx.env.limits().memory_left);
    let (mut filter, is_new) = filter_to_add_to(cx, key, creates, |room| Cuckoo::new(&settings, room))?;
    let items = args.clone();
    let (mut has_changed, mut refused) = (is_new, BTreeSet::new());
    reply.array(args.remaining());
    for (at, item) in args.rest().enumerate() {
        let added = add(&mut filter, item, repeated, bounds);
        has_changed |= added == Ok(true);
        if added.is_err() {
            refused.insert(at);
        }
        match added {
            // A boolean cannot say that there is no room.
            _ if repeated == Repeated::Added && reply.protocol() == Protocol::Resp3 => {
                reply.boolean(added == Ok(true));
            }
            Ok(is_added) => reply.integer(is_added.into()),
            Err(_) => reply.integer(-1),
        }
    }
    drop(filter);
    if !has_changed || !is_new && refused.is_empty() {
        return Ok(Outcome::changed_if(has_changed));
    }
    let found_room = items.clone().rest().enumerate().filter(|(at, _)| !refused.contains(at));
    Ok(inserted(cx, key, is_new.then_some(&settings), repeated, found_room.map(|(_, item)| item)))
}

/// What is journaled of elements that were added to a filter, which these settings made.
fn inserted<'i>(
    cx: &Ctx,
    key: Key<'i>,
    settings: Option<&Settings>,
    repeated: Repeated,
    items: impl Iterator<Item = &'i [u8]>,
) -> Outcome {
    let name: &[u8] = if repeated == Repeated::Kept { b"CF.INSERTNX" } else { b"CF.INSERT" };
    let command: &[&[u8]] = &[name, key.bytes(), b"ITEMS"];
    match settings {
        Some(settings) => added(cx, Some(&|| reserving(key, settings)), command, items),
        None => added(cx, None, command, items),
    }
}

fn add(
    filter: &mut Write<'_, '_, '_, Cuckoo>,
    item: &[u8],
    repeated: Repeated,
    (layers_max, room): (usize, u64),
) -> Result<bool, Refused> {
    let hash = Hash::of(item);
    if repeated == Repeated::Kept && filter.view().contains(hash) {
        return Ok(false);
    }
    let mut result = Ok(());
    filter.change_if(|filter| {
        result = filter.add(hash, layers_max, room);
        result.is_ok()
    });
    result.map(|()| true)
}

pub(super) static CF_DEL: Command = command("CF.DEL", "key item", cf_del)
    .about(
        "1.0.0",
        "O(K) where K is the number of layers.",
        "Removes an element once from a cuckoo filter. It must have been added, or another may go in its place.",
    )
    .arity(3)
    .keys(KeySpec::first().rw().delete())
    .flags(&[Flag::Write, Flag::Fast]);

fn cf_del(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    const NOT_FOUND: Error = Error::new("Not found");
    let (key, item) = (args.key()?, args.next()?);
    let filter = cx.keys.write_as::<Cuckoo>(key).ok().flatten();
    let mut filter = filter.ok_or(NOT_FOUND)?;
    let is_removed = filter.change_if(|filter| filter.remove(Hash::of(item)));
    drop(filter);
    reply.boolean(is_removed);
    Ok(Outcome::changed_if(is_removed))
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects};

    const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn what_found_no_room_is_not_journaled() {
        let lines = ["CF.RESERVE a 2 BUCKETSIZE 1 EXPANSION 0", "CF.INSERT a ITEMS x x x x y x"];
        check(&lines, "*6 :1 :1 :-1 :-1 :-1 :-1");
        check_effects(&lines, &["CF.INSERT a ITEMS x x"]);
    }

    /// RedisBloom's own test.
    #[test]
    fn cf_add_and_cf_addnx_and_cf_del() {
        let mut bench = Bench::default();
        let lines = [
            ("CF.RESERVE a 9 EXPANSION 0", "+OK"),
            ("CF.ADD a 3", ":1"),
            ("CF.ADD a 4", ":1"),
            ("CF.ADDNX a 4", ":0"),
            ("CF.ADDNX a 9", ":1"),
            ("CF.INSERT a ITEMS 4 5", "*2 :1 :1"),
            ("CF.INSERTNX a ITEMS 4 6", "*2 :0 :1"),
            ("CF.DEL a 3", ":1"),
            ("CF.DEL a 3", ":0"),
            ("CF.COUNT a 4", ":2"),
        ];
        for (line, expected) in lines {
            assert_eq!(bench.run(line).text(), expected, "{line}");
        }
        let info = bench.run("CF.INFO a").text();
        assert_eq!(
            info,
            "*16 +Size :64 +Number of buckets :4 +Number of filters :1 +Number of items inserted :5 \
             +Number of items deleted :1 +Bucket size :2 +Expansion rate :0 +Max iterations :20"
        );
        check(&["SET c x", "CF.ADD c x"], WRONG_TYPE);
        check(&["SET c x", "CF.ADDNX c x"], WRONG_TYPE);
        check(&["CF.DEL c x"], "-Not found");
        check(&["SET c x", "CF.DEL c x"], "-Not found");
        let mut bench = Bench::resp3();
        assert_eq!(bench.run("CF.ADD c x").text(), "#t");
        assert_eq!(bench.run("CF.ADDNX c x").text(), "#f");
        assert_eq!(bench.run("CF.DEL c x").text(), "#t");
        check_effects(
            &["CF.ADD c x"],
            &["CF.RESERVE c 1024 BUCKETSIZE 2 MAXITERATIONS 20 EXPANSION 1", "CF.INSERT c ITEMS x"],
        );
        check_effects(&["CF.ADD c x", "CF.ADD c x"], &["CF.ADD c x"]);
        check_effects(&["CF.ADD c x", "CF.ADDNX c x"], &[]);
        check_effects(&["CF.ADD c x", "CF.DEL c y"], &[]);
        check_effects(&["CF.ADD c x", "CF.DEL c x"], &["CF.DEL c x"]);
    }

    #[test]
    fn cf_insert_and_cf_insertnx() {
        check(&["CF.INSERT c CAPACITY 100 ITEMS a b"], "*2 :1 :1");
        check(&["CF.INSERTNX c NOCREATE ITEMS a b"], "-ERR not found");
        check(&["CF.ADD c a", "CF.INSERTNX c nocreate items a b"], "*2 :0 :1");
        check(&["CF.INSERT c CAPACITY x ITEMS a"], "-Bad capacity");
        check(
            &["CF.INSERT c CAPACITY 1 ITEMS a"],
            "-Capacity must be in the range [2 * BUCKETSIZE, 1073741824]",
        );
        check(&["CF.INSERT c FOO ITEMS a"], "-Unknown argument received");
        check(&["CF.INSERT c CAPACITY 100 ITEMS"], "-ERR wrong number of arguments for 'cf.insert' command");
        check(&["CF.INSERT c ITEMS CAPACITY"], "*1 :1");
        check(
            &["CF.INSERTNX c NOCREATE NOCREATE"],
            "-ERR wrong number of arguments for 'cf.insertnx' command",
        );
        check(
            &["CF.INSERTNX c NOCREATE CAPACITY"],
            "-ERR wrong number of arguments for 'cf.insertnx' command",
        );
        check(&["SET c x", "CF.INSERT c ITEMS a"], WRONG_TYPE);
        check(&["SET c x", "CF.INSERTNX c ITEMS a"], WRONG_TYPE);
        check_effects(
            &["CF.INSERTNX c CAPACITY 64 ITEMS a a"],
            &["CF.RESERVE c 64 BUCKETSIZE 2 MAXITERATIONS 20 EXPANSION 1", "CF.INSERTNX c ITEMS a a"],
        );
    }

    #[test]
    fn a_full_filter() {
        let mut bench = Bench::default();
        bench.run("CF.RESERVE c 4 EXPANSION 0");
        assert!(bench.run("CF.INSERT c ITEMS 0 1 2 3 4 5 6 7 8 9 a").text().ends_with(":-1"));
        assert_eq!(bench.run("CF.ADD c a").text(), "-Filter is full");
        assert_eq!(bench.run("CF.INSERTNX c ITEMS b").text(), "*1 :-1");
        bench.protocol = crate::model::Protocol::Resp3;
        assert_eq!(bench.run("CF.INSERT c ITEMS a").text(), "*1 #f");
        assert_eq!(bench.run("CF.INSERTNX c ITEMS b").text(), "*1 :-1");
        bench.limits.sketches.cf_max_expansions = 2;
        bench.run("CF.RESERVE d 4");
        (0..20).for_each(|number| drop(bench.run(&format!("CF.ADD d {number}"))));
        assert_eq!(bench.run("CF.ADD d a").text(), "-Maximum expansions reached");
    }
}
