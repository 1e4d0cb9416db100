//! Concurrency: a limit on what is held at once, as leases that end by themselves.

use super::parse;
use super::store::{self, Now, Step};
use super::tallies::INLINE;
use super::write_verdict;
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Null, Outcome, Reply, Wait, command};
use tidegate_data::Key;
use tidegate_data::types::ratelimit::{RateLimit, RateLimitRef, Spec, State, Verdict};

/// Longest name of a lease, in bytes.
const ID_MAX: usize = 256;

pub(super) static ACQUIRE: Command = command(
    "RL.ACQUIRE",
    "key limit(integer) lease-ms(integer) [ID id] [COST units(integer)] [BLOCK milliseconds(integer)]",
    acquire,
)
.about(
    "1.0.0",
    "O(log(N)) where N is the number of leases.",
    "Takes a lease of a part of a limit, or renews it.",
)
.arity(-4)
.keys(KeySpec::first().rw().access().update())
.flags(&[Flag::Write, Flag::DenyOom, Flag::Fast, Flag::Blocking]);

/// What `RL.ACQUIRE` is asked for.
#[derive(Debug, Default)]
struct Ask<'a> {
    id: Option<&'a [u8]>,
    cost: Option<i64>,
    block_ms: Option<i64>,
    /// Where waiting ends, Unix milliseconds: only in the words of a request that waits.
    until_ms: Option<i64>,
}

impl<'a> Ask<'a> {
    fn parse(args: &mut Args<'a>, is_retry: bool) -> Result<Self, Error> {
        let mut ask = Ask::default();
        while !args.is_done() {
            if ask.id.is_none() && args.take_word("ID") {
                let id = if args.is_done() { return Err(Error::Syntax) } else { args.next()? };
                if id.len() > ID_MAX {
                    return Err(Error::new("TOOBIG id exceeds 256 bytes"));
                }
                ask.id = Some(id);
            } else if ask.cost.is_none() && args.take_word("COST") {
                ask.cost = Some(parse::cost(args)?);
            } else if ask.block_ms.is_none() && args.take_word("BLOCK") {
                ask.block_ms = Some(parse::block_ms(args)?);
            } else if is_retry && args.take_word("UNTIL") {
                ask.until_ms = Some(args.integer()?);
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(ask)
    }
}

fn acquire(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let (limit, lease_ms) = (parse::units(args)?, parse::duration_ms(args)?);
    let ask = Ask::parse(args, cx.env.is_retry())?;
    let (cost, now) = (ask.cost.unwrap_or(1), Now::of(cx));
    let made = match ask.id {
        None if cost > 0 && fits(cx, key, limit, cost, now)? => cx.env.next_token().to_string(),
        _ => String::new(),
    };
    let id = ask.id.unwrap_or(made.as_bytes());
    let spec = Spec::Concurrent { limit };
    let (verdict, outcome) = store::update_large(cx, key, &spec, now, |limiter| {
        let verdict = limiter.acquire(id, lease_ms, cost, now.ns);
        (verdict, if verdict.allowed && cost > 0 { Step::Changed } else { Step::Same })
    })?;
    let waits = ask.block_ms.is_some() && cx.env.may_wait() && !verdict.allowed && verdict.retry_ms > 0;
    if waits {
        return Ok(wait(key, limit, lease_ms, &ask, cost, &verdict, now).into());
    }
    let native = cx.env.native();
    if cost > 0 {
        native.tallies().count(native.book(), INLINE, &verdict, cost, now.s(), (key.bytes(), key.hash()));
    }
    reply.array(6);
    write_verdict(reply, &verdict);
    if verdict.allowed && cost > 0 {
        reply.bulk(id);
    } else {
        reply.null();
    }
    Ok(outcome)
}

/// Whether a new lease would fit, so that tokens are made only for leases that are given.
fn fits(cx: &mut Ctx, key: Key, limit: i64, cost: i64, now: Now) -> Result<bool, Error> {
    let Some(mut limiter) = store::peek(cx, key)? else { return Ok(cost <= limit) };
    if limiter.adopt(&Spec::Concurrent { limit }, now.ns).is_err() {
        return Ok(false);
    }
    Ok(limiter.judge(cost, now.ns).allowed)
}

/// Waits until somebody gives back, a lease ends, or time runs out, which is answered with a null array.
fn wait(key: Key, limit: i64, lease_ms: i64, ask: &Ask, cost: i64, verdict: &Verdict, now: Now) -> Wait {
    let deadline_ms = match (ask.until_ms, ask.block_ms) {
        (Some(until_ms), _) => (until_ms > 0).then_some(until_ms),
        (None, Some(block_ms @ 1..)) => Some(now.wall_ms.saturating_add(block_ms)),
        _ => None,
    };
    let until = deadline_ms.unwrap_or(0).to_string();
    let [limit, lease, cost] = [limit, lease_ms, cost].map(|number| number.to_string());
    let mut words: Vec<&[u8]> = vec![b"RL.ACQUIRE", key.bytes(), limit.as_bytes(), lease.as_bytes()];
    if let Some(id) = ask.id {
        words.extend([&b"ID"[..], id]);
    }
    words.extend([&b"COST"[..], cost.as_bytes(), b"BLOCK", b"0", b"UNTIL", until.as_bytes()]);
    let mut wait = Wait::new(deadline_ms, Null::Array);
    wait.on(key, &words).or_when(Some(now.ms().saturating_add(verdict.retry_ms)));
    wait
}

pub(super) static RELEASE: Command = command("RL.RELEASE", "key id", release)
    .about("1.0.0", "O(log(N)) where N is the number of leases.", "Gives a lease back.")
    .arity(3)
    .keys(KeySpec::first().rw().access().delete())
    .flags(&[Flag::Write, Flag::Fast]);

fn release(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let (key, id) = (args.key()?, args.next()?);
    let now = Now::of(cx);
    let Some(limiter) = cx.keys.for_write_as::<RateLimit>(key)?.map(RateLimitRef::to_limiter) else {
        reply.integer(0);
        return Ok(Outcome::Same);
    };
    let spec = Spec::Concurrent { limit: limiter.limit };
    let ((released, is_idle), outcome) = store::update_large(cx, key, &spec, now, |limiter| {
        let is_blocked = now.ms() < limiter.blocked_ms;
        let State::Concurrent(leases) = &mut limiter.state else { return ((false, false), Step::Same) };
        let released = leases.remove(id);
        let is_idle = leases.is_empty() && !is_blocked;
        ((released, is_idle), if released { Step::Changed } else { Step::Same })
    })?;
    reply.integer(released.into());
    if released && is_idle {
        let before = cx.keys.log().changes;
        let outcome = store::remove(cx, key);
        cx.keys.log().recount(before, 0);
        return Ok(outcome);
    }
    Ok(outcome)
}
