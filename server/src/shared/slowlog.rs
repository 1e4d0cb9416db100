//! A log of commands: the latest that took longer than `slowlog-log-slower-than`, or were larger than others may be.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Arguments kept of one command, the summary of the rest included.
const ARGS_MAX: usize = 32;
/// Bytes kept of one argument.
const ARG_BYTES_MAX: usize = 128;

/// One slow command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlowlogEntry {
    /// Unique within the process.
    pub id: u64,
    /// Unix time in seconds.
    pub time_s: i64,
    /// How long it ran in microseconds, or how large it was in bytes.
    pub amount: i64,
    /// Its arguments, shortened.
    pub args: Vec<Vec<u8>>,
    /// The peer's address.
    pub addr: String,
    /// The connection's name.
    pub name: String,
}

/// The slow log.
#[derive(Debug, Default)]
pub struct Slowlog {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: VecDeque<SlowlogEntry>,
    next_id: u64,
}

impl Slowlog {
    /// Adds a command, keeping the newest `max` entries.
    pub fn add<'a>(
        &self,
        args: impl ExactSizeIterator<Item = &'a [u8]>,
        amount: i64,
        time_s: i64,
        addr: &str,
        name: &str,
        max: usize,
    ) {
        let args = shorten(args);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let id = inner.next_id;
        inner.next_id += 1;
        let entry = SlowlogEntry { id, time_s, amount, args, addr: addr.into(), name: name.into() };
        inner.entries.push_front(entry);
        inner.entries.truncate(max);
    }

    /// The newest `count` entries, newest first.
    pub fn newest(&self, count: usize) -> Vec<SlowlogEntry> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.entries.iter().take(count).cloned().collect()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).entries.len()
    }

    /// True when it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets everything.
    pub fn reset(&self) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).entries.clear();
    }
}

fn shorten<'a>(args: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let total = args.len();
    let kept = if total > ARGS_MAX { ARGS_MAX - 1 } else { total };
    let mut short: Vec<Vec<u8>> = args
        .take(kept)
        .map(|arg| {
            if arg.len() <= ARG_BYTES_MAX {
                return arg.to_vec();
            }
            let mut cut = arg[..ARG_BYTES_MAX].to_vec();
            cut.extend_from_slice(format!("... ({} more bytes)", arg.len() - ARG_BYTES_MAX).as_bytes());
            cut
        })
        .collect();
    if kept < total {
        short.push(format!("... ({} more arguments)", total - kept).into_bytes());
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_commands_are_shortened_as_redis_does() {
        let many: Vec<Vec<u8>> = (0..40).map(|n| vec![b'a' + n as u8 % 26; 200]).collect();
        let short = shorten(many.iter().map(Vec::as_slice));
        assert_eq!(short.len(), 32);
        assert!(short[0].ends_with(b"... (72 more bytes)"));
        assert_eq!(short[31], b"... (9 more arguments)");
    }
}
