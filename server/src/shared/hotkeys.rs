//! `HOTKEYS` of Redis 8.6: which keys take most of the processor's time, and of the network's bytes, while somebody wants to know.
//!
//! Each measure is kept by the Space-Saving algorithm: a bounded number of counters, of which the smallest is given to a key
//! that has none, with what it had counted. So a key that takes more than one counter's share of the whole is always among them,
//! and figures are too large at most by what the smallest counter has. A command of several keys counts for each by its
//! share.

use hashbrown::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// Keys for which each measure is kept, at least; and so many for each that is asked for.
const COUNTERS_MIN: usize = 256;
const COUNTERS_PER_KEY: usize = 16;
/// Longer keys are not followed, so that memory is bounded.
const KEY_BYTES_MAX: usize = 4096;

/// What is to be followed.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The processor's time.
    pub cpu: bool,
    /// The network's bytes.
    pub net: bool,
    /// So many keys are told of.
    pub count: usize,
    /// How long, in milliseconds; 0 until it is stopped.
    pub duration_ms: i64,
    /// One command in so many is looked at.
    pub sample: u64,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Report {
    /// What was to be followed.
    pub wanted: Wanted,
    /// It is still going on.
    pub is_active: bool,
    /// When it began, Unix milliseconds, and how long it has taken.
    pub began_ms: i64,
    /// How long it has taken, or took, in milliseconds.
    pub took_ms: i64,
    /// Microseconds of all commands.
    pub micros: u64,
    /// Bytes of all commands.
    pub bytes: u64,
    /// Keys with their microseconds, most first.
    pub by_cpu: Vec<(Box<[u8]>, u64)>,
    /// Keys with their bytes, most first.
    pub by_net: Vec<(Box<[u8]>, u64)>,
    /// Processor time of the process meanwhile, in user mode and in the kernel, in milliseconds.
    pub process_ms: (i64, i64),
}

/// Follows hot keys.
#[derive(Debug, Default)]
pub struct HotKeys {
    /// Somebody wants to know: all that is asked while it is off.
    is_on: AtomicBool,
    session: Mutex<Option<Session>>,
}

#[derive(Debug)]
struct Session {
    wanted: Wanted,
    began_ms: i64,
    ended_ms: Option<i64>,
    process_ms: (i64, i64),
    process_ended_ms: (i64, i64),
    nanos: u64,
    bytes: u64,
    seen: u64,
    cpu: Counters,
    net: Counters,
}

impl HotKeys {
    /// True while commands are to be told of.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.is_on.load(Relaxed)
    }

    /// Begins; false if it is going on already. `process_ms` is what the process has used so far.
    pub fn start(&self, wanted: Wanted, now_ms: i64, process_ms: (i64, i64)) -> bool {
        let mut session = self.lock();
        if session.as_mut().is_some_and(|session| !session.is_over(now_ms)) {
            return false;
        }
        let room = (wanted.count * COUNTERS_PER_KEY).max(COUNTERS_MIN);
        *session = Some(Session {
            wanted,
            began_ms: now_ms,
            ended_ms: None,
            process_ms,
            process_ended_ms: process_ms,
            nanos: 0,
            bytes: 0,
            seen: 0,
            cpu: Counters::new(room),
            net: Counters::new(room),
        });
        self.is_on.store(true, Relaxed);
        true
    }

    /// Ends; false if nothing was going on.
    pub fn stop(&self, now_ms: i64, process_ms: (i64, i64)) -> bool {
        self.is_on.store(false, Relaxed);
        let mut session = self.lock();
        let Some(session) = session.as_mut() else { return false };
        if session.is_over(now_ms) {
            return false;
        }
        session.ended_ms = Some(now_ms);
        session.process_ended_ms = process_ms;
        true
    }

    /// Forgets what was found; false while it is going on.
    pub fn reset(&self, now_ms: i64) -> bool {
        let mut session = self.lock();
        if session.as_mut().is_some_and(|session| !session.is_over(now_ms)) {
            return false;
        }
        *session = None;
        true
    }

    /// Notes a command.
    #[cold]
    pub fn note(&self, keys: &[&[u8]], nanos: u64, bytes: u64, now_ms: i64) {
        let mut session = self.lock();
        let Some(session) = session.as_mut() else { return };
        if session.is_over(now_ms) {
            self.is_on.store(false, Relaxed);
            return;
        }
        session.nanos += nanos;
        session.bytes += bytes;
        session.seen += 1;
        if keys.is_empty() || session.seen % session.wanted.sample != 0 {
            return;
        }
        let share = keys.len() as u64;
        for key in keys.iter().filter(|key| key.len() <= KEY_BYTES_MAX) {
            if session.wanted.cpu {
                session.cpu.add(key, nanos.div_ceil(share));
            }
            if session.wanted.net {
                session.net.add(key, bytes.div_ceil(share));
            }
        }
    }

    /// What was found so far; `None` if nothing was followed.
    pub fn report(&self, now_ms: i64, process_ms: (i64, i64)) -> Option<Report> {
        let mut session = self.lock();
        let session = session.as_mut()?;
        let is_active = !session.is_over(now_ms);
        let process_end_ms = if is_active { process_ms } else { session.process_ended_ms };
        let used = |of: fn((i64, i64)) -> i64| (of(process_end_ms) - of(session.process_ms)).max(0);
        let micros = |found: Vec<(Box<[u8]>, u64)>| found.into_iter().map(|(key, nanos)| (key, nanos / 1000));
        Some(Report {
            wanted: session.wanted.clone(),
            is_active,
            began_ms: session.began_ms,
            took_ms: session.ended_ms.unwrap_or(now_ms) - session.began_ms,
            micros: session.nanos / 1000,
            bytes: session.bytes,
            by_cpu: micros(session.cpu.most(session.wanted.count)).collect(),
            by_net: session.net.most(session.wanted.count),
            process_ms: (used(|times| times.0), used(|times| times.1)),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// True when it was stopped, or its time has come, which ends it.
    fn is_over(&mut self, now_ms: i64) -> bool {
        let until_ms = self.began_ms.saturating_add(self.wanted.duration_ms);
        if self.ended_ms.is_none() && self.wanted.duration_ms > 0 && now_ms >= until_ms {
            self.ended_ms = Some(until_ms);
        }
        self.ended_ms.is_some()
    }
}

/// Counters of the Space-Saving algorithm, as a heap with the smallest first.
#[derive(Debug)]
struct Counters {
    room: usize,
    heap: Vec<(Box<[u8]>, u64)>,
    places: HashMap<Box<[u8]>, usize>,
}

impl Counters {
    fn new(room: usize) -> Self {
        Counters { room, heap: Vec::new(), places: HashMap::new() }
    }

    /// O(log of the counters).
    fn add(&mut self, key: &[u8], amount: u64) {
        let at = match self.places.get(key) {
            Some(at) => *at,
            None if self.heap.len() < self.room => {
                let at = self.heap.len();
                self.heap.push((key.into(), 0));
                self.places.insert(key.into(), at);
                self.rise(at)
            }
            None => {
                let old = std::mem::replace(&mut self.heap[0].0, key.into());
                self.places.remove(&old);
                self.places.insert(key.into(), 0);
                0
            }
        };
        self.heap[at].1 += amount;
        self.sink(at);
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        for at in [a, b] {
            if let Some(place) = self.places.get_mut(&self.heap[at].0) {
                *place = at;
            }
        }
    }

    fn rise(&mut self, mut at: usize) -> usize {
        while at > 0 && self.heap[at].1 < self.heap[(at - 1) / 2].1 {
            self.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
        at
    }

    fn sink(&mut self, mut at: usize) {
        loop {
            let children = [2 * at + 1, 2 * at + 2].into_iter().filter(|child| *child < self.heap.len());
            let Some(least) = children.min_by_key(|child| self.heap[*child].1) else { return };
            if self.heap[at].1 <= self.heap[least].1 {
                return;
            }
            self.swap(at, least);
            at = least;
        }
    }

    fn most(&self, count: usize) -> Vec<(Box<[u8]>, u64)> {
        let mut all = self.heap.clone();
        all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        all.truncate(count);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted = Wanted { cpu: true, net: true, count: 3, duration_ms: 0, sample: 1 };

    #[test]
    fn hot_keys_are_found_among_many_in_bounded_memory() {
        let hot = HotKeys::default();
        assert!(hot.start(WANTED, 0, (0, 0)) && !hot.start(WANTED, 1, (0, 0)));
        for round in 0..20_000_u32 {
            hot.note(&[format!("cold:{round}").as_bytes()], 1_000, 10, 2);
            hot.note(&[b"hot"], 9_000, 5, 2);
            hot.note(&[b"large", b"warm"], 2_000, 400, 2);
        }
        let report = hot.report(5, (7, 8)).expect("it goes on");
        assert_eq!((&*report.by_cpu[0].0, report.by_cpu[0].1), (&b"hot"[..], 180_000));
        assert_eq!(&*report.by_net[0].0, b"large");
        assert_eq!((report.by_net.len(), report.micros, report.process_ms), (3, 240_000, (7, 8)));
        assert!(hot.lock().as_ref().is_some_and(|session| session.cpu.heap.len() == COUNTERS_MIN));
        assert!(hot.stop(9, (7, 8)) && !hot.stop(10, (7, 8)) && !hot.is_on());
        assert!(hot.report(99, (9, 9)).is_some_and(|report| !report.is_active && report.took_ms == 9));
        assert!(hot.reset(100) && hot.report(101, (0, 0)).is_none());
    }

    #[test]
    fn time_ends_it() {
        let hot = HotKeys::default();
        hot.start(Wanted { duration_ms: 50, ..WANTED }, 100, (0, 0));
        hot.note(&[b"k"], 1000, 1, 149);
        hot.note(&[b"k"], 1000, 1, 150);
        assert!(!hot.is_on());
        let report = hot.report(500, (0, 0)).expect("it was on");
        assert_eq!((report.micros, report.took_ms, report.is_active), (1, 50, false));
    }
}
