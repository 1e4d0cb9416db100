//! How many different items there were in a window of time: a HyperLogLog sketch per bucket of it, as `PFADD` keeps them.
//!
//! Sketches are added up without loss, so the count of a window is as exact as that of a sketch which saw all of it. As
//! everywhere, times are arguments and changes are effects ([`Uniq::apply`]): the registers that were raised.

mod cache;
mod codec;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use cache::Cache;

use super::counter::{BeyondRetention, DURATION_MAX_MS, Malformed};
use super::hll::{Mark, Sketch, Union};
use crate::keyspace::size_class;
use crate::types::collection::AlwaysBoxed;
use crate::value::TypeCode;

/// Most buckets: so many sketches can be added up within a few hundredths of a second.
pub const BUCKETS_MAX: i64 = 4096;

/// A larger sketch stores its registers one by one.
const SPARSE_MAX_BYTES: usize = 3000;

/// How wide the buckets are, and how many are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// 1 to [`DURATION_MAX_MS`].
    pub bucket_ms: i64,
    /// 1 to [`BUCKETS_MAX`].
    pub buckets: i64,
}

impl Default for Shape {
    /// An hour by the minute.
    fn default() -> Self {
        Shape { bucket_ms: 60_000, buckets: 60 }
    }
}

impl Shape {
    /// True when it is within its limits.
    pub fn is_valid(self) -> bool {
        let length_ms = self.bucket_ms.checked_mul(self.buckets);
        self.bucket_ms > 0
            && (1..=BUCKETS_MAX).contains(&self.buckets)
            && length_ms.is_some_and(|ms| ms <= DURATION_MAX_MS)
    }
}

/// Counts of different items. It stays when it is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Uniq {
    parts: Box<Parts>,
}

#[derive(Clone, Debug, Default)]
struct Parts {
    shape: Shape,
    /// The sketches that saw something, by the numbers of their buckets, in ascending order.
    sketches: VecDeque<(i64, Sketch)>,
    sketches_size: usize,
    cache: Cache,
}

impl PartialEq for Parts {
    fn eq(&self, other: &Self) -> bool {
        (self.shape, &self.sketches) == (other.shape, &other.sketches)
    }
}

/// A change: the only things that change one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The shape is this, and nothing is counted.
    Configure(Shape),
    /// The registers of the bucket that begins at `start_ms` hold at least this.
    Add { start_ms: i64, marks: Vec<Mark> },
}

impl Uniq {
    /// Nothing was seen yet.
    pub fn new(shape: Shape) -> Self {
        let parts = Parts { shape, ..Parts::default() };
        Uniq { parts: Box::new(parts) }
    }

    pub fn shape(&self) -> Shape {
        self.parts.shape
    }

    /// The effect of seeing these items at `now_ms`, which is not negative. O(bytes of the items).
    pub fn add<'a>(&self, items: impl Iterator<Item = &'a [u8]>, now_ms: i64) -> Effect {
        Effect::Add {
            start_ms: now_ms - now_ms % self.parts.shape.bucket_ms,
            marks: items.map(Mark::of).collect(),
        }
    }

    /// True when something was seen at a time which, by this clock, is still to come: the clock is another one.
    pub fn is_ahead(&self, now_ms: i64) -> bool {
        let newest = self.parts.sketches.back();
        newest.is_some_and(|(number, _)| *number > now_ms.div_euclid(self.parts.shape.bucket_ms))
    }

    /// Makes a change, and gives what of it was one: an effect without the registers that were high enough. O(marks) if
    /// the sketch is dense, else O(marks times its size).
    ///
    /// # Errors
    /// It is not one that this value can have had.
    pub fn apply(&mut self, effect: Effect) -> Result<Effect, Malformed> {
        let parts = &mut *self.parts;
        match effect {
            Effect::Configure(shape) => {
                *parts = Parts { shape, ..Parts::default() };
                Ok(Effect::Configure(shape))
            }
            Effect::Add { start_ms, mut marks } => {
                if !(0..=DURATION_MAX_MS).contains(&start_ms) {
                    return Err(Malformed);
                }
                if marks.is_empty() {
                    return Ok(Effect::Add { start_ms, marks });
                }
                let number = start_ms / parts.shape.bucket_ms;
                let Some(at) = parts.place(number) else {
                    marks.clear();
                    return Ok(Effect::Add { start_ms, marks });
                };
                let sketch = &mut parts.sketches[at].1;
                let size = sketch.heap_size();
                let mut failed = false;
                marks.retain(|mark| {
                    let raised = sketch.add(*mark, SPARSE_MAX_BYTES);
                    failed |= raised.is_err();
                    raised.unwrap_or(false)
                });
                parts.sketches_size = parts.sketches_size + sketch.heap_size() - size;
                if !marks.is_empty() {
                    parts.cache.clear();
                }
                if failed { Err(Malformed) } else { Ok(Effect::Add { start_ms, marks }) }
            }
        }
    }

    /// How many different items there were in windows of the newest `windows` buckets each, in this order: those that are
    /// still to come do not count. O(buckets in the widest), and O(1) for the few windows that were asked for last.
    ///
    /// # Errors
    /// So many buckets are not kept.
    pub fn counts(&self, windows_ms: &[i64], now_ms: i64) -> Result<Vec<u64>, BeyondRetention> {
        let Shape { bucket_ms, buckets } = self.parts.shape;
        let newest = now_ms.div_euclid(bucket_ms);
        let mut counts = vec![0; windows_ms.len()];
        let mut missing = Vec::new();
        for (at, window_ms) in windows_ms.iter().enumerate() {
            let window = window_ms / bucket_ms + i64::from(window_ms % bucket_ms > 0);
            if window > buckets {
                return Err(BeyondRetention);
            }
            match self.parts.cache.get(window, newest) {
                Some(count) => counts[at] = count,
                None => missing.push((window, at)),
            }
        }
        missing.sort_unstable();
        let mut union = Union::default();
        let mut sketches =
            self.parts.sketches.iter().rev().skip_while(|(number, _)| *number > newest).peekable();
        let mut last = None;
        for (window, at) in missing {
            if let Some((same, count)) = last
                && same == window
            {
                counts[at] = count;
                continue;
            }
            while let Some((_, sketch)) = sketches.next_if(|(number, _)| *number > newest - window) {
                union.add(sketch.bytes()).expect("only whole sketches are kept");
            }
            counts[at] = union.count();
            last = Some((window, counts[at]));
            self.parts.cache.put(window, newest, counts[at]);
        }
        Ok(counts)
    }
}

impl Parts {
    /// Where the sketch of bucket `number` is, which is made if need be; `None` if it is older than what is kept.
    fn place(&mut self, number: i64) -> Option<usize> {
        let newest = self.sketches.back().map(|(number, _)| *number);
        if newest.is_some_and(|newest| number <= newest - self.shape.buckets) {
            return None;
        }
        let at = match self.sketches.binary_search_by_key(&number, |(number, _)| *number) {
            Ok(at) => return Some(at),
            Err(at) => at,
        };
        let sketch = Sketch::default();
        self.sketches_size += sketch.heap_size();
        self.sketches.insert(at, (number, sketch));
        let mut at = at;
        let newest = self.sketches.back().map_or(number, |(number, _)| *number);
        while let Some((oldest, sketch)) = self.sketches.front()
            && *oldest <= newest - self.shape.buckets
        {
            self.sketches_size -= sketch.heap_size();
            self.sketches.pop_front();
            self.cache.clear();
            at -= 1;
        }
        Some(at)
    }
}

impl AlwaysBoxed for Uniq {
    const CODE: TypeCode = TypeCode::Uniq;
    const ENCODING: &'static str = "uniq";

    fn size_behind(&self) -> usize {
        let parts = &self.parts;
        let places = match parts.sketches.capacity() {
            0 => 0,
            capacity => size_class(capacity * size_of::<(i64, Sketch)>()),
        };
        size_class(size_of::<Parts>()) + places + parts.sketches_size
    }
}
