//! Limiters of `RL.*`: what one key remembers of the calls it counted.
//!
//! Time is an argument everywhere: nanoseconds for buckets, milliseconds for windows, both on the same clock. Deadlines are
//! absolute, so nothing has to happen when one passes. What a limiter decides is in `decide`, by exact integer arithmetic;
//! `codec` is its form in a record and in files.

mod codec;
mod concurrent;
mod decide;
mod log;
mod quick;
#[cfg(test)]
mod tests;

pub use codec::{IMAGE_MAX, Image};
pub use concurrent::Concurrent;
pub use decide::{Spec, Verdict};
pub use log::Log;
pub use quick::Quick;

use crate::rdb::Error;
use crate::types::collection::Collection;
use crate::types::native::Native;
use crate::value::TypeCode;
use smallvec::SmallVec;

/// Nanoseconds in a millisecond.
pub const MS: i64 = 1_000_000;

/// Largest limit, capacity and cost.
pub const UNITS_MAX: i64 = 1 << 40;
/// Longest window or interval, in milliseconds: ten years.
pub const DURATION_MAX_MS: i64 = 10 * 366 * 86_400_000;
/// Longest time a bucket takes to fill, in nanoseconds.
pub const FILL_MAX_NS: i64 = 1 << 62;
/// Most buckets of a sliding window.
pub const BUCKETS_MAX: i64 = 60;

/// A limiter.
#[derive(Clone, Debug)]
pub struct Limiter {
    /// Most that an idle key would grant at once.
    pub limit: i64,
    /// Everything is refused before this time, in milliseconds; 0 or the past: nothing is.
    pub blocked_ms: i64,
    /// The number of the policy it was used by last, 0 for none.
    pub policy: u16,
    /// The journal has not heard of its present state. No part of the state itself.
    pub unflushed: bool,
    /// What it counted.
    pub state: State,
}

/// What a limiter counted.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// A token bucket, by its theoretical arrival time.
    Bucket {
        /// Time per unit, nanoseconds.
        unit_ns: i64,
        /// When it is full again, nanoseconds.
        tat_ns: i64,
        /// Somebody waits for units that are taken already, so that it may be more than empty.
        reserved: bool,
    },
    /// A fixed window.
    Fixed {
        /// Its length.
        window_ms: i64,
        /// When the present one began.
        start_ms: i64,
        /// Units taken in it.
        count: i64,
    },
    /// A leaky bucket: a queue whose head leaves at a constant rate.
    Leaky {
        /// Time per unit, nanoseconds.
        unit_ns: i64,
        /// When the next unit may pass, nanoseconds.
        next_ns: i64,
        /// Longest delay that is accepted, milliseconds; negative for any.
        max_delay_ms: i64,
    },
    /// A sliding window of counted buckets, the last of which is the present one and the first of which counts in part.
    Sliding {
        /// Its length; a multiple of the number of whole buckets.
        window_ms: i64,
        /// The number of the last bucket since the epoch.
        newest: i64,
        /// Units by bucket, oldest first: one more than the window has.
        counts: SmallVec<[i64; 2]>,
    },
    /// Every single call of a window.
    Log(Log),
    /// Leases.
    Concurrent(Concurrent),
}

impl State {
    /// What `RL.GET` calls it.
    pub fn name(&self) -> &'static str {
        match self {
            State::Bucket { .. } => "tokenbucket",
            State::Fixed { .. } => "fixed",
            State::Leaky { .. } => "leaky",
            State::Sliding { .. } => "sliding",
            State::Log(_) => "log",
            State::Concurrent(_) => "concurrent",
        }
    }
}

/// Whether the journal has heard of it makes no difference between two limiters.
impl PartialEq for Limiter {
    fn eq(&self, other: &Self) -> bool {
        (self.limit, self.blocked_ms, self.policy) == (other.limit, other.blocked_ms, other.policy)
            && self.state == other.state
    }
}

/// The value of a key that holds a limiter.
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimit(pub Box<Limiter>);

impl Default for RateLimit {
    fn default() -> Self {
        let state = State::Fixed { window_ms: 1, start_ms: 0, count: 0 };
        RateLimit(Box::new(Limiter { limit: 1, blocked_ms: 0, policy: 0, unflushed: false, state }))
    }
}

/// A limiter, for reading.
#[derive(Clone, Copy, Debug)]
pub enum RateLimitRef<'a> {
    /// In its record.
    Packed(&'a [u8]),
    /// On its own.
    Boxed(&'a Limiter),
}

impl RateLimitRef<'_> {
    /// A copy of it. O(its entries).
    pub fn to_limiter(self) -> Limiter {
        match self {
            RateLimitRef::Packed(bytes) => Limiter::of_image(bytes),
            RateLimitRef::Boxed(limiter) => limiter.clone(),
        }
    }
}

impl Collection for RateLimit {
    const TYPE: TypeCode = TypeCode::RateLimit;
    type Ref<'a> = RateLimitRef<'a>;

    fn view(&self) -> RateLimitRef<'_> {
        RateLimitRef::Boxed(&self.0)
    }

    fn inline_view(bytes: &[u8]) -> RateLimitRef<'_> {
        RateLimitRef::Packed(bytes)
    }

    fn from_inline(bytes: Vec<u8>) -> Self {
        RateLimit(Box::new(Limiter::of_image(&bytes)))
    }

    fn into_inline(self) -> Result<Vec<u8>, Self> {
        if self.0.may_be_inline() {
            let mut bytes = Vec::new();
            self.0.write(&mut bytes);
            Ok(bytes)
        } else {
            Err(self)
        }
    }

    /// A limiter stays until its time has come, whatever it counted.
    fn is_empty(&self) -> bool {
        false
    }

    fn heap_size(&self) -> usize {
        size_of::<Limiter>()
            + match &self.0.state {
                State::Sliding { counts, .. } if counts.spilled() => counts.capacity() * size_of::<i64>(),
                State::Log(log) => log.heap_size(),
                State::Concurrent(leases) => leases.heap_size(),
                _ => 0,
            }
    }

    fn encoding_name(view: RateLimitRef<'_>) -> &'static str {
        match view {
            RateLimitRef::Packed(_) => "packed",
            RateLimitRef::Boxed(_) => "raw",
        }
    }
}

impl Native for RateLimit {
    const MODULE: &'static [u8; 9] = b"natRL----";

    fn save(view: RateLimitRef<'_>, payload: &mut Vec<u8>) {
        match view {
            RateLimitRef::Packed(bytes) => {
                let start = payload.len();
                payload.extend_from_slice(bytes);
                codec::forget_unflushed(&mut payload[start..]);
            }
            RateLimitRef::Boxed(limiter) => {
                let start = payload.len();
                limiter.write(payload);
                codec::forget_unflushed(&mut payload[start..]);
            }
        }
    }

    fn load(payload: &[u8], _version: u32) -> Result<Self, Error> {
        Limiter::read(payload).map(|limiter| RateLimit(Box::new(limiter)))
    }
}
