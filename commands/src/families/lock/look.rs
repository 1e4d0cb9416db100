//! `LOCK.GET` and `LOCK.WATCH`.

use crate::model::{
    Args, Command, Ctx, Error, Flag, KeySpec, Null, Outcome, Reply, Wait, command, deadline_of_block,
};
use tidegate_data::Key;
use tidegate_data::types::lock::{Holder, Lock, Mode};

/// Longest time that can be named, in ms.
const TIME_MAX_MS: i64 = 1 << 53;

pub(super) static GET: Command = command("LOCK.GET", "key", get)
    .about("1.0.0", "O(N) where N is the number of holders.", "Tells who holds a lock.")
    .arity(2)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly, Flag::Fast]);

fn get(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let now_ms = cx.env.native_ms();
    let waiters = cx.env.waiters();
    let lock = cx.keys.read_as::<Lock>(key)?.cloned();
    describe(cx, lock.as_ref(), now_ms, waiters, reply);
    Ok(Outcome::Same)
}

/// Writes who holds a lock, or null.
fn describe(cx: &Ctx, lock: Option<&Lock>, now_ms: i64, waiters: usize, reply: &mut Reply) {
    let Some(lock) = lock.filter(|lock| lock.token(now_ms) > 0) else { return reply.null() };
    let mut holders: Vec<&Holder> = lock.current(now_ms).collect();
    holders.sort_unstable_by_key(|holder| holder.token);
    reply.map(6);
    reply.bulk(b"mode");
    reply.bulk(if lock.mode() == Mode::Shared { b"shared" } else { b"exclusive" });
    reply.bulk(b"token");
    reply.integer(lock.token(now_ms));
    reply.bulk(b"holders");
    reply.array(holders.len());
    for holder in &holders {
        reply.array(4);
        reply.bulk(&holder.owner);
        reply.integer(holder.token);
        reply.integer(cx.env.wall_of_native(holder.ends_at(now_ms)));
        reply.integer(holder.holds);
    }
    reply.bulk(b"waiters");
    reply.integer(waiters as i64);
    reply.bulk(b"meta");
    reply.bulk(lock.meta());
    reply.bulk(b"since");
    let since_ms = holders.iter().map(|holder| holder.first_ms).min().unwrap_or(now_ms);
    reply.integer(cx.env.wall_of_native(since_ms));
}

pub(super) static WATCH: Command =
    command("LOCK.WATCH", "key token(integer) [BLOCK milliseconds(integer)]", watch)
        .about(
            "1.0.0",
            "O(N) where N is the number of holders.",
            "Tells who holds a lock as soon as its newest token is not this one; 0 stands for a lock that nobody holds.",
        )
        .arity(-3)
        .keys(KeySpec::first().ro().access())
        .flags(&[Flag::Readonly, Flag::Blocking]);

fn watch(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let (key, token) = (args.key()?, args.integer()?);
    let block_ms = if args.take_word("BLOCK") { Some(args.between("BLOCK", 0, TIME_MAX_MS)?) } else { None };
    args.end()?;
    let now_ms = cx.env.native_ms();
    let waiters = cx.env.waiters();
    let lock = match cx.keys.read_as::<Lock>(key) {
        Err(_) if cx.env.is_retry() => return Ok(wait(cx, key, token, block_ms, None).into()),
        lock => lock?.cloned(),
    };
    let present = lock.as_ref().map_or(0, |lock| lock.token(now_ms));
    if present != token {
        describe(cx, lock.as_ref(), now_ms, waiters, reply);
        return Ok(Outcome::Same);
    }
    if block_ms.is_some() && cx.env.may_wait() {
        let timer_ms = lock.and_then(|lock| lock.next_timer(now_ms));
        return Ok(wait(cx, key, token, block_ms, timer_ms).into());
    }
    reply.null();
    Ok(Outcome::Same)
}

/// Looks on until the lock changes, a lease ends, or time runs out.
fn wait(cx: &Ctx, key: Key, token: i64, block_ms: Option<i64>, timer_ms: Option<i64>) -> Wait {
    let mut wait = Wait::new(deadline_of_block(block_ms, cx.env.now_ms()), Null::Array);
    let token = token.to_string();
    wait.on(key, &[b"LOCK.WATCH", key.bytes(), token.as_bytes(), b"BLOCK", b"0"])
        .or_when(timer_ms)
        .watching();
    wait
}
