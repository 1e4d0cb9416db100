//! Quotas: how many bytes the keys of a database, or those whose names begin alike, may take.
//!
//! [`Quotas`] are all quotas of a moment, shared by all tables; each quota has a [`Tally`], to which tables add what changes.
//! A table that quotas concern has a `Meter` (see `table/meter.rs`), any other pays one comparison per key that comes, goes or
//! changes its size. Who refuses and evicts by them is the server.

use super::table::Order;
use crate::hex::{of_hex, to_hex};
use std::fmt::Write as _;
use std::sync::atomic::{
    AtomicI64, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, Mutex, PoisonError};

/// Most quotas there may be: each takes some bytes in every table, and time whenever one is set.
pub const QUOTAS_MAX: usize = 1024;
/// Longest prefix, in bytes.
pub const QUOTA_PREFIX_MAX: usize = 512;
/// So many prefixes may begin alike, each with the one before it: a key counts in all of them.
pub const QUOTA_DEPTH_MAX: usize = 16;

/// What a quota is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// All keys of a database.
    Database(usize),
    /// All keys, of any database, whose names begin so.
    Prefix(Box<[u8]>),
}

impl Target {
    /// What a client names it: a number is a database, anything else a prefix.
    pub fn parse(word: &[u8]) -> Self {
        let is_number = !word.is_empty() && word.iter().all(u8::is_ascii_digit);
        let number = std::str::from_utf8(word).ok().filter(|_| is_number).map(str::parse);
        match number {
            Some(number) => Target::Database(number.unwrap_or(usize::MAX)),
            None => Target::Prefix(word.into()),
        }
    }

    /// The word by which clients name it.
    pub fn name(&self) -> Box<[u8]> {
        match self {
            Target::Database(db) => db.to_string().into_bytes().into(),
            Target::Prefix(prefix) => prefix.clone(),
        }
    }

    fn prefix(&self) -> &[u8] {
        if let Target::Prefix(prefix) = self { prefix } else { b"" }
    }
}

/// What happens to a write where a quota is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaPolicy {
    /// Its name: one of those of `maxmemory-policy`.
    pub word: &'static str,
    /// What goes first, and whether only keys with a deadline do; `None`: nothing goes.
    pub order: Option<(Order, bool)>,
}

/// All policies; the first is the default.
static POLICIES: [QuotaPolicy; 8] = [
    QuotaPolicy { word: "noeviction", order: None },
    QuotaPolicy { word: "allkeys-lru", order: Some((Order::Idle, false)) },
    QuotaPolicy { word: "allkeys-lfu", order: Some((Order::Rare, false)) },
    QuotaPolicy { word: "allkeys-random", order: Some((Order::Any, false)) },
    QuotaPolicy { word: "volatile-lru", order: Some((Order::Idle, true)) },
    QuotaPolicy { word: "volatile-lfu", order: Some((Order::Rare, true)) },
    QuotaPolicy { word: "volatile-random", order: Some((Order::Any, true)) },
    QuotaPolicy { word: "volatile-ttl", order: Some((Order::Due, true)) },
];

impl Default for QuotaPolicy {
    fn default() -> Self {
        POLICIES[0]
    }
}

impl QuotaPolicy {
    /// The policy of this name, in any case.
    pub fn parse(word: &[u8]) -> Option<Self> {
        POLICIES.into_iter().find(|policy| word.eq_ignore_ascii_case(policy.word.as_bytes()))
    }
}

/// What the keys of a quota take, over all tables. It outlives changes of the limit.
#[derive(Debug, Default)]
pub struct Tally {
    bytes: AtomicI64,
    keys: AtomicI64,
    /// Tables of which not all keys were counted yet.
    uncounted: AtomicI64,
    evicted: AtomicU64,
    refused: AtomicU64,
    /// Nothing was found that may go: until this moment, Unix milliseconds.
    barren_until_ms: AtomicI64,
}

impl Tally {
    /// Bytes of the keys with their values.
    pub fn bytes(&self) -> u64 {
        u64::try_from(self.bytes.load(Relaxed)).unwrap_or(0)
    }

    /// Number of keys.
    pub fn keys(&self) -> u64 {
        u64::try_from(self.keys.load(Relaxed)).unwrap_or(0)
    }

    /// Keys that were there before the quota are still being counted.
    pub fn is_counting(&self) -> bool {
        self.uncounted.load(Relaxed) > 0
    }

    /// Keys evicted because of the quota.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Relaxed)
    }

    /// Commands refused because of the quota.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// Keys were evicted.
    pub fn note_evicted(&self, keys: u64) {
        self.evicted.fetch_add(keys, Relaxed);
    }

    /// A command was refused.
    pub fn note_refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Looking for keys that may go was in vain, and need not be tried again before `until_ms`.
    pub fn note_barren(&self, until_ms: i64) {
        self.barren_until_ms.store(until_ms, Relaxed);
    }

    /// True when looking for keys that may go was in vain a moment ago.
    pub fn is_barren(&self, now_ms: i64) -> bool {
        now_ms < self.barren_until_ms.load(Relaxed)
    }

    pub(super) fn add(&self, bytes: i64, keys: i64) {
        self.bytes.fetch_add(bytes, Relaxed);
        self.keys.fetch_add(keys, Relaxed);
    }

    pub(super) fn add_uncounted(&self, tables: i64) {
        self.uncounted.fetch_add(tables, Relaxed);
    }
}

/// A quota.
#[derive(Debug, Clone)]
pub struct Quota {
    /// Whose bytes it bounds.
    pub target: Target,
    /// Bytes they may take.
    pub limit: u64,
    /// What happens when they take more.
    pub policy: QuotaPolicy,
    /// What they take.
    pub tally: Arc<Tally>,
    /// The longest other prefix this prefix begins with.
    parent: Option<usize>,
}

impl Quota {
    /// More is in use than is allowed.
    pub fn is_exceeded(&self) -> bool {
        self.tally.bytes() > self.limit
    }

    /// It is about this key of this database.
    pub fn covers(&self, db: usize, key: &[u8]) -> bool {
        match &self.target {
            Target::Database(own) => *own == db,
            Target::Prefix(prefix) => key.starts_with(prefix),
        }
    }
}

/// All quotas of a moment: first those of databases, then those of prefixes, each in order.
#[derive(Debug, Clone, Default)]
pub struct Quotas {
    all: Vec<Quota>,
    /// So many of them are about databases.
    databases: usize,
}

impl Quotas {
    /// All of them.
    pub fn all(&self) -> &[Quota] {
        &self.all
    }

    /// True without quotas.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The quota of a target.
    pub fn get(&self, target: &Target) -> Option<&Quota> {
        self.position(target).ok().map(|at| &self.all[at])
    }

    fn position(&self, target: &Target) -> Result<usize, usize> {
        self.all.binary_search_by(|quota| quota.target.cmp(target))
    }

    /// So many of them, the first ones, are about databases.
    pub(super) fn databases_len(&self) -> usize {
        self.databases
    }

    /// The number of a database's quota.
    pub(super) fn database(&self, db: usize) -> Option<usize> {
        self.all[..self.databases].binary_search_by(|quota| quota.target.cmp(&Target::Database(db))).ok()
    }

    /// The numbers of the quotas a key counts in. O(log quotas), and as many steps as prefixes begin alike.
    pub fn matching(&self, db: usize, key: &[u8]) -> impl Iterator<Item = usize> + '_ {
        let prefixes = &self.all[self.databases..];
        // Between the longest prefix of the key and the key itself only such stand that begin with that prefix.
        let before = prefixes.partition_point(|quota| quota.target.prefix() <= key);
        let mut at = before.checked_sub(1);
        while let Some(index) = at
            && !key.starts_with(prefixes[index].target.prefix())
        {
            at = prefixes[index].parent;
        }
        let chain = std::iter::successors(at, |&index| prefixes[index].parent);
        self.database(db).into_iter().chain(chain.map(|index| index + self.databases))
    }

    /// Puts the links between prefixes right; tells how many at most begin alike.
    fn link(&mut self) -> usize {
        self.databases = self.all.partition_point(|quota| matches!(quota.target, Target::Database(_)));
        let prefixes = &mut self.all[self.databases..];
        let mut open: Vec<usize> = Vec::new();
        let mut depth = 0;
        for index in 0..prefixes.len() {
            let key = prefixes[index].target.prefix();
            while open.last().is_some_and(|&last| !key.starts_with(prefixes[last].target.prefix())) {
                open.pop();
            }
            prefixes[index].parent = open.last().copied();
            open.push(index);
            depth = depth.max(open.len());
        }
        depth
    }
}

/// Why a quota cannot be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaError {
    /// There are [`QUOTAS_MAX`] already.
    TooMany,
    /// The prefix has more than [`QUOTA_PREFIX_MAX`] bytes.
    TooLong,
    /// More than [`QUOTA_DEPTH_MAX`] prefixes would begin alike.
    TooDeep,
}

/// The quotas of the process, as they change.
#[derive(Debug, Default)]
pub struct QuotaBook {
    /// Grows with every change; 0 while there never was a quota. The lowest bit says that there are some.
    edition: AtomicU64,
    quotas: Mutex<Arc<Quotas>>,
}

impl QuotaBook {
    /// There are quotas.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.edition.load(Relaxed) & 1 == 1
    }

    /// The number of the present edition.
    pub fn edition(&self) -> u64 {
        self.edition.load(Acquire)
    }

    /// The quotas of the moment.
    pub fn read(&self) -> Arc<Quotas> {
        Arc::clone(&self.quotas.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, quotas: Quotas) -> Arc<Quotas> {
        let mut present = self.quotas.lock().unwrap_or_else(PoisonError::into_inner);
        let is_on = !quotas.is_empty();
        *present = Arc::new(quotas);
        let next = (self.edition.load(Relaxed) | 1) + 1 + u64::from(is_on);
        self.edition.store(next, Release);
        Arc::clone(&present)
    }

    /// Sets a quota. What is returned is for all tables: [`Keys::follow_quotas`](super::Keys::follow_quotas).
    ///
    /// # Errors
    /// See [`QuotaError`]; nothing has changed.
    pub fn set(&self, target: Target, limit: u64, policy: QuotaPolicy) -> Result<Arc<Quotas>, QuotaError> {
        if target.prefix().len() > QUOTA_PREFIX_MAX {
            return Err(QuotaError::TooLong);
        }
        let mut quotas = Quotas::clone(&self.read());
        match quotas.position(&target) {
            Ok(at) => (quotas.all[at].limit, quotas.all[at].policy) = (limit, policy),
            Err(_) if quotas.all.len() >= QUOTAS_MAX => return Err(QuotaError::TooMany),
            Err(at) => {
                let tally = Arc::default();
                quotas.all.insert(at, Quota { target, limit, policy, tally, parent: None });
            }
        }
        if quotas.link() > QUOTA_DEPTH_MAX {
            return Err(QuotaError::TooDeep);
        }
        Ok(self.replace(quotas))
    }

    /// Removes the quotas of these targets; `None` when there are none of them. See [`set`](Self::set).
    pub fn remove(&self, targets: &[Target]) -> Option<(usize, Arc<Quotas>)> {
        let mut quotas = Quotas::clone(&self.read());
        let before = quotas.all.len();
        quotas.all.retain(|quota| !targets.contains(&quota.target));
        let removed = before - quotas.all.len();
        if removed == 0 {
            return None;
        }
        quotas.link();
        Some((removed, self.replace(quotas)))
    }

    /// The quotas as a text, one per line: what a file says of them.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for quota in self.read().all() {
            match &quota.target {
                Target::Database(db) => write!(text, "db {db}"),
                Target::Prefix(prefix) => {
                    // The point is what older versions look for.
                    let digits = if prefix.is_empty() { String::new() } else { to_hex(prefix) };
                    write!(text, "prefix {digits}.")
                }
            }
            .and_then(|()| writeln!(text, " {} {}", quota.limit, quota.policy.word))
            .expect("writing to a String cannot fail");
        }
        text
    }

    /// Takes the quotas from such a text, in the place of those there are; lines that are none are left out. See
    /// [`set`](Self::set).
    pub fn replace_by_text(&self, text: &str) -> Arc<Quotas> {
        let old = self.read();
        let all: Vec<Target> = old.all().iter().map(|quota| quota.target.clone()).collect();
        self.remove(&all);
        for (target, limit, policy) in text.lines().filter_map(parse_line) {
            // More than there may be are none of ours.
            let _ = self.set(target, limit, policy);
        }
        self.read()
    }
}

fn parse_line(line: &str) -> Option<(Target, u64, QuotaPolicy)> {
    let mut words = line.split(' ');
    let (kind, name) = (words.next()?, words.next()?);
    let target = match kind {
        "db" => Target::Database(name.parse().ok()?),
        "prefix" => Target::Prefix(of_hex(name.strip_suffix('.')?)?),
        _ => return None,
    };
    Some((target, words.next()?.parse().ok()?, QuotaPolicy::parse(words.next()?.as_bytes())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Target {
        Target::Prefix(text.as_bytes().into())
    }

    fn names(quotas: &Quotas, db: usize, key: &str) -> Vec<String> {
        let matching = quotas.matching(db, key.as_bytes());
        matching.map(|at| String::from_utf8_lossy(&quotas.all[at].target.name()).into_owned()).collect()
    }

    #[test]
    fn a_key_counts_in_all_prefixes_it_begins_with() {
        let book = QuotaBook::default();
        assert!(!book.is_on());
        for name in ["a", "a:b:", "a:bb", "b", "a:b:c:d"] {
            book.set(prefix(name), 1, QuotaPolicy::default()).unwrap();
        }
        book.set(Target::Database(3), 1, QuotaPolicy::default()).unwrap();
        let quotas = book.read();
        assert_eq!(names(&quotas, 0, "a:b:c"), ["a:b:", "a"]);
        assert_eq!(names(&quotas, 3, "a:b:c:d"), ["3", "a:b:c:d", "a:b:", "a"]);
        assert_eq!(names(&quotas, 0, "a:bz"), ["a"]);
        assert_eq!(names(&quotas, 3, "c"), ["3"]);
        assert!(names(&quotas, 0, "").is_empty());
        book.set(prefix(""), 1, QuotaPolicy::default()).unwrap();
        assert_eq!(names(&book.read(), 0, "zz"), [""]);
        let all: Vec<Target> = book.read().all().iter().map(|quota| quota.target.clone()).collect();
        assert_eq!(book.remove(&all).unwrap().0, 7);
        assert!(!book.is_on());
    }

    #[test]
    fn a_text_says_all_of_them() {
        let book = QuotaBook::default();
        book.set(prefix("t\r\n\u{0}:"), 17, QuotaPolicy::parse(b"Allkeys-LRU").unwrap()).unwrap();
        book.set(prefix(""), 99, QuotaPolicy::default()).unwrap();
        book.set(Target::Database(2), 5, QuotaPolicy::default()).unwrap();
        let text = book.to_text();
        let other = QuotaBook::default();
        other.set(prefix("gone"), 1, QuotaPolicy::default()).unwrap();
        other.replace_by_text(&format!("{text}nonsense\nprefix 0g. 1 noeviction\ndb 1 x noeviction\n"));
        assert_eq!(other.to_text(), text);
        assert_eq!(other.read().all().len(), 3);
        assert!(other.is_on());
        other.replace_by_text("");
        assert!(!other.is_on());
    }

    #[test]
    fn they_are_bounded() {
        let book = QuotaBook::default();
        let set = |target| book.set(target, 1, QuotaPolicy::default()).map(drop);
        assert_eq!(set(Target::Prefix(vec![b'x'; QUOTA_PREFIX_MAX + 1].into())), Err(QuotaError::TooLong));
        for len in 1..=QUOTA_DEPTH_MAX {
            assert_eq!(set(Target::Prefix(vec![b'x'; len].into())), Ok(()));
        }
        assert_eq!(set(Target::Prefix(vec![b'x'; QUOTA_DEPTH_MAX + 1].into())), Err(QuotaError::TooDeep));
        for index in QUOTA_DEPTH_MAX..QUOTAS_MAX {
            assert_eq!(set(prefix(&format!("tenant{index:04}"))), Ok(()));
        }
        assert_eq!(set(prefix("another")), Err(QuotaError::TooMany));
        assert_eq!(set(prefix("tenant0999")), Ok(()), "a limit may still change");
        assert_eq!(book.read().all().len(), QUOTAS_MAX);
    }
}
