//! `CACHE.PUT`, `CACHE.INVALIDATE`.

use super::effect::{self, Entry};
use super::tag_hash;
use crate::families::queue::push_behind;
use crate::model::{Args, Command, Ctx, Effects, Error, Flag, KeySpec, Outcome, Reply, command, parse_i64};
use smallvec::SmallVec;
use tidegate_data::types::cache::{Cache, TAG_NAME_MAX, TAGS_MAX};
use tidegate_data::{Key, TypeCode};

/// Longest life, in ms.
const LIFE_MAX_MS: i64 = 1 << 53;

pub(super) static PUT: Command = command(
    "CACHE.PUT",
    "key value <expiration: EX seconds|PX milliseconds> [SOFT milliseconds] [TOKEN token(integer)] \
     [TAGS numtags(integer) tag [tag...]] [NEG] [BEHIND queue(key)]",
    put,
)
.about(
    "1.0.0",
    "O(N) where N is the number of tags; with BEHIND O(N+log(M)) where M is the number of messages.",
    "Stores a value in the cache, unless the lease it was computed under is not current any more.",
)
.arity(-5)
.keys(KeySpec::first().ow().update())
.keys(KeySpec::after_keyword("BEHIND", 3).rw().insert())
.flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

/// What is to be put.
#[derive(Debug, Default)]
struct Wanted<'a> {
    life_ms: i64,
    fresh_ms: Option<i64>,
    token: Option<i64>,
    tags: SmallVec<[u64; 4]>,
    is_none: bool,
    behind: Option<Key<'a>>,
}

fn life_ms(args: &mut Args, unit_ms: i64) -> Result<i64, Error> {
    let ms = args.integer()?.checked_mul(unit_ms);
    ms.filter(|ms| (1..=LIFE_MAX_MS).contains(ms)).ok_or(Error::NotInteger)
}

impl<'a> Wanted<'a> {
    fn parse(args: &mut Args<'a>) -> Result<Self, Error> {
        let mut wanted = Wanted::default();
        while !args.is_done() {
            if wanted.life_ms == 0 && args.take_word("EX") {
                wanted.life_ms = life_ms(args, 1000)?;
            } else if wanted.life_ms == 0 && args.take_word("PX") {
                wanted.life_ms = life_ms(args, 1)?;
            } else if wanted.fresh_ms.is_none() && args.take_word("SOFT") {
                wanted.fresh_ms = Some(life_ms(args, 1)?);
            } else if wanted.token.is_none() && args.take_word("TOKEN") {
                let token = parse_i64(args.next()?);
                wanted.token = Some(token.ok_or(Error::new("ERR TOKEN must be an integer"))?);
            } else if wanted.tags.is_empty() && args.take_word("TAGS") {
                wanted.tags = tags(args)?;
            } else if !wanted.is_none && args.take_word("NEG") {
                wanted.is_none = true;
            } else if wanted.behind.is_none() && args.take_word("BEHIND") {
                wanted.behind = Some(args.key_behind_word()?);
            } else {
                return Err(Error::Syntax);
            }
        }
        if wanted.life_ms == 0 {
            return Err(Error::Syntax);
        }
        if wanted.fresh_ms.is_some_and(|fresh_ms| fresh_ms > wanted.life_ms) {
            return Err(Error::new("ERR SOFT must not exceed the expiry"));
        }
        Ok(wanted)
    }
}

/// A count, and as many tags; those that occur twice count once.
fn tags(args: &mut Args) -> Result<SmallVec<[u64; 4]>, Error> {
    let len = args.integer()?;
    if !(1..=TAGS_MAX as i64).contains(&len) {
        return Err(Error::text(format!("ERR TAGS must be between 1 and {TAGS_MAX}")));
    }
    let mut tags = SmallVec::new();
    for _ in 0..len {
        let hash = checked_hash(args.next()?)?;
        if !tags.contains(&hash) {
            tags.push(hash);
        }
    }
    Ok(tags)
}

fn checked_hash(tag: &[u8]) -> Result<u64, Error> {
    if tag.len() > TAG_NAME_MAX {
        return Err(Error::text(format!("TOOBIG tag exceeds {TAG_NAME_MAX} bytes")));
    }
    Ok(tag_hash(tag))
}

fn put(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let value = args.next()?;
    let wanted = Wanted::parse(args)?;
    let (now_ms, wall_ms) = (cx.env.native_ms(), cx.env.now_ms());
    if let Some(record) = cx.keys.for_write(key)
        && !matches!(record.type_code(), TypeCode::Cache | TypeCode::String)
    {
        return Err(Error::WrongType);
    }
    if let Some(token) = wanted.token
        && !is_current(cx, key, token, &wanted.tags)?
    {
        reply.integer(0);
        return Ok(Outcome::Same);
    }
    let mut behind = Effects::default();
    if let Some(queue) = wanted.behind {
        if queue.bytes() == key.bytes() {
            return Err(Error::new("ERR BEHIND names the key itself"));
        }
        // First, because it may refuse.
        let (is_taken, done) = push_behind(cx, queue, key.bytes(), value, reply)?;
        if !is_taken {
            return Ok(done.outcome(cx));
        }
        behind = done.into_effects(cx);
    }
    let entry = Entry {
        value,
        expiry_ms: wall_ms.saturating_add(wanted.life_ms),
        fresh_until_ms: wanted.fresh_ms.map_or(0, |fresh_ms| now_ms.saturating_add(fresh_ms)),
        fresh_ms: wanted.fresh_ms.unwrap_or(0),
        is_none: wanted.is_none,
        tags: &wanted.tags,
    };
    entry.put(cx, key);
    cx.keys.end_lease(key);
    reply.integer(1);
    Ok(cx.env.changed_as(|| {
        let mut effects = behind;
        entry.push(&mut effects, key.bytes());
        Outcome::ChangedAs(effects)
    }))
}

/// True if nothing has happened since this lease was given out that makes a value computed under it out of date. One that
/// is not current for the sake of a tag ends.
fn is_current(cx: &mut Ctx, key: Key, token: i64, tags: &[u64]) -> Result<bool, Error> {
    if cx.keys.lease(key).map(|lease| lease.token) != Some(token) {
        return Ok(false);
    }
    let book = cx.env.native().tags();
    let mut is_late = tags.iter().any(|tag| book.was_invalidated_since(*tag, token));
    // What was there may depend on more than who replaces it says.
    let is_cache = cx.keys.view(key).is_some_and(|record| record.type_code() == TypeCode::Cache);
    if is_cache && let Some(before) = cx.keys.view_as::<Cache>(key)? {
        is_late |= before.tags().any(|tag| book.was_invalidated_since(tag, token));
    }
    if is_late {
        cx.keys.end_lease(key);
    }
    Ok(!is_late)
}

pub(super) static INVALIDATE: Command = command("CACHE.INVALIDATE", "tag [tag...]", invalidate)
    .about(
        "1.0.0",
        "O(N+S) where N is the number of tags and S that of shards, however many values have the tags.",
        "Makes all cached values useless that have one of these tags.",
    )
    .arity(-2)
    .flags(&[Flag::Write])
    .whole_keyspace();

fn invalidate(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let first = args.clone();
    for tag in args.rest() {
        checked_hash(tag)?;
    }
    let token = cx.env.next_token();
    let book = cx.env.native().tags();
    let mut bumped: Vec<&[u8]> = Vec::new();
    for tag in { first }.rest() {
        if book.invalidate(tag_hash(tag), token) {
            bumped.push(tag);
        }
    }
    reply.integer(bumped.len() as i64);
    if bumped.is_empty() {
        return Ok(Outcome::Same);
    }
    cx.keys.log().changes += bumped.len() as u64;
    let mut effects = Effects::default();
    effect::push_tags(&mut effects, &bumped);
    Ok(Outcome::ChangedAs(effects))
}
