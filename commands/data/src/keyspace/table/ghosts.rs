//! The keys that were evicted last, as fingerprints: whoever comes back soon was evicted too early.
//!
//! A line of sixteen fingerprints for as many keys of the table, the latest first. Four bytes per key, one cache line per
//! look, and one key in some hundred million is taken for another.

use super::{Record, Side};
use crate::keyspace::access::fifo_returned;
use crate::keyspace::size_class;

/// Fingerprints per line.
const LINE: usize = 16;

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([u32; LINE]);

/// Fingerprints of evicted keys.
pub(super) struct Ghosts {
    lines: Box<[Line]>,
}

/// No fingerprint is 0, which stands for an empty place.
#[expect(clippy::cast_possible_truncation, reason = "some of the bits are wanted")]
fn fingerprint(hash: u64) -> u32 {
    // The upper bits of the hash choose the line and, as tag, the bucket of the segment.
    hash as u32 | 1
}

impl Ghosts {
    fn new(keys: usize) -> Self {
        Ghosts { lines: vec![Line([0; LINE]); lines_for(keys)].into() }
    }

    /// They are about as many as keys of a table of `keys`.
    fn suits(&self, keys: usize) -> bool {
        let (have, want) = (self.lines.len(), lines_for(keys));
        have >= want && have / 4 <= want
    }

    fn line(&mut self, hash: u64) -> &mut [u32; LINE] {
        let at = (u128::from(hash) * self.lines.len() as u128) >> 64;
        &mut self.lines[at as usize].0
    }

    fn add(&mut self, hash: u64) {
        let line = self.line(hash);
        line.copy_within(..LINE - 1, 1);
        line[0] = fingerprint(hash);
    }

    /// Takes a key out; false if it was not there.
    fn take(&mut self, hash: u64) -> bool {
        let line = self.line(hash);
        let Some(at) = line.iter().position(|&ghost| ghost == fingerprint(hash)) else { return false };
        line.copy_within(at + 1.., at);
        line[LINE - 1] = 0;
        true
    }

    fn size(&self) -> usize {
        size_class(size_of_val(&*self.lines))
    }
}

fn lines_for(keys: usize) -> usize {
    (keys / LINE).next_power_of_two()
}

impl super::Table {
    pub(super) fn ghosts_size(&self) -> usize {
        let Some(side) = &self.side else { return 0 };
        let ghosts = side.trail.as_ref().and_then(|trail| trail.ghosts.as_ref());
        let meter = side.meter.as_ref().map_or(0, |meter| meter.heap_size());
        size_class(size_of::<Side>()) + ghosts.map_or(0, Ghosts::size) + meter
    }

    /// A key that is about to be added may have been evicted not long ago: it goes where it will not be so soon again.
    pub(super) fn welcome_back(&mut self, hash: u64, record: &Record) {
        let ghosts = self.trail_mut().and_then(|trail| trail.ghosts.as_mut());
        if ghosts.is_some_and(|ghosts| ghosts.take(hash)) {
            record.set_access(fifo_returned(record.access()));
        }
    }

    /// A key is evicted.
    pub(super) fn remember_evicted(&mut self, hash: u64) {
        let keys = self.len;
        let ghosts = &mut self.leave_trail().ghosts;
        if !ghosts.as_ref().is_some_and(|ghosts| ghosts.suits(keys)) {
            *ghosts = Some(Ghosts::new(keys + keys / 4));
        }
        if let Some(ghosts) = ghosts {
            ghosts.add(hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_remembered_once() {
        let mut ghosts = Ghosts::new(1000);
        let hash = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (1..=10_000).for_each(|n| ghosts.add(hash(n)));
        let found = (9501..=10_000).filter(|&n| ghosts.take(hash(n))).count();
        assert!(found > 450, "{found} of the last 500");
        assert!(!(9501..=10_000).any(|n| ghosts.take(hash(n))), "each comes back once");
        let old = (1..=5000).filter(|&n| ghosts.take(hash(n))).count();
        assert!(old < 20, "{old} of the first 5000");
        assert!(ghosts.suits(1000) && ghosts.suits(300) && !ghosts.suits(2000) && !ghosts.suits(10));
    }
}
