//! How a change of a breaker is noted, and breakers in the journal: `NATIVE.APPLY key CB SET deadline numbers...`.
//!
//! The numbers say all of a state (`tidegate_data::types::breaker`, `codec`). The deadline is that of the key, Unix milliseconds;
//! `0` for none, `-` for what it was.

use crate::model::{Args, Ctx, Effects, Error, Outcome, parse_i64};
use tidegate_data::types::breaker::{Breaker, Change};
use tidegate_data::{Boxed, EventClass, Key, Record, Write};

/// How long a breaker that nobody chose settings for is kept after it was used last, in ms.
const UNUSED_MS: i64 = 86_400_000;
/// The deadline of a key stays as it is.
const AS_IT_WAS: &[u8] = b"-";

/// How the journal hears of a change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    coalesces: bool,
    is_journaled: bool,
    now_ms: i64,
    wall_ms: i64,
}

impl Told {
    pub(super) fn of(cx: &Ctx) -> Self {
        Told {
            coalesces: cx.env.coalesces(),
            is_journaled: cx.env.is_journaled(),
            now_ms: cx.env.native_ms(),
            wall_ms: cx.env.now_ms(),
        }
    }

    /// The same for what is not put off.
    pub(super) fn at_once(self) -> Self {
        Told { coalesces: false, ..self }
    }
}

/// What becomes of the deadline of a key, Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deadline {
    AsItWas,
    None,
    At(i64),
}

impl Deadline {
    fn apply(self, cx: &mut Ctx, key: Key) {
        match self {
            Self::AsItWas => {}
            Self::None => cx.keys.move_expiry(key, None),
            Self::At(deadline_ms) => cx.keys.move_expiry(key, Some(deadline_ms)),
        }
    }
}

/// What is left to do for a change once the value was put back.
#[derive(Debug)]
pub(super) enum End {
    Nothing,
    Changed {
        deadline: Deadline,
        /// The journal hears of it later; `true` if it is to be reminded.
        soft: Option<bool>,
        /// What it is told now.
        numbers: Option<Vec<i64>>,
    },
}

/// Notes a change: who hears of it, and when.
pub(super) fn note(
    mut write: Write<'_, '_, '_, Breaker>,
    change: Change,
    begins_to_stay: bool,
    told: Told,
) -> End {
    if change == Change::Nothing {
        return End::Nothing;
    }
    // Of a new key the journal hears at once: what comes next may be an EXPIRE.
    let is_soft = told.coalesces && change == Change::Counted && !write.is_new();
    if change == Change::Counted && !write.is_new() {
        write.note();
    } else {
        write.touch();
    }
    if change == Change::State {
        let event = write.view().shown().event();
        write.event(EventClass::Module, event);
    }
    let breaker = write.change_untold();
    let was_unflushed = breaker.is_unflushed();
    breaker.set_unflushed(is_soft);
    let deadline = if begins_to_stay {
        Deadline::None
    } else if breaker.stays() {
        Deadline::AsItWas
    } else {
        let kept_ms = UNUSED_MS.saturating_add(breaker.matters_ms(told.now_ms));
        Deadline::At(told.wall_ms.saturating_add(kept_ms))
    };
    End::Changed {
        deadline,
        soft: is_soft.then_some(!was_unflushed),
        numbers: (told.is_journaled && !is_soft).then(|| breaker.numbers()),
    }
}

/// Does what is left to do, and says what the journal is told.
pub(super) fn finish(cx: &mut Ctx, key: Key, end: End) -> Outcome {
    let End::Changed { deadline, soft, numbers } = end else { return Outcome::Same };
    deadline.apply(cx, key);
    if let Some(is_to_be_reminded) = soft {
        if is_to_be_reminded {
            cx.keys.note_soft(key);
        }
        return Outcome::Soft;
    }
    let Some(numbers) = numbers else { return Outcome::Changed };
    let mut effects = Effects::default();
    push(&mut effects, key.bytes(), deadline, &numbers);
    Outcome::ChangedAs(effects)
}

fn push(effects: &mut Effects, key: &[u8], deadline: Deadline, numbers: &[i64]) {
    let deadline = match deadline {
        Deadline::AsItWas => AS_IT_WAS.to_vec(),
        Deadline::None => b"0".to_vec(),
        Deadline::At(deadline_ms) => deadline_ms.to_string().into_bytes(),
    };
    let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
    let fixed: [&[u8]; 5] = [b"NATIVE.APPLY", key, b"CB", b"SET", &deadline];
    let all: Vec<&[u8]> = fixed.into_iter().chain(numbers.iter().map(String::as_bytes)).collect();
    effects.push(&all);
}

/// Reads what [`push`] wrote, behind `CB`, and makes it so.
pub(crate) fn apply(cx: &mut Ctx, key: Key, args: &mut Args) -> Result<Outcome, Error> {
    if !args.take_word("SET") {
        return Err(Error::Syntax);
    }
    let deadline = match args.next()? {
        AS_IT_WAS => Deadline::AsItWas,
        deadline => match parse_i64(deadline) {
            Some(deadline_ms @ 1..) => Deadline::At(deadline_ms),
            _ => Deadline::None,
        },
    };
    let numbers: Option<Vec<i64>> = args.rest().map(parse_i64).collect();
    let breaker = numbers.and_then(|numbers| Breaker::of_numbers(&numbers)).ok_or(Error::Syntax)?;
    *cx.keys.write_or_create::<Breaker>(key)?.change() = breaker;
    deadline.apply(cx, key);
    Ok(Outcome::Changed)
}

/// The effect of a breaker of which the journal has not heard, and which is told now.
pub(crate) fn unflushed(key: &[u8], record: &Record, effects: &mut Effects) -> bool {
    let Some(breaker) = record.value().collection::<Breaker>() else { return false };
    if breaker.is_unflushed() {
        let deadline = match record.expiry_ms() {
            Some(deadline_ms) if !breaker.stays() => Deadline::At(deadline_ms),
            _ => Deadline::AsItWas,
        };
        push(effects, key, deadline, &breaker.numbers());
    }
    breaker.is_unflushed()
}

/// The journal has heard of the present state of this breaker.
pub(crate) fn mark_flushed(mut record: Record) -> Record {
    if let Some(breaker) = record.boxed_mut().and_then(<Breaker as Boxed>::of_mut) {
        breaker.set_unflushed(false);
    }
    record
}
