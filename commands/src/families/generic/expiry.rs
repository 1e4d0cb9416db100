//! Deadlines: setting, asking for and removing the time a key ends at.

use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use smallvec::SmallVec;
use tidegate_data::{EventClass, Record};

const SET_FLAGS: &[Flag] = &[Flag::Write, Flag::Fast];
const ASK_FLAGS: &[Flag] = &[Flag::Readonly, Flag::Fast];
const CHANGES: KeySpec = KeySpec::first().rw().update();
const ASKS: KeySpec = KeySpec::first().ro().access();
const CONDITIONS_ADDED: &[(&str, &str)] = &[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")];
const MISSING_ADDED: &[(&str, &str)] = &[("2.8.0", "Added the -2 reply.")];

pub(super) static EXPIRE: Command =
    command("EXPIRE", "key seconds [condition: NX|XX|GT|LT]@7.0.0", |cx, args, reply| {
        let now_ms = cx.env.now_ms();
        expire(cx, args, reply, &Form { name: "expire", unit_ms: 1000, base_ms: now_ms })
    })
    .about("1.0.0", "O(1)", "Lets a key end after a number of seconds.")
    .arity(-3)
    .keys(CHANGES)
    .flags(SET_FLAGS)
    .history(CONDITIONS_ADDED);

pub(super) static PEXPIRE: Command =
    command("PEXPIRE", "key milliseconds [condition: NX|XX|GT|LT]@7.0.0", |cx, args, reply| {
        let now_ms = cx.env.now_ms();
        expire(cx, args, reply, &Form { name: "pexpire", unit_ms: 1, base_ms: now_ms })
    })
    .about("2.6.0", "O(1)", "Lets a key end after a number of milliseconds.")
    .arity(-3)
    .keys(CHANGES)
    .flags(SET_FLAGS)
    .history(CONDITIONS_ADDED);

pub(super) static EXPIREAT: Command =
    command("EXPIREAT", "key unix-time-seconds [condition: NX|XX|GT|LT]@7.0.0", |cx, args, reply| {
        expire(cx, args, reply, &Form { name: "expireat", unit_ms: 1000, base_ms: 0 })
    })
    .about("1.2.0", "O(1)", "Lets a key end at a Unix time in seconds.")
    .arity(-3)
    .keys(CHANGES)
    .flags(SET_FLAGS)
    .history(CONDITIONS_ADDED);

pub(super) static PEXPIREAT: Command =
    command("PEXPIREAT", "key unix-time-milliseconds [condition: NX|XX|GT|LT]@7.0.0", |cx, args, reply| {
        expire(cx, args, reply, &Form { name: "pexpireat", unit_ms: 1, base_ms: 0 })
    })
    .about("2.6.0", "O(1)", "Lets a key end at a Unix time in milliseconds.")
    .arity(-3)
    .keys(CHANGES)
    .flags(SET_FLAGS)
    .history(CONDITIONS_ADDED);

/// In what the four commands that set a deadline differ.
struct Form {
    name: &'static str,
    unit_ms: i64,
    base_ms: i64,
}

impl Form {
    /// The deadline that `amount` stands for, as Unix time in milliseconds.
    fn deadline(&self, amount: i64) -> Result<i64, Error> {
        let sum = amount.checked_mul(self.unit_ms).and_then(|ms| ms.checked_add(self.base_ms));
        sum.ok_or_else(|| Error::text(format!("ERR invalid expire time in '{}' command", self.name)))
    }
}

fn expire(cx: &mut Ctx, args: &mut Args, reply: &mut Reply, form: &Form) -> Result<Outcome, Error> {
    let key = args.key()?;
    // Redis looks at the options before it looks at the time.
    let mut time = args.clone();
    args.next()?;
    let options = args.clone();
    let conditions = Conditions::parse(args)?;
    let deadline = form.deadline(time.integer()?)?;
    let Some(present) = cx.keys.for_write(key).map(Record::expiry_ms) else {
        reply.integer(0);
        return Ok(Outcome::Same);
    };
    if !conditions.allow(present, deadline) {
        reply.integer(0);
        return Ok(Outcome::Same);
    }
    reply.integer(1);
    // A replica or a loading server keeps the key until its primary, or the journal, deletes it.
    if deadline <= cx.env.now_ms() && cx.keys.rules().delete_expired {
        cx.keys.remove(key);
        cx.keys.event(EventClass::Generic, "del", key);
        return Ok(Outcome::changed_as(&[b"DEL", key.bytes()]));
    }
    cx.keys.set_expiry(key, Some(deadline));
    cx.keys.event(EventClass::Generic, "expire", key);
    Ok(cx.env.changed_as(move || {
        let deadline = deadline.to_string();
        let timed = [b"PEXPIREAT", key.bytes(), deadline.as_bytes()];
        let mut options = options;
        let effect: SmallVec<[&[u8]; 5]> = timed.into_iter().chain(options.rest()).collect();
        Outcome::changed_as(&effect)
    }))
}

/// When a new deadline may take the place of the present one: all bits that are set must agree.
#[derive(Debug, Clone, Copy, Default)]
struct Conditions(u8);

impl Conditions {
    const NX: u8 = 1;
    const XX: u8 = 2;
    const GT: u8 = 4;
    const LT: u8 = 8;

    fn parse(args: &mut Args) -> Result<Self, Error> {
        let mut set = 0;
        while !args.is_done() {
            set |= if args.take_word("NX") {
                Self::NX
            } else if args.take_word("XX") {
                Self::XX
            } else if args.take_word("GT") {
                Self::GT
            } else if args.take_word("LT") {
                Self::LT
            } else {
                // Redis prints it as a C string.
                let word = args.next()?.split(|&byte| byte == 0).next().unwrap_or_default();
                return Err(Error::text([b"ERR Unsupported option ", word].concat()));
            };
        }
        let conditions = Conditions(set);
        if conditions.has(Self::NX) && set != Self::NX {
            return Err(Error::new("ERR NX and XX, GT or LT options at the same time are not compatible"));
        }
        if conditions.has(Self::GT) && conditions.has(Self::LT) {
            return Err(Error::new("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(conditions)
    }

    fn has(self, condition: u8) -> bool {
        self.0 & condition != 0
    }

    /// A key without deadline counts as ending after any other.
    fn allow(self, present: Option<i64>, new: i64) -> bool {
        let refused = match present {
            None => Self::XX | Self::GT,
            Some(present) => {
                let not_greater = if new <= present { Self::GT } else { 0 };
                let not_less = if new >= present { Self::LT } else { 0 };
                Self::NX | not_greater | not_less
            }
        };
        !self.has(refused)
    }
}

pub(super) static TTL: Command = command("TTL", "key", |cx, args, reply| {
    ask(cx, args, reply, |deadline, now_ms| seconds(left(deadline, now_ms)))
})
.about("1.0.0", "O(1)", "Tells how many seconds a key has left.")
.arity(2)
.keys(ASKS)
.flags(ASK_FLAGS)
.tips(&["nondeterministic_output"])
.history(MISSING_ADDED);

pub(super) static PTTL: Command = command("PTTL", "key", |cx, args, reply| ask(cx, args, reply, left))
    .about("2.6.0", "O(1)", "Tells how many milliseconds a key has left.")
    .arity(2)
    .keys(ASKS)
    .flags(ASK_FLAGS)
    .tips(&["nondeterministic_output"])
    .history(MISSING_ADDED);

pub(super) static EXPIRETIME: Command = command("EXPIRETIME", "key", |cx, args, reply| {
    ask(cx, args, reply, |deadline, _| seconds(deadline.max(0)))
})
.about("7.0.0", "O(1)", "Tells the Unix time in seconds a key ends at.")
.arity(2)
.keys(ASKS)
.flags(ASK_FLAGS);

pub(super) static PEXPIRETIME: Command =
    command("PEXPIRETIME", "key", |cx, args, reply| ask(cx, args, reply, |deadline, _| deadline.max(0)))
        .about("7.0.0", "O(1)", "Tells the Unix time in milliseconds a key ends at.")
        .arity(2)
        .keys(ASKS)
        .flags(ASK_FLAGS);

/// Answers -2 without key, -1 without deadline, else what `answer` makes of the deadline and the present time.
fn ask(
    cx: &mut Ctx,
    args: &mut Args,
    reply: &mut Reply,
    answer: fn(i64, i64) -> i64,
) -> Result<Outcome, Error> {
    let key = args.key()?;
    reply.integer(match cx.keys.inspect(key).map(Record::expiry_ms) {
        None => -2,
        Some(None) => -1,
        Some(Some(deadline)) => answer(deadline, cx.env.now_ms()),
    });
    Ok(Outcome::Same)
}

fn left(deadline: i64, now_ms: i64) -> i64 {
    deadline.saturating_sub(now_ms).max(0)
}

/// Rounded to the nearest second. `ms` is not negative; half a second more may be beyond an `i64`.
fn seconds(ms: i64) -> i64 {
    ((ms as u64 + 500) / 1000) as i64
}

pub(super) static PERSIST: Command = command("PERSIST", "key", persist)
    .about("2.2.0", "O(1)", "Lets a key live forever again.")
    .arity(2)
    .keys(CHANGES)
    .flags(SET_FLAGS);

fn persist(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let ends = cx.keys.for_write(key).is_some_and(|record| record.expiry_ms().is_some());
    if ends {
        cx.keys.set_expiry(key, None);
        cx.keys.event(EventClass::Generic, "persist", key);
    }
    reply.integer(i64::from(ends));
    Ok(Outcome::changed_if(ends))
}

#[cfg(test)]
mod tests;
