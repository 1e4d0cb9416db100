//! Single bits: `SETBIT`, `GETBIT`.

use super::bit_offset;
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command, parse_i64};
use tidegate_data::EventClass;
use tidegate_data::types::string::INT_LEN_MAX;

pub(super) static SETBIT: Command = command("SETBIT", "key offset value(integer)", setbit)
    .about("2.2.0", "O(1)", "Sets or clears one bit of a string and returns what it was before.")
    .arity(4)
    .keys(KeySpec::first().rw().access().update())
    .flags(&[Flag::Write, Flag::DenyOom]);

fn setbit(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let offset = bit_offset(cx, args.next()?)?;
    let bit = match parse_i64(args.next()?) {
        Some(bit @ 0..=1) => bit == 1,
        _ => return Err(Error::new("ERR bit is not an integer or out of range")),
    };
    let (index, mask) = ((offset / 8) as usize, 0x80_u8 >> (offset % 8));
    let (was_set, changed) = cx.keys.edit_string_if(key, index + 1, |bytes, _| {
        let was_set = bytes[index] & mask != 0;
        bytes[index] = if bit { bytes[index] | mask } else { bytes[index] & !mask };
        (was_set, was_set != bit)
    })?;
    if changed {
        cx.keys.event(EventClass::String, "setbit", key);
    }
    reply.integer(i64::from(was_set));
    Ok(Outcome::changed_if(changed))
}

pub(super) static GETBIT: Command = command("GETBIT", "key offset", getbit)
    .about("2.2.0", "O(1)", "Returns one bit of a string.")
    .arity(3)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly, Flag::Fast]);

fn getbit(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let offset = bit_offset(cx, args.next()?)?;
    let mut scratch = [0; INT_LEN_MAX];
    let value = cx.keys.read_string(key)?.and_then(|value| value.string(&mut scratch)).unwrap_or_default();
    let byte = usize::try_from(offset / 8).ok().and_then(|index| value.get(index)).copied().unwrap_or(0);
    reply.integer(i64::from(byte & (0x80 >> (offset % 8)) != 0));
    Ok(Outcome::Same)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events, check_lookups};

    #[test]
    fn setbit() {
        check(&["SETBIT a 1 1"], ":0");
        check(&["SETBIT a 1 1", "GET a"], "$1 @");
        check(&["SET a @", "SETBIT a 2 1"], ":0");
        check(&["SET a @", "SETBIT a 2 1", "GET a"], "$1 `");
        check(&["SET a @", "SETBIT a 1 0"], ":1");
        check(&["SET a 1", "SETBIT a 6 1", "GET a"], "$1 3");
        check(&["SET a a", "SETBIT a 23 0", "STRLEN a"], ":3");
        check(&["SET a 1", "SETBIT a 0 0", "OBJECT ENCODING a"], "$3 raw");
        check_effects(&["SETBIT a 9 0"], &["SETBIT a 9 0"]);
        check_effects(&["SETBIT a 1 1", "SETBIT a 1 1"], &[]);
        check_effects(&["SET a 1", "SETBIT a 0 0"], &[]);
        check_events(&["SETBIT a 1 0"], &["new a", "setbit a"]);
        check_events(&["SET a @", "SETBIT a 1 0"], &["setbit a"]);
        check_events(&["SET a @", "SETBIT a 1 1"], &[]);
    }

    #[test]
    fn setbit_refuses() {
        let offset = "-ERR bit offset is not an integer or out of range";
        for wrong in ["x", "-1", "4294967296", "9223372036854775807", "#1", "01"] {
            check(&[&format!("SETBIT a {wrong} x")], offset);
            check(&[&format!("GETBIT a {wrong}")], offset);
        }
        for wrong in ["2", "-1", "x", "9223372036854775808"] {
            check(&[&format!("SETBIT a 0 {wrong}")], "-ERR bit is not an integer or out of range");
        }
        let mut bench = Bench::default();
        bench.limits.max_bulk_len = 2;
        assert_eq!(bench.run("SETBIT a 15 1").text(), ":0");
        assert_eq!(bench.run("SETBIT a 16 1").text(), offset);
    }

    #[test]
    fn getbit() {
        for (offset, bit) in
            [(0_u64, 0), (1, 1), (2, 1), (3, 0), (7, 0), (8, 0), (100, 0), (4_294_967_295, 0)]
        {
            check(&["SET a `", &format!("GETBIT a {offset}")], &format!(":{bit}"));
        }
        check(&["GETBIT a 5"], ":0");
        check(&["SET a 1", "GETBIT a 7"], ":1");
        check_lookups(&["GETBIT a 5"], 0, 1);
        check_events(&["GETBIT a 5"], &["keymiss a"]);
    }
}
