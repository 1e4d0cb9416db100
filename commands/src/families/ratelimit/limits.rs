//! One limiter per call: token bucket, GCRA, fixed and sliding windows, leaky bucket.

use super::parse::{self, Algorithm, Ask};
use super::store::{self, Now, Step};
use super::tallies::INLINE;
use super::{write_delayed, write_verdict};
use crate::model::{Args, Command, Ctx, Effects, Error, Flag, KeySpec, Outcome, Reply, Wait, command};
use tidegate_data::Key;
use tidegate_data::types::ratelimit::{DURATION_MAX_MS, Limiter, MS, Spec, State, Verdict};

const FAST: &[Flag] = &[Flag::Write, Flag::DenyOom, Flag::Fast];
const WAITING: &[Flag] = &[Flag::Write, Flag::DenyOom, Flag::Fast, Flag::Blocking];

pub(super) static TOKENBUCKET: Command = command(
    "RL.TOKENBUCKET",
    "key capacity(integer) refill(integer) interval-ms(integer) [COST units(integer)] [BLOCK milliseconds(integer)]",
    |cx, args, reply| limit(cx, args, reply, Algorithm::TokenBucket),
)
.about("1.0.0", "O(1)", "Takes units from a bucket that is refilled at a constant rate.")
.arity(-5)
.keys(KeySpec::first().rw().access().update())
.flags(WAITING);

pub(super) static GCRA: Command = command(
    "RL.GCRA",
    "key max-burst(integer) count(integer) period-ms(integer) [COST units(integer)] [BLOCK milliseconds(integer)]",
    |cx, args, reply| limit(cx, args, reply, Algorithm::Gcra),
)
.about("1.0.0", "O(1)", "Admits calls at a constant rate, and a burst beside.")
.arity(-5)
.keys(KeySpec::first().rw().access().update())
.flags(WAITING);

pub(super) static FIXED: Command = command(
    "RL.FIXED",
    "key limit(integer) window-ms(integer) [COST units(integer)] [ALIGN offset-ms(integer)]",
    |cx, args, reply| limit(cx, args, reply, Algorithm::Fixed),
)
.about(
    "1.0.0",
    "O(1)",
    "Takes units of a fixed window, which begins with its first call or at a multiple of its length.",
)
.arity(-4)
.keys(KeySpec::first().rw().access().update())
.flags(FAST);

pub(super) static SLIDING: Command = command(
    "RL.SLIDING",
    "key limit(integer) window-ms(integer) [COST units(integer)] [form: BUCKETS buckets(integer)|LOG]",
    |cx, args, reply| limit(cx, args, reply, Algorithm::Sliding),
)
.about(
    "1.0.0",
    "O(1) without BUCKETS, O(B) where B is their number; amortized O(1) with LOG.",
    "Takes units of a window that ends now, counted in buckets or call by call.",
)
.arity(-4)
.keys(KeySpec::first().rw().access().update())
.flags(FAST);

pub(super) static LEAKY: Command = command(
    "RL.LEAKY",
    "key capacity(integer) count(integer) interval-ms(integer) [COST units(integer)] [MAXDELAY milliseconds(integer)] \
     [BLOCK milliseconds(integer)]",
    |cx, args, reply| limit(cx, args, reply, Algorithm::Leaky),
)
.about("1.0.0", "O(1)", "Lines calls up so that they leave at a constant rate, and tells how long to wait.")
.arity(-5)
.keys(KeySpec::first().rw().access().update())
.flags(WAITING);

#[inline]
fn limit(cx: &mut Ctx, args: &mut Args, reply: &mut Reply, algorithm: Algorithm) -> Result<Outcome, Error> {
    let key = args.key()?;
    let (spec, ask) = parse::call(args, algorithm, cx.env.native().log_entries_max.get())?;
    let now = Now::of(cx);
    // Who would wait is no common case.
    let quick = match ask.block_ms {
        None => store::take_quick(cx, key, &spec, ask.cost, None, now)?,
        Some(_) => None,
    };
    let (verdict, wait_ms, outcome) = match quick {
        Some((verdict, outcome)) => (verdict, 0, outcome),
        None => take_any(cx, key, &spec, &ask, now)?,
    };
    let native = cx.env.native();
    if ask.cost > 0 {
        native.tallies().count(native.book(), INLINE, &verdict, ask.cost, now.s(), (key.bytes(), key.hash()));
    }
    if algorithm == Algorithm::Leaky {
        reply.array(6);
        write_delayed(reply, &verdict);
    } else {
        reply.array(5);
        write_verdict(reply, &verdict);
    }
    if wait_ms == 0 {
        return Ok(outcome);
    }
    Ok(wait(cx, outcome, now.wall_ms.saturating_add(wait_ms)))
}

/// The verdict on a call of any kind, and how long its reply has to wait.
#[inline(never)]
fn take_any(
    cx: &mut Ctx,
    key: Key,
    spec: &Spec,
    ask: &Ask,
    now: Now,
) -> Result<(Verdict, i64, Outcome), Error> {
    let may_wait = cx.env.may_wait();
    let ((verdict, wait_ms), outcome) =
        store::update(cx, key, spec, now, |limiter| take(limiter, ask, may_wait, now.ns))?;
    Ok((verdict, wait_ms, outcome))
}

/// The reply is sent later, and what it tells of has happened now.
fn wait(cx: &Ctx, outcome: Outcome, deadline_ms: i64) -> Outcome {
    let effects = if let Outcome::ChangedAs(effects) = outcome { effects } else { Effects::default() };
    debug_assert!(
        !cx.env.is_journaled() || !effects.is_empty(),
        "what a client waits for is journaled at once"
    );
    Wait::answered(deadline_ms, effects).into()
}

/// Takes what a call asks for, if need be in advance, and tells how long the reply has to wait, in milliseconds.
fn take(limiter: &mut Limiter, ask: &Ask, may_wait: bool, now_ns: i64) -> ((Verdict, i64), Step) {
    if let (Some(_), State::Leaky { .. }) = (ask.block_ms, &limiter.state) {
        return take_leaky(limiter, ask.cost, may_wait, now_ns);
    }
    let verdict = limiter.take(ask.cost, now_ns);
    if verdict.allowed {
        return ((verdict, 0), if ask.cost > 0 { Step::Changed } else { Step::Same });
    }
    let retry_ms = verdict.retry_ms;
    let waits = ask.block_ms.is_some_and(|block_ms| {
        may_wait && (1..=DURATION_MAX_MS).contains(&retry_ms) && (block_ms == 0 || retry_ms <= block_ms)
    });
    let is_blocked = now_ns / MS < limiter.blocked_ms;
    if !waits || is_blocked {
        return ((verdict, 0), Step::Same);
    }
    ((limiter.reserve(ask.cost, now_ns), retry_ms), Step::ChangedHard)
}

/// The server waits in the place of the client.
fn take_leaky(limiter: &mut Limiter, cost: i64, may_wait: bool, now_ns: i64) -> ((Verdict, i64), Step) {
    let judged = limiter.judge(cost, now_ns);
    if !may_wait && judged.delay_ms > 0 {
        // Where nothing waits, what would is refused.
        let refused = Verdict { allowed: false, retry_ms: judged.delay_ms, delay_ms: -1, ..judged };
        return ((refused, 0), Step::Same);
    }
    let mut verdict = limiter.take(cost, now_ns);
    if !verdict.allowed || cost == 0 {
        return ((verdict, 0), Step::Same);
    }
    let delay_ms = std::mem::replace(&mut verdict.delay_ms, 0);
    ((verdict, delay_ms), if delay_ms > 0 { Step::ChangedHard } else { Step::Changed })
}
