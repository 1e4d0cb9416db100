//! Looking at a limiter, and correcting it: refunds, penalties, blocks.

use super::no_policy;
use super::store::{self, Now, Step};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::EventClass;
use tidegate_data::types::ratelimit::{DURATION_MAX_MS, Limiter, State};

pub(super) static GET: Command = command("RL.GET", "key", get)
    .about("1.0.0", "O(1), O(N) for leases where N is their number.", "Tells the state of a limiter.")
    .arity(2)
    .keys(KeySpec::first().ro().access())
    .flags(&[Flag::Readonly, Flag::Fast]);

fn get(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let now = Now::of(cx);
    let Some(mut limiter) = store::peek(cx, key)? else {
        reply.null();
        return Ok(Outcome::Same);
    };
    let spec = limiter.spec();
    // It is of the algorithm of its own parameters.
    let _ = limiter.adopt(&spec, now.ns);
    let verdict = limiter.judge(0, now.ns);
    let policies = cx.env.native().policies();
    let policy = policies.by_id(limiter.policy).map_or("", |policy| &policy.name);
    let leases = if let State::Concurrent(leases) = &limiter.state { Some(leases) } else { None };
    reply.map(6 + usize::from(leases.is_some()));
    reply.bulk(b"algo");
    reply.bulk(limiter.state.name().as_bytes());
    for (name, value) in [
        ("limit", limiter.limit),
        ("remaining", verdict.remaining),
        ("reset-after", verdict.reset_ms),
        ("blocked-for", (limiter.blocked_ms - now.ms()).max(0)),
    ] {
        reply.bulk(name.as_bytes());
        reply.integer(value);
    }
    reply.bulk(b"policy");
    reply.bulk(policy.as_bytes());
    if let Some(leases) = leases {
        reply.bulk(b"holders");
        reply.array(leases.len());
        for (id, end_ms, cost) in leases.iter() {
            reply.array(3);
            reply.bulk(id);
            reply.integer(end_ms);
            reply.integer(cost);
        }
    }
    Ok(Outcome::Same)
}

pub(super) static ADJUST: Command =
    command("RL.ADJUST", "key units(integer) [POLICY name] [BLOCK milliseconds(integer)]", adjust)
        .about("1.0.0", "O(1)", "Takes units as a penalty, gives them back, or blocks a key for a time.")
        .arity(-3)
        .keys(KeySpec::first().rw().access().update())
        .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

fn adjust(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let (key, units) = (args.key()?, args.integer()?);
    let (mut name, mut block_ms) = (None, None);
    while !args.is_done() {
        if name.is_none() && args.take_word("POLICY") {
            name = Some(if args.is_done() { return Err(Error::Syntax) } else { args.next()? });
        } else if block_ms.is_none() && args.take_word("BLOCK") {
            block_ms = Some(args.between("BLOCK", 0, DURATION_MAX_MS)?);
        } else {
            return Err(Error::Syntax);
        }
    }
    let policies = cx.env.native().policies();
    let policy = match name {
        Some(name) => Some(policies.get(name).ok_or_else(|| no_policy(name))?),
        None => None,
    };
    let now = Now::of(cx);
    let present = store::peek(cx, key)?;
    let Some(spec) = policy.map(|policy| policy.spec).or_else(|| present.as_ref().map(Limiter::spec)) else {
        reply.null();
        return Ok(Outcome::Same);
    };
    let (is_new, policy_id) = (present.is_none(), policy.map(|policy| policy.id));
    let ((remaining, is_blocked), outcome) = store::update(cx, key, &spec, now, |limiter| {
        let before = limiter.clone();
        if let Some(id) = policy_id {
            limiter.policy = id;
        }
        if units != 0 && !limiter.adjust(units, now.ns) {
            return ((None, false), Step::Same);
        }
        if let Some(block_ms) = block_ms {
            limiter.blocked_ms = if block_ms > 0 { now.ms() + block_ms } else { 0 };
        }
        let remaining = limiter.judge(0, now.ns).remaining;
        // A key that would be as new does not come into being.
        let is_idle = is_new && limiter.expires_ms(now.ns) <= now.ms();
        let step = if is_idle || before == *limiter && !is_new { Step::Same } else { Step::Changed };
        ((Some(remaining), block_ms.is_some_and(|ms| ms > 0)), step)
    })?;
    let remaining = remaining.ok_or(Error::new("ERR key holds a 'concurrent' limiter"))?;
    if is_blocked {
        cx.keys.event(EventClass::Module, "rl.block", key);
    }
    reply.integer(remaining);
    Ok(outcome)
}
