//! How often clients of an address gave a wrong password lately: from some number on they wait for the answer.
//!
//! A bucket for each address, as one moment (as in GCRA), of at most [`ADDRESSES_MAX`] addresses. Networks of IPv6 that one
//! customer gets (/64) count as one. Only failures cost anything, and nobody else waits.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};

/// Addresses that are remembered.
const ADDRESSES_MAX: usize = 10_000;
/// An empty bucket is full again after so long, in milliseconds.
const REFILL_MS: i64 = 60_000;

/// Wrong passwords by address.
#[derive(Debug, Default)]
pub struct Attempts(Mutex<BTreeMap<u128, i64>>);

impl Attempts {
    /// Notes a wrong password. True when there were more than `burst` of late. `addr` is a client's, with its port.
    pub fn fail(&self, addr: &str, burst: u64, now_ms: i64) -> bool {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = network_of(addr);
        if table.len() >= ADDRESSES_MAX && !table.contains_key(&key) {
            table.retain(|_, full_ms| *full_ms > now_ms);
            if table.len() >= ADDRESSES_MAX {
                table.pop_first();
            }
        }
        // A clock that was set back forgives.
        let each_ms = REFILL_MS / i64::try_from(burst.max(1)).unwrap_or(REFILL_MS).min(REFILL_MS);
        let full_ms = table.entry(key).or_insert(now_ms);
        *full_ms = (*full_ms).max(now_ms).min(now_ms + REFILL_MS) + each_ms;
        *full_ms > now_ms + REFILL_MS
    }
}

/// What counts as one address. Unix sockets, which have none, are one.
fn network_of(addr: &str) -> u128 {
    match addr.parse::<SocketAddr>().map(|addr| addr.ip().to_canonical()) {
        Ok(IpAddr::V4(ip)) => ip.to_ipv6_mapped().to_bits(),
        Ok(IpAddr::V6(ip)) => ip.to_bits() >> 64 << 64,
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_failures_are_free_and_forgiven() {
        let attempts = Attempts::default();
        let fails = |addr: &str, now_ms: i64| attempts.fail(addr, 10, now_ms);
        assert_eq!((0..12).map(|_| fails("10.0.0.1:1", 1000)).position(|late| late), Some(10));
        assert!(fails("10.0.0.1:2", 1000), "another port is the same client");
        assert!(!fails("10.0.0.2:1", 1000), "another address is not");
        assert!(!fails("10.0.0.1:1", 1000 + 2 * REFILL_MS), "it is forgiven");
        assert!(fails("[2001:db8::1]:1", 0) == fails("[2001:db8::2]:9", 0));
        for _ in 0..10 {
            fails("[2001:db8::3]:1", 0);
        }
        assert!(fails("[2001:db8::4]:1", 0), "a network of IPv6 is one client");
    }

    #[test]
    fn memory_is_bounded() {
        let attempts = Attempts::default();
        for number in 0..3 * ADDRESSES_MAX as u32 {
            let ip = std::net::Ipv4Addr::from_bits(number);
            attempts.fail(&format!("{ip}:1"), 10, 0);
        }
        assert_eq!(attempts.0.lock().expect("nobody panicked").len(), ADDRESSES_MAX);
    }
}
