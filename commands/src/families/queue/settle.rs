//! `XQUEUE.ACK`, `XQUEUE.NACK`, `XQUEUE.EXTEND`: what workers say of messages they have.

use super::open::Open;
use super::{between, name, receipt};
use crate::model::{Args, Command, Ctx, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::types::queue::{DELAY_MAX_MS, Effect, LEASE_MAX_MS, State};

pub(super) const STALE: Error = Error::new("STALE receipt is not current");

pub(super) static ACK: Command = command("XQUEUE.ACK", "key receipt [receipt...]", ack)
    .about(
        "1.0.0",
        "O(M*log(N)) where M is the number of receipts and N that of messages.",
        "Removes messages that are done. A receipt that is not current does nothing.",
    )
    .arity(-3)
    .keys(KeySpec::first().rw().access().delete())
    .flags(&[Flag::Write, Flag::Fast]);

fn ack(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let Some(mut open) = Open::of(&mut cx.keys, &cx.env, key)? else {
        reply.integer(0);
        return Ok(Outcome::Same);
    };
    let now_ms = open.now.ms;
    let mut acked = 0;
    for (id, token) in args.rest().filter_map(receipt) {
        if open.queue().is_current(id, token, now_ms) {
            open.apply(&Effect::Ack { id, now_ms });
            acked += 1;
        }
    }
    reply.integer(acked);
    Ok(open.done().outcome(cx))
}

pub(super) static NACK: Command =
    command("XQUEUE.NACK", "key receipt [DELAY milliseconds(integer)] [REASON text] [<RELEASE|DEAD>]", nack)
        .about(
            "1.0.0",
            "O(log(N)) where N is the number of messages.",
            "Tells that a message failed: it comes again later, or is dead when it was delivered too often.",
        )
        .arity(-3)
        .keys(KeySpec::first().rw().access().update())
        .flags(&[Flag::Write, Flag::Fast]);

fn nack(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let (key, text) = (args.key()?, args.next()?);
    let (mut delay_ms, mut reason, mut releases, mut dies) = (None, None, false, false);
    while !args.is_done() {
        if delay_ms.is_none() && args.take_word("DELAY") {
            delay_ms = Some(between(args, "DELAY", 0, DELAY_MAX_MS)?);
        } else if reason.is_none() && args.take_word("REASON") {
            reason = Some(name(args, "reason")?);
        } else if !(releases || dies) && args.take_word("RELEASE") {
            releases = true;
        } else if !(releases || dies) && args.take_word("DEAD") {
            dies = true;
        } else {
            return Err(Error::Syntax);
        }
    }
    let jitter = cx.env.jitter();
    let Some(mut open) = Open::of(&mut cx.keys, &cx.env, key)? else { return Err(STALE) };
    let now_ms = open.now.ms;
    let queue = open.queue();
    let current = receipt(text).filter(|(id, token)| queue.is_current(*id, *token, now_ms));
    let message = current.and_then(|(id, _)| queue.get(id));
    let Some(message) = message else { return open.refused(reply, STALE).map(|done| done.outcome(cx)) };
    let (id, reason) = (message.id, reason.unwrap_or_default());
    let options = queue.options();
    let (state, due_ms) = if releases {
        open.apply(&Effect::Release { id, now_ms });
        (State::Ready, 0)
    } else if dies || options.is_last(message) {
        open.apply(&Effect::Bury { id, now_ms, reason });
        (State::Dead, 0)
    } else {
        let delay_ms = delay_ms.unwrap_or_else(|| options.delay_ms(message.deliveries(), jitter));
        let due_ms = now_ms.saturating_add(delay_ms);
        open.apply(&Effect::Nack { id, now_ms, due_ms, reason });
        if delay_ms > 0 { (State::Delayed, due_ms) } else { (State::Ready, 0) }
    };
    reply.array(2);
    reply.bulk(state.name().as_bytes());
    reply.integer(if due_ms > 0 { open.now.to_wall(due_ms) } else { 0 });
    Ok(open.done().outcome(cx))
}

pub(super) static EXTEND: Command =
    command("XQUEUE.EXTEND", "key lease-ms(integer) receipt [receipt...]", extend)
        .about(
            "1.0.0",
            "O(M*log(N)) where M is the number of receipts and N that of messages.",
            "Has leases end so long from now, and tells when that is; 0 for a receipt that is not current.",
        )
        .arity(-4)
        .keys(KeySpec::first().rw().access().update())
        .flags(&[Flag::Write, Flag::Fast]);

fn extend(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let lease_ms = between(args, "lease", 1, LEASE_MAX_MS)?;
    let receipts = args.rest();
    reply.array(receipts.len());
    let Some(mut open) = Open::of(&mut cx.keys, &cx.env, key)? else {
        for _ in receipts {
            reply.integer(0);
        }
        return Ok(Outcome::Same);
    };
    let now_ms = open.now.ms;
    let end_ms = now_ms + lease_ms;
    for text in receipts {
        let current = receipt(text).filter(|(id, token)| open.queue().is_current(*id, *token, now_ms));
        if let Some((id, _)) = current {
            open.apply(&Effect::Extend { id, end_ms });
        }
        reply.integer(if current.is_some() { open.now.to_wall(end_ms) } else { 0 });
    }
    Ok(open.done().outcome(cx))
}
