//! Waking connections from any thread.

use atomic_waker::AtomicWaker;
use smallvec::SmallVec;
use std::sync::atomic::{
    AtomicBool, AtomicU8,
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

    /// Who was woken, and who is about to be. Returning the list with [`Wakeups::give_back`] saves an allocation.
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

    /// Has the thread look at its list.
    fn ring(&self) {
        self.any.store(true, Release);
        self.reactor.wake();
    }

    fn keys(&self) -> MutexGuard<'_, Vec<usize>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Not on the list of its thread.
const IDLE: u8 = 0;
/// On the list; the thread may not have been told yet.
const LISTED: u8 = 1;
/// On the list, and the thread knows.
const TOLD: u8 = 2;

/// One connection as something to be woken. Many wake-ups before it is looked at are one.
#[derive(Debug)]
pub struct Notified {
    key: usize,
    /// [`IDLE`], [`LISTED`] or [`TOLD`].
    state: AtomicU8,
    wakeups: Arc<Wakeups>,
}

impl Notified {
    /// The connection that its thread knows by `key`.
    pub fn new(key: usize, wakeups: Arc<Wakeups>) -> Self {
        Notified { key, state: AtomicU8::new(IDLE), wakeups }
    }

    /// Puts the connection on its thread's list, if it is not there, without telling the thread. True when that has to be
    /// done.
    fn enlist(&self) -> bool {
        let is_new = self.state.compare_exchange(IDLE, LISTED, AcqRel, Acquire).is_ok();
        if is_new {
            self.wakeups.keys().push(self.key);
        }
        is_new
    }

    /// The connection is looked at now; a wake-up from here on counts again.
    pub fn seen(&self) {
        // Whatever was done before the wake-up is seen after this.
        self.state.swap(IDLE, AcqRel);
    }
}

impl Wake for Notified {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let before = self.state.swap(TOLD, AcqRel);
        if before == IDLE {
            self.wakeups.keys().push(self.key);
        }
        if before != TOLD {
            self.wakeups.ring();
        }
    }
}

/// Threads that have connections to look at and were not told yet.
#[derive(Debug, Default)]
pub struct Bells(SmallVec<[Arc<Wakeups>; 4]>);

impl Bells {
    /// Tells all of them.
    pub fn ring(&mut self) {
        for wakeups in self.0.drain(..) {
            wakeups.ring();
        }
    }

    /// True when there is nobody to tell.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, wakeups: &Arc<Wakeups>) {
        if !self.0.iter().any(|known| Arc::ptr_eq(known, wakeups)) {
            self.0.push(Arc::clone(wakeups));
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

    /// Has the connection looked at once `bells` are rung: waking a thread costs more than most of what it is told, and
    /// one that is woken for the first of many messages begins to send before it has the others.
    pub fn wake_later(&self, bells: &mut Bells) {
        if let Some(notified) = self.0.get()
            && notified.enlist()
        {
            bells.add(&notified.wakeups);
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

    #[test]
    fn a_thread_is_told_when_the_bells_are_rung_or_somebody_cannot_wait_for_it() {
        let wakeups = Arc::new(Wakeups::default());
        let waker = ConnWaker::default();
        let notified = Arc::new(Notified::new(7, Arc::clone(&wakeups)));
        waker.set(Arc::clone(&notified));
        let mut bells = Bells::default();
        waker.wake_later(&mut bells);
        waker.wake_later(&mut bells);
        assert!(wakeups.is_empty() && !bells.is_empty());
        bells.ring();
        assert!(bells.is_empty());
        assert_eq!(wakeups.take(), [7]);
        notified.seen();
        waker.wake_later(&mut bells);
        waker.wake();
        assert_eq!(wakeups.take(), [7], "the bells were not rung yet");
    }
}
