//! Counters in the journal: `NATIVE.APPLY key CT ...`.
//!
//! ```text
//! CFG n (bucket-ms buckets)*n                           the tiers, which are empty then
//! SET bucket0-start total first last sum...             a finest bucket, and those of the other tiers that hold it
//! ```

use crate::model::{Args, Ctx, Effects, Error, Outcome};
use tidegate_data::types::counter::{Counter, Effect, TIERS_MAX, Tier, Tiers};
use tidegate_data::{Boxed, Key, Record};

/// Appends an effect.
pub(super) fn push(effects: &mut Effects, key: &[u8], tiers: usize, effect: &Effect) {
    let mut words: Vec<String> = Vec::with_capacity(2 * TIERS_MAX + 1);
    let name: &[u8] = match effect {
        Effect::Configure(tiers) => {
            words.push(tiers.len().to_string());
            words.extend(tiers.iter().flat_map(|tier| [tier.bucket_ms, tier.buckets]).map(|n| n.to_string()));
            b"CFG"
        }
        Effect::Set { start_ms, sums, total, first_ms, last_ms } => {
            let figures = [*start_ms, *total, *first_ms, *last_ms];
            words.extend(figures.iter().chain(&sums[..tiers]).map(i64::to_string));
            b"SET"
        }
    };
    let fixed: [&[u8]; 4] = [b"NATIVE.APPLY", key, b"CT", name];
    let all: Vec<&[u8]> = fixed.into_iter().chain(words.iter().map(String::as_bytes)).collect();
    effects.push(&all);
}

/// Reads what [`push`] wrote, behind `CT`, and makes it so.
pub(crate) fn apply(cx: &mut Ctx, key: Key, args: &mut Args) -> Result<Outcome, Error> {
    let mut write = cx.keys.write_or_create::<Counter>(key)?;
    let effect = if args.take_word("CFG") {
        let len = args.integer()?;
        let mut tiers = Vec::with_capacity(TIERS_MAX);
        for _ in 0..len.min(TIERS_MAX as i64) {
            tiers.push(Tier { bucket_ms: args.integer()?, buckets: args.integer()? });
        }
        Effect::Configure(Tiers::new(&tiers).map_err(|_| Error::Syntax)?)
    } else if args.take_word("SET") {
        let (start_ms, total) = (args.integer()?, args.integer()?);
        let (first_ms, last_ms) = (args.integer()?, args.integer()?);
        let mut sums = [0; TIERS_MAX];
        for sum in &mut sums[..write.view().tiers().len()] {
            *sum = args.integer()?;
        }
        Effect::Set { start_ms, sums, total, first_ms, last_ms }
    } else {
        return Err(Error::Syntax);
    };
    args.end()?;
    write.change_untold().apply(&effect).map_err(|_| Error::Syntax)?;
    write.touch();
    Ok(Outcome::Changed)
}

/// The effects of a counter of which the journal has not heard, and which are told now; false when it has.
pub(crate) fn unflushed(key: &[u8], record: &Record, effects: &mut Effects) -> bool {
    let Some(counter) = record.value().collection::<Counter>() else { return false };
    push_untold(key, counter, effects);
    counter.has_untold()
}

/// The journal has heard of everything: what a counter noted for it is forgotten.
pub(crate) fn mark_flushed(mut record: Record) -> Record {
    if let Some(counter) = record.boxed_mut().and_then(<Counter as Boxed>::of_mut) {
        counter.forget_untold();
    }
    record
}

/// The same for a counter in hand.
pub(super) fn push_untold(key: &[u8], counter: &Counter, effects: &mut Effects) {
    for effect in counter.untold() {
        push(effects, key, counter.tiers().len(), &effect);
    }
}
