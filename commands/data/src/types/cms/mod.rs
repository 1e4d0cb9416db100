//! Count-min sketches: about how often each element was seen, never less (G. Cormode and S. Muthukrishnan, "An Improved Data
//! Stream Summary: The Count-Min Sketch and its Applications", 2005), with the cells that RedisBloom counts in.
//!
//! There is one cell per row for an element; the least of them is the answer.

#[cfg(test)]
mod tests;

use crate::keyspace::size_class;
use crate::rdb::Error;
use crate::types::collection::AlwaysBoxed;
use crate::types::fields::{Fields, SKETCH_VERSION};
use crate::types::murmur::murmur32;
use crate::types::native::Native;
use crate::types::zeroed::zeroed;
use crate::value::TypeCode;

/// Most rows: an element has a hash for each.
pub const DEPTH_MAX: u64 = 1 << 16;

/// A cell that has this count may have missed some.
pub const COUNT_MAX: u32 = u32::MAX;

const BAD: Error = Error::Corrupt("a sketch contradicts itself");

/// A count-min sketch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cms {
    parts: Box<Parts>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Parts {
    width: u64,
    depth: u64,
    /// What all increments add up to.
    count: u64,
    /// Row after row.
    cells: Box<[u32]>,
}

/// What merging would lead to cannot be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeError {
    /// A count would be negative, or too large.
    Overflow,
    /// There is no room for the sum.
    TooLarge,
}

impl Cms {
    /// An empty sketch; `None` if it would take more than `room` bytes, or be too large, or there is no memory for it. O(1) for
    /// large ones.
    pub fn new(width: u64, depth: u64, room: u64) -> Option<Self> {
        let cells = width.checked_mul(depth).filter(|len| *len > 0 && depth <= DEPTH_MAX)?;
        let cells = zeroed(cells, room)?;
        Some(Cms { parts: Box::new(Parts { width, depth, count: 0, cells }) })
    }

    /// Width and depth with which an answer is too high by more than `error` of all increments only with this probability, both
    /// between 0 and 1.
    pub fn dimensions(error: f64, probability: f64) -> (u64, u64) {
        let width = (2.0 / error).ceil();
        let depth = ((probability as f32).log10() / 0.5_f32.log10()).ceil();
        (width as u64, depth as u64)
    }

    /// Adds to the count of an element and answers it: [`COUNT_MAX`] where it may be higher. O(depth).
    #[inline]
    pub fn increment(&mut self, element: &[u8], by: u64) -> u32 {
        let parts = &mut *self.parts;
        let step = u32::try_from(by).unwrap_or(COUNT_MAX);
        let mut least = COUNT_MAX;
        for (seed, row) in (0..).zip(parts.cells.chunks_exact_mut(parts.width as usize)) {
            let cell = &mut row[place(element, seed, parts.width)];
            *cell = cell.saturating_add(step);
            least = least.min(*cell);
        }
        parts.count = parts.count.wrapping_add(by);
        least
    }

    /// The count of an element, or more. O(depth).
    pub fn estimate(&self, element: &[u8]) -> u32 {
        let parts = &*self.parts;
        let rows = (0..).zip(parts.cells.chunks_exact(parts.width as usize));
        rows.map(|(seed, row)| row[place(element, seed, parts.width)]).min().unwrap_or_default()
    }

    /// A sketch that has counted what these have, each as many times as its weight says. All have the dimensions of the first.
    /// O(sketches · width · depth).
    pub fn sum(sketches: &[(&Cms, i64)], room: u64) -> Result<Self, MergeError> {
        let Some((first, _)) = sketches.first() else { return Err(MergeError::Overflow) };
        let mut sum = Self::new(first.parts.width, first.parts.depth, room).ok_or(MergeError::TooLarge)?;
        for (at, cell) in sum.parts.cells.iter_mut().enumerate() {
            let weighted = sketches.iter().map(|(sketch, weight)| {
                let cell = sketch.parts.cells.get(at).copied().unwrap_or_default();
                i128::from(cell) * i128::from(*weight)
            });
            *cell = u32::try_from(weighted.sum::<i128>()).map_err(|_| MergeError::Overflow)?;
        }
        let counts =
            sketches.iter().map(|(sketch, weight)| i128::from(sketch.parts.count) * i128::from(*weight));
        let count = i64::try_from(counts.sum::<i128>()).ok().and_then(|count| u64::try_from(count).ok());
        sum.parts.count = count.ok_or(MergeError::Overflow)?;
        Ok(sum)
    }

    pub fn width(&self) -> u64 {
        self.parts.width
    }

    pub fn depth(&self) -> u64 {
        self.parts.depth
    }

    /// What all increments add up to.
    pub fn count(&self) -> u64 {
        self.parts.count
    }
}

/// Where the count of an element is in the row with this number. No row has 2^32 cells.
#[inline]
fn place(element: &[u8], seed: u32, width: u64) -> usize {
    (murmur32(element, seed) % width as u32) as usize
}

impl AlwaysBoxed for Cms {
    const CODE: TypeCode = TypeCode::Cms;
    const ENCODING: &'static str = "raw";

    fn size_behind(&self) -> usize {
        size_class(size_of::<Parts>()) + size_class(size_of_val(&*self.parts.cells))
    }
}

/// Width, depth and count of 64 bits each, then the cells.
impl Native for Cms {
    const MODULE: &'static [u8; 9] = b"CMSk-TYPE";
    const VERSION: u32 = SKETCH_VERSION;

    fn save(view: &Cms, payload: &mut Vec<u8>) {
        let parts = &*view.parts;
        payload.reserve(24 + 4 * parts.cells.len());
        for number in [parts.width, parts.depth, parts.count] {
            payload.extend_from_slice(&number.to_le_bytes());
        }
        parts.cells.iter().for_each(|cell| payload.extend_from_slice(&cell.to_le_bytes()));
    }

    fn load(payload: &[u8], _: u32) -> Result<Self, Error> {
        let mut fields = Fields::new(payload);
        let header = (|| Some((fields.u64()?, fields.u64()?, fields.u64()?)))();
        let (width, depth, count) = header.ok_or(BAD)?;
        let cells = width.checked_mul(depth).and_then(|cells| cells.checked_mul(4));
        if cells != Some(fields.left() as u64) {
            return Err(BAD);
        }
        let mut sketch = Self::new(width, depth, u64::MAX).ok_or(BAD)?;
        sketch.parts.count = count;
        for cell in &mut sketch.parts.cells {
            *cell = fields.u32().ok_or(BAD)?;
        }
        Ok(sketch)
    }
}
