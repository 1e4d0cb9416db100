//! Sequences: numbers that are given out once, one by one or in blocks, and again to whom repeats a request.
//!
//! Nothing here knows a clock or a calendar: times are arguments, and of a calendar period only where it begins. A change
//! is decided on first ([`Sequence::next`]) and then made ([`Sequence::apply`]), by the same effect here, in a copy and
//! when the journal is replayed.

mod codec;
mod remembered;
#[cfg(test)]
mod tests;

pub use remembered::{Block, ID_LEN_MAX};

use remembered::Remembered;

use crate::keyspace::size_class;
use crate::types::collection::AlwaysBoxed;
use crate::value::TypeCode;

/// How long the answer to a named request is remembered where nothing is said, in ms.
pub const RETAIN_DEFAULT_MS: i64 = 86_400_000;

/// After how much time a sequence begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Period {
    Day = 1,
    Month = 2,
    Year = 3,
}

impl Period {
    const ALL: [Self; 3] = [Self::Day, Self::Month, Self::Year];

    /// What commands call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Day => "DAY",
            Self::Month => "MONTH",
            Self::Year => "YEAR",
        }
    }

    /// The period with this name, in any case.
    pub fn of_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|period| name.eq_ignore_ascii_case(period.name().as_bytes()))
    }

    fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|period| *period as u8 == code)
    }
}

/// A period and the zone whose calendar it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    pub period: Period,
    /// The name of the zone. That there is one of this name is for others to know.
    pub zone: Box<str>,
}

/// How a sequence goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The first number.
    pub start: i64,
    /// From one number to the next. Not 0.
    pub step: i64,
    /// No number is greater.
    pub max: i64,
    /// After the last number comes the first again.
    pub cycle: bool,
    pub calendar: Option<Calendar>,
    /// How long the answer to a named request is remembered, in ms.
    pub retain_ms: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            start: 1,
            step: 1,
            max: i64::MAX,
            cycle: false,
            calendar: None,
            retain_ms: RETAIN_DEFAULT_MS,
        }
    }
}

/// A sequence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sequence {
    parts: Box<Parts>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Parts {
    settings: Settings,
    /// The last number given out; `None`: the next one is the first.
    value: Option<i64>,
    /// Where the calendar period of the last number began.
    period_ms: Option<i64>,
    remembered: Remembered,
}

/// A change of a sequence: the only things that change one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It goes on like this.
    Configure(Settings),
    /// The last number given out is `value`, in the period that began at `period_ms`.
    Next {
        value: Option<i64>,
        period_ms: Option<i64>,
        /// What the request was called, how long that is remembered, and what it was answered.
        named: Option<Named>,
    },
}

/// A request that is answered once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub id: Box<[u8]>,
    /// Unix ms.
    pub until_ms: i64,
    pub block: Block,
}

/// What the next numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    pub block: Block,
    /// The sequence begins again, because the numbers ran out.
    pub wraps: bool,
    /// There is no number after these.
    pub ends: bool,
}

/// There are no numbers left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

impl Sequence {
    /// A sequence that gave out nothing yet.
    pub fn new(settings: Settings) -> Self {
        let parts = Parts { settings, ..Parts::default() };
        Sequence { parts: Box::new(parts) }
    }

    pub fn settings(&self) -> &Settings {
        &self.parts.settings
    }

    /// The last number given out, if there is one.
    pub fn value(&self) -> Option<i64> {
        self.parts.value
    }

    /// The number after which the next one comes: the last one, or the one before the first.
    pub fn before_next(&self) -> i64 {
        let Settings { start, step, .. } = self.parts.settings;
        self.parts.value.unwrap_or_else(|| start.saturating_sub(step))
    }

    /// Where the calendar period of the last number began, in Unix ms.
    pub fn period_ms(&self) -> Option<i64> {
        self.parts.period_ms
    }

    /// What a request was answered, if that is still remembered. O(log n).
    pub fn find(&self, id: &[u8], now_ms: i64) -> Option<Block> {
        self.parts.remembered.find(id, now_ms)
    }

    /// Number of requests that are remembered. O(those that are forgotten but take memory still).
    pub fn remembered(&self, now_ms: i64) -> usize {
        self.parts.remembered.len(now_ms)
    }

    /// The next `count` numbers, which follow one another; `count` is at least 1. `period_ms` is where the present period
    /// began: the numbers begin anew if it is a later one than that of the last number. O(1).
    ///
    /// # Errors
    /// There are not that many.
    pub fn next(&self, count: i64, period_ms: Option<i64>) -> Result<Next, Exhausted> {
        let Settings { start, step, max, cycle, .. } = self.parts.settings;
        let is_new_period = match (period_ms, self.parts.period_ms) {
            (Some(now), Some(last)) => now > last,
            (now, _) => now.is_some(),
        };
        let block_from = |first: Option<i64>| {
            let first = first.filter(|first| *first <= max)?;
            let last = first.checked_add(step.checked_mul(count - 1)?)?;
            (last <= max).then_some(Block { first, last })
        };
        let first = match self.parts.value {
            Some(value) if !is_new_period => value.checked_add(step),
            _ => Some(start),
        };
        let (block, wraps) = match block_from(first) {
            Some(block) => (block, false),
            None if cycle && self.parts.value.is_some() => (block_from(Some(start)).ok_or(Exhausted)?, true),
            None => return Err(Exhausted),
        };
        let ends = !cycle && block.last.checked_add(step).is_none_or(|next| next > max);
        Ok(Next { block, wraps, ends })
    }

    /// Makes a change. O(log n) of what is remembered.
    pub fn apply(&mut self, effect: &Effect) {
        let parts = &mut *self.parts;
        match effect {
            Effect::Configure(settings) => parts.settings.clone_from(settings),
            Effect::Next { value, period_ms, named } => {
                parts.value = *value;
                parts.period_ms = *period_ms;
                if let Some(named) = named {
                    // The time at which it was given out, told without a clock.
                    let now_ms = named.until_ms.saturating_sub(parts.settings.retain_ms);
                    parts.remembered.forget_before(now_ms);
                    parts.remembered.insert(named);
                }
            }
        }
    }
}

impl AlwaysBoxed for Sequence {
    const CODE: TypeCode = TypeCode::Sequence;
    const ENCODING: &'static str = "seq";

    fn size_behind(&self) -> usize {
        let parts = &self.parts;
        let zone = parts.settings.calendar.as_ref().map_or(0, |calendar| size_class(calendar.zone.len()));
        size_class(size_of::<Parts>()) + zone + parts.remembered.heap_size()
    }
}
