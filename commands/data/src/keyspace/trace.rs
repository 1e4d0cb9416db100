//! Which keys a command touched, in debug builds: what proves that access control has heard of all of them. In release
//! builds it is nothing, and costs nothing.

#[cfg(debug_assertions)]
use super::key::Key;

/// A key that was looked for, or a database that was walked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touch {
    /// The database.
    pub db: u16,
    /// The key; `None` for a database as a whole.
    pub key: Option<Box<[u8]>>,
    /// It was changed, not only looked at.
    pub changed: bool,
}

/// What was touched since it was taken last.
#[derive(Debug, Default)]
pub struct Trace {
    #[cfg(debug_assertions)]
    touches: Vec<Touch>,
}

/// How much there is in a trace.
#[derive(Debug, Clone, Copy)]
pub(super) struct TraceMark {
    #[cfg(debug_assertions)]
    len: usize,
}

#[cfg(debug_assertions)]
impl Trace {
    pub(super) fn key(&mut self, db: usize, key: Key, changed: bool) {
        let touch = Touch { db: db as u16, key: Some(key.bytes().into()), changed };
        if self.touches.last() != Some(&touch) {
            self.touches.push(touch);
        }
    }

    pub(super) fn database(&mut self, db: usize, changed: bool) {
        self.touches.push(Touch { db: db as u16, key: None, changed });
    }

    pub(super) fn mark(&self) -> TraceMark {
        TraceMark { len: self.touches.len() }
    }

    /// Forgets what the server did on its own account.
    pub(super) fn cut(&mut self, mark: TraceMark) {
        self.touches.truncate(mark.len);
    }

    /// What was touched, in order, some of it more than once.
    pub fn take(&mut self) -> Vec<Touch> {
        std::mem::take(&mut self.touches)
    }
}

#[cfg(not(debug_assertions))]
#[expect(clippy::unused_self, clippy::inline_always, reason = "the same as in debug builds, but nothing")]
impl Trace {
    #[inline(always)]
    pub(super) fn key(&mut self, _: usize, _: super::key::Key, _: bool) {}

    #[inline(always)]
    pub(super) fn database(&mut self, _: usize, _: bool) {}

    #[inline(always)]
    pub(super) fn mark(&self) -> TraceMark {
        TraceMark {}
    }

    #[inline(always)]
    pub(super) fn cut(&mut self, _: TraceMark) {}
}
