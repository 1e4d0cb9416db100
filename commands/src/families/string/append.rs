//! `APPEND`.

use super::check_len;
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::EventClass;
use tidegate_data::types::string::INT_LEN_MAX;

pub(super) static APPEND: Command = command("APPEND", "key value", append)
    .about(
        "2.0.0",
        "O(1) amortized for small values: a string that grows gets room for more.",
        "Adds bytes at the end of a string, which is created when it is missing.",
    )
    .arity(3)
    .keys(KeySpec::first().rw().insert())
    .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

fn append(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let tail = args.next()?;
    let present = cx.keys.string_for_write(key)?;
    if let Some(len) = present.and_then(|value| value.string(&mut [0; INT_LEN_MAX]).map(<[u8]>::len)) {
        check_len(cx, len as u64, tail.len() as u64)?;
    }
    let len = cx.keys.append_string(key, tail)?;
    cx.keys.event(EventClass::String, "append", key);
    reply.integer(len as i64);
    Ok(Outcome::Changed)
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, check, check_effects, check_events};

    #[test]
    fn append() {
        check(&["APPEND a hello"], ":5");
        check(&["APPEND a hello", "APPEND a world", "GET a"], "$10 helloworld");
        check(&["SET a 1", "APPEND a 2"], ":2");
        check(&["SET a 1", "APPEND a 2", "GET a"], "$2 12");
        check(&["SET a 1", "APPEND a 2", "INCR a"], ":13");
        check(&["APPEND a \"\"", "GET a"], "$0");
        check_effects(&["APPEND a b"], &["APPEND a b"]);
        check_effects(&["SET a b", "APPEND a \"\""], &["APPEND a "]);
        check_effects(&["SET a b EX 5", "APPEND a b", "GETEX a PERSIST"], &["PERSIST a"]);
        check_events(&["APPEND a b"], &["new a", "append a"]);
        check_events(&["SET a b", "APPEND a b"], &["append a"]);
    }

    #[test]
    fn append_keeps_the_limit() {
        let mut bench = Bench::default();
        bench.limits.max_bulk_len = 6;
        bench.run("SET a 1234");
        assert_eq!(bench.run("APPEND a 56").text(), ":6");
        let refused = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";
        assert_eq!(bench.run("APPEND a 7").text(), refused);
        assert_eq!(bench.run("GET a").text(), "$6 123456");
    }
}
