//! Finding keys without knowing their names.

use super::glob::{Case, glob_matches};
use crate::model::{Acl, Args, Command, Ctx, Error, Flag, Outcome, Reply, command};
use tidegate_data::KeyspaceCursor;

pub(super) static KEYS: Command = command("KEYS", "pattern", keys)
    .about(
        "1.0.0",
        "O(N) with N being the number of keys in the database, under the assumption that the key names in the database and the given pattern have limited length.",
        "Lists all keys that match a glob pattern.",
    )
    .arity(2)
    .flags(&[Flag::Readonly])
    .acl(Acl::DANGEROUS)
    .tips(&["request_policy:all_shards", "nondeterministic_output_order"])
    .whole_keyspace();

fn keys(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let filter = Filter { pattern: Some(args.next()?), type_name: None };
    let (mark, mut found) = (reply.mark(), 0);
    cx.keys.for_each(|record| {
        if filter.wants(record.key()) {
            reply.bulk(record.key());
            found += 1;
        }
    });
    reply.before(mark, |reply| reply.array(found));
    Ok(Outcome::Same)
}

pub(super) static SCAN: Command =
    command("SCAN", "cursor [MATCH pattern] [COUNT count] [TYPE type]@6.0.0", scan)
        .about(
            "2.8.0",
            "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
            "Walks over the keys, some at each call.",
        )
        .arity(-2)
        .flags(&[Flag::Readonly, Flag::TouchesArbitraryKeys])
        .tips(&["nondeterministic_output", "request_policy:special"])
        .history(&[("6.0.0", "Added the `TYPE` subcommand.")])
        .whole_keyspace();

fn scan(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let cursor = scan_cursor(args.next()?)?;
    let mut limit = 10;
    let mut filter = Filter { pattern: None, type_name: None };
    while !args.is_done() {
        let has_value = args.remaining() >= 2;
        if has_value && args.take_word("COUNT") {
            limit = count(args)?;
        } else if has_value && args.take_word("MATCH") {
            filter.pattern = Some(args.next()?);
        } else if has_value && args.take_word("TYPE") {
            filter.type_name = Some(args.next()?);
        } else {
            return Err(Error::Syntax);
        }
    }
    let (mark, mut found) = (reply.mark(), 0);
    let mut looked_up = 0;
    let expired = cx.keys.log().expired.len();
    let next = cx.keys.scan(
        KeyspaceCursor::from_number(cursor),
        limit,
        |key| filter.wants(key),
        |record| {
            looked_up += 1;
            if filter.wants_type(record.type_code().name()) {
                reply.bulk(record.key());
                found += 1;
            }
        },
    );
    if filter.type_name.is_some() {
        // To find out the type Redis looks the key up, and that counts.
        let log = cx.keys.log();
        log.hits += looked_up;
        log.misses += (log.expired.len() - expired) as u64;
    }
    reply_scan(reply, mark, next.map_or(0, KeyspaceCursor::to_number), found);
    Ok(Outcome::Same)
}

/// Reads a cursor as C's `strtoul` does: a sign is fine, an empty text is 0, what follows a zero byte does not count.
pub(crate) fn scan_cursor(text: &[u8]) -> Result<u64, Error> {
    const INVALID: Error = Error::new("ERR invalid cursor");
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Ok(0);
    }
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    if digits.is_empty() {
        return Err(INVALID);
    }
    let mut value = 0_u64;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return Err(INVALID);
        }
        let next = value.checked_mul(10).and_then(|value| value.checked_add(u64::from(digit - b'0')));
        value = next.ok_or(INVALID)?;
    }
    Ok(if negative { value.wrapping_neg() } else { value })
}

pub(super) static RANDOMKEY: Command = command("RANDOMKEY", "", |cx, _, reply| {
    let rng = cx.env.rng();
    let key = cx.keys.random(&mut || rng.next());
    reply.bulk_or_null(key.as_deref());
    Ok(Outcome::Same)
})
.about("1.0.0", "O(1)", "Returns the name of a random key.")
.arity(1)
.flags(&[Flag::Readonly, Flag::TouchesArbitraryKeys])
.tips(&["request_policy:all_shards", "nondeterministic_output"])
.whole_keyspace();

/// Which keys are wanted.
#[derive(Debug)]
struct Filter<'a> {
    pattern: Option<&'a [u8]>,
    type_name: Option<&'a [u8]>,
}

impl Filter<'_> {
    /// By name. The pattern `*` stands for all keys, the empty one included.
    fn wants(&self, key: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| pattern == b"*" || glob_matches(pattern, key, Case::Sensitive))
    }

    /// By type, in any case; no key has a type nobody knows.
    fn wants_type(&self, name: &str) -> bool {
        self.type_name.is_none_or(|wanted| wanted.eq_ignore_ascii_case(name.as_bytes()))
    }
}

/// The options of `SSCAN`, `HSCAN` and `ZSCAN`, which walk over the members of one value.
#[derive(Debug)]
pub(crate) struct MemberScan<'a> {
    /// About how many members a step visits.
    pub(crate) count: usize,
    filter: Filter<'a>,
}

impl<'a> MemberScan<'a> {
    /// Reads the options behind the cursor. Redis does so only once it has found the value.
    pub(crate) fn options(args: &mut Args<'a>) -> Result<Self, Error> {
        let mut options = MemberScan { count: 10, filter: Filter { pattern: None, type_name: None } };
        while !args.is_done() {
            let has_value = args.remaining() >= 2;
            if has_value && args.take_word("COUNT") {
                options.count = count(args)?;
            } else if has_value && args.take_word("MATCH") {
                options.filter.pattern = Some(args.next()?);
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(options)
    }

    /// True when the pattern matches, or there is none.
    pub(crate) fn wants(&self, member: &[u8]) -> bool {
        self.filter.wants(member)
    }
}

/// Reads the value of `COUNT`.
fn count(args: &mut Args) -> Result<usize, Error> {
    match args.integer()? {
        ..1 => Err(Error::Syntax),
        count => Ok(usize::try_from(count).unwrap_or(usize::MAX)),
    }
}

/// Finishes the reply of a step, whose `len` elements were written since `mark`: a cursor to go on with (0 at the end)
/// and the elements.
pub(crate) fn reply_scan(reply: &mut Reply, mark: usize, cursor: u64, len: usize) {
    reply.before(mark, |reply| {
        reply.array(2);
        reply.bulk(cursor.to_string().as_bytes());
        reply.array(len);
    });
}

#[cfg(test)]
mod tests;
