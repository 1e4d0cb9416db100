//! `CLIENT PAUSE`: until when, and for whom.

use std::sync::atomic::{AtomicI64, AtomicU8, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// What is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum PauseKind {
    /// Nothing.
    None = 0,
    /// Commands that may change the keyspace, and expiry.
    Write = 1,
    /// Every command.
    All = 2,
}

/// The pause of this process. A new pause may tighten and prolong the present one, never loosen it.
#[derive(Debug, Default)]
pub struct Pause {
    until_ms: AtomicI64,
    kind: AtomicU8,
    /// Held while both are changed.
    changing: Mutex<()>,
}

impl Pause {
    /// What is paused at `now_ms`. The last millisecond belongs to the pause.
    #[inline]
    pub fn kind(&self, now_ms: i64) -> PauseKind {
        match self.kind.load(Relaxed) {
            0 => PauseKind::None,
            _ if now_ms > self.until_ms.load(Relaxed) => PauseKind::None,
            1 => PauseKind::Write,
            _ => PauseKind::All,
        }
    }

    /// When it ends, Unix milliseconds.
    pub fn until_ms(&self) -> i64 {
        self.until_ms.load(Relaxed)
    }

    /// Pauses until `until_ms`.
    pub fn begin(&self, kind: PauseKind, until_ms: i64, now_ms: i64) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let (kind, until_ms) = match self.kind(now_ms) {
            PauseKind::None => (kind, until_ms),
            present => (present.max(kind), until_ms.max(self.until_ms())),
        };
        self.until_ms.store(until_ms, Relaxed);
        self.kind.store(kind as u8, Relaxed);
    }

    /// Ends the pause.
    pub fn end(&self) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.kind.store(PauseKind::None as u8, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_never_loosened_by_another() {
        let pause = Pause::default();
        assert_eq!(pause.kind(0), PauseKind::None);
        pause.begin(PauseKind::All, 100, 0);
        pause.begin(PauseKind::Write, 50, 10);
        assert_eq!((pause.kind(100), pause.until_ms()), (PauseKind::All, 100));
        pause.begin(PauseKind::Write, 200, 10);
        assert_eq!((pause.kind(200), pause.kind(201)), (PauseKind::All, PauseKind::None));
        pause.begin(PauseKind::Write, 300, 250);
        assert_eq!(pause.kind(260), PauseKind::Write);
        pause.end();
        assert_eq!(pause.kind(260), PauseKind::None);
    }
}
