//! Deadlines of members: what `HEXPIRE`, `HTTL`, `HPERSIST` and their relatives do, for hashes, sets and sorted sets
//! alike. A family declares its commands and names these functions as their handlers.
//!
//! A request counts its members: `... FIELDS 2 a b`. The reply is an array with one code per member. Members whose time
//! has come are not met here: the keyspace removes them before a handler looks.

use crate::model::{Args, Ctx, Env, Error, Outcome, Reply, parse_i64};
use smallvec::SmallVec;
use tidegate_data::{Collection, EventClass, Key, NEVER_MS};

/// A type whose members may have deadlines, and how clients speak of them.
pub(super) trait Timed: Collection {
    /// Class of its events.
    const CLASS: EventClass;
    /// The word before the number of members: `FIELDS` or `MEMBERS`.
    const MEMBERS: &'static str;
    /// Event of a new deadline: `hexpire`.
    const EXPIRE_EVENT: &'static str;
    /// Event of a deadline that was taken back: `hpersist`.
    const PERSIST_EVENT: &'static str;
    /// Event of a member that was removed: `hdel`.
    const REMOVE_EVENT: &'static str;
    /// The command that removes members: `HDEL`.
    const REMOVE: &'static [u8];
    /// The command that sets a deadline in Unix milliseconds: `HPEXPIREAT`.
    const EXPIRE_AT: &'static [u8];

    /// When a member is due, Unix milliseconds, [`NEVER_MS`] if it has no deadline; `None` if there is no such member.
    fn deadline_ms(view: Self::Ref<'_>, member: &[u8]) -> Option<i64>;

    /// Sets or takes back the deadline of a member that is there.
    fn set_deadline(&mut self, member: &[u8], deadline_ms: Option<i64>);

    /// Removes a member that is there.
    fn remove_member(&mut self, member: &[u8]);
}

/// What became of one member, as the reply says it.
const NO_MEMBER: i64 = -2;
const NO_DEADLINE: i64 = -1;
const REFUSED: i64 = 0;
const DONE: i64 = 1;
const REMOVED: i64 = 2;

/// The last deadline Redis accepts for a member, Unix milliseconds.
const DEADLINE_MS_MAX: i64 = (1 << 46) - 1;

/// How a number gives a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// `HEXPIRE`, `EX`
    Seconds,
    /// `HPEXPIRE`, `PX`
    Milliseconds,
    /// `HEXPIREAT`, `EXAT`
    UnixSeconds,
    /// `HPEXPIREAT`, `PXAT`
    UnixMilliseconds,
}

impl Unit {
    /// The unit of an option that gives a deadline.
    pub(super) fn of_option(word: &[u8]) -> Option<Self> {
        let units = [
            ("EX", Unit::Seconds),
            ("PX", Unit::Milliseconds),
            ("EXAT", Unit::UnixSeconds),
            ("PXAT", Unit::UnixMilliseconds),
        ];
        units.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes())).map(|(_, unit)| unit)
    }

    /// Reads a number as a deadline in Unix milliseconds. Refuses times before 1970 and those too far away in the name
    /// of the command.
    pub(super) fn read(self, env: &Env, args: &mut Args) -> Result<i64, Error> {
        let number = args.integer()?;
        if number < 0 {
            return Err(Error::new("ERR invalid expire time, must be >= 0"));
        }
        let base_ms = match self {
            Unit::Seconds | Unit::Milliseconds => env.now_ms(),
            Unit::UnixSeconds | Unit::UnixMilliseconds => 0,
        };
        let unit_ms = match self {
            Unit::Seconds | Unit::UnixSeconds => 1000,
            Unit::Milliseconds | Unit::UnixMilliseconds => 1,
        };
        let sum = number.checked_mul(unit_ms).and_then(|ms| ms.checked_add(base_ms));
        sum.filter(|deadline_ms| *deadline_ms <= DEADLINE_MS_MAX).ok_or_else(|| {
            let name = args.get(0).to_ascii_lowercase();
            Error::text([b"ERR invalid expire time in '", &*name, b"' command"].concat())
        })
    }
}

/// When a deadline may take the place of the present one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    /// `NX`: if there is none.
    Missing,
    /// `XX`: if there is one.
    Present,
    /// `GT`: if it is later. No deadline is later than any.
    Later,
    /// `LT`: if it is earlier.
    Earlier,
}

impl Condition {
    fn take(args: &mut Args) -> Self {
        let conditions = [
            ("NX", Condition::Missing),
            ("XX", Condition::Present),
            ("GT", Condition::Later),
            ("LT", Condition::Earlier),
        ];
        let found = conditions.into_iter().find(|(word, _)| args.take_word(word));
        found.map_or(Condition::Always, |(_, condition)| condition)
    }

    fn allows(self, present: i64, new: i64) -> bool {
        match self {
            Condition::Always => true,
            Condition::Missing => present == NEVER_MS,
            Condition::Present => present != NEVER_MS,
            Condition::Later => new > present,
            Condition::Earlier => new < present,
        }
    }
}

/// Reads `FIELDS numfields`; the rest of the arguments are as many members.
///
/// `wrong_count` is what is said about a number that is none or too small.
pub(super) fn count_members<T: Timed>(
    args: &mut Args,
    wrong_count: impl FnOnce() -> String,
) -> Result<usize, Error> {
    if !args.take_word(T::MEMBERS) {
        return Err(Error::text(format!(
            "ERR Mandatory argument {} is missing or not at the right position",
            T::MEMBERS
        )));
    }
    // A condition in the place of the word leaves the number out.
    let number = args.next().map_err(|_| arity(args))?;
    let count = parse_i64(number).filter(|count| *count > 0);
    let count = count.ok_or_else(|| Error::text(wrong_count()))?;
    if usize::try_from(count) == Ok(args.remaining()) {
        return Ok(args.remaining());
    }
    let parameter = T::MEMBERS.to_ascii_lowercase();
    Err(Error::text(format!("ERR The `num{parameter}` parameter must match the number of arguments")))
}

/// What most commands say about a number of members that is none or too small.
pub(super) fn no_positive_count<T: Timed>() -> String {
    format!("ERR Number of {} must be a positive integer", T::MEMBERS.to_ascii_lowercase())
}

fn arity(args: &Args) -> Error {
    Error::Arity(String::from_utf8_lossy(&args.get(0).to_ascii_lowercase()).into_owned().into())
}

/// `HEXPIRE key seconds [NX|XX|GT|LT] FIELDS numfields field [field ...]`
pub(super) fn expire<T: Timed>(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    set_deadlines::<T>(cx, args, reply, Unit::Seconds)
}

/// `HPEXPIRE key milliseconds [NX|XX|GT|LT] FIELDS numfields field [field ...]`
pub(super) fn pexpire<T: Timed>(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    set_deadlines::<T>(cx, args, reply, Unit::Milliseconds)
}

/// `HEXPIREAT key unix-time-seconds [NX|XX|GT|LT] FIELDS numfields field [field ...]`
pub(super) fn expireat<T: Timed>(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    set_deadlines::<T>(cx, args, reply, Unit::UnixSeconds)
}

/// `HPEXPIREAT key unix-time-milliseconds [NX|XX|GT|LT] FIELDS numfields field [field ...]`
pub(super) fn pexpireat<T: Timed>(
    cx: &mut Ctx,
    args: &mut Args,
    reply: &mut Reply,
) -> Result<Outcome, Error> {
    set_deadlines::<T>(cx, args, reply, Unit::UnixMilliseconds)
}

fn set_deadlines<T: Timed>(
    cx: &mut Ctx,
    args: &mut Args,
    reply: &mut Reply,
    unit: Unit,
) -> Result<Outcome, Error> {
    let key = args.key()?;
    let present = cx.keys.write_as::<T>(key)?;
    let deadline_ms = unit.read(&cx.env, args)?;
    let condition = Condition::take(args);
    let count = count_members::<T>(args, || {
        format!("ERR Parameter `num{}` should be greater than 0", capitalised(T::MEMBERS))
    })?;
    reply.array(count);
    let Some(mut collection) = present else {
        args.rest().for_each(|_| reply.integer(NO_MEMBER));
        return Ok(Outcome::Same);
    };
    // A replica or a loading server keeps the member until its primary, or the journal, removes it.
    let removes = deadline_ms <= cx.env.now_ms() && collection.removes_due();
    let mut changed = Names::new();
    for member in args.rest() {
        let code = match T::deadline_ms(collection.view(), member) {
            None => NO_MEMBER,
            Some(present) if !condition.allows(present, deadline_ms) => REFUSED,
            Some(_) if removes => {
                collection.change().remove_member(member);
                changed.push(member);
                REMOVED
            }
            Some(_) => {
                collection.change().set_deadline(member, Some(deadline_ms));
                changed.push(member);
                DONE
            }
        };
        reply.integer(code);
    }
    if changed.is_empty() {
        return Ok(Outcome::Same);
    }
    collection.count_changes(changed.len() as u64 - 1);
    collection.event_of(T::CLASS, if removes { T::REMOVE_EVENT } else { T::EXPIRE_EVENT }, &changed);
    Ok(if removes { removed::<T>(key, &changed) } else { set::<T>(key, deadline_ms, &changed) })
}

/// `FIELDS` as it stands in `numFields`.
fn capitalised(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    format!("{first}{}", rest.to_ascii_lowercase())
}

/// Members that a request changed.
pub(super) type Names<'a> = SmallVec<[&'a [u8]; 8]>;

/// What is replayed where members were removed.
pub(super) fn removed<T: Timed>(key: Key, members: &[&[u8]]) -> Outcome {
    let words: Names = [T::REMOVE, key.bytes()].into_iter().chain(members.iter().copied()).collect();
    Outcome::changed_as(&words)
}

/// What is replayed where members got a deadline.
pub(super) fn set<T: Timed>(key: Key, deadline_ms: i64, members: &[&[u8]]) -> Outcome {
    let deadline = deadline_ms.to_string();
    let count = members.len().to_string();
    let head = [T::EXPIRE_AT, key.bytes(), deadline.as_bytes(), T::MEMBERS.as_bytes(), count.as_bytes()];
    let words: Names = head.into_iter().chain(members.iter().copied()).collect();
    Outcome::changed_as(&words)
}

/// `HTTL key FIELDS numfields field [field ...]`: rounded up, so that it is 0 for no living member.
pub(super) fn ttl<T: Timed>(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let now_ms = cx.env.now_ms();
    ask::<T>(cx, args, reply, |deadline_ms| (deadline_ms.saturating_add(999) - now_ms) / 1000)
}

/// `HPTTL key FIELDS numfields field [field ...]`
pub(super) fn pttl<T: Timed>(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let now_ms = cx.env.now_ms();
    ask::<T>(cx, args, reply, |deadline_ms| deadline_ms - now_ms)
}

/// `HEXPIRETIME key FIELDS numfields field [field ...]`
pub(super) fn expiretime<T: Timed>(
    cx: &mut Ctx,
    args: &mut Args,
    reply: &mut Reply,
) -> Result<Outcome, Error> {
    ask::<T>(cx, args, reply, |deadline_ms| deadline_ms.saturating_add(999) / 1000)
}

/// `HPEXPIRETIME key FIELDS numfields field [field ...]`
pub(super) fn pexpiretime<T: Timed>(
    cx: &mut Ctx,
    args: &mut Args,
    reply: &mut Reply,
) -> Result<Outcome, Error> {
    ask::<T>(cx, args, reply, |deadline_ms| deadline_ms)
}

fn ask<T: Timed>(
    cx: &mut Ctx,
    args: &mut Args,
    reply: &mut Reply,
    answer: impl Fn(i64) -> i64,
) -> Result<Outcome, Error> {
    let key = args.key()?;
    let collection = cx.keys.read_as::<T>(key)?;
    let count = count_members::<T>(args, no_positive_count::<T>)?;
    reply.array(count);
    for member in args.rest() {
        reply.integer(match collection.and_then(|collection| T::deadline_ms(collection, member)) {
            None => NO_MEMBER,
            Some(NEVER_MS) => NO_DEADLINE,
            Some(deadline_ms) => answer(deadline_ms),
        });
    }
    Ok(Outcome::Same)
}

/// `HPERSIST key FIELDS numfields field [field ...]`
pub(super) fn persist<T: Timed>(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let present = cx.keys.write_as::<T>(key)?;
    let count = count_members::<T>(args, no_positive_count::<T>)?;
    reply.array(count);
    let Some(mut collection) = present else {
        args.rest().for_each(|_| reply.integer(NO_MEMBER));
        return Ok(Outcome::Same);
    };
    let mut changed = Names::new();
    for member in args.rest() {
        reply.integer(match T::deadline_ms(collection.view(), member) {
            None => NO_MEMBER,
            Some(NEVER_MS) => NO_DEADLINE,
            Some(_) => {
                collection.change().set_deadline(member, None);
                changed.push(member);
                DONE
            }
        });
    }
    if !changed.is_empty() {
        collection.event_of(T::CLASS, T::PERSIST_EVENT, &changed);
    }
    Ok(Outcome::changed_if(!changed.is_empty()))
}
