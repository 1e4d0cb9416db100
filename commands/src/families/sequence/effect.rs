//! Sequences in the journal: `NATIVE.APPLY key SQ ...`, where `-` stands for what is not there.
//!
//! ```text
//! CFG start step max cycle period zone retain
//! NEXT value period-start until [id first last]      what was given out last; the request, if its answer is remembered
//! ```

use crate::model::{Args, Ctx, Effects, Error, Outcome, parse_i64};
use tidegate_data::Key;
use tidegate_data::types::sequence::{
    Block, Calendar, Effect, ID_LEN_MAX, Named, Period, Sequence, Settings,
};

const ABSENT: &[u8] = b"-";

/// Appends an effect.
pub(super) fn push(effects: &mut Effects, key: &[u8], effect: &Effect) {
    let text = |n: i64| n.to_string().into_bytes();
    let optional = |n: Option<i64>| n.map_or(ABSENT.to_vec(), text);
    let mut words: Vec<Vec<u8>> = Vec::with_capacity(8);
    match effect {
        Effect::Configure(Settings { start, step, max, cycle, calendar, retain_ms }) => {
            words.push(b"CFG".to_vec());
            words.extend([*start, *step, *max, (*cycle).into()].map(text));
            match calendar {
                Some(Calendar { period, zone }) => {
                    words.extend([period.name().into(), zone.as_bytes().to_vec()]);
                }
                None => words.extend([ABSENT.to_vec(), ABSENT.to_vec()]),
            }
            words.push(text(*retain_ms));
        }
        Effect::Next { value, period_ms, named } => {
            words.push(b"NEXT".to_vec());
            words.extend([*value, *period_ms, named.as_ref().map(|named| named.until_ms)].map(optional));
            if let Some(Named { id, block: Block { first, last }, .. }) = named {
                words.extend([id.to_vec(), text(*first), text(*last)]);
            }
        }
    }
    let fixed: [&[u8]; 3] = [b"NATIVE.APPLY", key, b"SQ"];
    let all: Vec<&[u8]> = fixed.into_iter().chain(words.iter().map(Vec::as_slice)).collect();
    effects.push(&all);
}

fn optional(args: &mut Args) -> Result<Option<i64>, Error> {
    match args.next()? {
        ABSENT => Ok(None),
        number => parse_i64(number).map(Some).ok_or(Error::NotInteger),
    }
}

/// Reads what [`push`] wrote, behind `SQ`, and makes it so.
pub(crate) fn apply(cx: &mut Ctx, key: Key, args: &mut Args) -> Result<Outcome, Error> {
    let effect = if args.take_word("CFG") {
        let (start, step, max, cycle) = (args.integer()?, args.integer()?, args.integer()?, args.integer()?);
        let (period, zone) = (Period::of_name(args.next()?), args.next()?);
        let retain_ms = args.integer()?;
        let zone = std::str::from_utf8(zone).map_err(|_| Error::Syntax)?;
        if step == 0 || retain_ms <= 0 {
            return Err(Error::Syntax);
        }
        let calendar = period.map(|period| Calendar { period, zone: zone.into() });
        Effect::Configure(Settings { start, step, max, cycle: cycle != 0, calendar, retain_ms })
    } else if args.take_word("NEXT") {
        let (value, period_ms, until_ms) = (optional(args)?, optional(args)?, optional(args)?);
        let named = match until_ms {
            None => None,
            Some(until_ms) => {
                let id = args.next()?;
                if id.len() > ID_LEN_MAX {
                    return Err(Error::Syntax);
                }
                let block = Block { first: args.integer()?, last: args.integer()? };
                Some(Named { id: id.into(), until_ms, block })
            }
        };
        Effect::Next { value, period_ms, named }
    } else {
        return Err(Error::Syntax);
    };
    args.end()?;
    let mut write = cx.keys.write_or_create::<Sequence>(key)?;
    write.change().apply(&effect);
    Ok(Outcome::Changed)
}
