//! Where a thread whose replies wait for the journal is found by the one who writes it.

use atomic_waker::AtomicWaker;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::task::Waker;
use tidegate_persistence::journal::Lsn;

/// Nobody waits.
const NOBODY: Lsn = Lsn::MAX;

/// The lowest position that a connection of one thread waits for.
#[derive(Debug)]
#[repr(align(128))]
pub struct Gate {
    lsn: AtomicU64,
    waker: AtomicWaker,
}

impl Default for Gate {
    fn default() -> Self {
        Gate { lsn: AtomicU64::new(NOBODY), waker: AtomicWaker::new() }
    }
}

impl Gate {
    /// Says whom to wake.
    pub fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Has the thread woken when the journal is safe up to `lsn`, unless `is_open` says that it is already: true then.
    pub fn wait_for(&self, lsn: Lsn, is_open: impl FnOnce() -> bool) -> bool {
        self.lsn.store(lsn, SeqCst);
        // Whoever moves the journal's mark does that first and looks here then: one of both sees the other.
        is_open()
    }

    /// Nobody waits any more.
    pub fn close(&self) {
        self.lsn.store(NOBODY, SeqCst);
    }

    /// The journal is safe up to `lsn`. From any thread.
    pub fn open_to(&self, lsn: Lsn) {
        if self.lsn.load(SeqCst) <= lsn {
            self.lsn.store(NOBODY, SeqCst);
            self.waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn a_thread_is_woken_once_when_its_position_is_reached() {
        let (gate, count) = (Gate::default(), Arc::new(Count::default()));
        gate.register(&Waker::from(Arc::clone(&count)));
        gate.open_to(5);
        assert_eq!(count.0.load(SeqCst), 0, "nobody waits");
        assert!(!gate.wait_for(7, || false));
        gate.open_to(6);
        assert_eq!(count.0.load(SeqCst), 0);
        gate.open_to(7);
        gate.open_to(8);
        assert_eq!(count.0.load(SeqCst), 1);
        assert!(gate.wait_for(7, || true), "it is there already");
        gate.close();
        gate.register(&Waker::from(Arc::clone(&count)));
        gate.open_to(9);
        assert_eq!(count.0.load(SeqCst), 1);
    }
}
