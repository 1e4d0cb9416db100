//! `CACHE.GET`.

use crate::model::{
    Args, Command, Ctx, Effects, Error, Flag, KeySpec, Null, Outcome, Reply, Wait, command,
    deadline_of_millis,
};
use tidegate_data::types::cache::{Cache, Freshness};
use tidegate_data::types::string::INT_LEN_MAX;
use tidegate_data::{Key, Lease, TypeCode, ValueRef};

/// How long a lease is where nothing is said, in ms.
const LEASE_DEFAULT_MS: i64 = 3000;
/// The longest lease, in ms.
const LEASE_MAX_MS: i64 = 3_600_000;

pub(super) static GET: Command = command("CACHE.GET", "key [LEASE milliseconds] [BLOCK milliseconds]", get)
    .about(
        "1.0.0",
        "O(N) where N is the number of tags of the value.",
        "Returns a cached value, or tells who is to compute it: one caller at a time gets a lease.",
    )
    .arity(-2)
    .keys(KeySpec::first().rw().access().update())
    .flags(&[Flag::Write, Flag::Blocking, Flag::Fast]);

/// What there is under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// Something that is answered as it is.
    Answered,
    /// Nothing, or nothing of use.
    Missing,
    /// A value that is good until another one is there.
    Stale,
}

fn get(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let (mut lease_ms, mut block) = (None, None);
    while !args.is_done() {
        if lease_ms.is_none() && args.take_word("LEASE") {
            let ms = args.integer()?;
            if !(0..=LEASE_MAX_MS).contains(&ms) {
                return Err(Error::text(format!("ERR LEASE must be between 0 and {LEASE_MAX_MS}")));
            }
            lease_ms = Some(ms);
        } else if block.is_none() && args.take_word("BLOCK") {
            block = Some(args.next()?);
        } else {
            return Err(Error::Syntax);
        }
    }
    let lease_ms = lease_ms.unwrap_or(LEASE_DEFAULT_MS);
    let deadline_ms = block.map(|block| deadline_of_millis(block, cx.env.now_ms())).transpose()?;
    let now_ms = cx.env.native_ms();
    let mut effects = Effects::default();
    let found = match look(cx, key, now_ms, &mut effects, reply) {
        Ok(found) => found,
        // Who waits already hopes for better times.
        Err(Error::WrongType) if cx.env.is_retry() => {
            return Ok(wait(key, lease_ms, None, None, effects).into());
        }
        Err(error) => return Err(error),
    };
    let outcome = |effects: Effects| {
        if effects.is_empty() { Outcome::Same } else { Outcome::ChangedAs(effects) }
    };
    if found == Found::Answered {
        return Ok(outcome(effects));
    }
    let leased = cx.keys.lease(key).filter(|lease| lease.is_on(now_ms));
    if let (Found::Missing, Some(lease)) = (found, leased) {
        if let Some(deadline_ms) = deadline_ms
            && cx.env.may_wait()
        {
            return Ok(wait(key, lease_ms, deadline_ms, Some(lease.end_ms), effects).into());
        }
        answer(reply, "wait", None);
        reply.null();
        return Ok(outcome(effects));
    }
    let mut token = None;
    if leased.is_none() && lease_ms > 0 {
        let lease =
            Lease { token: cx.env.next_token(), end_ms: now_ms.saturating_add(lease_ms), len_ms: lease_ms };
        token = cx.keys.put_lease(key, lease, now_ms).then_some(lease.token);
    }
    if found == Found::Missing {
        answer(reply, "miss", None);
    }
    match token {
        Some(token) => reply.integer(token),
        None => reply.null(),
    }
    Ok(outcome(effects))
}

/// Looks the key up. What can be answered is; of a stale value the answer lacks the token. A value that is of no use goes.
fn look(
    cx: &mut Ctx,
    key: Key,
    now_ms: i64,
    effects: &mut Effects,
    reply: &mut Reply,
) -> Result<Found, Error> {
    let Some(record) = cx.keys.read(key) else { return Ok(Found::Missing) };
    if record.type_code() == TypeCode::String {
        let value = cx.keys.string_for_write(key)?;
        let mut digits = [0; INT_LEN_MAX];
        answer(reply, "hit", value.as_ref().and_then(|value: &ValueRef| value.string(&mut digits)));
        reply.null();
        return Ok(Found::Answered);
    }
    let Some(cache) = cx.keys.view_as::<Cache>(key)? else { return Ok(Found::Missing) };
    let found = match (cache.freshness(now_ms), cache.value()) {
        (Freshness::Fresh, None) => {
            answer(reply, "none", None);
            Found::Answered
        }
        (Freshness::Fresh, value) => {
            answer(reply, "hit", value);
            Found::Answered
        }
        // Of what is not there nothing can be shown meanwhile.
        (Freshness::Stale, None) => Found::Missing,
        (Freshness::Stale, value) => {
            answer(reply, "stale", value);
            Found::Stale
        }
        (Freshness::Dead, _) => {
            // Who began before that must not fill it.
            let tags = cx.env.native().tags();
            let is_late =
                |lease: &Lease| cache.tags().any(|tag| tags.was_invalidated_since(tag, lease.token));
            if cx.keys.lease(key).is_some_and(|lease| is_late(&lease)) {
                cx.keys.end_lease(key);
            }
            cx.keys.remove_unseen(key);
            effects.push(&[b"DEL", key.bytes()]);
            Found::Missing
        }
    };
    if found == Found::Answered {
        reply.null();
    }
    Ok(found)
}

/// The first two of three elements; what follows is the token.
fn answer(reply: &mut Reply, status: &str, value: Option<&[u8]>) {
    reply.array(3);
    reply.bulk(status.as_bytes());
    reply.bulk_or_null(value);
}

/// Waits for somebody to fill the key, or for the end of the lease.
fn wait(key: Key, lease_ms: i64, deadline_ms: Option<i64>, end_ms: Option<i64>, effects: Effects) -> Wait {
    let lease = lease_ms.to_string();
    let mut wait = Wait::new(deadline_ms, Null::Array);
    wait.on(key, &[b"CACHE.GET", key.bytes(), b"LEASE", lease.as_bytes(), b"BLOCK", b"0"])
        .or_when(end_ms)
        .in_line()
        .or_answer(&[b"CACHE.GET", key.bytes(), b"LEASE", b"0"]);
    wait.effects = effects;
    wait
}
