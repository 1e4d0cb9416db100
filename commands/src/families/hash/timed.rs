//! Values and deadlines with one command: `HGETEX`, `HGETDEL`, `HSETEX`.

use super::{limits, reply_item_or_null};
use crate::families::member_expiry::{Names, Unit, count_members, no_positive_count, removed, set};
use crate::model::{Args, Command, Ctx, Env, Error, Flag, KeySpec, Outcome, Reply, command, parse_i64};
use tidegate_data::{EventClass, Expiry, Hash, Key, NEVER_MS};

const COST: &str = "O(N) where N is the number of specified fields";

pub(super) static HGETDEL: Command =
    command("HGETDEL", "key FIELDS numfields(integer) field [field ...]", hgetdel)
        .about("8.0.0", COST, "Returns the values of fields of a hash and removes them.")
        .arity(-5)
        .keys(KeySpec::first().rw().access().delete())
        .flags(&[Flag::Write, Flag::Fast]);

fn hgetdel(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let present = cx.keys.write_as::<Hash>(key)?;
    let count = count_members::<Hash>(args, no_positive_count::<Hash>)?;
    reply.array(count);
    let Some(mut hash) = present else {
        args.rest().for_each(|_| reply.null());
        return Ok(Outcome::Same);
    };
    let mut gone = Names::new();
    for field in args.rest() {
        let value = hash.view().get(field);
        reply_item_or_null(reply, value);
        if value.is_some() {
            hash.change().remove(field);
            gone.push(field);
        }
    }
    if gone.is_empty() {
        return Ok(Outcome::Same);
    }
    hash.count_changes(gone.len() as u64 - 1);
    hash.event_of(EventClass::Hash, "hdel", &gone);
    Ok(removed::<Hash>(key, &gone))
}

pub(super) static HGETEX: Command = command(
    "HGETEX",
    "key [expiration: EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|PERSIST] \
     FIELDS numfields(integer) field [field ...]",
    hgetex,
)
.about("8.0.0", COST, "Returns the values of fields of a hash, and sets or takes back when they end.")
.arity(-5)
.keys(KeySpec::first().rw().access().update())
.flags(&[Flag::Write, Flag::Fast]);

fn hgetex(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let present = cx.keys.write_as::<Hash>(key)?;
    // The new deadline: none is NEVER_MS.
    let deadline_ms = match Unit::of_option(args.peek().unwrap_or_default()) {
        Some(unit) => {
            args.skip(1);
            Some(unit.read(&cx.env, args)?)
        }
        None => args.take_word("PERSIST").then_some(NEVER_MS),
    };
    let count = count_members::<Hash>(args, no_positive_count::<Hash>)?;
    reply.array(count);
    let Some(mut hash) = present else {
        args.rest().for_each(|_| reply.null());
        return Ok(Outcome::Same);
    };
    let removes = match deadline_ms {
        None | Some(NEVER_MS) => false,
        Some(deadline_ms) => deadline_ms <= cx.env.now_ms() && hash.removes_due(),
    };
    let mut changed = Names::new();
    for field in args.rest() {
        reply_item_or_null(reply, hash.view().get(field));
        let (Some(present), Some(deadline_ms)) = (hash.view().deadline_ms(field), deadline_ms) else {
            continue;
        };
        if removes {
            hash.change().remove(field);
        } else if deadline_ms != NEVER_MS {
            hash.change().set_deadline(field, Some(deadline_ms));
        } else if present != NEVER_MS {
            hash.change().set_deadline(field, None);
        } else {
            continue;
        }
        changed.push(field);
    }
    let Some(deadline_ms) = deadline_ms.filter(|_| !changed.is_empty()) else { return Ok(Outcome::Same) };
    hash.count_changes(changed.len() as u64 - 1);
    if removes {
        hash.event_of(EventClass::Hash, "hdel", &changed);
        return Ok(removed::<Hash>(key, &changed));
    }
    if deadline_ms == NEVER_MS {
        hash.event_of(EventClass::Hash, "hpersist", &changed);
        return Ok(persisted(key, &changed));
    }
    hash.event_of(EventClass::Hash, "hexpire", &changed);
    Ok(set::<Hash>(key, deadline_ms, &changed))
}

fn persisted(key: Key, fields: &[&[u8]]) -> Outcome {
    let count = fields.len().to_string();
    let head: [&[u8]; 4] = [b"HPERSIST", key.bytes(), b"FIELDS", count.as_bytes()];
    let words: Names = head.into_iter().chain(fields.iter().copied()).collect();
    Outcome::changed_as(&words)
}

pub(super) static HSETEX: Command = command(
    "HSETEX",
    "key [condition: FNX|FXX] \
     [expiration: EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL] \
     FIELDS numfields(integer) field value [field value ...]",
    hsetex,
)
.about(
    "8.0.0",
    "O(N) where N is the number of fields being set.",
    "Sets fields of a hash, on a condition and with a time at which they end.",
)
.arity(-6)
.keys(KeySpec::first().rw().update())
.flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

/// When `HSETEX` sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    /// `FNX`
    AllMissing,
    /// `FXX`
    AllPresent,
}

/// What stands between the key and the fields of `HSETEX`.
struct Options {
    condition: Option<Condition>,
    deadline: Expiry,
}

impl Options {
    /// Reads the options and the number of fields; the rest of the arguments are the fields with their values.
    fn read(env: &Env, args: &mut Args) -> Result<Self, Error> {
        let (mut condition, mut deadline) = (None, None);
        loop {
            if args.take_word("FIELDS") {
                Self::count_pairs(args)?;
                return Ok(Options { condition, deadline: deadline.unwrap_or(Expiry::Clear) });
            }
            let word = args.next().map_err(|_| Error::Arity("hsetex".into()))?;
            let unit = Unit::of_option(word);
            if unit.is_some() || word.eq_ignore_ascii_case(b"KEEPTTL") {
                if deadline.is_some() {
                    return Err(Error::new(
                        "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
                    ));
                }
                if args.is_done() && unit.is_some() {
                    return Err(Error::new("ERR missing expire time"));
                }
                deadline = Some(match unit {
                    Some(unit) => Expiry::At(unit.read(env, args)?),
                    None => Expiry::Keep,
                });
                continue;
            }
            let wanted = if word.eq_ignore_ascii_case(b"FXX") {
                Condition::AllPresent
            } else if word.eq_ignore_ascii_case(b"FNX") {
                Condition::AllMissing
            } else {
                // Redis prints it as a C string.
                let word = word.split(|&byte| byte == 0).next().unwrap_or_default();
                return Err(Error::text([b"ERR unknown argument: ", word].concat()));
            };
            if condition.replace(wanted).is_some() {
                return Err(Error::new("ERR Only one of FXX or FNX arguments can be specified"));
            }
        }
    }

    fn count_pairs(args: &mut Args) -> Result<(), Error> {
        let arity = || Error::Arity("hsetex".into());
        if args.remaining() < 3 {
            return Err(arity());
        }
        let count = parse_i64(args.next()?).filter(|count| (1..=i64::from(i32::MAX)).contains(count));
        let count = count.ok_or_else(|| Error::new("ERR invalid number of fields"))?;
        if args.remaining() as u64 == 2 * count as u64 { Ok(()) } else { Err(arity()) }
    }
}

fn hsetex(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let Options { condition, deadline } = Options::read(&cx.env, args)?;
    let limits = limits(cx);
    let mut hash = cx.keys.write_or_create::<Hash>(key)?;
    let pairs = args.clone();
    if let Some(condition) = condition {
        let mut fields = args.rest().step_by(2);
        let met = fields.all(|field| hash.view().contains(field) == (condition == Condition::AllPresent));
        if !met {
            reply.integer(0);
            return Ok(Outcome::Same);
        }
    }
    let pairs = || pairs.clone().rest();
    reply.integer(1);
    if let Expiry::At(deadline_ms) = deadline
        && deadline_ms <= cx.env.now_ms()
        && hash.removes_due()
    {
        // Redis sets the fields and removes them again, and tells of both.
        let is_new = hash.is_new();
        let fields = hash.change();
        let mut gone = Names::new();
        for field in pairs().step_by(2) {
            fields.remove(field);
            gone.push(field);
        }
        hash.count_changes(gone.len() as u64 - 1);
        hash.event_of(EventClass::Hash, "hset", &gone);
        hash.event_of(EventClass::Hash, "hdel", &gone);
        if is_new {
            hash.event(EventClass::Generic, "del");
        }
        return Ok(removed::<Hash>(key, &gone));
    }
    let fields = hash.change();
    for (field, value) in pairs().step_by(2).zip(pairs().skip(1).step_by(2)) {
        fields.set(field, value, deadline, limits);
    }
    hash.count_changes(pairs().len() as u64 / 2 - 1);
    hash.event_of(EventClass::Hash, "hset", pairs().step_by(2));
    if let Expiry::At(_) = deadline {
        hash.event_of(EventClass::Hash, "hexpire", pairs().step_by(2));
    }
    let count = (pairs().len() / 2).to_string();
    let at_ms = if let Expiry::At(deadline_ms) = deadline { deadline_ms.to_string() } else { String::new() };
    let mut words: Names = match deadline {
        Expiry::Clear => [b"HSET", key.bytes()].into_iter().collect(),
        Expiry::Keep => {
            [b"HSETEX", key.bytes(), b"KEEPTTL", b"FIELDS", count.as_bytes()].into_iter().collect()
        }
        Expiry::At(_) => {
            let head = [b"HSETEX", key.bytes(), b"PXAT", at_ms.as_bytes(), b"FIELDS", count.as_bytes()];
            head.into_iter().collect()
        }
    };
    words.extend(pairs());
    Ok(Outcome::changed_as(&words))
}

#[cfg(test)]
mod tests;
