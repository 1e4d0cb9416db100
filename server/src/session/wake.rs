//! Waking connections from any thread.

use atomic_waker::AtomicWaker;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{AcqRel, Acquire, Release},
};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Wake, Waker};

/// The connections of one thread that were woken, in order.
#[derive(Debug, Default)]
pub struct Wakeups {
    keys: Mutex<Vec<usize>>,
    /// False when there are surely none: the usual case costs no lock.
    any: AtomicBool,
    /// The thread's event loop.
    reactor: AtomicWaker,
}

impl Wakeups {
    /// Says whom to wake when a connection is woken. What was woken before this call is seen by a look after it.
    pub fn register(&self, waker: &Waker) {
        self.reactor.register(waker);
    }

    /// True when nobody was woken since the last [`Wakeups::take`].
    pub fn is_empty(&self) -> bool {
        !self.any.load(Acquire)
    }

    /// Who was woken. Returning the list with [`Wakeups::give_back`] saves an allocation.
    pub fn take(&self) -> Vec<usize> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut keys = self.keys();
        self.any.store(false, Release);
        std::mem::take(&mut keys)
    }

    /// Takes an empty list for later use.
    pub fn give_back(&self, list: Vec<usize>) {
        if list.capacity() > 0 {
            let mut keys = self.keys();
            if keys.capacity() == 0 {
                *keys = list;
            }
        }
    }

    fn push(&self, key: usize) {
        self.keys().push(key);
        self.any.store(true, Release);
        self.reactor.wake();
    }

    fn keys(&self) -> MutexGuard<'_, Vec<usize>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection as something to be woken. Many wake-ups before it is looked at are one.
#[derive(Debug)]
pub struct Notified {
    key: usize,
    queued: AtomicBool,
    wakeups: Arc<Wakeups>,
}

impl Notified {
    /// The connection that its thread knows by `key`.
    pub fn new(key: usize, wakeups: Arc<Wakeups>) -> Self {
        Notified { key, queued: AtomicBool::new(false), wakeups }
    }

    /// The connection is looked at now; a wake-up from here on counts again.
    pub fn seen(&self) {
        // Whatever was done before the wake-up is seen after this.
        self.queued.swap(false, AcqRel);
    }
}

impl Wake for Notified {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, AcqRel) {
            self.wakeups.push(self.key);
        }
    }
}

/// What wakes a connection; nothing before it is served.
#[derive(Debug, Default)]
pub struct ConnWaker(OnceLock<Arc<Notified>>);

impl ConnWaker {
    /// Says once and for all what to wake.
    pub fn set(&self, notified: Arc<Notified>) {
        // A connection is served by one thread, from its beginning to its end.
        let _ = self.0.set(notified);
    }

    /// Has the connection looked at soon. From any thread.
    pub fn wake(&self) {
        if let Some(notified) = self.0.get() {
            notified.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_wake_ups_are_one_until_it_is_seen() {
        let wakeups = Arc::new(Wakeups::default());
        let (first, second) = (ConnWaker::default(), ConnWaker::default());
        first.wake();
        assert!(wakeups.is_empty(), "it is not served yet");
        let notified = Arc::new(Notified::new(1, Arc::clone(&wakeups)));
        first.set(Arc::clone(&notified));
        second.set(Arc::new(Notified::new(2, Arc::clone(&wakeups))));
        for waker in [&first, &second, &first, &second] {
            waker.wake();
        }
        assert_eq!(wakeups.take(), [1, 2]);
        assert!(wakeups.is_empty() && wakeups.take().is_empty());
        first.wake();
        assert!(wakeups.is_empty(), "it is still to be looked at");
        notified.seen();
        first.wake();
        assert_eq!(wakeups.take(), [1]);
    }
}
