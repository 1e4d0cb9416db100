//! The newest buckets of one width, as a ring that grows with what is in it.

use crate::keyspace::size_class;

/// Sums of consecutive buckets. Which bucket a slot is for is the bucket's number modulo the length; slots of buckets
/// outside of `oldest..=newest` hold 0.
#[derive(Clone, Debug, Default)]
pub(super) struct Ring {
    /// Number of the newest bucket that anything was added to.
    newest: i64,
    /// No bucket before this one holds anything.
    oldest: i64,
    /// Empty until something is added.
    slots: Vec<i64>,
}

impl PartialEq for Ring {
    fn eq(&self, other: &Self) -> bool {
        self.newest() == other.newest() && self.filled().eq(other.filled())
    }
}

impl Ring {
    /// A ring of these sums, the last of which is that of bucket `newest`. There is at least one.
    pub(super) fn new(newest: i64, sums: &[i64]) -> Self {
        let mut ring = Ring { newest, oldest: newest - (sums.len() as i64 - 1), slots: vec![0; sums.len()] };
        for (number, sum) in (ring.oldest..).zip(sums) {
            let slot = ring.slot(number);
            ring.slots[slot] = *sum;
        }
        ring
    }

    /// Number of the newest bucket; `None` if nothing was added.
    pub(super) fn newest(&self) -> Option<i64> {
        (!self.slots.is_empty()).then_some(self.newest)
    }

    #[inline]
    fn slot(&self, number: i64) -> usize {
        number.rem_euclid(self.slots.len() as i64) as usize
    }

    /// The sum of bucket `number`. O(1).
    #[inline]
    pub(super) fn sum(&self, number: i64) -> i64 {
        if self.slots.is_empty() || number < self.oldest || number > self.newest {
            return 0;
        }
        self.slots[self.slot(number)]
    }

    /// The sum of buckets `from` to `to`, both included. O(buckets).
    pub(super) fn sum_of(&self, from: i64, to: i64) -> i128 {
        let (from, to) = (from.max(self.oldest), to.min(self.newest));
        if self.slots.is_empty() || from > to {
            return 0;
        }
        let sum = |slots: &[i64]| slots.iter().map(|sum| i128::from(*sum)).sum::<i128>();
        let (first, last) = (self.slot(from), self.slot(to));
        if first <= last {
            sum(&self.slots[first..=last])
        } else {
            sum(&self.slots[first..]) + sum(&self.slots[..=last])
        }
    }

    /// Sets the sum of bucket `number` in a ring that keeps the newest `len_max`; nothing happens if it is older than these.
    /// O(1), but for buckets that are left behind, each of which is cleared once.
    pub(super) fn set(&mut self, number: i64, sum: i64, len_max: i64) {
        if self.slots.is_empty() {
            (self.newest, self.oldest) = (number, number);
            self.slots = vec![0];
        } else if number > self.newest {
            self.advance(number, len_max);
        } else if number < self.oldest {
            if number <= self.newest - len_max {
                return;
            }
            self.grow(self.newest - number + 1, len_max);
            self.oldest = number;
        }
        let slot = self.slot(number);
        self.slots[slot] = sum;
    }

    /// Makes `number` the newest bucket.
    fn advance(&mut self, number: i64, len_max: i64) {
        let oldest = number - len_max + 1;
        if oldest > self.newest {
            self.slots.fill(0);
            self.oldest = number;
        }
        // What holds nothing needs no place: a ring of rare events stays small.
        while self.oldest < number && (self.oldest < oldest || self.sum(self.oldest) == 0) {
            let slot = self.slot(self.oldest);
            self.slots[slot] = 0;
            self.oldest += 1;
        }
        self.grow(number - self.oldest + 1, len_max);
        self.newest = number;
    }

    /// Makes room for `len` buckets.
    fn grow(&mut self, len: i64, len_max: i64) {
        let len = len as usize;
        if len <= self.slots.len() {
            return;
        }
        let room = len.next_power_of_two().min(len_max as usize);
        let mut slots = vec![0; room];
        for number in self.oldest..=self.newest {
            slots[number.rem_euclid(room as i64) as usize] = self.sum(number);
        }
        self.slots = slots;
    }

    /// The sums from the first that is not 0 up to the newest bucket's, which is there even if it is 0. O(buckets).
    pub(super) fn filled(&self) -> impl ExactSizeIterator<Item = i64> {
        let mut oldest = self.oldest;
        while oldest < self.newest && self.sum(oldest) == 0 {
            oldest += 1;
        }
        let len = if self.slots.is_empty() { 0 } else { (self.newest - oldest + 1) as usize };
        (0..len).map(move |at| self.sum(oldest + at as i64))
    }

    /// Bytes of its allocation. O(1).
    pub(super) fn heap_size(&self) -> usize {
        if self.slots.is_empty() { 0 } else { size_class(self.slots.capacity() * size_of::<i64>()) }
    }
}
