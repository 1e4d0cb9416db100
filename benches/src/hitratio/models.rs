//! Policies kept to the letter, of caches that have room for a number of keys.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// A policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// Least recently used.
    Lru,
    /// Least often used since it came.
    Lfu,
    /// Yang et al., SOSP 2023.
    S3Fifo,
    /// Einziger et al., with a window of 1 % and a segmented main part.
    TinyLfu,
}

impl Model {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Lru, Self::Lfu, Self::S3Fifo, Self::TinyLfu];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lru => "LRU",
            Self::Lfu => "LFU",
            Self::S3Fifo => "S3-FIFO",
            Self::TinyLfu => "W-TinyLFU",
        }
    }

    /// Hits per request, those of the first `warm` requests not counted.
    pub fn hits(self, keys: &[u32], room: usize, warm: usize) -> f64 {
        let mut cache: Box<dyn Cache> = match self {
            Self::Lru => Box::new(Ordered::new(room, false)),
            Self::Lfu => Box::new(Ordered::new(room, true)),
            Self::S3Fifo => Box::new(S3Fifo::new(room)),
            Self::TinyLfu => Box::new(TinyLfu::new(room)),
        };
        let mut hits = 0;
        for (at, key) in keys.iter().enumerate() {
            hits += usize::from(cache.ask(*key) && at >= warm);
        }
        hits as f64 / (keys.len() - warm).max(1) as f64
    }
}

trait Cache {
    /// True if the key is there; afterwards it is.
    fn ask(&mut self, key: u32) -> bool;
}

/// The key with the least rank goes: the time of its last use, after the number of its uses if these count.
struct Ordered {
    room: usize,
    counts: bool,
    time: u64,
    ranks: HashMap<u32, (u64, u64)>,
    order: BTreeSet<(u64, u64, u32)>,
}

impl Ordered {
    fn new(room: usize, counts: bool) -> Self {
        Ordered { room, counts, time: 0, ranks: HashMap::default(), order: BTreeSet::new() }
    }

    fn take(&mut self, key: u32) -> Option<u64> {
        let (uses, time) = self.ranks.remove(&key)?;
        self.order.remove(&(uses, time, key));
        Some(uses)
    }

    fn put(&mut self, key: u32, uses: u64) {
        self.time += 1;
        self.ranks.insert(key, (uses, self.time));
        self.order.insert((uses, self.time, key));
    }

    fn last(&self) -> Option<u32> {
        self.order.first().map(|(_, _, key)| *key)
    }
}

impl Cache for Ordered {
    fn ask(&mut self, key: u32) -> bool {
        let uses = self.take(key);
        if uses.is_none() && self.ranks.len() >= self.room {
            self.last().map(|last| self.take(last));
        }
        self.put(key, if self.counts { uses.unwrap_or(0) + 1 } else { 0 });
        uses.is_some()
    }
}

/// A queue from which keys may be taken out of the middle.
#[derive(Default)]
struct Queue {
    next: u64,
    order: BTreeMap<u64, u32>,
    places: HashMap<u32, u64>,
}

impl Queue {
    fn push(&mut self, key: u32) {
        self.order.insert(self.next, key);
        self.places.insert(key, self.next);
        self.next += 1;
    }

    fn pop(&mut self) -> Option<u32> {
        let (_, key) = self.order.pop_first()?;
        self.places.remove(&key);
        Some(key)
    }

    fn take(&mut self, key: u32) -> bool {
        self.places.remove(&key).is_some_and(|place| self.order.remove(&place).is_some())
    }

    fn len(&self) -> usize {
        self.places.len()
    }
}

struct S3Fifo {
    room: usize,
    small: VecDeque<u32>,
    main: VecDeque<u32>,
    ghosts: Queue,
    uses: HashMap<u32, u8>,
}

impl S3Fifo {
    fn new(room: usize) -> Self {
        let (small, main) = (VecDeque::new(), VecDeque::new());
        S3Fifo { room, small, main, ghosts: Queue::default(), uses: HashMap::default() }
    }

    fn evict(&mut self) {
        loop {
            if self.small.len() * 10 > self.room {
                let Some(key) = self.small.pop_front() else { return };
                if self.uses[&key] > 0 {
                    self.uses.insert(key, 0);
                    self.main.push_back(key);
                    continue;
                }
                self.uses.remove(&key);
                self.ghosts.push(key);
                if self.ghosts.len() > self.room {
                    self.ghosts.pop();
                }
                return;
            }
            let Some(key) = self.main.pop_front() else { return };
            let uses = self.uses[&key];
            if uses == 0 {
                self.uses.remove(&key);
                return;
            }
            self.uses.insert(key, uses - 1);
            self.main.push_back(key);
        }
    }
}

impl Cache for S3Fifo {
    fn ask(&mut self, key: u32) -> bool {
        if let Some(uses) = self.uses.get_mut(&key) {
            *uses = (*uses + 1).min(3);
            return true;
        }
        if self.uses.len() >= self.room {
            self.evict();
        }
        self.uses.insert(key, 0);
        let queue = if self.ghosts.take(key) { &mut self.main } else { &mut self.small };
        queue.push_back(key);
        false
    }
}

/// Counts uses in four rows of four-bit counters, all of which are halved now and then.
struct Sketch {
    rows: [Vec<u8>; 4],
    counted: usize,
    period: usize,
}

impl Sketch {
    fn new(room: usize) -> Self {
        let len = (room * 2).next_power_of_two();
        Sketch { rows: std::array::from_fn(|_| vec![0; len]), counted: 0, period: room * 10 }
    }

    fn places(&self, key: u32) -> [usize; 4] {
        let mask = self.rows[0].len() as u64 - 1;
        std::array::from_fn(|row| {
            let hash =
                (u64::from(key) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64.rotate_left(row as u32 * 13) | 1);
            ((hash ^ hash >> 29) >> 7 & mask) as usize
        })
    }

    fn count(&mut self, key: u32) {
        for (row, place) in self.places(key).into_iter().enumerate() {
            self.rows[row][place] = (self.rows[row][place] + 1).min(15);
        }
        self.counted += 1;
        if self.counted == self.period {
            self.counted /= 2;
            self.rows.iter_mut().flatten().for_each(|counter| *counter /= 2);
        }
    }

    fn of(&self, key: u32) -> u8 {
        let counters = self.places(key).into_iter().enumerate().map(|(row, place)| self.rows[row][place]);
        counters.min().unwrap_or(0)
    }
}

struct TinyLfu {
    room: usize,
    window: Queue,
    probation: Queue,
    protected: Queue,
    sketch: Sketch,
}

impl TinyLfu {
    fn new(room: usize) -> Self {
        let (window, probation, protected) = (Queue::default(), Queue::default(), Queue::default());
        TinyLfu { room, window, probation, protected, sketch: Sketch::new(room) }
    }
}

impl Cache for TinyLfu {
    fn ask(&mut self, key: u32) -> bool {
        self.sketch.count(key);
        if self.window.take(key) {
            self.window.push(key);
            return true;
        }
        if self.protected.take(key) {
            self.protected.push(key);
            return true;
        }
        if self.probation.take(key) {
            self.protected.push(key);
            if self.protected.len() > self.room * 79 / 100
                && let Some(demoted) = self.protected.pop()
            {
                self.probation.push(demoted);
            }
            return true;
        }
        self.window.push(key);
        if self.window.len() > (self.room / 100).max(1)
            && let Some(candidate) = self.window.pop()
        {
            let full = self.window.len() + self.probation.len() + self.protected.len() >= self.room;
            let victim = if full { self.probation.pop() } else { None };
            match victim {
                Some(victim) if self.sketch.of(victim) >= self.sketch.of(candidate) => {
                    self.probation.push(victim);
                }
                _ => self.probation.push(candidate),
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hitratio::traces::Trace;

    #[test]
    fn models_do_what_they_are_known_for() {
        let hits = |trace: Trace, model: Model| model.hits(&trace.keys(60_000, 1000, 3), 1000, 10_000);
        for model in Model::ALL {
            assert!(hits(Trace::Zipf11, model) > 0.6, "{}", model.name());
        }
        assert!(hits(Trace::Loop, Model::Lru) < 0.01, "a loop is the worst that can happen to LRU");
        assert!(hits(Trace::Scan, Model::S3Fifo) > hits(Trace::Scan, Model::Lru));
        assert!(hits(Trace::Shifting, Model::Lru) > hits(Trace::Shifting, Model::Lfu));
    }
}
