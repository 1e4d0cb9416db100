//! What limits decided, counted by policy: by each thread for itself, and added up by whoever asks.

use super::policies::PolicyBook;
use hashbrown::HashMap;
use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use tidegate_data::types::ratelimit::Verdict;

/// Seconds that are counted one by one.
const SECONDS: usize = 64;
/// Keys of a thread that may be among those refused most.
const TOP_MAX: usize = 128;
/// Bytes of such a key that are kept: what follows is not told.
const NAME_MAX: usize = 256;
/// Counters of the sketch that finds them.
const CELLS: usize = 1024;
/// A counter of another key loses the chance to be taken over by this factor per count.
const DECAY: f64 = 1.08;

/// The number under which calls without a policy are counted.
pub(super) const INLINE: u16 = 0;

/// The figures of a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) allowed: u64,
    pub(super) denied: u64,
    pub(super) shadow_denied: u64,
    pub(super) cost: u64,
    /// Of the last complete second, and of the last sixty.
    pub(super) allowed_s: [u64; 2],
    pub(super) denied_s: [u64; 2],
    /// The keys refused most, and how often, most first.
    pub(super) top: Vec<(Box<[u8]>, u64)>,
}

#[derive(Debug, Default)]
struct Second {
    /// Which one.
    number: AtomicU32,
    allowed: AtomicU32,
    denied: AtomicU32,
}

/// What one thread counted for one policy. Only that thread writes.
#[derive(Debug)]
struct Tally {
    /// The edition of the figures: another one than that of the book means that all are 0.
    edition: AtomicU64,
    allowed: AtomicU64,
    denied: AtomicU64,
    shadow_denied: AtomicU64,
    cost: AtomicU64,
    seconds: [Second; SECONDS],
    top: Mutex<Top>,
}

#[inline]
fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(more), Relaxed);
}

impl Tally {
    fn new() -> Self {
        Tally {
            edition: AtomicU64::new(0),
            allowed: AtomicU64::new(0),
            denied: AtomicU64::new(0),
            shadow_denied: AtomicU64::new(0),
            cost: AtomicU64::new(0),
            seconds: std::array::from_fn(|_| Second::default()),
            top: Mutex::default(),
        }
    }

    #[cold]
    fn begin_again(&self, edition: u64) {
        for counter in [&self.allowed, &self.denied, &self.shadow_denied, &self.cost] {
            counter.store(0, Relaxed);
        }
        self.seconds.iter().for_each(|second| second.number.store(0, Relaxed));
        *self.top.lock().unwrap_or_else(PoisonError::into_inner) = Top::default();
        self.edition.store(edition, Relaxed);
    }

    #[inline]
    fn second(&self, now_s: u32) -> &Second {
        let second = &self.seconds[now_s as usize % SECONDS];
        if second.number.load(Relaxed) != now_s {
            second.number.store(now_s, Relaxed);
            second.allowed.store(0, Relaxed);
            second.denied.store(0, Relaxed);
        }
        second
    }

    fn add_to(&self, figures: &mut Figures, now_s: u32) {
        figures.allowed += self.allowed.load(Relaxed);
        figures.denied += self.denied.load(Relaxed);
        figures.shadow_denied += self.shadow_denied.load(Relaxed);
        figures.cost += self.cost.load(Relaxed);
        for second in &self.seconds {
            let age = now_s.wrapping_sub(second.number.load(Relaxed));
            for (at, is_in) in [age == 1, age < 60].into_iter().enumerate() {
                if is_in {
                    figures.allowed_s[at] += u64::from(second.allowed.load(Relaxed));
                    figures.denied_s[at] += u64::from(second.denied.load(Relaxed));
                }
            }
        }
        let top = self.top.lock().unwrap_or_else(PoisonError::into_inner);
        figures.top.extend(top.keys.iter().map(|refused| (refused.name.clone(), refused.count)));
    }
}

/// A key that is refused often.
#[derive(Debug)]
struct Refused {
    hash: u64,
    /// Its first bytes.
    name: Box<[u8]>,
    count: u64,
}

/// The keys that are refused most: a sketch in the manner of HeavyKeeper finds candidates among any number of keys.
#[derive(Debug, Default)]
struct Top {
    /// Fingerprint and count; empty until something is refused.
    cells: Vec<(u32, u32)>,
    keys: Vec<Refused>,
    luck: u64,
}

impl Top {
    fn note(&mut self, key: &[u8], hash: u64) {
        if self.cells.is_empty() {
            self.cells = vec![(0, 0); CELLS];
        }
        let print = (hash >> 32) as u32 | 1;
        let mut count = 0;
        let (one, other) = (hash as usize % CELLS, (hash >> 16) as usize % CELLS);
        for at in [one, other] {
            let cell = &mut self.cells[at];
            if cell.0 == print {
                cell.1 = cell.1.saturating_add(1);
            } else {
                self.luck = self.luck.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(hash | 1);
                let luck = (self.luck >> 33) as f64 / f64::from(1_u32 << 31);
                if cell.1 == 0 || luck < DECAY.powi(-(cell.1.min(1000) as i32)) {
                    cell.1 = cell.1.saturating_sub(1);
                    if cell.1 == 0 {
                        *cell = (print, 1);
                    }
                }
            }
            if cell.0 == print {
                count = count.max(u64::from(cell.1));
            }
        }
        let named = |count| Refused { hash, name: key[..key.len().min(NAME_MAX)].into(), count };
        let is_known = |known: &&mut Refused| known.hash == hash && key.starts_with(&known.name);
        if let Some(known) = self.keys.iter_mut().find(is_known) {
            known.count += 1;
        } else if self.keys.len() < TOP_MAX {
            self.keys.push(named(count.max(1)));
        } else if let Some(least) = self.keys.iter_mut().min_by_key(|known| known.count)
            && count > least.count
        {
            *least = named(count);
        }
    }
}

/// The tallies of all threads.
#[derive(Debug, Default)]
pub(super) struct TallyBook {
    edition: AtomicU64,
    since_ms: AtomicU64,
    all: Mutex<Vec<(u16, Arc<Tally>)>>,
}

impl TallyBook {
    /// The figures of a policy, with this many keys that it refused most.
    pub(super) fn figures(&self, policy: u16, now_s: u32, top: usize) -> Figures {
        let mut figures = Figures::default();
        let edition = self.edition.load(Relaxed);
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, tally) in all.iter().filter(|(counted, _)| *counted == policy) {
            if tally.edition.load(Relaxed) == edition {
                tally.add_to(&mut figures, now_s);
            }
        }
        let mut sums: HashMap<Box<[u8]>, u64> = HashMap::new();
        for (key, count) in figures.top.drain(..) {
            *sums.entry(key).or_default() += count;
        }
        figures.top = sums.into_iter().collect();
        figures.top.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        figures.top.truncate(top);
        figures
    }

    /// Since when it is counted, Unix milliseconds; `None` before the first call.
    pub(super) fn since_ms(&self) -> u64 {
        self.since_ms.load(Relaxed)
    }

    /// Counts from 0 again.
    pub(super) fn reset(&self, now_ms: u64) {
        self.edition.fetch_add(1, Relaxed);
        self.since_ms.store(now_ms, Relaxed);
    }

    /// A policy is gone: another one may get its number.
    pub(super) fn forget(&self, policy: u16) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).retain(|(counted, _)| *counted != policy);
    }
}

/// What one thread counts.
#[derive(Debug)]
pub struct Tallies {
    inline: Arc<Tally>,
    /// By number of the policy; numbers are given out from 1.
    of_policies: RefCell<Vec<Option<Arc<Tally>>>>,
}

impl Tallies {
    /// Those of another thread.
    pub(crate) fn new(book: &PolicyBook) -> Self {
        let inline = Self::register(book, INLINE);
        Tallies { inline, of_policies: RefCell::default() }
    }

    fn register(book: &PolicyBook, policy: u16) -> Arc<Tally> {
        let tally = Arc::new(Tally::new());
        let mut all = book.tallies.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((policy, Arc::clone(&tally)));
        tally
    }

    /// Counts what was decided about a call. `hash` is that of the key.
    #[inline]
    pub(super) fn count(
        &self,
        book: &PolicyBook,
        policy: u16,
        verdict: &Verdict,
        cost: i64,
        now_s: u32,
        key: (&[u8], u64),
    ) {
        if policy == INLINE {
            Self::count_in(&self.inline, book, verdict, cost, now_s, key);
            return;
        }
        self.with(book, policy, |tally| Self::count_in(tally, book, verdict, cost, now_s, key));
    }

    /// Counts a denial of a policy that does not refuse.
    pub(super) fn count_shadow(&self, book: &PolicyBook, policy: u16) {
        self.with(book, policy, |tally| {
            let edition = book.tallies.edition.load(Relaxed);
            if tally.edition.load(Relaxed) != edition {
                tally.begin_again(edition);
            }
            add(&tally.shadow_denied, 1);
        });
    }

    #[inline]
    fn with(&self, book: &PolicyBook, policy: u16, act: impl FnOnce(&Tally)) {
        let mut all = self.of_policies.borrow_mut();
        match all.get(usize::from(policy)) {
            // Of a policy that had the number and is gone nobody else has the figures.
            Some(Some(tally)) if Arc::strong_count(tally) > 1 => act(tally),
            _ => act(Self::renew(&mut all, book, policy)),
        }
    }

    #[cold]
    fn renew<'a>(all: &'a mut Vec<Option<Arc<Tally>>>, book: &PolicyBook, policy: u16) -> &'a Tally {
        let at = usize::from(policy);
        if all.len() <= at {
            all.resize(at + 1, None);
        }
        all[at].insert(Self::register(book, policy))
    }

    #[inline]
    fn count_in(
        tally: &Tally,
        book: &PolicyBook,
        verdict: &Verdict,
        cost: i64,
        now_s: u32,
        (key, hash): (&[u8], u64),
    ) {
        let edition = book.tallies.edition.load(Relaxed);
        if tally.edition.load(Relaxed) != edition {
            tally.begin_again(edition);
        }
        let second = tally.second(now_s);
        if verdict.allowed {
            add(&tally.allowed, 1);
            add(&tally.cost, cost as u64);
            second.allowed.store(second.allowed.load(Relaxed).wrapping_add(1), Relaxed);
        } else {
            add(&tally.denied, 1);
            second.denied.store(second.denied.load(Relaxed).wrapping_add(1), Relaxed);
            tally.top.lock().unwrap_or_else(PoisonError::into_inner).note(key, hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_long_keys_only_the_beginning_is_kept() {
        let mut top = Top::default();
        let long = |end: u8| [vec![b'k'; 1 << 20], vec![end]].concat();
        for _ in 0..5 {
            // Of each the print and the cells are its own.
            top.note(&long(1), 0x0003_0000_0002_0001);
            top.note(&long(2), 0x0005_0000_0004_0003);
            top.note(b"short", 0x0007_0000_0006_0005);
        }
        let told: Vec<(usize, u64)> = top.keys.iter().map(|known| (known.name.len(), known.count)).collect();
        assert_eq!(told, [(NAME_MAX, 5), (NAME_MAX, 5), (5, 5)]);
    }
}
