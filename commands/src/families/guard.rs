//! `GUARD`: a condition of a transaction. `EXEC` looks at all its guards before it runs anything, and runs nothing if one of
//! them does not hold: whatever is written beside a guard is fenced by what the guard names.

use super::{queue, stream};
use crate::model::{Acl, Args, Command, Ctx, Error, Family, Flag, KeySpec, Outcome, Reply, command, family};
use tidegate_data::Key;
use tidegate_data::types::idem::Idem;
use tidegate_data::types::lock::Lock;
use tidegate_data::types::queue::XQueue;
use tidegate_data::types::stream::{Stream, StreamId};

pub(super) static FAMILY: Family = family("guard", Acl::NONE, &[&GUARD]);

/// Longest part of a key that an error shows.
const SHOWN_MAX: usize = 128;

static GUARD: Command = command(
    "GUARD",
    "kind key <condition: token(integer)|receipt(string)|VERSION version(integer)|LAST id(string)>",
    guard,
)
.about(
    "1.0.0",
    "O(1), and O(N) for a lock where N is the number of its holders.",
    "Has a transaction run only if a lock is held, a request is run, a message is leased or a stream has a version.",
)
.arity(-4)
.keys(KeySpec::at(2).ro().access())
.flags(&[Flag::Readonly, Flag::Fast]);

fn guard(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let kind = args.next()?;
    let key = args.key()?;
    // One line per kind.
    match &*kind.to_ascii_uppercase() {
        b"LOCK" => lock(cx, key, args)?,
        b"IDEM" => idem(cx, key, args)?,
        b"RECEIPT" => receipt(cx, key, args)?,
        b"STREAM" => stream(cx, key, args)?,
        _ => {
            let shown = &kind[..kind.len().min(SHOWN_MAX)];
            return Err(Error::text([b"ERR unknown guard '", shown, b"'"].concat()));
        }
    }
    reply.ok();
    Ok(Outcome::Same)
}

/// `GUARDFAIL <kind> '<key>' <why>`
fn failed(kind: &str, key: Key, why: &str) -> Error {
    let name = key.bytes();
    let shown = &name[..name.len().min(SHOWN_MAX)];
    Error::text([b"GUARDFAIL ", kind.as_bytes(), b" '", shown, b"' ", why.as_bytes()].concat())
}

/// The token is that of somebody who holds the lock.
fn lock(cx: &mut Ctx, key: Key, args: &mut Args) -> Result<(), Error> {
    let token = args.integer()?;
    args.end()?;
    let now_ms = cx.env.native_ms();
    let lock = cx.keys.read_as::<Lock>(key)?;
    match lock.map_or(0, |lock| lock.token(now_ms)) {
        0 => Err(failed("LOCK", key, "is not held")),
        _ if lock.is_some_and(|lock| lock.has_token(token, now_ms)) => Ok(()),
        current => Err(failed("LOCK", key, &format!("token {token} is stale (current {current})"))),
    }
}

/// The request is run under the token.
fn idem(cx: &mut Ctx, key: Key, args: &mut Args) -> Result<(), Error> {
    let token = args.integer()?;
    args.end()?;
    let now_ms = cx.env.native_ms();
    if cx.keys.read_as::<Idem>(key)?.is_some_and(|idem| idem.is_run_under(token, now_ms)) {
        return Ok(());
    }
    Err(failed("IDEM", key, "is not in progress under this token"))
}

/// The message is leased under the receipt.
fn receipt(cx: &mut Ctx, key: Key, args: &mut Args) -> Result<(), Error> {
    let receipt = queue::receipt(args.next()?);
    args.end()?;
    let now_ms = cx.env.native_ms() as u64;
    let queue = cx.keys.read_as::<XQueue>(key)?;
    let is_current = |(id, token)| queue.is_some_and(|queue| queue.0.is_current(id, token, now_ms));
    if receipt.is_some_and(is_current) { Ok(()) } else { Err(failed("RECEIPT", key, "is not current")) }
}

/// So many entries were added to the stream, or this one was the last. A stream that is not there has none.
fn stream(cx: &mut Ctx, key: Key, args: &mut Args) -> Result<(), Error> {
    let (mut version, mut last) = (None, None);
    if args.take_word("VERSION") {
        version = Some(args.integer()?);
    } else if args.take_word("LAST") {
        last = Some(stream::parse_id(args.next()?, 0)?);
    } else {
        return Err(Error::Syntax);
    }
    args.end()?;
    let entries = cx.keys.read_as::<Stream>(key)?.map(Stream::entries);
    let (added, last_id) = entries.map_or((0, StreamId::MIN), |entries| (entries.added(), entries.last_id()));
    let why = match (version, last) {
        (Some(version), _) if u64::try_from(version) != Ok(added) => {
            format!("version {version} expected, is {added}")
        }
        (_, Some(last)) if last != last_id => format!("last id {last} expected, is {last_id}"),
        _ => return Ok(()),
    };
    Err(failed("STREAM", key, &why))
}

#[cfg(test)]
mod tests {
    use crate::model::check::{Bench, START_MS, check, check_effects};

    const TOKEN: &str = "122163200000000";

    #[test]
    fn locks() {
        check(&["LOCK.ACQUIRE l A 1000", &format!("GUARD LOCK l {TOKEN}")], "+OK");
        check(
            &["LOCK.ACQUIRE l A 1000", "guard lock l 5"],
            &format!("-GUARDFAIL LOCK 'l' token 5 is stale (current {TOKEN})"),
        );
        check(&["GUARD LOCK l 5"], "-GUARDFAIL LOCK 'l' is not held");
        check(&["GUARD LOCK l x"], "-ERR value is not an integer or out of range");
        check(&["GUARD LOCK l 5 6"], "-ERR syntax error");
        check(
            &["SET l x", "GUARD LOCK l 5"],
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        let shared = [
            "LOCK.ACQUIRE l A 1000 SHARED",
            "LOCK.ACQUIRE l B 1000 SHARED",
            &format!("GUARD LOCK l {TOKEN}"),
        ];
        check(&shared, "+OK");
        check_effects(&["LOCK.ACQUIRE l A 1000", &format!("GUARD LOCK l {TOKEN}")], &[]);
        let mut bench = Bench::default();
        bench.run("LOCK.ACQUIRE l A 1000");
        bench.now_ms = START_MS + 1000;
        assert_eq!(bench.run(&format!("GUARD LOCK l {TOKEN}")).text(), "-GUARDFAIL LOCK 'l' is not held");
    }

    #[test]
    fn requests() {
        let failed = "-GUARDFAIL IDEM 'k' is not in progress under this token";
        check(&["IDEM.BEGIN k 1000", &format!("GUARD IDEM k {TOKEN}")], "+OK");
        check(&["IDEM.BEGIN k 1000", "GUARD IDEM k 5"], failed);
        check(&["GUARD IDEM k 5"], failed);
        let complete = format!("IDEM.COMPLETE k {TOKEN} r");
        check(&["IDEM.BEGIN k 1000", &complete, &format!("GUARD IDEM k {TOKEN}")], failed);
    }

    #[test]
    fn streams() {
        check(&["GUARD STREAM s VERSION 0"], "+OK");
        check(&["GUARD STREAM s LAST 0-0"], "+OK");
        check(&["XADD s 1-1 a b", "GUARD STREAM s VERSION 1"], "+OK");
        check(&["XADD s 1-1 a b", "XDEL s 1-1", "GUARD STREAM s VERSION 1"], "+OK");
        check(
            &["XADD s 1-1 a b", "GUARD STREAM s VERSION 3"],
            "-GUARDFAIL STREAM 's' version 3 expected, is 1",
        );
        check(&["XADD s 1-1 a b", "GUARD STREAM s LAST 1-1"], "+OK");
        check(
            &["XADD s 1-1 a b", "GUARD STREAM s LAST 0-0"],
            "-GUARDFAIL STREAM 's' last id 0-0 expected, is 1-1",
        );
        check(&["GUARD STREAM s VERSION -1"], "-GUARDFAIL STREAM 's' version -1 expected, is 0");
        check(&["GUARD STREAM s NEXT 1"], "-ERR syntax error");
        check(&["GUARD STREAM s VERSION"], "-ERR syntax error");
        check(&["GUARD nonsense s 1"], "-ERR unknown guard 'nonsense'");
        check(&["GUARD LOCK l"], "-ERR wrong number of arguments for 'guard' command");
    }
}
