//! `RL.*`: rate limits, decided atomically on a clock that never goes back; and `CL.THROTTLE`, as redis-cell has it.
//!
//! What a limiter decides is in `tidegate_data::types::ratelimit`. Here are the commands: `limits` (one limiter per call),
//! `leases` (`RL.ACQUIRE`), `check` (several limits, all or nothing), `adjust`, `throttle`; `policies` and `tallies` are what
//! all threads share. How a change reaches the journal is in `store` and `effect`.

mod adjust;
mod check;
mod effect;
mod leases;
mod limits;
mod parse;
mod policies;
mod policy;
mod stats;
mod store;
mod tallies;
mod throttle;

pub(crate) use effect::{apply, apply_policy};
pub use effect::{mark_flushed, unflushed};
pub use policies::{Policies, Policy, PolicyBook};
pub use tallies::Tallies;

use crate::model::{Acl, Error, Family, Reply, family};
use tidegate_data::types::ratelimit::Verdict;

pub(super) static FAMILY: Family = family(
    "ratelimit",
    Acl::RATELIMIT,
    &[
        &limits::TOKENBUCKET,
        &limits::GCRA,
        &limits::FIXED,
        &limits::SLIDING,
        &limits::LEAKY,
        &leases::ACQUIRE,
        &leases::RELEASE,
        &check::CHECK,
        &adjust::GET,
        &adjust::ADJUST,
        &policy::POLICY,
        &stats::STATS,
        &throttle::CL_THROTTLE,
        &throttle::RL_THROTTLE,
    ],
);

const OUT_OF_RANGE: Error = Error::new("ERR rate is out of range");

/// The five numbers that every limiter answers.
fn write_verdict(reply: &mut Reply, verdict: &Verdict) {
    let Verdict { allowed, limit, remaining, retry_ms, reset_ms, .. } = *verdict;
    reply.integers([allowed.into(), limit, remaining, retry_ms, reset_ms]);
}

/// The same with the delay, where there is one.
fn write_delayed(reply: &mut Reply, verdict: &Verdict) {
    let Verdict { allowed, limit, remaining, retry_ms, reset_ms, delay_ms } = *verdict;
    reply.integers([allowed.into(), limit, remaining, retry_ms, reset_ms, delay_ms]);
}

/// The error of a policy that there is not.
pub(crate) fn no_policy(name: &[u8]) -> Error {
    let mut text = b"NOPOLICY no such policy '".to_vec();
    text.extend_from_slice(&name[..name.len().min(128)]);
    text.push(b'\'');
    Error::text(text)
}

#[cfg(test)]
mod tests;
