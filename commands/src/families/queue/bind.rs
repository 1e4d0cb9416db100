//! `XQUEUE.BIND`, `XQUEUE.UNBIND`: what is published becomes messages of a queue.

use super::bindings::BoundQueue;
use super::name;
use crate::model::{Args, Command, Ctx, Effects, Error, Flag, KeySpec, Outcome, Reply, command};

pub(super) static BIND: Command = command("XQUEUE.BIND", "key channel [PATTERN]", bind)
    .about(
        "1.0.0",
        "O(N) where N is the number of bindings.",
        "Has a work queue get what is published on a channel, or on all channels of a pattern.",
    )
    .arity(-3)
    .keys(KeySpec::first().rw().insert())
    .flags(&[Flag::Write, Flag::DenyOom, Flag::Pubsub]);

fn bind(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let (key, channel) = (args.key()?, name(args, "channel")?);
    let is_pattern = args.take_word("PATTERN");
    args.end()?;
    let queue = BoundQueue { db: cx.keys.db() as u16, key: key.bytes().into() };
    let is_new = cx.env.native().bindings().bind(queue, channel, is_pattern)?;
    reply.integer(is_new.into());
    if !is_new {
        return Ok(Outcome::Same);
    }
    cx.keys.log().changes += 1;
    let mut effects = Effects::default();
    push(&mut effects, key.bytes(), channel, is_pattern, true);
    Ok(Outcome::ChangedAs(effects))
}

pub(super) static UNBIND: Command = command("XQUEUE.UNBIND", "key channel", unbind)
    .about(
        "1.0.0",
        "O(N) where N is the number of bindings.",
        "Has a work queue get nothing more that is published on a channel, or on the channels of a pattern.",
    )
    .arity(3)
    .keys(KeySpec::first().rw().delete())
    .flags(&[Flag::Write, Flag::Pubsub]);

fn unbind(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let (key, channel) = (args.key()?, args.next()?);
    let queue = BoundQueue { db: cx.keys.db() as u16, key: key.bytes().into() };
    let mut effects = Effects::default();
    for is_pattern in [false, true] {
        if cx.env.native().bindings().unbind(&queue, channel, is_pattern) {
            push(&mut effects, key.bytes(), channel, is_pattern, false);
        }
    }
    let unbound = effects.len();
    reply.integer(unbound as i64);
    cx.keys.log().changes += unbound as u64;
    Ok(if unbound == 0 { Outcome::Same } else { Outcome::ChangedAs(effects) })
}

/// `NATIVE.BIND key channel pattern on`
fn push(effects: &mut Effects, key: &[u8], channel: &[u8], is_pattern: bool, is_on: bool) {
    let digit = |is: bool| if is { b"1" } else { b"0" };
    effects.push(&[b"NATIVE.BIND", key, channel, digit(is_pattern), digit(is_on)]);
}

/// Reads what [`push`] wrote, and makes it so.
pub(crate) fn apply_binding(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let (key, channel) = (args.key()?, args.next()?);
    let (is_pattern, is_on) = (args.integer()? != 0, args.integer()? != 0);
    let queue = BoundQueue { db: cx.keys.db() as u16, key: key.bytes().into() };
    let bindings = cx.env.native().bindings();
    if is_on {
        bindings.bind(queue, channel, is_pattern)?;
    } else {
        bindings.unbind(&queue, channel, is_pattern);
    }
    reply.ok();
    Ok(Outcome::Changed)
}
