//! Scalable Bloom filters: which elements were seen, with false positives at a chosen rate and no false negatives
//! (P. Almeida and others, "Scalable Bloom Filters", 2007), with the bits that RedisBloom sets.
//!
//! A filter is a chain of links. When the last link has as many elements as it was made for, a larger one with half the error
//! rate follows, so that the rates of all links together stay below that of the filter. Elements are only ever added to
//! the last one.

mod chunks;
#[cfg(test)]
mod tests;

pub use chunks::ChunkError;

use crate::keyspace::size_class;
use crate::types::collection::AlwaysBoxed;
use crate::types::murmur::murmur64;
use crate::types::zeroed::{SKETCH_SIZE_MAX, zeroed};
use crate::value::TypeCode;

/// Higher error rates are taken for this one.
const ERROR_RATE_MAX: f64 = 0.25;
/// How much smaller the error rate of each link is than that of the one before.
const TIGHTENING: f64 = 0.5;
/// More hashes than any error rate above zero asks for.
const HASHES_MAX: u32 = 2048;
/// More links than there can be before the error rate of the last one is zero.
const LINKS_MAX: usize = 2048;
/// What RedisBloom counts for a filter without links, and for a link without its bits.
const FILTER_OVERHEAD: u64 = 32;
const LINK_OVERHEAD: u64 = 64;

/// The hash of an element: where it goes in links of any size. O(len).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash {
    first: u64,
    step: u64,
}

impl Hash {
    #[inline]
    pub fn of(element: &[u8]) -> Self {
        const SEED: u64 = 0xc6a4_a793_5bd1_e995;
        let first = murmur64(element, SEED);
        Hash { first, step: murmur64(element, first) }
    }
}

/// What makes a new filter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Share of false positives, above 0 and below 1.
    pub error_rate: f64,
    /// Elements of the first link, at least 1.
    pub capacity: u64,
    /// How many times larger each link is than the one before; `None` for one link only.
    pub expansion: Option<u32>,
}

/// Why an element was not added. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The only link has all the elements it was made for.
    Full,
    /// The next link would be too large, or needs an error rate that is no number.
    TooLarge,
}

/// A Bloom filter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bloom {
    parts: Box<Parts>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Parts {
    /// Elements that were added.
    size: u64,
    /// How many times larger each link is than the one before.
    growth: u32,
    is_scaling: bool,
    /// The oldest first.
    links: Vec<Link>,
    /// Bytes of the bits of all links.
    bits_size: usize,
}

/// A plain Bloom filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    bits: Box<[u8]>,
    /// Bits that are used; a multiple of 64 in filters made here.
    bits_len: u64,
    size: u64,
    capacity: u64,
    error_rate: f64,
    bits_per_element: f64,
    hashes: u32,
    /// Binary logarithm of the bits in filters of old versions, else 0. It is only handed on.
    bits_log: u8,
}

impl Link {
    /// An empty one. O(1) for large ones, else O(size).
    fn new(capacity: u64, error_rate: f64, room: u64) -> Option<Self> {
        let sizes = Sizes::of(capacity, error_rate)?;
        Some(Link {
            bits: zeroed(sizes.bits_len / 8, room)?,
            bits_len: sizes.bits_len,
            size: 0,
            capacity,
            error_rate,
            bits_per_element: sizes.bits_per_element,
            hashes: sizes.hashes,
            bits_log: 0,
        })
    }

    #[inline]
    fn place(&self, hash: Hash, n: u32) -> (usize, u8) {
        let bit = hash.first.wrapping_add(hash.step.wrapping_mul(n.into())) % self.bits_len;
        ((bit / 8) as usize, 1 << (bit % 8))
    }

    #[inline]
    fn contains(&self, hash: Hash) -> bool {
        (0..self.hashes).all(|n| {
            let (byte, mask) = self.place(hash, n);
            self.bits[byte] & mask != 0
        })
    }

    #[inline]
    fn set(&mut self, hash: Hash) {
        for n in 0..self.hashes {
            let (byte, mask) = self.place(hash, n);
            self.bits[byte] |= mask;
        }
    }

    /// Bytes of its bits.
    pub fn bytes(&self) -> usize {
        self.bits.len()
    }

    /// Number of its bits.
    pub fn bits_len(&self) -> u64 {
        self.bits_len
    }

    /// Bits per element.
    pub fn hashes(&self) -> u32 {
        self.hashes
    }

    /// Elements it was made for.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Elements that were added to it.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Share of false positives when it is full.
    pub fn error_rate(&self) -> f64 {
        self.error_rate
    }
}

/// What follows from capacity and error rate.
struct Sizes {
    bits_len: u64,
    bits_per_element: f64,
    hashes: u32,
}

impl Sizes {
    fn of(capacity: u64, error_rate: f64) -> Option<Self> {
        /// ln(2), and its square: with as many digits as RedisBloom has, since the last one can decide about a hash more.
        #[expect(clippy::approx_constant, reason = "see above")]
        const LN_2: f64 = 0.693_147_180_559_945;
        const LN_2_SQUARED: f64 = 0.480_453_013_918_201;
        const WORD_BITS: u64 = 64;
        if capacity == 0 || !(error_rate > 0.0 && error_rate < 1.0) {
            return None;
        }
        let bits_per_element = -(error_rate.ln() / LN_2_SQUARED);
        let bits = capacity as f64 * bits_per_element;
        if bits >= (SKETCH_SIZE_MAX * 8) as f64 {
            return None;
        }
        let bits_len = (bits as u64).max(1).next_multiple_of(WORD_BITS);
        Some(Sizes { bits_len, bits_per_element, hashes: (LN_2 * bits_per_element).ceil() as u32 })
    }
}

impl Bloom {
    /// An empty filter; `None` if it would take more than `room` bytes, or be too large, or there is no memory for it.
    pub fn new(settings: &Settings, room: u64) -> Option<Self> {
        let error_rate = settings.error_rate.min(ERROR_RATE_MAX);
        let tightening = if settings.expansion.is_some() { TIGHTENING } else { 1.0 };
        let mut filter = Bloom {
            parts: Box::new(Parts {
                growth: settings.expansion.unwrap_or_default(),
                is_scaling: settings.expansion.is_some(),
                ..Parts::default()
            }),
        };
        filter.parts.push(Link::new(settings.capacity, error_rate * tightening, room)?);
        Some(filter)
    }

    /// Adds an element; false if it seems to be there already. The filter may grow by `room` bytes. O(links · hashes).
    #[inline]
    pub fn add(&mut self, hash: Hash, room: u64) -> Result<bool, Refused> {
        if self.contains(hash) {
            return Ok(false);
        }
        let parts = &mut *self.parts;
        if parts.links.last().is_none_or(|link| link.size >= link.capacity) {
            parts.grow(room)?;
        }
        let link = parts.links.last_mut().ok_or(Refused::TooLarge)?;
        link.set(hash);
        link.size += 1;
        parts.size += 1;
        Ok(true)
    }

    /// False if the element was never added. O(links · hashes).
    #[inline]
    pub fn contains(&self, hash: Hash) -> bool {
        self.parts.links.iter().rev().any(|link| link.contains(hash))
    }

    /// Elements that were added.
    pub fn size(&self) -> u64 {
        self.parts.size
    }

    /// Elements for which there is room before the error rate becomes larger than asked for, or another link is needed.
    pub fn capacity(&self) -> u64 {
        self.parts.links.iter().fold(0, |sum, link| link.capacity.saturating_add(sum))
    }

    /// How many times larger each link is than the one before; `None` for one link only.
    pub fn expansion(&self) -> Option<u32> {
        self.parts.is_scaling.then_some(self.parts.growth)
    }

    /// The links, the oldest first.
    pub fn links(&self) -> &[Link] {
        &self.parts.links
    }

    /// The size in bytes that RedisBloom tells.
    pub fn told_size(&self) -> u64 {
        FILTER_OVERHEAD + LINK_OVERHEAD * self.parts.links.len() as u64 + self.parts.bits_size as u64
    }
}

impl Parts {
    fn push(&mut self, link: Link) {
        self.bits_size += link.bits.len();
        self.links.push(link);
    }

    /// Adds the next link.
    #[cold]
    fn grow(&mut self, room: u64) -> Result<(), Refused> {
        if !self.is_scaling {
            return Err(Refused::Full);
        }
        let last = self.links.last().ok_or(Refused::TooLarge)?;
        let capacity = last.capacity.checked_mul(self.growth.into()).ok_or(Refused::TooLarge)?;
        let error_rate = last.error_rate * TIGHTENING;
        let sizes = Sizes::of(capacity, error_rate).ok_or(Refused::TooLarge)?;
        if self.links.len() >= LINKS_MAX || self.bits_size as u64 + sizes.bits_len / 8 > SKETCH_SIZE_MAX {
            return Err(Refused::TooLarge);
        }
        self.push(Link::new(capacity, error_rate, room).ok_or(Refused::TooLarge)?);
        Ok(())
    }
}

impl AlwaysBoxed for Bloom {
    const CODE: TypeCode = TypeCode::Bloom;
    const ENCODING: &'static str = "raw";

    fn size_behind(&self) -> usize {
        let links = size_class(self.parts.links.capacity() * size_of::<Link>());
        size_class(size_of::<Parts>()) + links + self.parts.bits_size
    }
}
