//! Limiters in the journal: `NATIVE.APPLY key RL SET ...`, which says all of a state, and `NATIVE.POLICY`.
//!
//! ```text
//! TB limit unit-ns tat-ns reserved      FX limit window start count       LK limit unit-ns next-ns maxdelay
//! SW limit window newest n counts*n     LG limit window n (time cost)*n   CC limit n (id end cost)*n
//! ```
//! and behind each `blocked-until policy pxat`.

use super::parse;
use super::policies::Policy;
use crate::model::{Args, Ctx, Effects, Error, Outcome, Reply, StoredRequest, parse_i64};
use tidegate_data::types::ratelimit::{Concurrent, Limiter, Log, RateLimit, State, UNITS_MAX};
use tidegate_data::{Key, Record, ValueRef};

/// Appends the effect that makes `key` hold this limiter until then.
pub(super) fn push(effects: &mut Effects, key: &[u8], limiter: &Limiter, deadline_ms: i64) {
    let mut words: Vec<Vec<u8>> = Vec::with_capacity(14);
    let text = |number: i64| number.to_string().into_bytes();
    let (name, numbers): (&[u8], Vec<i64>) = match &limiter.state {
        State::Bucket { unit_ns, tat_ns, reserved } => (b"TB", vec![*unit_ns, *tat_ns, i64::from(*reserved)]),
        State::Fixed { window_ms, start_ms, count } => (b"FX", vec![*window_ms, *start_ms, *count]),
        State::Leaky { unit_ns, next_ns, max_delay_ms } => (b"LK", vec![*unit_ns, *next_ns, *max_delay_ms]),
        State::Sliding { window_ms, newest, counts } => {
            let mut numbers = vec![*window_ms, *newest, counts.len() as i64];
            numbers.extend(counts);
            (b"SW", numbers)
        }
        State::Log(log) => {
            let mut numbers = vec![log.window_ms, log.len() as i64];
            numbers.extend(log.iter().flat_map(|(time_ms, cost)| [time_ms, cost]));
            (b"LG", numbers)
        }
        State::Concurrent(leases) => (b"CC", vec![leases.len() as i64]),
    };
    words.push(text(limiter.limit));
    words.extend(numbers.into_iter().map(text));
    if let State::Concurrent(leases) = &limiter.state {
        for (id, end_ms, cost) in leases.iter() {
            words.extend([id.to_vec(), text(end_ms), text(cost)]);
        }
    }
    words.extend([limiter.blocked_ms, limiter.policy.into(), deadline_ms].map(text));
    let fixed: [&[u8]; 5] = [b"NATIVE.APPLY", key, b"RL", b"SET", name];
    let all: Vec<&[u8]> = fixed.into_iter().chain(words.iter().map(Vec::as_slice)).collect();
    effects.push(&all);
}

/// The effect of a limiter of which the journal has not heard, and which is told now.
pub fn unflushed(key: &[u8], record: &Record, effects: &mut Effects) -> bool {
    let Some(view) = record.value().collection::<RateLimit>() else { return false };
    let limiter = view.to_limiter();
    if limiter.unflushed {
        push(effects, key, &limiter, record.expiry_ms().unwrap_or(0));
    }
    limiter.unflushed
}

/// One of many costs, of which the sum must not overflow before it is looked at.
fn cost_of(args: &mut Args) -> Result<i64, Error> {
    let cost = args.integer()?;
    if (0..=UNITS_MAX).contains(&cost) { Ok(cost) } else { Err(Error::Syntax) }
}

/// Reads what [`push`] wrote, behind `RL`, and makes it so.
pub(crate) fn apply(cx: &mut Ctx, key: Key, args: &mut Args) -> Result<Outcome, Error> {
    if !args.take_word("SET") {
        return Err(Error::Syntax);
    }
    let name = args.next()?;
    let limit = args.integer()?;
    let state = match name {
        b"TB" => State::Bucket {
            unit_ns: args.integer()?,
            tat_ns: args.integer()?,
            reserved: args.integer()? != 0,
        },
        b"FX" => {
            State::Fixed { window_ms: args.integer()?, start_ms: args.integer()?, count: args.integer()? }
        }
        b"LK" => {
            State::Leaky { unit_ns: args.integer()?, next_ns: args.integer()?, max_delay_ms: args.integer()? }
        }
        b"SW" => {
            let (window_ms, newest, len) = (args.integer()?, args.integer()?, args.integer()?);
            let counts = (0..len).map(|_| args.integer()).collect::<Result<_, _>>()?;
            State::Sliding { window_ms, newest, counts }
        }
        b"LG" => {
            let (mut log, len) = (Log::new(args.integer()?), args.integer()?);
            for _ in 0..len {
                let (time_ms, cost) = (args.integer()?, cost_of(args)?);
                log.push(time_ms, cost);
            }
            State::Log(log)
        }
        b"CC" => {
            let (mut leases, len) = (Concurrent::default(), args.integer()?);
            for _ in 0..len {
                let id = args.next()?;
                let (end_ms, cost) = (args.integer()?, cost_of(args)?);
                leases.put(id, end_ms, cost);
            }
            State::Concurrent(leases)
        }
        _ => return Err(Error::Syntax),
    };
    let (blocked_ms, policy, deadline_ms) = (args.integer()?, args.integer()?, args.integer()?);
    let limiter = Limiter { limit, blocked_ms, policy: policy as u16, unflushed: false, state };
    // Whoever can write into the journal can write anything; but nothing of it makes the server fail.
    let mut form = Vec::new();
    limiter.write(&mut form);
    let limiter = Limiter::read(&form).map_err(|_| Error::Syntax)?;
    let deadline_ms = (deadline_ms > 0).then_some(deadline_ms);
    let record = Record::new_collection(key.bytes(), RateLimit(Box::new(limiter)), deadline_ms);
    record.set_access(cx.keys.rules().access.initial());
    cx.keys.put(key, record);
    Ok(Outcome::Changed)
}

/// `NATIVE.POLICY SET name id spec... | DEL name | FLUSH`
pub(crate) fn apply_policy(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let book = cx.env.native().book();
    if args.take_word("FLUSH") {
        book.clear();
    } else if args.take_word("DEL") {
        book.remove(args.next()?);
    } else if args.take_word("SET") {
        let (name, id) = (args.next()?, args.integer()?);
        book.set(read_policy(name, args)?, u16::try_from(id).ok())?;
    } else {
        return Err(Error::Syntax);
    }
    reply.ok();
    Ok(Outcome::Changed)
}

/// A policy as `RL.POLICY SET` and the journal say it, from its first word behind the name on.
pub(super) fn read_policy(name: &[u8], args: &mut Args) -> Result<Policy, Error> {
    let mut words = args.clone();
    let text: Vec<String> =
        words.rest().map(|word| String::from_utf8_lossy(word).to_ascii_uppercase()).collect();
    // What was set once is good for good.
    let (spec, block_for_ms, is_shadow) = parse::policy(args, i64::MAX)?;
    let name: Box<str> = String::from_utf8_lossy(name).into_owned().into();
    let opening = Policy::opening_of(&name, &spec);
    Ok(Policy { id: 0, name, spec, text: text.join(" "), block_for_ms, is_shadow, opening })
}

impl super::PolicyBook {
    /// The policies as a text, one per line: what a file says of them.
    pub fn to_text(&self) -> String {
        let (_, policies) = self.read();
        let lines: Vec<String> = policies
            .sorted()
            .iter()
            .map(|policy| format!("{} {} {}", policy.name, policy.id, policy.text))
            .collect();
        lines.join("\n")
    }

    /// Takes the policies from such a text, in the place of those there are; lines that are none are left out.
    pub fn replace_by_text(&self, text: &str) {
        self.clear();
        for line in text.lines() {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            let stored = StoredRequest::of_words(&words);
            let mut args = Args::new(&stored.bytes, &stored.args, &[], 0);
            let (Ok(name), Ok(id)) = (args.next(), args.next()) else { continue };
            if let (Ok(policy), Some(id)) = (read_policy(name, &mut args), parse_i64(id)) {
                // One that is no good for a name was not written by us.
                let _ = self.set(policy, u16::try_from(id).ok());
            }
        }
    }
}

/// The journal has heard of the present state of this limiter.
#[must_use = "the record may have moved"]
pub fn mark_flushed(record: Record) -> Record {
    let Some(view) = record.value().collection::<RateLimit>() else { return record };
    let mut limiter = view.to_limiter();
    if !std::mem::take(&mut limiter.unflushed) {
        return record;
    }
    let expiry_ms = record.expiry_ms();
    let mut form = Vec::new();
    limiter.write(&mut form);
    match record.value() {
        ValueRef::Packed { code, .. } => record.replace_packed(code, &form, expiry_ms),
        _ => record.replace_boxed(Box::new(RateLimit(Box::new(limiter)).into()), expiry_ms),
    }
}
