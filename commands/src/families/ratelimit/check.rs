//! Several limits at once, all or nothing.

use super::no_policy;
use super::parse;
use super::policies::Policy;
use super::store::{self, Now, Step};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use smallvec::SmallVec;
use std::fmt::Write as _;
use tidegate_data::types::ratelimit::{Quick, RateLimit, Verdict};
use tidegate_data::{Key, Place};

/// Most limits of a call.
const LIMITS_MAX: i64 = 16;

pub(super) static CHECK: Command = command(
    "RL.CHECK",
    "numlimits(integer) limit: policy key cost(integer) [limit: policy key cost(integer)...] [HEADERS]",
    check,
)
.about(
    "1.0.0",
    "O(N) where N is the number of limits.",
    "Takes units of several limits, of all of them or of none.",
)
.arity(-5)
.keys(
    KeySpec::counted(1, 3)
        .find(crate::model::FindKeys::KeyNum { count: 0, first: 2, step: 3 })
        .rw()
        .access()
        .update(),
)
.flags(&[Flag::Write, Flag::DenyOom]);

/// One of the limits.
struct Limit<'p, 'k> {
    policy: &'p Policy,
    key: Key<'k>,
    cost: i64,
    verdict: Verdict,
    /// What is put into its record if all of them pass, where that is all there is to do.
    quick: Option<Quick>,
    /// Where its key stands.
    place: Option<Place>,
}

impl Limit<'_, '_> {
    /// It says no, and its policy may.
    fn denies(&self) -> bool {
        !self.verdict.allowed && !self.policy.is_shadow
    }

    fn is_charged(&self) -> bool {
        self.verdict.allowed && self.cost > 0
    }

    /// The caller is told that it passed, whatever the limit says.
    fn pass(&mut self) {
        self.verdict.allowed = true;
        self.verdict.retry_ms = 0;
    }
}

fn check(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let count = args.integer()?;
    if !(1..=LIMITS_MAX).contains(&count) {
        return Err(Error::new("ERR numlimits must be between 1 and 16"));
    }
    if (args.remaining() as i64) < 3 * count {
        return Err(Error::Syntax);
    }
    let native = cx.env.native();
    let policies = native.lend_policies();
    let mut limits: SmallVec<[Limit; 4]> = SmallVec::new();
    let mut unknown = None;
    for _ in 0..count {
        let name = args.next()?;
        let (key, cost) = (args.key()?, parse::cost(args)?);
        if limits.iter().any(|limit| limit.key.hash() == key.hash() && limit.key.bytes() == key.bytes()) {
            return Err(Error::new("ERR duplicate key in RL.CHECK"));
        }
        match policies.get(name) {
            Some(policy) => limits.push(Limit {
                policy,
                key,
                cost,
                verdict: Verdict::default(),
                quick: None,
                place: None,
            }),
            None => unknown = unknown.or(Some(name)),
        }
    }
    let headers = !args.is_done() && args.take_word("HEADERS");
    if !args.is_done() {
        return Err(Error::Syntax);
    }
    if let Some(name) = unknown {
        return Err(no_policy(name));
    }
    let now = Now::of(cx);
    let keys_before = cx.keys.log().expired.len();
    let mut denied = false;
    for limit in &mut limits {
        let policy = limit.policy;
        let (spec, quick) = (&policy.spec, &mut limit.quick);
        limit.place = store::judge_quick(cx, limit.key, spec, limit.cost, policy.id, now, quick)?;
        limit.verdict = match &limit.quick {
            Some(quick) => quick.verdict,
            None => judge(cx, limit, now)?,
        };
        denied |= limit.denies();
    }
    if cx.keys.log().expired.len() != keys_before {
        // A key was removed: others may stand elsewhere.
        limits.iter_mut().for_each(|limit| limit.place = None);
    }
    let outcome = if denied { refuse(cx, &mut limits, now)? } else { commit(cx, &mut limits, now)? };
    write(reply, &limits, headers);
    Ok(outcome)
}

/// What a limit would say, without a change.
fn judge(cx: &mut Ctx, limit: &Limit, now: Now) -> Result<Verdict, Error> {
    let spec = &limit.policy.spec;
    let Some(view) = cx.keys.for_write_as::<RateLimit>(limit.key)? else {
        return Ok(spec.fresh(now.ns).judge(limit.cost, now.ns));
    };
    let mut limiter = view.to_limiter();
    let adopted = limiter.adopt(spec, now.ns);
    adopted.map_err(|other| Error::text(format!("ERR key holds a '{}' limiter", other.0)))?;
    Ok(limiter.judge(limit.cost, now.ns))
}

/// All of them say yes: all are charged.
fn commit(cx: &mut Ctx, limits: &mut [Limit], now: Now) -> Result<Outcome, Error> {
    let mut all = Outcome::Same;
    // As long as no key is added, they stand where they did.
    let mut is_settled = true;
    for limit in limits.iter_mut() {
        let (policy, cost) = (limit.policy, limit.cost);
        if limit.is_charged() {
            let place = limit.place.filter(|_| is_settled);
            is_settled &= limit.place.is_some();
            let outcome = if let Some(quick) = &mut limit.quick {
                store::put(cx, limit.key, place, quick, now)?
            } else {
                let (verdict, outcome) = store::update(cx, limit.key, &policy.spec, now, |limiter| {
                    limiter.policy = policy.id;
                    (limiter.take(cost, now.ns), Step::Changed)
                })?;
                limit.verdict = verdict;
                outcome
            };
            // Where nobody listens there is nothing to join.
            if !matches!((&all, &outcome), (Outcome::Changed, Outcome::Changed)) {
                all = both(all, outcome);
            }
        }
        count(cx, limit, now);
        if !limit.verdict.allowed {
            // It would have refused, and is not asked yet.
            limit.pass();
        }
    }
    Ok(all)
}

/// One of them says no: nothing is charged, but who is refused may be blocked.
fn refuse(cx: &mut Ctx, limits: &mut [Limit], now: Now) -> Result<Outcome, Error> {
    let mut all = Outcome::Same;
    for limit in limits.iter_mut() {
        if limit.verdict.allowed {
            // It tells of the state that it keeps.
            limit.verdict = judge(cx, limit, now)?;
            continue;
        }
        let policy = limit.policy;
        if limit.denies()
            && let Some(block_ms) = policy.block_for_ms
        {
            let ((verdict, is_new), outcome) = store::update(cx, limit.key, &policy.spec, now, |limiter| {
                if now.ms() < limiter.blocked_ms {
                    return ((limiter.judge(0, now.ns), false), Step::Same);
                }
                limiter.policy = policy.id;
                limiter.blocked_ms = now.ms() + block_ms;
                ((limiter.judge(0, now.ns), true), Step::Changed)
            })?;
            limit.verdict = verdict;
            all = both(all, outcome);
            if is_new {
                cx.keys.event(tidegate_data::EventClass::Module, "rl.block", limit.key);
            }
        } else if limit.quick.is_none() {
            // Nothing is taken, but what a clock gone wrong has left is put right.
            let ((), outcome) = store::update(cx, limit.key, &policy.spec, now, |_| ((), Step::Same))?;
            all = both(all, outcome);
        }
        count(cx, limit, now);
        if policy.is_shadow {
            limit.pass();
        }
    }
    Ok(all)
}

fn count(cx: &Ctx, limit: &Limit, now: Now) {
    let native = cx.env.native();
    if limit.cost == 0 {
        return;
    }
    if limit.policy.is_shadow && !limit.verdict.allowed {
        native.tallies().count_shadow(native.book(), limit.policy.id);
        return;
    }
    let key = (limit.key.bytes(), limit.key.hash());
    native.tallies().count(native.book(), limit.policy.id, &limit.verdict, limit.cost, now.s(), key);
}

/// What two changes of one command come to.
fn both(one: Outcome, other: Outcome) -> Outcome {
    match (one, other) {
        (Outcome::Same, other) => other,
        (Outcome::ChangedAs(mut effects), Outcome::ChangedAs(more)) => {
            effects.push_encoded(more.bytes(), more.len());
            Outcome::ChangedAs(effects)
        }
        (one, _) => one,
    }
}

fn write(reply: &mut Reply, limits: &[Limit], headers: bool) {
    let mut worst: Option<(usize, i64)> = None;
    for (at, limit) in limits.iter().enumerate().filter(|(_, limit)| limit.denies()) {
        // Never is the longest.
        let wait = if limit.verdict.retry_ms < 0 { i64::MAX } else { limit.verdict.retry_ms };
        if worst.is_none_or(|(_, longest)| wait > longest) {
            worst = Some((at, wait));
        }
    }
    reply.array(if headers { 4 } else { 3 });
    reply.integer(worst.is_none().into());
    reply.integer(worst.map_or(0, |(at, _)| at as i64 + 1));
    reply.array(limits.len());
    for limit in limits {
        reply.array(7);
        reply.bulk(limit.policy.name.as_bytes());
        super::write_delayed(reply, &limit.verdict);
    }
    if headers {
        write_headers(reply, limits, worst.map(|(_, wait)| wait));
    }
}

/// `RateLimit` headers as the IETF's draft has them.
fn write_headers(reply: &mut Reply, limits: &[Limit], wait_ms: Option<i64>) {
    let (mut policies, mut states) = (String::new(), String::new());
    for limit in limits.iter().filter(|limit| !limit.policy.is_shadow) {
        let between = if policies.is_empty() { " " } else { ", " };
        let (name, spec) = (&limit.policy.name, &limit.policy.spec);
        let window_s = up_to_s(spec.window_ms());
        // Writing to a String cannot fail.
        let _ = write!(policies, "{between}\"{name}\";q={};w={window_s}", spec.limit());
        let reset_s = up_to_s(limit.verdict.reset_ms);
        let _ = write!(states, "{between}\"{name}\";r={};t={reset_s}", limit.verdict.remaining);
    }
    let retry_s = wait_ms.filter(|wait_ms| *wait_ms < i64::MAX).map(up_to_s);
    reply.array(2 + usize::from(retry_s.is_some()));
    reply.bulk(format!("RateLimit-Policy:{policies}").as_bytes());
    reply.bulk(format!("RateLimit:{states}").as_bytes());
    if let Some(retry_s) = retry_s {
        reply.bulk(format!("Retry-After: {retry_s}").as_bytes());
    }
}

fn up_to_s(ms: i64) -> i64 {
    ms / 1000 + i64::from(ms % 1000 > 0)
}
