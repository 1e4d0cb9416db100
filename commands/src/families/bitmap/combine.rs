//! `BITOP`: several strings combined bit by bit.

use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::types::bits::{self, Operation};
use tidegate_data::types::string::INT_LEN_MAX;
use tidegate_data::{EventClass, Key};

pub(super) static BITOP: Command = command("BITOP", "operation destkey key [key ...]", bitop)
    .about("2.6.0", "O(N)", "Combines strings bit by bit and stores the result.")
    .arity(-4)
    .keys(KeySpec::at(2).ow().update())
    .keys(KeySpec::range(3, -1, 1).ro().access())
    .flags(&[Flag::Write, Flag::DenyOom])
    .history(&[("8.2.0", "Operations `DIFF`, `DIFF1`, `ANDOR` and `ONE`.")]);

fn bitop(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let operation = parse_operation(args)?;
    let destination = args.key()?;
    let mut sources = Vec::with_capacity(args.remaining());
    while !args.is_done() {
        let key = args.key()?;
        cx.keys.read_string(key)?;
        sources.push(key);
    }
    let result = combined(cx, operation, &sources);
    let len = result.len();
    let changed = if len > 0 {
        cx.keys.set_made_string(destination, result);
        cx.keys.event(EventClass::String, "set", destination);
        true
    } else {
        let removed = cx.keys.remove(destination);
        if removed {
            cx.keys.event(EventClass::Generic, "del", destination);
        }
        removed
    };
    reply.integer(len as i64);
    Ok(Outcome::changed_if(changed))
}

/// The operation, and whether the number of keys fits it.
fn parse_operation(args: &mut Args) -> Result<Operation, Error> {
    const OPERATIONS: [(&str, Operation); 8] = [
        ("AND", Operation::And),
        ("OR", Operation::Or),
        ("XOR", Operation::Xor),
        ("NOT", Operation::Not),
        ("DIFF", Operation::Diff),
        ("DIFF1", Operation::Diff1),
        ("ANDOR", Operation::AndOr),
        ("ONE", Operation::One),
    ];
    let word = args.next()?;
    let is_named = |(name, _): &&(&str, Operation)| word.eq_ignore_ascii_case(name.as_bytes());
    let (name, operation) = OPERATIONS.iter().find(is_named).ok_or(Error::Syntax)?;
    let sources = args.remaining() - 1;
    match operation {
        Operation::Not if sources != 1 => {
            Err(Error::new("ERR BITOP NOT must be called with a single source key."))
        }
        Operation::Diff | Operation::Diff1 | Operation::AndOr if sources < 2 => {
            Err(Error::text(format!("ERR BITOP {name} must be called with at least two source keys.")))
        }
        operation => Ok(*operation),
    }
}

fn combined(cx: &Ctx, operation: Operation, sources: &[Key]) -> Vec<u8> {
    let mut scratch = vec![[0; INT_LEN_MAX]; sources.len()];
    let rows: Vec<&[u8]> = sources
        .iter()
        .zip(&mut scratch)
        .map(|(key, scratch)| cx.keys.view(*key).and_then(|record| record.value().string(scratch)))
        .map(Option::unwrap_or_default)
        .collect();
    bits::combine(operation, &rows)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events, check_lookups};

    #[test]
    fn each_operation() {
        let mut bench = Bench::default();
        for (key, bytes) in [("a", &b"\x0f\x33"[..]), ("b", b"\x55"), ("c", b"\xff\x01\x80")] {
            bench.run_words(&[b"SET", key.as_bytes(), bytes]);
        }
        for (line, result) in [
            ("AND d a b c", &b"\x05\x00\x00"[..]),
            ("and d a c", b"\x0f\x01\x00"),
            ("OR d a b c none", b"\xff\x33\x80"),
            ("XOR d a b c", b"\xa5\x32\x80"),
            ("NOT d a", b"\xf0\xcc"),
            ("DIFF d a b", b"\x0a\x33"),
            ("DIFF d c a b", b"\xa0\x00\x80"),
            ("DIFF1 d a b c", b"\xf0\x00\x80"),
            ("ANDOR d a b c", b"\x0f\x01\x00"),
            ("ONE d a b c", b"\xa0\x32\x80"),
            ("ONE d a", b"\x0f\x33"),
        ] {
            let ran = bench.run(&format!("BITOP {line}"));
            assert_eq!(ran.text(), format!(":{}", result.len()), "{line}");
            let reply = bench.run("GET d").reply;
            let header = format!("${}\r\n", result.len());
            assert_eq!(&reply[header.len()..reply.len() - 2], result, "{line}");
        }
    }

    #[test]
    fn the_result_replaces_what_was_there() {
        check(&["SET a 12", "BITOP OR d a", "OBJECT ENCODING d"], "$3 raw");
        check(&["SET a 12", "SET d x PX 100", "BITOP OR d a", "PTTL d"], ":-1");
        check(&["SET a 12", "BITOP OR a a", "GET a"], "$2 12");
        check(&["SET d x", "BITOP OR d a"], ":0");
        check(&["SET d x", "BITOP OR d a", "EXISTS d"], ":0");
        check_effects(&["SET a x", "BITOP NOT d a"], &["BITOP NOT d a"]);
        check_effects(&["SET d x", "BITOP OR d a"], &["BITOP OR d a"]);
        check_effects(&["BITOP OR d a"], &[]);
        check_events(&["SET a x", "BITOP NOT d a"], &["new d", "set d"]);
        check_events(&["SET d x", "BITOP AND d d a"], &["keymiss a", "set d"]);
        check_events(&["SET d x", "BITOP OR d a"], &["keymiss a", "del d"]);
        check_lookups(&["SET a x", "BITOP OR d a b a"], 2, 1);
    }

    #[test]
    fn refusals() {
        check(&["BITOP NAND d a"], "-ERR syntax error");
        check(&["BITOP NOT d a b"], "-ERR BITOP NOT must be called with a single source key.");
        for name in ["DIFF", "DIFF1", "ANDOR"] {
            let error = format!("-ERR BITOP {name} must be called with at least two source keys.");
            check(&[&format!("BITOP {} d a", name.to_lowercase())], &error);
        }
    }
}
