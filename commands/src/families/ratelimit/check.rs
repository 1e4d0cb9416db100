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

/// What is asked of one of the limits.
struct Ask<'p, 'k> {
    policy: &'p Policy,
    key: Key<'k>,
    cost: i64,
}

impl Ask<'_, '_> {
    /// The policy says no, and may.
    fn is_denied(&self, answer: &Answer) -> bool {
        !answer.verdict().allowed && !self.policy.is_shadow
    }
}

/// What comes of it.
#[derive(Default)]
struct Answer {
    /// What is told, and what is put into the record if all of them pass.
    quick: Quick,
    /// That is all there is to do.
    is_quick: bool,
    /// Where the key stands.
    place: Option<Place>,
}

impl Answer {
    #[inline]
    fn verdict(&self) -> &Verdict {
        &self.quick.verdict
    }

    /// The caller is told that it passed, whatever the limit says.
    fn pass(&mut self) {
        self.quick.verdict.allowed = true;
        self.quick.verdict.retry_ms = 0;
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
    let mut asks: SmallVec<[Ask; 4]> = SmallVec::new();
    let mut unknown = None;
    for _ in 0..count {
        let name = args.next()?;
        let (key, cost) = (args.key()?, parse::cost(args)?);
        if asks.iter().any(|ask| ask.key.hash() == key.hash() && ask.key.bytes() == key.bytes()) {
            return Err(Error::new("ERR duplicate key in RL.CHECK"));
        }
        match policies.get(name) {
            Some(policy) => asks.push(Ask { policy, key, cost }),
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
    let mut answers: SmallVec<[Answer; 4]> = SmallVec::new();
    for ask in &asks {
        answers.push(Answer::default());
        let Some(answer) = answers.last_mut() else { continue };
        let (policy, quick) = (ask.policy, &mut answer.quick);
        (answer.is_quick, answer.place) =
            store::judge_quick(cx, ask.key, &policy.spec, ask.cost, policy.id, now, quick)?;
        if !answer.is_quick {
            answer.quick.verdict = judge(cx, ask, now)?;
        }
        denied |= ask.is_denied(answer);
    }
    if cx.keys.log().expired.len() != keys_before {
        // A key was removed: others may stand elsewhere.
        answers.iter_mut().for_each(|answer| answer.place = None);
    }
    let outcome =
        if denied { refuse(cx, &asks, &mut answers, now)? } else { commit(cx, &asks, &mut answers, now)? };
    write(reply, &asks, &answers, headers);
    Ok(outcome)
}

/// What a limit would say, without a change.
fn judge(cx: &mut Ctx, ask: &Ask, now: Now) -> Result<Verdict, Error> {
    let spec = &ask.policy.spec;
    let Some(view) = cx.keys.for_write_as::<RateLimit>(ask.key)? else {
        return Ok(spec.fresh(now.ns).judge(ask.cost, now.ns));
    };
    let mut limiter = view.to_limiter();
    let adopted = limiter.adopt(spec, now.ns);
    adopted.map_err(|other| Error::text(format!("ERR key holds a '{}' limiter", other.0)))?;
    Ok(limiter.judge(ask.cost, now.ns))
}

/// All of them say yes: all are charged.
fn commit(cx: &mut Ctx, asks: &[Ask], answers: &mut [Answer], now: Now) -> Result<Outcome, Error> {
    let mut all = Outcome::Same;
    // As long as no key is added, they stand where they did.
    let mut is_settled = true;
    let (is_journaled, mut is_changed) = (cx.env.is_journaled(), false);
    for (ask, answer) in asks.iter().zip(answers) {
        let (policy, cost) = (ask.policy, ask.cost);
        if answer.verdict().allowed && cost > 0 {
            let place = answer.place.filter(|_| is_settled);
            is_settled &= answer.place.is_some();
            let outcome = if answer.is_quick {
                store::put(cx, ask.key, place, &mut answer.quick, now)?
            } else {
                let (verdict, outcome) = store::update(cx, ask.key, &policy.spec, now, |limiter| {
                    limiter.policy = policy.id;
                    (limiter.take(cost, now.ns), Step::Changed)
                })?;
                answer.quick.verdict = verdict;
                outcome
            };
            // Where nobody listens there is nothing to join.
            if is_journaled {
                all = both(all, outcome);
            } else if !matches!(outcome, Outcome::Same) {
                is_changed = true;
            }
        }
        count(cx, ask, answer.verdict(), now);
        if !answer.verdict().allowed {
            // It would have refused, and is not asked yet.
            answer.pass();
        }
    }
    Ok(if is_changed { Outcome::Changed } else { all })
}

/// One of them says no: nothing is charged, but who is refused may be blocked.
fn refuse(cx: &mut Ctx, asks: &[Ask], answers: &mut [Answer], now: Now) -> Result<Outcome, Error> {
    let mut all = Outcome::Same;
    for (ask, answer) in asks.iter().zip(answers) {
        if answer.verdict().allowed {
            // It tells of the state that it keeps.
            answer.quick.verdict = judge(cx, ask, now)?;
            continue;
        }
        let policy = ask.policy;
        if ask.is_denied(answer)
            && let Some(block_ms) = policy.block_for_ms
        {
            let ((verdict, is_new), outcome) = store::update(cx, ask.key, &policy.spec, now, |limiter| {
                if now.ms() < limiter.blocked_ms {
                    return ((limiter.judge(0, now.ns), false), Step::Same);
                }
                limiter.policy = policy.id;
                limiter.blocked_ms = now.ms() + block_ms;
                ((limiter.judge(0, now.ns), true), Step::Changed)
            })?;
            answer.quick.verdict = verdict;
            all = both(all, outcome);
            if is_new {
                cx.keys.event(tidegate_data::EventClass::Module, "rl.block", ask.key);
            }
        } else if !answer.is_quick {
            // Nothing is taken, but what a clock gone wrong has left is put right.
            let ((), outcome) = store::update(cx, ask.key, &policy.spec, now, |_| ((), Step::Same))?;
            all = both(all, outcome);
        }
        count(cx, ask, answer.verdict(), now);
        if policy.is_shadow {
            answer.pass();
        }
    }
    Ok(all)
}

#[inline]
fn count(cx: &Ctx, ask: &Ask, verdict: &Verdict, now: Now) {
    let native = cx.env.native();
    if ask.cost == 0 {
        return;
    }
    if ask.policy.is_shadow && !verdict.allowed {
        native.tallies().count_shadow(native.book(), ask.policy.id);
        return;
    }
    let key = (ask.key.bytes(), ask.key.hash());
    native.tallies().count(native.book(), ask.policy.id, verdict, ask.cost, now.s(), key);
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

fn write(reply: &mut Reply, asks: &[Ask], answers: &[Answer], headers: bool) {
    let mut worst: Option<(usize, i64)> = None;
    for (at, (ask, answer)) in asks.iter().zip(answers).enumerate() {
        // Never is the longest.
        let wait = if answer.verdict().retry_ms < 0 { i64::MAX } else { answer.verdict().retry_ms };
        if ask.is_denied(answer) && worst.is_none_or(|(_, longest)| wait > longest) {
            worst = Some((at, wait));
        }
    }
    reply.array(if headers { 4 } else { 3 });
    reply.integers([worst.is_none().into(), worst.map_or(0, |(at, _)| at as i64 + 1)]);
    reply.array(asks.len());
    for (ask, answer) in asks.iter().zip(answers) {
        let Verdict { allowed, limit, remaining, retry_ms, reset_ms, delay_ms } = *answer.verdict();
        match &ask.policy.opening {
            Some(opening) if allowed && limit == ask.policy.spec.limit() => {
                reply.opened(opening, [remaining, retry_ms, reset_ms, delay_ms]);
            }
            _ => {
                reply.array(7);
                reply.bulk(ask.policy.name.as_bytes());
                super::write_delayed(reply, answer.verdict());
            }
        }
    }
    if headers {
        write_headers(reply, asks, answers, worst.map(|(_, wait)| wait));
    }
}

/// `RateLimit` headers as the IETF's draft has them.
fn write_headers(reply: &mut Reply, asks: &[Ask], answers: &[Answer], wait_ms: Option<i64>) {
    let (mut policies, mut states) = (String::new(), String::new());
    for (ask, answer) in asks.iter().zip(answers).filter(|(ask, _)| !ask.policy.is_shadow) {
        let between = if policies.is_empty() { " " } else { ", " };
        let (name, spec) = (&ask.policy.name, &ask.policy.spec);
        let window_s = up_to_s(spec.window_ms());
        // Writing to a String cannot fail.
        let _ = write!(policies, "{between}\"{name}\";q={};w={window_s}", spec.limit());
        let reset_s = up_to_s(answer.verdict().reset_ms);
        let _ = write!(states, "{between}\"{name}\";r={};t={reset_s}", answer.verdict().remaining);
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
