//! Storing one string: `SET` with its conditions, and the older commands it replaced.

use super::compare::Compare;
use super::expire_option::{Besides, Deadline, Lifetime};
use super::reply_value;
use crate::model::{Args, Command, Ctx, Effects, Error, Flag, KeyPosition, KeySpec, Outcome, Reply, command};
use tidegate_data::types::string::INT_LEN_MAX;
use tidegate_data::{EventClass, Expiry, Key, StringValue};

pub(super) static SET: Command = command(
    "SET",
    "key value [condition: NX|XX|IFEQ ifeq-value@8.4.0|IFNE ifne-value@8.4.0|IFDEQ ifdeq-digest@8.4.0|\
     IFDNE ifdne-digest@8.4.0]@2.6.12 [GET@6.2.0] [expiration: EX seconds@2.6.12|PX milliseconds@2.6.12|\
     EXAT unix-time-seconds@6.2.0|PXAT unix-time-milliseconds@6.2.0|KEEPTTL@6.0.0]",
    set,
)
.about("1.0.0", "O(1)", "Sets the string value of a key, whatever it held before.")
.arity(-3)
.keys(KeySpec::first().rw().access().update().variable().notes("RW and ACCESS because of the `GET` option"))
.key_finder(set_keys)
.flags(&[Flag::Write, Flag::DenyOom])
.history(&[
    ("2.6.12", "Options `EX`, `PX`, `NX` and `XX`."),
    ("6.0.0", "Option `KEEPTTL`."),
    ("6.2.0", "Options `GET`, `EXAT` and `PXAT`."),
    ("7.0.0", "`NX` and `GET` may be combined."),
    ("8.4.0", "Options `IFEQ`, `IFNE`, `IFDEQ` and `IFDNE`."),
]);

/// Only with `GET` is the old value looked at.
fn set_keys(args: &[&[u8]], found: &mut dyn FnMut(KeyPosition)) {
    let gets = args.iter().skip(3).any(|arg| arg.eq_ignore_ascii_case(b"GET"));
    let spec = if gets { KeySpec::first().rw().access() } else { KeySpec::first().ow() };
    found(KeyPosition { arg: 1, flags: spec.update().flags });
}

fn set(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let value = args.next()?;
    if !args.is_done() {
        return set_with_options(cx, args, reply, key, value);
    }
    cx.keys.set_string(key, StringValue::of(value), Expiry::Clear);
    cx.keys.event(EventClass::String, "set", key);
    reply.ok();
    Ok(Outcome::Changed)
}

/// When `SET` sets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Condition<'a> {
    #[default]
    Always,
    /// `NX`
    Missing,
    /// `XX`
    Present,
    /// `IFEQ` and its relatives.
    Compare(Compare<'a>),
}

#[derive(Debug, Default)]
struct SetOptions<'a> {
    condition: Condition<'a>,
    get: bool,
    lifetime: Lifetime<'a>,
}

impl<'a> SetOptions<'a> {
    /// Reads the options; one may be repeated, two conditions or two lifetimes contradict each other.
    fn parse(args: &mut Args<'a>) -> Result<Self, Error> {
        let mut options = SetOptions::default();
        while !args.is_done() {
            let word = args.next()?;
            let condition = if word.eq_ignore_ascii_case(b"GET") {
                options.get = true;
                continue;
            } else if word.eq_ignore_ascii_case(b"NX") {
                Condition::Missing
            } else if word.eq_ignore_ascii_case(b"XX") {
                Condition::Present
            } else if let Some(comparison) = Compare::comparison(word) {
                Condition::Compare(Compare::new(comparison, args.next()?))
            } else if options.lifetime.take(word, args, Besides::Keepttl) {
                continue;
            } else {
                return Err(Error::Syntax);
            };
            let fits = match (options.condition, condition) {
                (Condition::Always, _) => true,
                (Condition::Compare(before), Condition::Compare(now)) => before.same_comparison(now),
                (before, now) => before == now,
            };
            if !fits {
                return Err(Error::Syntax);
            }
            options.condition = condition;
        }
        Ok(options)
    }
}

fn set_with_options(
    cx: &mut Ctx,
    args: &mut Args,
    reply: &mut Reply,
    key: Key,
    value: &[u8],
) -> Result<Outcome, Error> {
    let options = SetOptions::parse(args)?;
    let expiry = match options.lifetime {
        Lifetime::Until(deadline) => Expiry::At(deadline.at_ms(cx.env.now_ms(), "set")?),
        Lifetime::Keep => Expiry::Keep,
        Lifetime::Unsaid | Lifetime::Persist => Expiry::Clear,
    };
    if options.get {
        reply_value(reply, cx.keys.read_string(key)?);
    }
    if !condition_holds(cx, key, options.condition)? {
        if !options.get {
            reply.null();
        }
        return Ok(Outcome::Same);
    }
    cx.keys.set_string(key, StringValue::of(value), expiry);
    cx.keys.event(EventClass::String, "set", key);
    if !options.get {
        reply.ok();
    }
    match (expiry, options.condition) {
        (Expiry::At(at_ms), _) => {
            cx.keys.event(EventClass::Generic, "expire", key);
            Ok(cx.env.changed_as(|| set_until(key, value, at_ms)))
        }
        // Replicas and readers of the journal may be older than the comparison, which was decided here anyway.
        (Expiry::Keep, Condition::Compare(_)) => {
            Ok(Outcome::changed_as(&[b"SET", key.bytes(), value, b"KEEPTTL"]))
        }
        (Expiry::Clear, Condition::Compare(_)) => Ok(Outcome::changed_as(&[b"SET", key.bytes(), value])),
        _ if options.get => Ok(cx.env.changed_as(|| without_get(args))),
        _ => Ok(Outcome::Changed),
    }
}

fn condition_holds(cx: &mut Ctx, key: Key, condition: Condition) -> Result<bool, Error> {
    match condition {
        Condition::Always => Ok(true),
        Condition::Missing => Ok(cx.keys.for_write(key).is_none()),
        Condition::Present => Ok(cx.keys.for_write(key).is_some()),
        Condition::Compare(compare) => match cx.keys.string_for_write(key)? {
            None => Ok(!compare.needs_key()),
            Some(value) => compare.holds(value.string(&mut [0; INT_LEN_MAX]).unwrap_or_default()),
        },
    }
}

/// A `SET` with a deadline that no clock changes any more.
fn set_until(key: Key, value: &[u8], at_ms: i64) -> Outcome {
    Outcome::changed_as(&[b"SET", key.bytes(), value, b"PXAT", at_ms.to_string().as_bytes()])
}

/// The request as it is, but for `GET`, which changes nothing.
fn without_get(args: &Args) -> Outcome {
    let is_get = |index: usize| index >= 3 && args.get(index).eq_ignore_ascii_case(b"GET");
    let words: Vec<&[u8]> =
        (0..args.len()).filter(|index| !is_get(*index)).map(|index| args.get(index)).collect();
    let mut effects = Effects::default();
    effects.push(&words);
    Outcome::ChangedAs(effects)
}

pub(super) static SETNX: Command = command("SETNX", "key value", setnx)
    .about("1.0.0", "O(1)", "Sets the string value of a key that does not exist yet.")
    .arity(3)
    .keys(KeySpec::first().ow().insert())
    .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

fn setnx(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let value = args.next()?;
    if cx.keys.for_write(key).is_some() {
        reply.integer(0);
        return Ok(Outcome::Same);
    }
    cx.keys.set_string(key, StringValue::of(value), Expiry::Clear);
    cx.keys.event(EventClass::String, "set", key);
    reply.integer(1);
    Ok(Outcome::Changed)
}

pub(super) static SETEX: Command = command("SETEX", "key seconds value", setex)
    .about("2.0.0", "O(1)", "Sets the string value of a key and its time to live in seconds.")
    .arity(4)
    .keys(KeySpec::first().ow().update())
    .flags(&[Flag::Write, Flag::DenyOom]);

fn setex(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let deadline = Deadline::in_seconds(args.next()?);
    let at_ms = deadline.at_ms(cx.env.now_ms(), "setex")?;
    let value = args.next()?;
    Ok(set_at(cx, reply, key, value, at_ms))
}

pub(super) static PSETEX: Command = command("PSETEX", "key milliseconds value", psetex)
    .about("2.6.0", "O(1)", "Sets the string value of a key and its time to live in milliseconds.")
    .arity(4)
    .keys(KeySpec::first().ow().update())
    .flags(&[Flag::Write, Flag::DenyOom]);

fn psetex(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let deadline = Deadline::in_milliseconds(args.next()?);
    let at_ms = deadline.at_ms(cx.env.now_ms(), "psetex")?;
    let value = args.next()?;
    Ok(set_at(cx, reply, key, value, at_ms))
}

fn set_at(cx: &mut Ctx, reply: &mut Reply, key: Key, value: &[u8], at_ms: i64) -> Outcome {
    cx.keys.set_string(key, StringValue::of(value), Expiry::At(at_ms));
    cx.keys.event(EventClass::String, "set", key);
    cx.keys.event(EventClass::Generic, "expire", key);
    reply.ok();
    cx.env.changed_as(|| set_until(key, value, at_ms))
}

pub(super) static GETSET: Command = command("GETSET", "key value", getset)
    .about("1.0.0", "O(1)", "Sets the string value of a key and returns the old one.")
    .arity(3)
    .keys(KeySpec::first().rw().access().update())
    .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast])
    .deprecated("6.2.0", "`SET` with the `!GET` argument");

fn getset(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let value = args.next()?;
    reply_value(reply, cx.keys.read_string(key)?);
    cx.keys.set_string(key, StringValue::of(value), Expiry::Clear);
    cx.keys.event(EventClass::String, "set", key);
    Ok(cx.env.changed_as(|| Outcome::changed_as(&[b"SET", key.bytes(), value])))
}

#[cfg(test)]
mod tests;
