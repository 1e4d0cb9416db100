//! `CTR.ADD`.

use super::effect::{push, push_untold};
use crate::model::{Args, Command, Ctx, Effects, Error, Flag, KeySpec, Outcome, Reply, command};
use tidegate_data::types::counter::{AHEAD_MAX_MS, Counter, Effect};

pub(super) static ADD: Command = command("CTR.ADD", "key n(integer) [AT unix-time-milliseconds]", add)
    .about(
        "1.0.0",
        "O(T) where T is the number of tiers, at most 4.",
        "Counts what happened, now or at another time. Creates the counter if it does not exist.",
    )
    .arity(-3)
    .keys(KeySpec::first().rw().access().update())
    .flags(&[Flag::Write, Flag::DenyOom, Flag::Fast]);

fn add(cx: &mut Ctx, args: &mut Args, reply: &mut Reply) -> Result<Outcome, Error> {
    let key = args.key()?;
    let n = args.integer()?;
    let at_ms = args.take_word("AT").then(|| args.integer()).transpose()?;
    args.end()?;
    let now_ms = cx.env.native_ms().max(0);
    let at_ms = at_ms.unwrap_or(now_ms);
    if at_ms < 0 {
        return Err(Error::NotInteger);
    }
    if at_ms > now_ms.saturating_add(AHEAD_MAX_MS) {
        return Err(Error::new("ERR AT is in the future"));
    }
    let (is_soft, is_journaled) = (cx.env.coalesces(), cx.env.is_journaled());
    let mut write = cx.keys.write_or_create::<Counter>(key)?;
    let mut effects = Effects::default();
    let tiers = write.view().tiers();
    let is_ahead = write.view().is_ahead(now_ms);
    // Of a new key the journal hears at once: what comes next may be an EXPIRE.
    let is_soft = is_soft && !is_ahead && !write.is_new();
    let counter = write.change();
    if is_ahead {
        // Buckets of another clock, which was ahead of ours, would take nothing for a long time.
        let reset = Effect::Configure(tiers);
        counter.apply(&reset).expect("tiers fit every counter");
        counter.forget_untold();
        push(&mut effects, key.bytes(), tiers.len(), &reset);
    }
    let effect = counter.add(n, at_ms);
    counter.apply(&effect).map_err(|_| Error::NotInteger)?;
    reply.integer(counter.total());
    if !is_journaled {
        return Ok(Outcome::Changed);
    }
    let Effect::Set { start_ms, .. } = effect else { unreachable!("an addition sets sums") };
    let is_known = counter.has_untold();
    if counter.note_untold(start_ms) && is_soft {
        drop(write);
        if !is_known {
            cx.keys.note_soft(key);
        }
        return Ok(Outcome::Soft);
    }
    push_untold(key.bytes(), counter, &mut effects);
    counter.forget_untold();
    Ok(Outcome::ChangedAs(effects))
}
