//! `LOCK.RENEW` and `LOCK.RELEASE`.

use super::{effect, lease_ms, not_owner, owner};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::Key;
use tidegate_data::types::lock::{Effect, Holder, Lock};

pub(super) static RENEW: Command = command("LOCK.RENEW", "key owner lease-ms(integer)", renew)
    .about(
        "1.0.0",
        "O(N) where N is the number of holders.",
        "Has the lease of a lock last so long from now on, and answers when it ends.",
    )
    .arity(4)
    .keys(KeySpec::first().rw().access().update())
    .flags(&[Flag::Write, Flag::Fast]);

fn renew(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let (key, owner, lease_ms) = (args.key()?, owner(args)?, lease_ms(args)?);
    let now_ms = cx.env.native_ms();
    let held = held(cx, key, owner, now_ms)?;
    let end_ms = held.end_of(lease_ms, now_ms);
    reply.integer(cx.env.wall_of_native(end_ms));
    effect::change(cx, key, &[Effect::Renew { owner: held.owner, end_ms, holds: held.holds }])
}

pub(super) static RELEASE: Command = command("LOCK.RELEASE", "key owner [ALL]", release)
    .about(
        "1.0.0",
        "O(N) where N is the number of holders.",
        "Takes back one acquisition of a lock, or all of its owner, and answers how many are left.",
    )
    .arity(-3)
    .keys(KeySpec::first().rw().access().delete())
    .flags(&[Flag::Write, Flag::Fast]);

fn release(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let (key, owner) = (args.key()?, owner(args)?);
    let is_all = args.take_word("ALL");
    args.end()?;
    let now_ms = cx.env.native_ms();
    let held = held(cx, key, owner, now_ms)?;
    let holds = if is_all { 0 } else { held.holds - 1 };
    reply.integer(holds);
    effect::change(cx, key, &[Effect::Release { owner: held.owner, holds }])
}

/// What an owner holds.
fn held(cx: &mut Ctx, key: Key, owner: &[u8], now_ms: i64) -> Result<Holder, Error> {
    let lock = cx.keys.for_write_as::<Lock>(key)?;
    lock.and_then(|lock| lock.held_by(owner, now_ms)).cloned().ok_or_else(|| not_owner(key, owner))
}
