//! A look inside: `PFDEBUG`, `PFSELFTEST`.

use super::{NO_SKETCH, corrupted, make_raw, sketch_of};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use std::fmt::Write;
use tidegate_data::types::hll::{self, Encoding, Sketch, Union};
use tidegate_data::types::string::INT_LEN_MAX;
use tidegate_data::{Expiry, Key, StringEncoding, StringValue};

pub(super) static PFDEBUG: Command = command("PFDEBUG", "subcommand key", pfdebug)
    .about("2.8.9", "N/A", "Shows the registers, runs or encoding of a HyperLogLog, or makes it dense.")
    .arity(3)
    .keys(KeySpec::at(2).rw().access())
    .flags(&[Flag::Write, Flag::DenyOom, Flag::Admin, Flag::System]);

fn pfdebug(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let what = args.next()?;
    let key = args.key()?;
    let mut scratch = [0; INT_LEN_MAX];
    let Some(value) = cx.keys.string_for_write(key)? else {
        return Err(Error::new("ERR The specified key does not exist"));
    };
    let encoding_name = value.encoding_name();
    let sketch = Sketch::new(sketch_of(value, &mut scratch)?.0).ok_or(NO_SKETCH)?;
    make_raw(cx, key, encoding_name)?;
    let is = |name: &str| what.eq_ignore_ascii_case(name.as_bytes());
    if is("GETREG") || is("TODENSE") {
        return dense(cx, key, sketch, is("GETREG"), reply);
    }
    if is("DECODE") {
        if sketch.encoding() != Encoding::Sparse {
            return Err(Error::new("ERR HLL encoding is not sparse"));
        }
        reply.bulk(decoded(sketch.bytes()).as_bytes());
    } else if is("ENCODING") {
        reply.simple(sketch.encoding().name());
    } else {
        let mut text = b"ERR Unknown PFDEBUG subcommand '".to_vec();
        text.extend_from_slice(what);
        text.push(b'\'');
        return Err(Error::text(text));
    }
    Ok(Outcome::Same)
}

/// Makes a sketch dense, and answers its registers or whether it was sparse.
fn dense(
    cx: &mut Ctx,
    key: Key,
    mut sketch: Sketch,
    with_registers: bool,
    reply: &mut Reply,
) -> Result<Outcome, Error> {
    let converts = sketch.encoding() == Encoding::Sparse;
    sketch.make_dense().map_err(corrupted)?;
    if with_registers {
        let mut union = Union::default();
        union.add(sketch.bytes()).map_err(corrupted)?;
        reply.array(hll::REGISTERS);
        union.registers().iter().for_each(|value| reply.integer(i64::from(*value)));
    } else {
        reply.integer(i64::from(converts));
    }
    if converts {
        let value = StringValue::Bytes(sketch.bytes(), StringEncoding::Raw);
        cx.keys.set_string(key, value, Expiry::Keep);
    }
    Ok(Outcome::changed_if(converts))
}

/// The runs of a sparse sketch: `Z:` or `z:` and a length for zeros, `v:` with value and length for others.
fn decoded(sketch: &[u8]) -> String {
    let mut text = String::new();
    for run in hll::runs(sketch) {
        let result = match run.value {
            0 if run.is_long => write!(text, "Z:{} ", run.len),
            0 => write!(text, "z:{} ", run.len),
            value => write!(text, "v:{value},{} ", run.len),
        };
        result.expect("a string can always grow");
    }
    text.pop();
    text
}

pub(super) static PFSELFTEST: Command = command("PFSELFTEST", "", |cx, _, reply| {
    let sparse_max_bytes = cx.env.limits().encodings.hll_sparse_max_bytes;
    let rng = cx.env.rng();
    hll::self_test(&mut || rng.next(), sparse_max_bytes)
        .map_err(|what| Error::text(format!("ERR TESTFAILED {what}")))?;
    reply.ok();
    Ok(Outcome::Same)
})
.about("2.8.9", "N/A", "Tests the HyperLogLog implementation with random elements.")
.arity(1)
.flags(&[Flag::Admin, Flag::System]);

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events};

    #[test]
    fn pfdebug() {
        check(&["PFADD h a b", "PFDEBUG ENCODING h"], "+sparse");
        check(&["PFADD h", "PFDEBUG decode h"], "$7 Z:16384");
        check(&["PFADD h a", "PFDEBUG DECODE h"], "$20 Z:12711 v:2,1 Z:3672");
        check(&["PFADD h a", "PFDEBUG TODENSE h"], ":1");
        check(&["PFADD h a", "PFDEBUG TODENSE h", "PFDEBUG TODENSE h"], ":0");
        check(&["PFADD h a", "PFDEBUG TODENSE h", "PFCOUNT h"], ":1");
        check(&["PFADD h a", "PFDEBUG TODENSE h", "PFDEBUG DECODE h"], "-ERR HLL encoding is not sparse");
        check(&["PFDEBUG ENCODING h"], "-ERR The specified key does not exist");
        check(&["SET h x", "PFDEBUG NOSUCH h"], "-WRONGTYPE Key is not a valid HyperLogLog string value.");
        check(&["PFADD h a", "PFDEBUG NoSuch h"], "-ERR Unknown PFDEBUG subcommand 'NoSuch'");
        check_effects(&["PFADD h a", "PFDEBUG GETREG h"], &["PFDEBUG GETREG h"]);
        check_effects(&["PFADD h a", "PFDEBUG TODENSE h", "PFDEBUG GETREG h"], &[]);
        check_events(&["PFADD h a", "PFDEBUG TODENSE h"], &[]);
    }

    #[test]
    fn registers_are_shown() {
        let mut bench = Bench::default();
        bench.run("PFADD h a");
        let text = bench.run("PFDEBUG GETREG h").text();
        assert!(text.starts_with("*16384 :0 :0"));
        assert_eq!(text.matches(":2").count(), 1);
        assert_eq!(bench.run("PFDEBUG ENCODING h").text(), "+dense");
    }

    #[test]
    fn pfselftest() {
        check(&["PFSELFTEST"], "+OK");
    }
}
