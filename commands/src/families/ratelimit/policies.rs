//! Policies: limits by name, outside of the keyspace, shared by all threads.

use super::tallies::{INLINE, TallyBook};
use crate::model::{Error, Opening};
use hashbrown::HashMap;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Release},
};
use std::sync::{Arc, Mutex, PoisonError};
use tidegate_data::types::ratelimit::Spec;

/// Most policies there may be.
const POLICIES_MAX: usize = 4096;
/// Longest name.
const NAME_MAX: usize = 64;

/// A limit with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its number, by which keys remember it; never 0.
    pub id: u16,
    /// Its name.
    pub name: Box<str>,
    /// The limit.
    pub spec: Spec,
    /// The same in the words it was set with.
    pub text: String,
    /// Whoever is refused stays so for this long.
    pub block_for_ms: Option<i64>,
    /// It counts, but never refuses.
    pub is_shadow: bool,
    /// How what it answers begins where it does not refuse, up to its limit: see [`Policy::opening_of`].
    pub(super) opening: Option<Opening>,
}

impl Policy {
    /// What `RL.GET` calls its algorithm.
    pub fn algorithm(&self) -> &'static str {
        self.spec.fresh(0).state.name()
    }

    /// What `RL.CHECK` answers of a policy that passes begins with this: name, yes and limit.
    pub(super) fn opening_of(name: &str, spec: &Spec) -> Option<Opening> {
        Opening::of(|reply| {
            reply.array(7);
            reply.bulk(name.as_bytes());
            reply.integers([1, spec.limit()]);
        })
    }
}

/// All policies of a moment.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    by_name: HashMap<Box<[u8]>, Arc<Policy>>,
    by_id: HashMap<u16, Arc<Policy>>,
}

impl Policies {
    /// The policy with this name.
    pub fn get(&self, name: &[u8]) -> Option<&Arc<Policy>> {
        self.by_name.get(name)
    }

    /// The policy with this number.
    pub fn by_id(&self, id: u16) -> Option<&Arc<Policy>> {
        self.by_id.get(&id)
    }

    /// All of them, by name.
    pub fn sorted(&self) -> Vec<&Arc<Policy>> {
        let mut all: Vec<_> = self.by_name.values().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// True without policies.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    fn free_id(&self) -> Option<u16> {
        (1..=u16::MAX).find(|id| !self.by_id.contains_key(id))
    }

    fn remove(&mut self, name: &[u8]) -> bool {
        let Some(policy) = self.by_name.remove(name) else { return false };
        self.by_id.remove(&policy.id);
        true
    }
}

/// The policies of the process, as they change.
#[derive(Debug, Default)]
pub struct PolicyBook {
    /// Grows with every change, so that who has read them knows without a lock whether they are still the same.
    edition: AtomicU64,
    policies: Mutex<Arc<Policies>>,
    pub(super) tallies: TallyBook,
}

impl PolicyBook {
    /// Begins to count what limits decide.
    pub fn begin_counting(&self, now_ms: i64) {
        self.tallies.reset(now_ms as u64);
    }

    /// The number of the present edition.
    #[inline]
    pub fn edition(&self) -> u64 {
        self.edition.load(Acquire)
    }

    /// The policies with the number of their edition.
    pub fn read(&self) -> (u64, Arc<Policies>) {
        let policies = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
        (self.edition(), Arc::clone(&policies))
    }

    fn change<R>(&self, change: impl FnOnce(&mut Policies) -> R) -> R {
        let mut policies = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(Arc::make_mut(&mut policies));
        self.edition.fetch_add(1, Release);
        result
    }

    /// Sets a policy; one of the same name keeps its number, another gets `id` or one that is free. Returns the number.
    ///
    /// # Errors
    /// The name is no name, or there are too many.
    pub fn set(&self, mut policy: Policy, id: Option<u16>) -> Result<u16, Error> {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
        if policy.name.is_empty() || policy.name.len() > NAME_MAX || !policy.name.bytes().all(is_letter) {
            return Err(Error::new("ERR invalid policy name"));
        }
        self.change(|policies| {
            let present = policies.by_name.get(policy.name.as_bytes()).map(|present| present.id);
            if present.is_none() && policies.by_name.len() >= POLICIES_MAX {
                return Err(Error::new("ERR too many policies"));
            }
            let wanted =
                id.filter(|id| *id > 0 && (present == Some(*id) || !policies.by_id.contains_key(id)));
            policy.id = wanted.or(present).or_else(|| policies.free_id()).unwrap_or(1);
            policies.remove(policy.name.as_bytes());
            let (id, policy) = (policy.id, Arc::new(policy));
            policies.by_id.insert(id, Arc::clone(&policy));
            policies.by_name.insert(policy.name.as_bytes().into(), policy);
            Ok(id)
        })
    }

    /// Removes a policy; false when there is none of this name.
    pub fn remove(&self, name: &[u8]) -> bool {
        self.change(|policies| policies.remove(name))
    }

    /// What limits decided since counting began, by name of the policy, `*` first for calls without one: allowed, denied,
    /// denied in the shadow. O(policies).
    pub fn totals(&self) -> Vec<(String, [u64; 3])> {
        let (_, policies) = self.read();
        let named = policies
            .sorted()
            .into_iter()
            .map(|policy| (policy.name.to_string(), policy.id))
            .collect::<Vec<_>>();
        let all = std::iter::once(("*".to_owned(), INLINE)).chain(named);
        all.map(|(name, id)| {
            let figures = self.tallies.figures(id, 0, 0);
            (name, [figures.allowed, figures.denied, figures.shadow_denied])
        })
        .collect()
    }

    /// Removes all of them.
    pub fn clear(&self) {
        self.change(|policies| *policies = Policies::default());
    }
}
