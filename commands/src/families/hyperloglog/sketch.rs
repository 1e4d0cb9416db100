//! `PFADD`, `PFCOUNT`, `PFMERGE`.

use super::{NO_SKETCH, corrupted, make_raw, sketch_of};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::types::hll::{self, Encoding, Mark, Sketch, Union};
use tidegate_data::types::string::INT_LEN_MAX;
use tidegate_data::{EventClass, Expiry, Key, StringEncoding, StringValue};

pub(super) static PFADD: Command = command("PFADD", "key [element [element ...]]", pfadd)
    .about(
        "2.8.9",
        "O(1) to add every element.",
        "Adds elements to a HyperLogLog, which is created if it does not exist.",
    )
    .arity(-2)
    .keys(KeySpec::first().rw().insert())
    .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

fn pfadd(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let mut scratch = [0; INT_LEN_MAX];
    let before = cx.keys.log().changes;
    let changes = match cx.keys.string_for_write(key)? {
        None => add_to_sparse(cx, key, Sketch::default(), args.rest().map(Mark::of), true)?,
        Some(value) => match sketch_of(value, &mut scratch)? {
            (_, Encoding::Dense) => add_to_dense(cx, key, args.rest().map(Mark::of))?,
            (bytes, Encoding::Sparse) => {
                let (sketch, encoding_name) = (Sketch::new(bytes).ok_or(NO_SKETCH)?, value.encoding_name());
                make_raw(cx, key, encoding_name)?;
                add_to_sparse(cx, key, sketch, args.rest().map(Mark::of), false)?
            }
        },
    };
    let changed = changes > 0;
    if changed {
        cx.keys.log().recount(before, changes);
        cx.keys.event(EventClass::String, "pfadd", key);
    }
    reply.integer(i64::from(changed));
    Ok(Outcome::changed_if(changed))
}

/// Adds elements and tells how many made a difference.
fn add_to_dense(cx: &mut Ctx, key: Key, marks: impl Iterator<Item = Mark>) -> Result<u64, Error> {
    let (raised, _) = cx.keys.edit_string_if(key, 0, |bytes, _| {
        let raised = marks.filter(|mark| hll::add_dense(bytes, *mark)).count();
        if raised > 0 {
            hll::forget_count(bytes);
        }
        (raised, raised > 0)
    })?;
    Ok(raised as u64)
}

/// The same; that the sketch is new counts as well.
fn add_to_sparse(
    cx: &mut Ctx,
    key: Key,
    mut sketch: Sketch,
    marks: impl Iterator<Item = Mark>,
    is_new: bool,
) -> Result<u64, Error> {
    let sparse_max_bytes = cx.env.limits().encodings.hll_sparse_max_bytes;
    let mut changes = u64::from(is_new);
    for mark in marks {
        changes += u64::from(sketch.add(mark, sparse_max_bytes).map_err(corrupted)?);
    }
    if changes > 0 {
        sketch.forget_count();
        store(cx, key, &sketch);
    }
    Ok(changes)
}

/// Puts a sketch where another was, or where nothing was; a deadline stays.
fn store(cx: &mut Ctx, key: Key, sketch: &Sketch) {
    let value = StringValue::Bytes(sketch.bytes(), StringEncoding::Raw);
    cx.keys.set_string(key, value, Expiry::Keep);
}

pub(super) static PFCOUNT: Command = command("PFCOUNT", "key [key ...]", pfcount)
    .about(
        "2.8.9",
        "O(1) with a very small average constant time when called with a single key. O(N) with N being the number of keys, and much bigger constant times, when called with multiple keys.",
        "Estimates how many different elements were added to one or several HyperLogLogs.",
    )
    .arity(-2)
    .keys(
        KeySpec::all()
            .rw()
            .access()
            .notes("RW because it may change the internal representation of the key, and propagate to replicas"),
    )
    .flags(&[Flag::Readonly, Flag::MayReplicate]);

fn pfcount(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let mut scratch = [0; INT_LEN_MAX];
    if args.remaining() > 1 {
        let union = union(cx, args)?;
        reply.integer(union.count() as i64);
        return Ok(Outcome::Same);
    }
    let key = args.key()?;
    let Some(value) = cx.keys.read_string(key)? else {
        reply.integer(0);
        return Ok(Outcome::Same);
    };
    let encoding_name = value.encoding_name();
    let (bytes, _) = sketch_of(value, &mut scratch)?;
    let noted = hll::noted_count(bytes);
    let count = noted.map_or_else(|| hll::count(bytes), Ok);
    make_raw(cx, key, encoding_name)?;
    let count = count.map_err(corrupted)?;
    if noted.is_none() {
        cx.keys.edit_string_if(key, 0, |bytes, _| {
            hll::note_count(bytes, count);
            (count, true)
        })?;
    }
    reply.integer(count as i64);
    Ok(Outcome::changed_if(noted.is_none()))
}

/// All keys from here on together; a missing one is an empty sketch.
fn union(cx: &mut Ctx, args: &mut Args) -> Result<Union, Error> {
    let mut union = Union::default();
    while !args.is_done() {
        let key = args.key()?;
        if let Some(value) = cx.keys.read_string(key)? {
            let mut scratch = [0; INT_LEN_MAX];
            union.add(sketch_of(value, &mut scratch)?.0).map_err(corrupted)?;
        }
    }
    Ok(union)
}

pub(super) static PFMERGE: Command = command("PFMERGE", "destkey sourcekey [sourcekey ...]", pfmerge)
    .about(
        "2.8.9",
        "O(N) to merge N HyperLogLogs, but with high constant times.",
        "Merges HyperLogLogs into one, to which it adds what that has seen.",
    )
    .arity(-2)
    .keys(KeySpec::first().rw().access().insert())
    .keys(KeySpec::range(2, -1, 1).ro().access())
    .flags(&[Flag::Write, Flag::DenyOom]);

fn pfmerge(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let keys: Vec<Key> = args.keys().collect();
    let destination = keys[0];
    let union = union(cx, args)?;
    let mut scratch = [0; INT_LEN_MAX];
    let mut sketch = match cx.keys.string_for_write(destination)? {
        Some(value) => Sketch::new(sketch_of(value, &mut scratch)?.0).ok_or(NO_SKETCH)?,
        None => Sketch::default(),
    };
    let is_dense = |key: &Key| {
        let value = cx.keys.view(*key).map(tidegate_data::Record::value);
        let bytes = value.and_then(|value| value.string(&mut [0; INT_LEN_MAX]).and_then(Encoding::of));
        bytes == Some(Encoding::Dense)
    };
    if keys.iter().any(is_dense) {
        sketch.make_dense().map_err(corrupted)?;
    }
    let sparse_max_bytes = cx.env.limits().encodings.hll_sparse_max_bytes;
    for mark in union.marks() {
        sketch.add(mark, sparse_max_bytes).map_err(corrupted)?;
    }
    sketch.forget_count();
    store(cx, destination, &sketch);
    // For who listens it is an addition of many elements.
    cx.keys.event(EventClass::String, "pfadd", destination);
    reply.ok();
    Ok(Outcome::Changed)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_changes, check_effects, check_events, check_lookups};

    const NO_SKETCH: &str = "-WRONGTYPE Key is not a valid HyperLogLog string value.";
    const CORRUPTED: &str = "-INVALIDOBJ Corrupted HLL object detected";

    fn with(key: &str, bytes: &[u8]) -> Bench {
        let mut bench = Bench::default();
        bench.run_words(&[b"SET", key.as_bytes(), bytes]);
        bench
    }

    #[test]
    fn pfadd() {
        check(&["PFADD h"], ":1");
        check(&["PFADD h", "PFADD h"], ":0");
        check(&["PFADD h a b c"], ":1");
        check(&["PFADD h a b c", "PFADD h c a"], ":0");
        check(&["PFADD h a", "STRLEN h"], ":21");
        check(&["PFADD h a", "OBJECT ENCODING h"], "$3 raw");
        check(&["PFADD h a", "PEXPIRE h 500", "PFADD h b", "PTTL h"], ":500");
        check(&["SET h x", "PFADD h a"], NO_SKETCH);
        check(&["SET h 12", "PFADD h a"], NO_SKETCH);
        check_changes(&["PFADD h"], 1);
        check_changes(&["PFADD h a b c"], 4);
        check_changes(&["PFADD h a", "PFADD h a b"], 1);
        check_changes(&["PFADD h a", "PFDEBUG TODENSE h", "PFADD h a b c"], 2);
        check_effects(&["PFADD h a"], &["PFADD h a"]);
        check_effects(&["PFADD h"], &["PFADD h"]);
        check_effects(&["PFADD h a", "PFADD h a"], &[]);
        check_events(&["PFADD h"], &["new h", "pfadd h"]);
        check_events(&["PFADD h a", "PFADD h b"], &["pfadd h"]);
        check_events(&["PFADD h a", "PFADD h a"], &[]);
    }

    #[test]
    fn pfcount() {
        check(&["PFCOUNT h"], ":0");
        check(&["PFADD h a b c", "PFCOUNT h"], ":3");
        check(&["PFADD h a b c", "PFADD g c d", "PFCOUNT h g none"], ":4");
        check(&["SET h x", "PFCOUNT h"], NO_SKETCH);
        check(&["SET h x", "PFCOUNT none h"], NO_SKETCH);
        // The count is noted once.
        check_effects(&["PFADD h a", "PFCOUNT h"], &["PFCOUNT h"]);
        check_effects(&["PFADD h a", "PFCOUNT h", "PFCOUNT h"], &[]);
        check_effects(&["PFADD h a", "PFCOUNT h g"], &[]);
        check_events(&["PFADD h a", "PFCOUNT h"], &[]);
        check_lookups(&["PFADD h a", "PFCOUNT h g"], 1, 1);
    }

    #[test]
    fn pfmerge() {
        check(&["PFADD a x y", "PFADD b y z", "PFMERGE d a b none"], "+OK");
        check(&["PFADD a x y", "PFADD b y z", "PFMERGE d a b none", "PFCOUNT d"], ":3");
        check(&["PFADD d w", "PFADD a x y", "PFMERGE d a", "PFCOUNT d"], ":3");
        check(&["PFMERGE d", "PFCOUNT d"], ":0");
        check(&["PFADD d w", "PEXPIRE d 500", "PFMERGE d", "PTTL d"], ":500");
        check(&["PFADD a x", "PFDEBUG TODENSE a", "PFMERGE d a", "PFDEBUG ENCODING d"], "+dense");
        check(&["PFADD d x", "PFDEBUG TODENSE d", "PFADD a y", "PFMERGE d a", "PFCOUNT d"], ":2");
        check(&["SET a x", "PFMERGE d a"], NO_SKETCH);
        check(&["SET d x", "PFADD a x", "PFMERGE d a"], NO_SKETCH);
        check_effects(&["PFADD d x", "PFMERGE d d"], &["PFMERGE d d"]);
        check_events(&["PFADD a x", "PFMERGE d a"], &["keymiss d", "new d", "pfadd d"]);
        check_events(&["PFMERGE d a"], &["keymiss d", "keymiss a", "new d", "pfadd d"]);
        check_lookups(&["PFADD a x", "PFMERGE d a"], 1, 1);
    }

    #[test]
    fn the_limit_makes_it_dense() {
        let mut bench = Bench::default();
        bench.limits.encodings.hll_sparse_max_bytes = 30;
        for element in 0..5 {
            assert_eq!(bench.run(&format!("PFADD h {element}")).text(), ":1");
        }
        assert_eq!(bench.run("PFDEBUG ENCODING h").text(), "+dense");
        assert_eq!(bench.run("STRLEN h").text(), ":12304");
        assert_eq!(bench.run("PFADD h 3").text(), ":0");
        assert_eq!(bench.run("PFADD h 5").text(), ":1");
        assert_eq!(bench.run("PFCOUNT h").text(), ":6");
    }

    #[test]
    fn corrupted_values_are_refused() {
        let header = b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80";
        let truncated = [&header[..], b"\x7f\xf0"].concat();
        assert_eq!(with("h", &truncated).run("PFCOUNT h").text(), CORRUPTED);
        assert_eq!(with("h", &truncated).run("PFCOUNT h none").text(), CORRUPTED);
        assert_eq!(with("h", &truncated).run("PFMERGE d h").text(), CORRUPTED);
        let empty = with("h", header).run("PFADD h a");
        assert_eq!((empty.text().as_str(), empty.effects.len()), (CORRUPTED, 0));
        assert_eq!(with("h", b"HYLL\x00").run("PFADD h a").text(), NO_SKETCH);
        assert_eq!(with("h", b"HYLL\x02\0\0\0\0\0\0\0\0\0\0\0").run("PFCOUNT h").text(), NO_SKETCH);
    }
}
