//! The second half of the comparison: not what the servers answered but what they hold. Every known key of every
//! database used is read in full on both, independent of KEYS and SCAN.

use super::compare::Compare;
use super::pair::{Difference, Pair};
use super::step::Op;
use crate::resp::Escaped;

/// Databases which generated commands use.
pub const DATABASES: &[u8] = &[0, 1, 2, 3, 9];

/// How to read a value of a type completely: commands after which the key follows, further arguments, comparison.
const DUMPS: &[(&str, &str, &str, Compare)] = &[
    ("list", "LRANGE", "0 -1", Compare::Exact),
    ("set", "SMEMBERS", "", Compare::AnyOrder),
    ("hash", "HGETALL", "", Compare::AnyOrder),
    ("zset", "ZRANGE", "0 -1 WITHSCORES", Compare::Exact),
    // Everything there is to know; only times may differ a little.
    ("stream", "XINFO STREAM", "FULL COUNT 0", Compare::Near(CLOCK_MS)),
];

/// Every command used here.
pub const COMMANDS: &[&str] = &[
    "select",
    "type",
    "get",
    "pexpiretime",
    "object|encoding",
    "dbsize",
    "lrange",
    "smembers",
    "hgetall",
    "zrange",
    "xinfo|stream",
];

/// Clocks of the two runs may be apart by this many milliseconds.
pub const CLOCK_MS: i64 = 20_000;

/// Compares everything stored under `keys`, and the number of keys, in each database.
pub fn compare(pair: &mut Pair, keys: &[Vec<u8>]) -> Result<(), Difference> {
    let observer = pair.observer();
    // Without SELECT everything happens in database 0.
    let databases = if pair.missing.contains("select") { &DATABASES[..1] } else { DATABASES };
    for db in databases {
        let mut ops = vec![Op::line(&format!("SELECT {db}"))];
        for key in keys {
            ops.push(on_key("TYPE", key, "", Compare::Exact));
            ops.push(on_key("GET", key, "", Compare::Exact));
            ops.push(on_key("PEXPIRETIME", key, "", Compare::Near(CLOCK_MS)));
            ops.push(on_key("OBJECT ENCODING", key, "", Compare::Exact));
        }
        // Reading every key first has removed the ones whose time is over, so the count is the same on both.
        ops.push(Op::line("DBSIZE"));
        ops.retain(|op| !pair.lacks(&op.name()));
        let replies = pair.observe(observer, &ops)?;
        let mut typed = Vec::new();
        for (op, [a, b]) in ops.iter().zip(&replies) {
            judge(*db, op, a, b)?;
            if op.name() == "type"
                && let Some((_, command, rest, compare)) =
                    DUMPS.iter().find(|(name, ..)| a[1..].starts_with(name.as_bytes()))
                && let Some(super::step::Arg::Bytes(key)) = op.args.get(1)
            {
                typed.push(on_key(command, key, rest, *compare));
            }
        }
        typed.retain(|op: &Op| !pair.lacks(&op.name()));
        if typed.is_empty() {
            continue;
        }
        let replies = pair.observe(observer, &typed)?;
        for (op, [a, b]) in typed.iter().zip(&replies) {
            judge(*db, op, a, b)?;
        }
    }
    Ok(())
}

fn judge(db: u8, op: &Op, a: &[u8], b: &[u8]) -> Result<(), Difference> {
    if op.compare.accepts(a, b) {
        return Ok(());
    }
    Err(Difference {
        command: format!("(stored in db {db}) {op}"),
        name: op.name(),
        reference: Escaped(a).to_string(),
        target: Escaped(b).to_string(),
        stored: true,
    })
}

fn on_key(command: &str, key: &[u8], rest: &str, compare: Compare) -> Op {
    let mut args: Vec<Vec<u8>> = command.split(' ').map(|word| word.as_bytes().to_vec()).collect();
    args.push(key.to_vec());
    args.extend(rest.split_whitespace().map(|word| word.as_bytes().to_vec()));
    Op::with(args, compare)
}
