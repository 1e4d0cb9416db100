//! Effects of commands of our own: what the journal says of them. Only whoever loads it may call these; a client is told that
//! there is no such command.

use super::{breaker, cache, counter, idem, lock, queue, ratelimit, sequence, stream, uniq};
use crate::model::{
    Acl, Args, Command, Ctx, Effects, Error, Family, Flag, KeySpec, Outcome, Reply, command, family,
};
use tidegate_data::Record;

pub(super) static FAMILY: Family = family("server", Acl::NONE, &[&APPLY, &POLICY, &TAG, &BIND, &CLOCK]);

static APPLY: Command = command("NATIVE.APPLY", "key kind op [arg...]", apply)
    .about("1.0.0", "Depends on the kind.", "Makes what a key holds what it became.")
    .arity(-4)
    .keys(KeySpec::first().ow().update())
    .flags(&[Flag::Write, Flag::System]);

fn apply(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let outcome = match args.next()? {
        b"RL" => ratelimit::apply(cx, key, args)?,
        b"CT" => counter::apply(cx, key, args)?,
        b"SQ" => sequence::apply(cx, key, args)?,
        b"LK" => lock::apply(cx, key, args)?,
        b"ID" => idem::apply(cx, key, args)?,
        b"XQ" => queue::apply(cx, key, args)?,
        b"UN" => uniq::apply(cx, key, args)?,
        b"CA" => cache::apply(cx, key, args)?,
        b"CB" => breaker::apply(cx, key, args)?,
        b"EV" => stream::apply(cx, key, args)?,
        _ => return Err(Error::Syntax),
    };
    reply.ok();
    Ok(outcome)
}

static POLICY: Command = command("NATIVE.POLICY", "op [arg...]", ratelimit::apply_policy)
    .about("1.0.0", "O(1)", "Sets or removes a policy.")
    .arity(-2)
    .flags(&[Flag::System]);

static TAG: Command = command("NATIVE.TAG", "tag [tag...]", cache::apply_tags)
    .about(
        "1.0.0",
        "O(N) where N is the number of tags.",
        "Makes cached values useless that have one of these tags.",
    )
    .arity(-2)
    .flags(&[Flag::System]);

static BIND: Command = command("NATIVE.BIND", "key channel pattern on", queue::apply_binding)
    .about("1.0.0", "O(N) where N is the number of bindings.", "Binds a queue to a channel, or unbinds it.")
    .arity(5)
    .keys(KeySpec::first().rw().update())
    .flags(&[Flag::Write, Flag::System]);

static CLOCK: Command = command("NATIVE.CLOCK", "now-ms(integer) token(integer)", clock)
    .about("1.0.0", "O(1)", "Tells how far the clocks had come.")
    .arity(3)
    .flags(&[Flag::System]);

fn clock(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let (now_ms, token) = (args.integer()?, args.integer()?);
    cx.env.native().raise_clocks(now_ms, token);
    reply.ok();
    Ok(Outcome::Same)
}

/// Appends what the journal has not heard yet of the value of a key, and says whether there was anything. Whoever asks tells
/// the journal, and then notes that ([`mark_flushed`]).
pub fn unflushed(key: &[u8], record: &Record, effects: &mut Effects) -> bool {
    ratelimit::unflushed(key, record, effects)
        || counter::unflushed(key, record, effects)
        || breaker::unflushed(key, record, effects)
}

/// A value that is a copy: what others were given of the original they were not given of this one.
#[must_use = "the record may have moved"]
pub fn as_copy(record: Record) -> Record {
    queue::as_copy(record)
}

/// The journal has heard of the present state of a value.
#[must_use = "the record may have moved"]
pub fn mark_flushed(record: Record) -> Record {
    breaker::mark_flushed(counter::mark_flushed(ratelimit::mark_flushed(record)))
}

#[cfg(test)]
mod tests;
