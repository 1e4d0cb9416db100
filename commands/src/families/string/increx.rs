//! `INCREX`: a counter with bounds and a lifetime in one command, for rate limits and windows. Redis has it since 8.8;
//! the conditions `NX` and `XX` are Valkey's (9.2).

use super::counters::{long_double_of, store_text};
use super::expire_option::{Besides, Lifetime};
use super::integer_of;
use crate::model::{
    Args, Command, Ctx, Error, Flag, KeySpec, LongDouble, Outcome, Reply, command, parse_i64,
};
use tidegate_data::{EventClass, Expiry, Key, StringValue, TypeCode, ValueRef, WrongType};

pub(super) static INCREX: Command = command(
    "INCREX",
    "key [condition: NX|XX] [increment: BYFLOAT float|BYINT integer] [LBOUND lowerbound] [UBOUND upperbound] \
     [SATURATE] \
     [expiration: EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|PERSIST] [ENX]",
    increx,
)
.about(
    "8.8.0",
    "O(1)",
    "Adds to the number a key holds, within bounds, and sets or removes its expiry; a missing key counts as 0.",
)
.arity(-2)
.keys(KeySpec::first().rw().access().update())
.flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

fn increx(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let options = Options::parse(args)?;
    let step = options.step()?;
    let at_ms = match options.lifetime {
        Lifetime::Until(deadline) => Some(deadline.at_ms(cx.env.now_ms(), "increx")?),
        _ => None,
    };
    let record = cx.keys.for_write(key);
    let present = match record {
        None => None,
        Some(record) if record.type_code() == TypeCode::String => Some(record.value()),
        Some(_) => return Err(WrongType.into()),
    };
    let has_deadline = record.is_some_and(|record| record.expiry_ms().is_some());
    let (before, after) = step.apply(present, options.saturate)?;
    let is_missing = present.is_none();
    let wanted = options.condition.is_none_or(|condition| (condition == Condition::Missing) == is_missing);
    let Some(after) = after.filter(|_| wanted) else {
        reply.array(2);
        before.reply(reply);
        before.zero().reply(reply);
        return Ok(Outcome::Same);
    };
    let applied = after.since(before)?;
    reply.array(2);
    after.reply(reply);
    applied.reply(reply);
    let change = match (options.lifetime, at_ms) {
        (_, Some(_)) if options.enx && has_deadline => Change::Keep,
        (Lifetime::Until(deadline), Some(at_ms)) if deadline.is_absolute() && at_ms <= cx.env.now_ms() => {
            return Ok(delete(cx, key));
        }
        (_, Some(at_ms)) => Change::Set(at_ms),
        (Lifetime::Persist, _) if has_deadline => Change::Remove,
        _ => Change::Keep,
    };
    Ok(store(cx, key, after, change))
}

/// What happens to the deadline of the key.
#[derive(Debug, Clone, Copy)]
enum Change {
    Keep,
    Remove,
    Set(i64),
}

/// Stores the new number; replayed as a `SET`, which every version of Redis knows.
fn store(cx: &mut Ctx, key: Key, number: Number, change: Change) -> Outcome {
    let expiry = match change {
        Change::Keep => Expiry::Keep,
        Change::Remove => Expiry::Clear,
        Change::Set(at_ms) => Expiry::At(at_ms),
    };
    let text = match number {
        Number::Int(n) => {
            cx.keys.set_string(key, StringValue::Int(n), expiry);
            cx.keys.event(EventClass::String, "incrby", key);
            n.to_string()
        }
        Number::Float(n) => {
            let text = n.to_text();
            store_text(cx, key, &text, expiry);
            cx.keys.event(EventClass::String, "incrbyfloat", key);
            text
        }
    };
    let set: [&[u8]; 3] = [b"SET", key.bytes(), text.as_bytes()];
    match change {
        Change::Keep => Outcome::changed_as(&[set[0], set[1], set[2], b"KEEPTTL"]),
        Change::Remove => {
            cx.keys.event(EventClass::Generic, "persist", key);
            Outcome::changed_as(&set)
        }
        Change::Set(at_ms) => {
            cx.keys.event(EventClass::Generic, "expire", key);
            Outcome::changed_as(&[set[0], set[1], set[2], b"PXAT", at_ms.to_string().as_bytes()])
        }
    }
}

/// The deadline has passed already: nothing is stored, and what was there goes away.
fn delete(cx: &mut Ctx, key: Key) -> Outcome {
    if !cx.keys.remove(key) {
        return Outcome::Same;
    }
    cx.keys.event(EventClass::Generic, "del", key);
    Outcome::changed_as(&[b"DEL", key.bytes()])
}

/// When `INCREX` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    /// `NX`
    Missing,
    /// `XX`
    Present,
}

/// The options as they were given; numbers are read later, because `BYFLOAT` may follow the bounds.
#[derive(Debug, Default)]
struct Options<'a> {
    condition: Option<Condition>,
    is_float: bool,
    increment: Option<&'a [u8]>,
    lower: Option<&'a [u8]>,
    upper: Option<&'a [u8]>,
    saturate: bool,
    lifetime: Lifetime<'a>,
    enx: bool,
}

impl<'a> Options<'a> {
    /// Reads the options. Unlike those of `SET`, none may be repeated.
    fn parse(args: &mut Args<'a>) -> Result<Self, Error> {
        let mut options = Options::default();
        while !args.is_done() {
            let word = args.next()?;
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            let is_new = if is("BYINT") || is("BYFLOAT") {
                options.is_float = is("BYFLOAT");
                options.increment.replace(args.next()?).is_none()
            } else if is("LBOUND") {
                options.lower.replace(args.next()?).is_none()
            } else if is("UBOUND") {
                options.upper.replace(args.next()?).is_none()
            } else if is("SATURATE") {
                !std::mem::replace(&mut options.saturate, true)
            } else if is("ENX") {
                !std::mem::replace(&mut options.enx, true)
            } else if is("NX") {
                options.condition.replace(Condition::Missing).is_none()
            } else if is("XX") {
                options.condition.replace(Condition::Present).is_none()
            } else {
                options.lifetime == Lifetime::Unsaid && options.lifetime.take(word, args, Besides::Persist)
            };
            if !is_new {
                return Err(Error::Syntax);
            }
        }
        match options.lifetime {
            Lifetime::Persist if options.enx => Err(Error::Syntax),
            Lifetime::Unsaid if options.enx => Err(Error::new("ERR ENX flag requires an expiration")),
            _ => Ok(options),
        }
    }

    fn step(&self) -> Result<Step, Error> {
        if self.is_float {
            let read = |text: &[u8], name: &str| {
                LongDouble::parse(text).ok_or_else(|| Error::text(format!("ERR {name} is not a valid float")))
            };
            let increment = read(self.increment.unwrap_or(b"1"), "Increment")?;
            if increment.is_infinite() {
                return Err(Error::new("ERR BYFLOAT increment cannot be Infinity"));
            }
            let lower = self.lower.map_or(Ok(-LongDouble::largest()), |text| read(text, "LBOUND"))?;
            let upper = self.upper.map_or(Ok(LongDouble::largest()), |text| read(text, "UBOUND"))?;
            return Ok(Step::Float(Bounded::new(increment, lower, upper)?));
        }
        let read = |text: &[u8], name: &str| {
            parse_i64(text)
                .ok_or_else(|| Error::text(format!("ERR {name} is not an integer or out of range")))
        };
        let increment = read(self.increment.unwrap_or(b"1"), "Increment")?;
        let lower = self.lower.map_or(Ok(i64::MIN), |text| read(text, "LBOUND"))?;
        let upper = self.upper.map_or(Ok(i64::MAX), |text| read(text, "UBOUND"))?;
        Ok(Step::Int(Bounded::new(increment, lower, upper)?))
    }
}

/// An increment and the bounds of the result.
#[derive(Debug, Clone, Copy)]
struct Bounded<T> {
    increment: T,
    lower: T,
    upper: T,
}

impl<T: PartialOrd + Copy> Bounded<T> {
    fn new(increment: T, lower: T, upper: T) -> Result<Self, Error> {
        if lower > upper {
            return Err(Error::new("ERR LBOUND can't be greater than UBOUND"));
        }
        Ok(Bounded { increment, lower, upper })
    }

    /// The sum if it is within the bounds, the bound it passed with `saturate`, else nothing.
    fn limit(self, sum: T, saturate: bool) -> Option<T> {
        if sum < self.lower {
            saturate.then_some(self.lower)
        } else if sum > self.upper {
            saturate.then_some(self.upper)
        } else {
            Some(sum)
        }
    }
}

/// What is added, in integers or in floating point.
#[derive(Debug, Clone, Copy)]
enum Step {
    Int(Bounded<i64>),
    Float(Bounded<LongDouble>),
}

impl Step {
    /// The present number and the next one, if the bounds allow one.
    fn apply(self, present: Option<ValueRef>, saturate: bool) -> Result<(Number, Option<Number>), Error> {
        match self {
            Step::Int(step) => {
                let before = integer_of(present)?;
                let after = match before.checked_add(step.increment) {
                    Some(sum) => step.limit(sum, saturate),
                    None if step.increment > 0 => saturate.then_some(step.upper),
                    None => saturate.then_some(step.lower),
                };
                Ok((Number::Int(before), after.map(Number::Int)))
            }
            Step::Float(step) => {
                let before = long_double_of(present)?;
                if before.is_infinite() {
                    return Err(Error::new("ERR value cannot be Infinity"));
                }
                let sum = before.checked_add(step.increment);
                let after = sum.and_then(|sum| step.limit(sum, saturate));
                Ok((Number::Float(before), after.map(Number::Float)))
            }
        }
    }
}

/// A number as it is answered.
#[derive(Debug, Clone, Copy)]
enum Number {
    Int(i64),
    Float(LongDouble),
}

impl Number {
    /// How much `self` is above `before`, which is of the same kind.
    fn since(self, before: Number) -> Result<Number, Error> {
        match (self, before) {
            (Number::Int(after), Number::Int(before)) => after
                .checked_sub(before)
                .map(Number::Int)
                .ok_or_else(|| Error::new("ERR applied increment would overflow")),
            (Number::Float(after), Number::Float(before)) => after
                .checked_sub(before)
                .filter(|applied| !applied.is_infinite())
                .map(Number::Float)
                .ok_or_else(|| Error::new("ERR applied increment would be Infinity")),
            _ => unreachable!("a step is either of integers or of floats"),
        }
    }

    fn zero(self) -> Number {
        match self {
            Number::Int(_) => Number::Int(0),
            Number::Float(_) => Number::Float(LongDouble::ZERO),
        }
    }

    fn reply(self, reply: &mut Reply) {
        match self {
            Number::Int(n) => reply.integer(n),
            Number::Float(n) => reply.double_digits(&n.to_text()),
        }
    }
}

#[cfg(test)]
mod tests;
