//! The form of a limiter in its record, and in files.
//!
//! ```text
//! 0   algorithm u8   flags u8   policy u16   unused u32   limit i64   blocked-until i64
//! 24  bucket      time per unit, theoretical arrival time, capacity
//!     fixed       window, start, count
//!     leaky       time per unit, next, longest delay
//!     sliding     window, newest bucket, number of counts, counts
//!     log         window, number of entries, (time, cost)*
//!     concurrent  number of leases, (end, cost, length of the name, name)*
//! ```
//! All numbers of the second part are i64, little endian.

use super::{Concurrent, FILL_MAX_NS, Limiter, Log, State, UNITS_MAX};
use crate::keyspace::INLINE_PACKED_MAX;
use crate::rdb::Error;
use smallvec::SmallVec;

const HEADER: usize = 24;
const FLAGS: usize = 1;

const BUCKET: u8 = 1;
const FIXED: u8 = 2;
const LEAKY: u8 = 3;
const SLIDING: u8 = 4;
const LOG: u8 = 5;
const CONCURRENT: u8 = 6;

/// The journal has not heard of this state.
const UNFLUSHED: u8 = 1;
/// Somebody waits for units that are taken already.
const RESERVED: u8 = 2;

/// Bytes of the forms with three numbers.
const SMALL: usize = HEADER + 3 * 8;
/// Bytes of the largest form that is changed in place: a sliding window of two counters.
pub const IMAGE_MAX: usize = HEADER + 5 * 8;

/// A small limiter in the form of its record.
#[derive(Clone, Copy, Debug)]
pub struct Image {
    bytes: [u8; IMAGE_MAX],
    len: usize,
}

impl Default for Image {
    #[inline]
    fn default() -> Self {
        Image { bytes: [0; IMAGE_MAX], len: 0 }
    }
}

impl Image {
    #[inline]
    fn set(&mut self, algorithm: u8, head: &Head, words: [i64; 3]) {
        self.len = SMALL;
        head.put(algorithm, &mut self.bytes);
        for (at, word) in words.into_iter().enumerate() {
            self.bytes[HEADER + 8 * at..HEADER + 8 * at + 8].copy_from_slice(&word.to_le_bytes());
        }
    }

    /// Makes it that of a token bucket.
    #[inline]
    pub(super) fn set_bucket(&mut self, head: &Head, unit_ns: i64, tat_ns: i64) {
        self.set(BUCKET, head, [unit_ns, tat_ns, head.limit]);
    }

    /// Makes it that of a fixed window.
    #[inline]
    pub(super) fn set_fixed(&mut self, head: &Head, window_ms: i64, start_ms: i64, count: i64) {
        self.set(FIXED, head, [window_ms, start_ms, count]);
    }

    /// Makes it that of a sliding window of two counters.
    #[inline]
    pub(super) fn set_sliding(&mut self, head: &Head, window_ms: i64, newest: i64, counts: [i64; 2]) {
        self.set(SLIDING, head, [window_ms, newest, 2]);
        self.bytes[48..56].copy_from_slice(&counts[0].to_le_bytes());
        self.bytes[56..64].copy_from_slice(&counts[1].to_le_bytes());
        self.len = IMAGE_MAX;
    }

    /// Notes whether the journal has yet to hear of it.
    #[inline]
    pub fn set_unflushed(&mut self, unflushed: bool) {
        self.bytes[FLAGS] = self.bytes[FLAGS] & !UNFLUSHED | (u8::from(unflushed) * UNFLUSHED);
    }

    /// The bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl AsRef<[u8]> for Image {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

/// What all forms begin with.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head {
    pub(super) limit: i64,
    pub(super) blocked_ms: i64,
    pub(super) policy: u16,
    pub(super) unflushed: bool,
    pub(super) reserved: bool,
}

impl Head {
    #[inline]
    fn of(bytes: &[u8; HEADER]) -> Self {
        let word = |at: usize| number(bytes, at);
        Head {
            limit: word(8),
            blocked_ms: word(16),
            policy: u16::from_le_bytes([bytes[2], bytes[3]]),
            unflushed: bytes[FLAGS] & UNFLUSHED != 0,
            reserved: bytes[FLAGS] & RESERVED != 0,
        }
    }

    #[inline]
    fn put(&self, algorithm: u8, bytes: &mut [u8]) {
        bytes[..8].fill(0);
        bytes[0] = algorithm;
        bytes[FLAGS] = (u8::from(self.unflushed) * UNFLUSHED) | (u8::from(self.reserved) * RESERVED);
        bytes[2..4].copy_from_slice(&self.policy.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.limit.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.blocked_ms.to_le_bytes());
    }
}

/// Head and numbers of a token bucket's form: time per unit, arrival time. `None` for any other form.
#[inline]
pub(super) fn bucket_of(bytes: &[u8]) -> Option<(Head, [i64; 2])> {
    small_of(BUCKET, bytes).map(|(head, [unit_ns, tat_ns, _])| (head, [unit_ns, tat_ns]))
}

/// The same of a fixed window: its length, start and count.
#[inline]
pub(super) fn fixed_of(bytes: &[u8]) -> Option<(Head, [i64; 3])> {
    small_of(FIXED, bytes)
}

/// The same of a sliding window of two counters: its length, the newest bucket, and the counters.
#[inline]
pub(super) fn sliding_of(bytes: &[u8]) -> Option<(Head, [i64; 2], [i64; 2])> {
    let (head, [window_ms, newest, len]) = small_of(SLIDING, bytes)?;
    let whole = bytes.first_chunk::<IMAGE_MAX>().filter(|_| len == 2)?;
    Some((head, [window_ms, newest], [number(whole, 48), number(whole, 56)]))
}

#[inline]
fn small_of(algorithm: u8, bytes: &[u8]) -> Option<(Head, [i64; 3])> {
    let small = bytes.first_chunk::<SMALL>().filter(|small| small[0] == algorithm)?;
    let head = Head::of(small.first_chunk()?);
    Some((head, [number(small, 24), number(small, 32), number(small, 40)]))
}

/// The form without the note that the journal has not heard of it.
pub(super) fn forget_unflushed(bytes: &mut [u8]) {
    bytes[FLAGS] &= !UNFLUSHED;
}

#[inline]
fn number(bytes: &[u8], at: usize) -> i64 {
    let word = bytes.get(at..at + 8).and_then(|word| word.try_into().ok());
    i64::from_le_bytes(word.expect("only whole limiters are stored"))
}

impl Limiter {
    /// The limiter of a form that was written here. O(its entries).
    #[inline]
    pub fn of_image(bytes: &[u8]) -> Self {
        let state = match bytes[0] {
            BUCKET => State::Bucket {
                unit_ns: number(bytes, 24),
                tat_ns: number(bytes, 32),
                reserved: bytes[FLAGS] & RESERVED != 0,
            },
            FIXED => State::Fixed {
                window_ms: number(bytes, 24),
                start_ms: number(bytes, 32),
                count: number(bytes, 40),
            },
            LEAKY => State::Leaky {
                unit_ns: number(bytes, 24),
                next_ns: number(bytes, 32),
                max_delay_ms: number(bytes, 40),
            },
            _ => Self::state_of(bytes),
        };
        Limiter {
            limit: number(bytes, 8),
            blocked_ms: number(bytes, 16),
            policy: u16::from_le_bytes([bytes[2], bytes[3]]),
            unflushed: bytes[FLAGS] & UNFLUSHED != 0,
            state,
        }
    }

    /// The state of the forms whose size varies.
    fn state_of(bytes: &[u8]) -> State {
        match bytes[0] {
            SLIDING => {
                let counts = (0..number(bytes, 40) as usize).map(|at| number(bytes, 48 + 8 * at)).collect();
                State::Sliding { window_ms: number(bytes, 24), newest: number(bytes, 32), counts }
            }
            LOG => {
                let mut log = Log::new(number(bytes, 24));
                for at in 0..number(bytes, 32) as usize {
                    log.push(number(bytes, 40 + 16 * at), number(bytes, 48 + 16 * at));
                }
                State::Log(log)
            }
            CONCURRENT => {
                let mut leases = Concurrent::default();
                let mut at = 32;
                for _ in 0..number(bytes, 24) {
                    let len = number(bytes, at + 16) as usize;
                    leases.put(&bytes[at + 24..at + 24 + len], number(bytes, at), number(bytes, at + 8));
                    at += 24 + len;
                }
                State::Concurrent(leases)
            }
            algorithm => unreachable!("no limiter has algorithm {algorithm}"),
        }
    }

    fn head(&self) -> Head {
        let reserved = matches!(self.state, State::Bucket { reserved: true, .. });
        let (limit, blocked_ms, policy, unflushed) =
            (self.limit, self.blocked_ms, self.policy, self.unflushed);
        Head { limit, blocked_ms, policy, unflushed, reserved }
    }

    /// Its form, if that is one which is changed in place.
    #[inline]
    pub fn image(&self) -> Option<Image> {
        let head = self.head();
        let mut image = Image::default();
        match &self.state {
            State::Bucket { unit_ns, tat_ns, .. } => image.set_bucket(&head, *unit_ns, *tat_ns),
            State::Fixed { window_ms, start_ms, count } => {
                image.set_fixed(&head, *window_ms, *start_ms, *count);
            }
            State::Leaky { unit_ns, next_ns, max_delay_ms } => {
                image.set(LEAKY, &head, [*unit_ns, *next_ns, *max_delay_ms]);
            }
            State::Sliding { window_ms, newest, counts } => {
                image.set_sliding(&head, *window_ms, *newest, counts.as_slice().try_into().ok()?);
            }
            State::Log(_) | State::Concurrent(_) => return None,
        }
        Some(image)
    }

    /// True when its form is small enough for a record.
    pub(super) fn may_be_inline(&self) -> bool {
        let size = match &self.state {
            State::Log(log) => 16 + 16 * log.len(),
            State::Concurrent(leases) => 8 + leases.heap_size(),
            State::Sliding { counts, .. } => 24 + 8 * counts.len(),
            _ => 24,
        };
        HEADER + size <= INLINE_PACKED_MAX
    }

    /// Appends its form. O(its entries).
    pub fn write(&self, out: &mut Vec<u8>) {
        if let Some(image) = self.image() {
            out.extend_from_slice(image.bytes());
            return;
        }
        let start = out.len();
        out.resize(start + HEADER, 0);
        let mut put = |number: i64| out.extend_from_slice(&number.to_le_bytes());
        let algorithm = match &self.state {
            State::Sliding { window_ms, newest, counts } => {
                [*window_ms, *newest, counts.len() as i64].into_iter().for_each(&mut put);
                counts.iter().copied().for_each(put);
                SLIDING
            }
            State::Log(log) => {
                put(log.window_ms);
                put(log.len() as i64);
                for (time_ms, cost) in log.iter() {
                    put(time_ms);
                    put(cost);
                }
                LOG
            }
            State::Concurrent(leases) => {
                put(leases.len() as i64);
                for (id, end_ms, cost) in leases.iter() {
                    for number in [end_ms, cost, id.len() as i64] {
                        out.extend_from_slice(&number.to_le_bytes());
                    }
                    out.extend_from_slice(id);
                }
                CONCURRENT
            }
            _ => unreachable!("the others have an image"),
        };
        self.head().put(algorithm, &mut out[start..]);
    }

    /// The limiter of a form that anybody may have written. O(its entries).
    ///
    /// # Errors
    /// It is none.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        const WRONG: Error = Error::Corrupt("no limiter has such a form");
        let header = bytes.get(..HEADER).ok_or(Error::Truncated)?;
        let mut rest = Numbers(&bytes[HEADER..]);
        let (limit, blocked_ms) = (number(header, 8), number(header, 16));
        let is_time = |ms: i64| (0..i64::MAX / 4).contains(&ms);
        let is_units = |units: i64| (0..=UNITS_MAX).contains(&units);
        if !is_units(limit) || limit == 0 || !is_time(blocked_ms) || header[FLAGS] & !RESERVED != 0 {
            return Err(WRONG);
        }
        let check = |holds: bool| if holds { Ok(()) } else { Err(WRONG) };
        let state = match header[0] {
            BUCKET => {
                let (unit_ns, tat_ns) = (rest.next()?, rest.next()?);
                let fill_ns = unit_ns.checked_mul(limit);
                check(unit_ns > 0 && fill_ns.is_some_and(|ns| ns <= FILL_MAX_NS))?;
                check(tat_ns >= 0 && rest.next()? == limit)?;
                State::Bucket { unit_ns, tat_ns, reserved: header[FLAGS] & RESERVED != 0 }
            }
            FIXED => {
                let (window_ms, start_ms, count) = (rest.next()?, rest.next()?, rest.next()?);
                check(
                    window_ms > 0 && is_time(window_ms) && (i64::MIN / 4..i64::MAX / 4).contains(&start_ms),
                )?;
                check(is_units(count))?;
                State::Fixed { window_ms, start_ms, count }
            }
            LEAKY => {
                let (unit_ns, next_ns, max_delay_ms) = (rest.next()?, rest.next()?, rest.next()?);
                let fill_ns = unit_ns.checked_mul(limit - 1);
                check(unit_ns > 0 && fill_ns.is_some_and(|ns| ns <= FILL_MAX_NS) && next_ns >= 0)?;
                check((-1..i64::MAX / 4).contains(&max_delay_ms))?;
                State::Leaky { unit_ns, next_ns, max_delay_ms }
            }
            SLIDING => {
                let (window_ms, newest, len) = (rest.next()?, rest.next()?, rest.next()?);
                check((2..=super::BUCKETS_MAX + 1).contains(&len))?;
                check(window_ms > 0 && is_time(window_ms) && window_ms % (len - 1) == 0)?;
                check(newest >= 0 && newest <= (i64::MAX / 4) / (window_ms / (len - 1)))?;
                let counts: SmallVec<_> = (0..len).map(|_| rest.next()).collect::<Result<_, _>>()?;
                check(counts.iter().all(|count| is_units(*count)))?;
                State::Sliding { window_ms, newest, counts }
            }
            LOG => {
                let (window_ms, len) = (rest.next()?, rest.next()?);
                check(window_ms > 0 && is_time(window_ms) && len >= 0 && len as usize <= rest.0.len() / 16)?;
                let mut log = Log::new(window_ms);
                let mut total = 0_i64;
                for _ in 0..len {
                    let (time_ms, cost) = (rest.next()?, rest.next()?);
                    check(is_time(time_ms) && cost > 0 && is_units(cost))?;
                    total += cost;
                    check(is_units(total))?;
                    check(log.newest_ms().is_none_or(|newest_ms| newest_ms < time_ms))?;
                    log.push(time_ms, cost);
                }
                State::Log(log)
            }
            CONCURRENT => {
                let len = rest.next()?;
                check(len >= 0 && len as usize <= rest.0.len() / 24)?;
                let mut leases = Concurrent::default();
                for _ in 0..len {
                    let (end_ms, cost, name_len) = (rest.next()?, rest.next()?, rest.next()?);
                    check(is_time(end_ms) && is_units(cost) && is_units(leases.total() + cost))?;
                    let id = usize::try_from(name_len).ok().and_then(|len| rest.0.split_at_checked(len));
                    let (id, others) = id.ok_or(Error::Truncated)?;
                    rest.0 = others;
                    check(leases.get(id).is_none())?;
                    leases.put(id, end_ms, cost);
                }
                State::Concurrent(leases)
            }
            _ => return Err(WRONG),
        };
        check(rest.0.is_empty())?;
        let policy = u16::from_le_bytes([header[2], header[3]]);
        Ok(Limiter { limit, blocked_ms, policy, unflushed: false, state })
    }
}

/// Numbers that may end too early.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn next(&mut self) -> Result<i64, Error> {
        let (word, rest) = self.0.split_first_chunk::<8>().ok_or(Error::Truncated)?;
        self.0 = rest;
        Ok(i64::from_le_bytes(*word))
    }
}
