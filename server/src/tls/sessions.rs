//! Sessions that may be resumed, for as long as `tls-session-cache-timeout` says.

use crate::clock;
use rustls::server::StoresServerSessions;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// As many are kept where the configuration names no limit.
const UNLIMITED: usize = 64 * 1024;
/// A session holds all certificates that its client has shown, in bytes. Two or three are far smaller; whoever shows more has
/// to do so each time.
const SIZE_MAX: usize = 8 * 1024;

#[derive(Debug, Default)]
struct Kept {
    by_id: HashMap<Vec<u8>, (Vec<u8>, i64)>,
    /// Their names with when each came, the oldest first. One that was taken, or replaced, is here until its time comes.
    order: VecDeque<(Vec<u8>, i64)>,
}

/// A bounded number of sessions, each for a while.
#[derive(Debug)]
pub(super) struct Sessions {
    kept: Mutex<Kept>,
    size: usize,
    timeout_ns: i64,
}

impl Sessions {
    /// For so many sessions (0: any number) and seconds.
    pub(super) fn new(size: usize, seconds: u64) -> Self {
        let size = if size == 0 { UNLIMITED } else { size };
        Sessions { kept: Mutex::default(), size, timeout_ns: (seconds as i64).saturating_mul(1_000_000_000) }
    }

    fn is_over(&self, came: i64) -> bool {
        clock::uptime_ns() - came >= self.timeout_ns
    }

    fn find(&self, key: &[u8], is_taken: bool) -> Option<Vec<u8>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (value, came) = if is_taken { kept.by_id.remove(key)? } else { kept.by_id.get(key)?.clone() };
        (!self.is_over(came)).then_some(value)
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        if value.len() > SIZE_MAX {
            return false;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock::uptime_ns();
        kept.by_id.insert(key.clone(), (value, now));
        kept.order.push_back((key, now));
        while let Some((_, came)) = kept.order.front() {
            if kept.order.len() <= self.size && !self.is_over(*came) {
                break;
            }
            if let Some((key, came)) = kept.order.pop_front()
                && kept.by_id.get(&key).is_some_and(|(_, present)| *present == came)
            {
                kept.by_id.remove(&key);
            }
        }
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.find(key, false)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.find(key, true)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_kept_for_so_long() {
        let sessions = Sessions::new(2, 300);
        for name in [b"a", b"b", b"c"] {
            assert!(sessions.put(name.to_vec(), b"s".to_vec()));
        }
        assert_eq!(sessions.get(b"a"), None);
        assert_eq!(sessions.get(b"b"), Some(b"s".to_vec()));
        assert_eq!(sessions.take(b"b"), Some(b"s".to_vec()));
        assert_eq!(sessions.take(b"b"), None);
        assert!(!sessions.put(b"d".to_vec(), vec![0; SIZE_MAX + 1]));
        assert_eq!(sessions.get(b"d"), None);
        let brief = Sessions::new(0, 0);
        assert!(brief.put(b"a".to_vec(), b"s".to_vec()));
        assert_eq!(brief.get(b"a"), None);
        assert!(brief.kept.lock().unwrap().order.is_empty());
    }
}
