//! Locks: who holds something, under which token, and until when.
//!
//! Nothing here knows a clock: the time is an argument, and so are tokens. A lease that has ended counts no more, whether or not
//! anybody has taken note. A change is decided on first ([`Lock::ask`], [`Lock::held_by`]) and then made ([`Lock::apply`]), by
//! the same effect here, in a copy and when the journal is replayed.

mod codec;
#[cfg(test)]
mod tests;

use crate::keyspace::size_class;
use crate::types::collection::AlwaysBoxed;
use crate::types::native::LINGER_MS;
use crate::value::TypeCode;

/// Longest lease, in ms. One that ends later was made by a clock that was wrong, and ends so long after now.
pub const LEASE_MAX_MS: i64 = 86_400_000;
/// Longest name of an owner.
pub const OWNER_LEN_MAX: usize = 256;
/// Longest text that goes with a lock.
pub const META_LEN_MAX: usize = 4096;

/// How many may hold a lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// One.
    #[default]
    Exclusive,
    /// Any number.
    Shared,
}

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub owner: Box<[u8]>,
    /// The fencing token.
    pub token: i64,
    /// When the lease ends, ms of the native clock.
    pub end_ms: i64,
    /// When it was acquired first.
    pub first_ms: i64,
    /// Longest time it may be held in all, in ms; 0 for any.
    pub hold_max_ms: i64,
    /// How often it was acquired and not released.
    pub holds: i64,
}

impl Holder {
    /// When the lease ends, as it is seen now.
    pub fn ends_at(&self, now_ms: i64) -> i64 {
        self.end_ms.min(now_ms.saturating_add(LEASE_MAX_MS))
    }

    /// False when the lease has ended.
    pub fn is_current(&self, now_ms: i64) -> bool {
        self.end_ms > now_ms
    }

    /// Where a lease ends that is to last so long from now on.
    pub fn end_of(&self, lease_ms: i64, now_ms: i64) -> i64 {
        let end_ms = now_ms.saturating_add(lease_ms);
        match self.hold_max_ms {
            0 => end_ms,
            most_ms => end_ms.min(self.first_ms.saturating_add(most_ms)),
        }
    }
}

/// A lock.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lock {
    parts: Box<Parts>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Parts {
    mode: Mode,
    meta: Box<[u8]>,
    /// By owner. Without holders there is no key.
    holders: Vec<Holder>,
    owners_len: usize,
}

/// A change of a lock: the only things that change one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Somebody holds it like this from now on, and this text goes with it (`None`: the one that was there among holders).
    Grant { holder: Holder, mode: Mode, meta: Option<Box<[u8]>> },
    /// Its lease ends then, and it was acquired so often.
    Renew { owner: Box<[u8]>, end_ms: i64, holds: i64 },
    /// It was released, and so many acquisitions are left.
    Release { owner: Box<[u8]>, holds: i64 },
    /// Its lease has ended.
    Expire { owner: Box<[u8]> },
}

/// What somebody who wants a lock is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It holds the lock already.
    Held,
    /// Nobody stands in its way.
    Free,
    /// Others hold it along with whom it could, too.
    Joinable,
    /// Others hold it.
    Taken,
    /// It holds the lock along with others, and now wants it for itself.
    Upgrade,
}

impl Lock {
    /// May `owner` have it?
    pub fn ask(&self, owner: &[u8], mode: Mode, now_ms: i64) -> Answer {
        if self.held_by(owner, now_ms).is_some() {
            let is_more = self.parts.mode == Mode::Shared && mode == Mode::Exclusive;
            return if is_more { Answer::Upgrade } else { Answer::Held };
        }
        if self.current(now_ms).next().is_none() {
            Answer::Free
        } else if self.parts.mode == Mode::Shared && mode == Mode::Shared {
            Answer::Joinable
        } else {
            Answer::Taken
        }
    }

    /// Its holders whose lease has not ended, by owner. O(holders)
    pub fn current(&self, now_ms: i64) -> impl Iterator<Item = &Holder> {
        self.parts.holders.iter().filter(move |holder| holder.is_current(now_ms))
    }

    /// What this owner holds. O(log holders)
    pub fn held_by(&self, owner: &[u8], now_ms: i64) -> Option<&Holder> {
        let at = self.find(owner).ok()?;
        Some(&self.parts.holders[at]).filter(|holder| holder.is_current(now_ms))
    }

    /// The newest token that is valid; 0 if nobody holds it.
    pub fn token(&self, now_ms: i64) -> i64 {
        self.current(now_ms).map(|holder| holder.token).max().unwrap_or(0)
    }

    /// True if this is the token of somebody who holds it.
    pub fn has_token(&self, token: i64, now_ms: i64) -> bool {
        self.current(now_ms).any(|holder| holder.token == token)
    }

    pub fn mode(&self) -> Mode {
        self.parts.mode
    }

    /// The text that goes with it.
    pub fn meta(&self) -> &[u8] {
        &self.parts.meta
    }

    /// When nobody will hold it any more, if nothing is done.
    pub fn free_at_ms(&self, now_ms: i64) -> Option<i64> {
        self.current(now_ms).map(|holder| holder.ends_at(now_ms)).max()
    }

    /// When the next lease ends.
    pub fn next_timer(&self, now_ms: i64) -> Option<i64> {
        self.current(now_ms).map(|holder| holder.ends_at(now_ms)).min()
    }

    /// When the key may go: the time of day has passed the end of all leases then, whatever the clocks do.
    pub fn key_deadline_ms(&self) -> Option<i64> {
        self.parts.holders.iter().map(|holder| holder.end_ms).max().map(|end| end.saturating_add(LINGER_MS))
    }

    /// What there is to take note of: leases that have ended, and such as end further away than any lease may.
    pub fn overdue(&self, now_ms: i64) -> Vec<Effect> {
        let effect = |holder: &Holder| {
            let owner = holder.owner.clone();
            if !holder.is_current(now_ms) {
                return Some(Effect::Expire { owner });
            }
            let end_ms = holder.ends_at(now_ms);
            (end_ms < holder.end_ms).then_some(Effect::Renew { owner, end_ms, holds: holder.holds })
        };
        self.parts.holders.iter().filter_map(effect).collect()
    }

    fn find(&self, owner: &[u8]) -> Result<usize, usize> {
        self.parts.holders.binary_search_by(|holder| (*holder.owner).cmp(owner))
    }

    /// Makes a change. O(holders)
    pub fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::Grant { holder, mode, meta } => {
                let parts = &mut self.parts;
                if parts.holders.is_empty() {
                    parts.meta = Box::default();
                }
                parts.mode = *mode;
                if let Some(meta) = meta {
                    parts.meta.clone_from(meta);
                }
                match self.find(&holder.owner) {
                    Ok(at) => self.parts.holders[at] = holder.clone(),
                    Err(at) => {
                        self.parts.owners_len += size_class(holder.owner.len());
                        self.parts.holders.insert(at, holder.clone());
                    }
                }
            }
            Effect::Renew { owner, end_ms, holds } => {
                if let Ok(at) = self.find(owner) {
                    let holder = &mut self.parts.holders[at];
                    (holder.end_ms, holder.holds) = (*end_ms, *holds);
                }
            }
            Effect::Release { owner, holds } => match self.find(owner) {
                Ok(at) if *holds > 0 => self.parts.holders[at].holds = *holds,
                Ok(at) => self.remove(at),
                Err(_) => {}
            },
            Effect::Expire { owner } => {
                if let Ok(at) = self.find(owner) {
                    self.remove(at);
                }
            }
        }
    }

    fn remove(&mut self, at: usize) {
        let holder = self.parts.holders.remove(at);
        self.parts.owners_len -= size_class(holder.owner.len());
    }
}

impl AlwaysBoxed for Lock {
    const CODE: TypeCode = TypeCode::Lock;
    const ENCODING: &'static str = "lock";

    fn size_behind(&self) -> usize {
        let parts = &self.parts;
        let holders = size_class(parts.holders.capacity() * size_of::<Holder>());
        size_class(size_of::<Parts>()) + size_class(parts.meta.len()) + holders + parts.owners_len
    }

    fn is_over(&self) -> bool {
        self.parts.holders.is_empty()
    }
}
