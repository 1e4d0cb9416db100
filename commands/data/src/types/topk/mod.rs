//! The most frequent elements (J. Gong and others, "HeavyKeeper: An Accurate Algorithm for Finding Top-k Elephant Flows",
//! USENIX ATC 2018), as RedisBloom finds them.
//!
//! Each row of cells has one for every element. A cell belongs to one element at a time, by a fingerprint; others that come to it
//! make its count decay, the less likely the higher it is, until it belongs to one of them. The best counts are kept in a
//! heap, with the elements themselves.
//!
//! Chance comes from a generator that is part of the value: the same elements in the same order lead to the same value
//! everywhere.

mod form;
mod heap;
#[cfg(test)]
mod tests;

use heap::Heap;
pub use heap::Top;

use crate::keyspace::size_class;
use crate::types::collection::AlwaysBoxed;
use crate::types::murmur::murmur32;
use crate::types::zeroed::{SKETCH_SIZE_MAX, zeroed};
use crate::value::TypeCode;

/// Most elements that are kept: each new element is compared with all.
pub const K_MAX: u64 = 1 << 20;
/// Most rows: an element has a hash for each, and each may take as many steps as it counts.
pub const DEPTH_MAX: u64 = 256;
/// Most that an element counts at once.
pub const INCREMENT_MAX: u32 = 100_000;

/// Chances of decay that are known beforehand.
const CHANCES: usize = 256;
/// Below this chance nothing ever decays: the generator has 53 bits.
const CHANCE_MIN: f64 = 1.0 / (1_u64 << 53) as f64;
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// A cell: a fingerprint and a count.
type Cell = [u32; 2];

/// What makes a new list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Elements that are kept.
    pub k: u64,
    pub width: u64,
    pub depth: u64,
    /// The chance that a count of 1 decays, above 0 and at most 1; that of a count of n is its n-th power.
    pub decay: f64,
}

/// The most frequent elements.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopK {
    parts: Box<Parts>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Parts {
    width: u32,
    depth: u32,
    decay: f64,
    random: u64,
    /// Row after row.
    cells: Box<[Cell]>,
    heap: Heap,
    /// The powers of `decay`.
    chances: Box<[f64]>,
}

impl TopK {
    /// An empty list; `None` if it would take more than `room` bytes, or be too large, or there is no memory for it. O(k).
    pub fn new(settings: &Settings, room: u64) -> Option<Self> {
        let Settings { k, width, depth, decay } = *settings;
        let is_sound = (1..=K_MAX).contains(&k) && (1..=DEPTH_MAX).contains(&depth) && width > 0;
        let cells = width.checked_mul(depth)?;
        if !is_sound || cells > SKETCH_SIZE_MAX / size_of::<Cell>() as u64 || !(decay > 0.0 && decay <= 1.0) {
            return None;
        }
        if k * Heap::PLACE_SIZE > room {
            return None;
        }
        let parts = Parts {
            width: u32::try_from(width).ok()?,
            depth: depth as u32,
            decay,
            random: SEED,
            cells: zeroed(cells, room)?,
            heap: Heap::new(k as usize)?,
            chances: powers(decay),
        };
        Some(TopK { parts: Box::new(parts) })
    }

    /// Counts an element `by` times, at most [`INCREMENT_MAX`], and answers the element that had to go for it, if there is one.
    /// O(k + depth · by).
    pub fn add(&mut self, element: &[u8], by: u32) -> Option<Box<[u8]>> {
        let parts = &mut *self.parts;
        let fingerprint = fingerprint(element);
        let mut best = 0;
        for row in 0..parts.depth {
            if let Some(count) = parts.count_in_row(element, fingerprint, row, by) {
                best = best.max(count);
            }
        }
        parts.heap.update(element, fingerprint, best)
    }

    /// True for an element that is among the most frequent. O(k).
    pub fn contains(&self, element: &[u8]) -> bool {
        self.parts.heap.find(element, fingerprint(element)).is_some()
    }

    /// About how often an element was counted. O(k + depth).
    pub fn count(&self, element: &[u8]) -> u32 {
        let parts = &*self.parts;
        let fingerprint = fingerprint(element);
        let least = parts.heap.find(element, fingerprint).map_or(0, |_| parts.heap.least());
        let cells = (0..parts.depth).map(|row| parts.cells[parts.place(element, row)]);
        let own = cells.filter(|[owner, count]| *owner == fingerprint && *count >= least);
        own.map(|[_, count]| count).max().unwrap_or_default()
    }

    /// The most frequent elements, those with the highest counts first. O(k log k).
    pub fn list(&self) -> Vec<&Top> {
        let mut list: Vec<_> = self.parts.heap.tops().collect();
        list.sort_by_key(|top| std::cmp::Reverse(top.count));
        list
    }

    /// Elements that are kept.
    pub fn k(&self) -> usize {
        self.parts.heap.k()
    }

    pub fn width(&self) -> u32 {
        self.parts.width
    }

    pub fn depth(&self) -> u32 {
        self.parts.depth
    }

    /// The chance that a count of 1 decays.
    pub fn decay(&self) -> f64 {
        self.parts.decay
    }
}

impl Parts {
    #[inline]
    fn place(&self, element: &[u8], row: u32) -> usize {
        let column = murmur32(element, row) % self.width;
        row as usize * self.width as usize + column as usize
    }

    /// Counts an element in one row; the count of its cell if that belongs to it now.
    fn count_in_row(&mut self, element: &[u8], fingerprint: u32, row: u32, by: u32) -> Option<u32> {
        let at = self.place(element, row);
        let [owner, mut count] = self.cells[at];
        if count == 0 {
            self.cells[at] = [fingerprint, by];
            return Some(by);
        }
        if owner == fingerprint {
            count = count.saturating_add(by);
            self.cells[at] = [fingerprint, count];
            return Some(count);
        }
        let mut chance = self.chance(count);
        for left in (1..=by).rev() {
            if chance < CHANCE_MIN {
                break;
            }
            if self.next_random() < chance {
                count -= 1;
                if count == 0 {
                    self.cells[at] = [fingerprint, left];
                    return Some(left);
                }
                chance = self.chance(count);
            }
        }
        self.cells[at] = [owner, count];
        None
    }

    /// The chance that this count decays.
    fn chance(&self, count: u32) -> f64 {
        let count = count as usize;
        if let Some(chance) = self.chances.get(count) {
            return *chance;
        }
        let last = CHANCES - 1;
        power(self.chances[last], count / last) * self.chances[count % last]
    }

    /// A number of at least 0 and below 1 (S. Vigna, "An experimental exploration of Marsaglia's xorshift generators,
    /// scrambled", 2016).
    fn next_random(&mut self) -> f64 {
        let mut x = self.random;
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.random = x;
        (x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 * CHANCE_MIN
    }
}

#[inline]
fn fingerprint(element: &[u8]) -> u32 {
    const SEED: u32 = 1919;
    murmur32(element, SEED)
}

/// The powers of a chance, from the 0th on. By multiplication alone, which gives the same everywhere.
fn powers(chance: f64) -> Box<[f64]> {
    let mut power = 1.0;
    let powers = (0..CHANCES).map(|_| {
        let this = power;
        power *= chance;
        this
    });
    powers.collect()
}

fn power(mut base: f64, mut exponent: usize) -> f64 {
    let mut power = 1.0;
    while exponent > 0 {
        if exponent % 2 == 1 {
            power *= base;
        }
        base *= base;
        exponent /= 2;
    }
    power
}

impl AlwaysBoxed for TopK {
    const CODE: TypeCode = TypeCode::TopK;
    const ENCODING: &'static str = "raw";

    fn size_behind(&self) -> usize {
        let parts = &*self.parts;
        size_class(size_of::<Parts>())
            + size_class(size_of_val(&*parts.cells))
            + size_class(size_of_val(&*parts.chances))
            + parts.heap.heap_size()
    }
}
