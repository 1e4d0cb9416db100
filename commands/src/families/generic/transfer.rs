//! Values that change place: under another key, or in another database.

use crate::families::{as_copy, mark_flushed, unflushed};
use crate::model::{
    Args, Command, Ctx, Effects, Error, Flag, KeySpec, Limits, Outcome, Reply, command, parse_i64,
};
use tidegate_data::types::native::NativeRef;
use tidegate_data::{EventClass, Key, Record};

const SAME_OBJECT: Error = Error::new("ERR source and destination objects are the same");

pub(super) static RENAME: Command = command("RENAME", "key newkey", |cx, args, reply| {
    let (_, outcome) = rename(cx, args, false)?;
    reply.ok();
    Ok(outcome)
})
.about("1.0.0", "O(1)", "Gives a key another name, replacing what was there.")
.arity(3)
.keys(KeySpec::first().rw().access().delete())
.keys(KeySpec::at(2).ow().update())
.flags(&[Flag::Write]);

pub(super) static RENAMENX: Command = command("RENAMENX", "key newkey", |cx, args, reply| {
    let (renamed, outcome) = rename(cx, args, true)?;
    reply.integer(i64::from(renamed == Renamed::Moved));
    Ok(outcome)
})
.about("1.0.0", "O(1)", "Gives a key another name unless that is taken.")
.arity(3)
.keys(KeySpec::first().rw().access().delete())
.keys(KeySpec::at(2).ow().insert())
.flags(&[Flag::Write, Flag::Fast])
.history(&[(
    "3.2.0",
    "The command no longer returns an error when source and destination names are the same.",
)]);

#[derive(Debug, PartialEq, Eq)]
enum Renamed {
    Moved,
    /// Both names are the same, or the new one is taken.
    Stayed,
}

fn rename(cx: &mut Ctx, args: &mut Args, only_if_free: bool) -> Result<(Renamed, Outcome), Error> {
    let (from, to) = (args.key()?, args.key()?);
    if cx.keys.for_write(from).is_none() {
        return Err(Error::NoSuchKey);
    }
    if from.bytes() == to.bytes() || only_if_free && cx.keys.for_write(to).is_some() {
        return Ok((Renamed::Stayed, Outcome::Same));
    }
    let before = cx.keys.log().changes;
    // Redis deletes what is there, so the new name is announced as a new key even if it was taken.
    cx.keys.remove(to);
    let record = cx.keys.take(from).ok_or(Error::NoSuchKey)?;
    let outcome = told(from, &record, args);
    cx.keys.put(to, mark_flushed(record.with_key(to.bytes())));
    cx.keys.event(EventClass::Generic, "rename_from", from);
    cx.keys.event(EventClass::Generic, "rename_to", to);
    cx.keys.log().recount(before, 1);
    Ok((Renamed::Moved, outcome))
}

pub(super) static COPY: Command = command("COPY", "source destination [DB destination-db] [REPLACE]", copy)
    .about(
        "6.2.0",
        "O(N) worst case for collections, where N is the number of nested items. O(1) for string values.",
        "Copies the value at a key to another key.",
    )
    .arity(-3)
    .keys(KeySpec::first().ro().access())
    .keys(KeySpec::at(2).ow().update())
    .flags(&[Flag::Write, Flag::DenyOom]);

fn copy(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let (from, to) = (args.key()?, args.key()?);
    let from_db = cx.keys.db();
    let (mut to_db, mut replace) = (from_db, false);
    while !args.is_done() {
        if args.take_word("REPLACE") {
            replace = true;
        } else if args.remaining() >= 2 && args.take_word("DB") {
            to_db = database(args, cx.env.limits())?;
        } else {
            return Err(Error::Syntax);
        }
    }
    if cx.env.limits().cluster && (from_db != 0 || to_db != 0) {
        return Err(Error::new("ERR Copying to another database is not allowed in cluster mode"));
    }
    if from_db == to_db && from.bytes() == to.bytes() {
        return Err(SAME_OBJECT);
    }
    let access = cx.keys.rules().access.initial();
    if cx.keys.read(from).is_none_or(|record| !is_copied(record)) {
        reply.integer(0);
        return Ok(Outcome::Same);
    }
    cx.keys.select(to_db);
    let taken = cx.keys.for_write(to).is_some();
    if taken && !replace {
        cx.keys.select(from_db);
        reply.integer(0);
        return Ok(Outcome::Same);
    }
    cx.keys.select(from_db);
    let copied = cx.keys.peek(from).map(|record| (told(from, record, args), record.copy_to(to.bytes())));
    let (outcome, record) = copied.expect("the source was there a moment ago, under the same hold");
    record.set_access(access);
    cx.keys.select(to_db);
    let before = cx.keys.log().changes;
    cx.keys.remove(to);
    cx.keys.put(to, as_copy(mark_flushed(record)));
    cx.keys.log().recount(before, 1);
    cx.keys.event(EventClass::Generic, "copy_to", to);
    cx.keys.select(from_db);
    reply.integer(1);
    Ok(outcome)
}

pub(super) static MOVE: Command = command("MOVE", "key db", move_key)
    .about("1.0.0", "O(1)", "Moves a key to another database.")
    .arity(3)
    .keys(KeySpec::first().rw().access().update())
    .flags(&[Flag::Write, Flag::Fast]);

fn move_key(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    if cx.env.limits().cluster {
        return Err(Error::new("ERR MOVE is not allowed in cluster mode"));
    }
    let key = args.key()?;
    let from_db = cx.keys.db();
    let to_db = database(args, cx.env.limits())?;
    if from_db == to_db {
        return Err(SAME_OBJECT);
    }
    let is_there = cx.keys.for_write(key).is_some();
    cx.keys.select(to_db);
    let moves = is_there && cx.keys.for_write(key).is_none();
    cx.keys.select(from_db);
    let before = cx.keys.log().changes;
    let mut outcome = Outcome::Same;
    if moves && let Some(record) = cx.keys.take(key) {
        outcome = told(key, &record, args);
        cx.keys.select(to_db);
        cx.keys.put(key, mark_flushed(record));
        cx.keys.select(from_db);
        cx.keys.event(EventClass::Generic, "move_from", key);
        cx.keys.select(to_db);
        cx.keys.event(EventClass::Generic, "move_to", key);
        cx.keys.select(from_db);
        cx.keys.log().recount(before, 1);
    }
    reply.integer(i64::from(moves));
    Ok(outcome)
}

/// False for what has no copy: a copied lock is free, and a request that is run is not run twice.
fn is_copied(record: &Record) -> bool {
    NativeRef::of(record.value()).is_none_or(NativeRef::is_copied)
}

/// What the journal is told of a key that moves or is copied: first what it has not heard yet of its value, if anything.
fn told(key: Key, record: &Record, args: &Args) -> Outcome {
    let mut effects = Effects::default();
    if !unflushed(key.bytes(), record, &mut effects) {
        return Outcome::Changed;
    }
    let words: Vec<&[u8]> = (0..args.len()).map(|at| args.get(at)).collect();
    effects.push(&words);
    Outcome::ChangedAs(effects)
}

/// Reads the index of a database.
fn database(args: &mut Args, limits: &Limits) -> Result<usize, Error> {
    let index = parse_i64(args.next()?).ok_or(Error::NotInteger)?;
    if i32::try_from(index).is_err() {
        return Err(Error::new("ERR value is out of range, value must between -2147483648 and 2147483647"));
    }
    usize::try_from(index)
        .ok()
        .filter(|index| *index < limits.databases)
        .ok_or(Error::new("ERR DB index is out of range"))
}

#[cfg(test)]
mod tests {
    use crate::model::check::{
        Bench, START_MS, check, check_changes, check_effects, check_events, check_lookups,
    };

    #[test]
    fn each_counts_as_one_change() {
        check_changes(&["SET a x", "RENAME a b"], 1);
        check_changes(&["SET a x", "SET b y", "RENAME a b"], 1);
        check_changes(&["SET a x", "RENAMENX a b"], 1);
        check_changes(&["SET a x", "SET b y", "COPY a b REPLACE"], 1);
        check_changes(&["SET a x", "MOVE a 1"], 1);
        check_changes(&["SET a x", "RENAME a a"], 0);
    }

    #[test]
    fn rename_moves_value_and_deadline() {
        check(&["SET a x", "RENAME a b", "GET b"], "$1 x");
        check(&["SET a x", "RENAME a b", "EXISTS a"], ":0");
        check(&["SET a x", "PEXPIRE a 500", "SET b y", "RENAME a b", "PTTL b"], ":500");
        check(&["SET a x", "SET b y", "PEXPIRE b 500", "RENAME a b", "PTTL b"], ":-1");
        check(&["RENAME a b"], "-ERR no such key");
        check(&["RENAME a a"], "-ERR no such key");
        check(&["SET a x", "RENAME a a"], "+OK");
        check_effects(&["SET a x", "RENAME a a"], &[]);
        check_effects(&["SET a x", "RENAME a b"], &["RENAME a b"]);
        check_events(&["SET a x", "RENAME a b"], &["new b", "rename_from a", "rename_to b"]);
        check_events(&["SET a x", "SET b y", "RENAME a b"], &["new b", "rename_from a", "rename_to b"]);
        check_events(&["RENAME a b"], &[]);
        check_lookups(&["SET a x", "RENAME a b"], 0, 0);
    }

    #[test]
    fn renamenx_leaves_a_taken_name() {
        check(&["SET a x", "RENAMENX a b"], ":1");
        check(&["SET a x", "SET b y", "RENAMENX a b"], ":0");
        check(&["SET a x", "SET b y", "RENAMENX a b", "GET b"], "$1 y");
        check(&["SET a x", "RENAMENX a a"], ":0");
        check(&["RENAMENX a b"], "-ERR no such key");
        check_effects(&["SET a x", "RENAMENX a b"], &["RENAMENX a b"]);
        check_effects(&["SET a x", "SET b y", "RENAMENX a b"], &[]);
        check_events(&["SET a x", "RENAMENX a b"], &["new b", "rename_from a", "rename_to b"]);
    }

    #[test]
    fn a_long_value_moves_and_copies() {
        let mut bench = Bench::default();
        let long = vec![b'v'; 5000];
        bench.run_words(&[b"SET", b"a", &long]);
        let expected = bench.run("GET a").text();
        bench.run("RENAME a b");
        assert_eq!(bench.run("GET b").text(), expected);
        assert_eq!(bench.run("COPY b c").text(), ":1");
        assert_eq!(bench.run("GET c").text(), expected);
        assert_eq!(bench.run("MOVE c 3").text(), ":1");
        bench.db = 3;
        assert_eq!(bench.run("GET c").text(), expected);
    }

    #[test]
    fn copy_keeps_the_source() {
        check(&["SET a x", "COPY a b", "GET b"], "$1 x");
        check(&["SET a x", "COPY a b", "GET a"], "$1 x");
        check(&["SET a x", "PEXPIRE a 500", "COPY a b", "PTTL b"], ":500");
        check(&["COPY a b"], ":0");
        check(&["SET a x", "SET b y", "COPY a b"], ":0");
        check(&["SET a x", "SET b y", "COPY a b REPLACE", "GET b"], "$1 x");
        check(&["SET a x", "SET b y", "PEXPIRE b 5", "COPY a b replace", "PTTL b"], ":-1");
        check(&["SET a x", "COPY a a"], "-ERR source and destination objects are the same");
        check(&["COPY a a DB 0"], "-ERR source and destination objects are the same");
        check(&["SET a x", "COPY a a DB 1"], ":1");
        check(&["SET a x", "COPY a a DB 1", "COPY a a DB 1"], ":0");
        check(&["SET a x", "COPY a a DB 1", "COPY a a REPLACE DB 1"], ":1");
        check(&["COPY a b DB"], "-ERR syntax error");
        check(&["COPY a b FOO"], "-ERR syntax error");
        check(&["COPY a b DB x"], "-ERR value is not an integer or out of range");
        check(&["COPY a b DB 16"], "-ERR DB index is out of range");
        check(&["COPY a b DB -1"], "-ERR DB index is out of range");
        check(
            &["COPY a b DB 3000000000"],
            "-ERR value is out of range, value must between -2147483648 and 2147483647",
        );
        check_effects(&["SET a x", "COPY a b DB 2 REPLACE"], &["COPY a b DB 2 REPLACE"]);
        check_effects(&["SET a x", "SET b y", "COPY a b"], &[]);
        check_events(&["SET a x", "COPY a b"], &["new b", "copy_to b"]);
        check_events(&["SET a x", "SET b y", "COPY a b REPLACE"], &["new b", "copy_to b"]);
        check_events(&["COPY a b"], &["keymiss a"]);
        check_lookups(&["SET a x", "COPY a b"], 1, 0);
        check_lookups(&["COPY a b"], 0, 1);
    }

    #[test]
    fn a_cluster_has_one_database() {
        let mut bench = Bench::default();
        bench.limits.cluster = true;
        bench.run("SET a x");
        assert_eq!(bench.run("COPY a b").text(), ":1");
        let error = "-ERR Copying to another database is not allowed in cluster mode";
        assert_eq!(bench.run("COPY a a DB 1").text(), error);
        assert_eq!(bench.run("MOVE a nonsense").text(), "-ERR MOVE is not allowed in cluster mode");
    }

    #[test]
    fn a_copy_is_independent_of_its_source() {
        check(&["SET a x", "COPY a b", "SET a y", "GET b"], "$1 x");
        check(&["SET a x", "COPY a b", "PEXPIRE a 100", "PTTL b"], ":-1");
    }

    #[test]
    fn move_to_another_database() {
        check(&["SET a x", "MOVE a 1"], ":1");
        check(&["SET a x", "MOVE a 1", "EXISTS a"], ":0");
        check(&["SET a x", "MOVE a 1", "SET a y", "MOVE a 1"], ":0");
        check(&["MOVE a 1"], ":0");
        check(&["MOVE a 0"], "-ERR source and destination objects are the same");
        check(&["MOVE a 16"], "-ERR DB index is out of range");
        check(&["MOVE a -1"], "-ERR DB index is out of range");
        check(&["MOVE a x"], "-ERR value is not an integer or out of range");
        check_effects(&["SET a x", "MOVE a 1"], &["MOVE a 1"]);
        check_effects(&["MOVE a 1"], &[]);
        check_events(&["SET a x", "MOVE a 1"], &["new a", "move_from a", "move_to a"]);
        check_lookups(&["SET a x", "MOVE a 1"], 0, 0);
        let mut bench = Bench::default();
        bench.run("SET a x");
        bench.run("PEXPIREAT a 1700000000500");
        bench.run("MOVE a 9");
        bench.db = 9;
        assert_eq!((bench.now_ms, bench.run("PTTL a").text().as_str()), (START_MS, ":500"));
    }
}
