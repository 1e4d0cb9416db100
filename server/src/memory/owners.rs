//! Giving memory back to the thread that allocated it.
//!
//! A thread that frees what another one allocated leaves it to that one to find out: the blocks wait in lists which their
//! owner has to walk, block by block, before it may use a page again or give it back to the kernel. For a value of millions
//! of members that is a stall of seconds, at a time the owner does not choose. So whoever frees much drops it while it
//! *returns*: blocks of other threads are not freed but collected, handed over in batches, and freed by their owner in
//! small steps between two requests.
//!
//! With another allocator than mimalloc nothing is returned: everything is freed where it is dropped.
#![expect(
    unsafe_code,
    reason = "blocks change hands between a thread that drops them and the one that frees them"
)]

use atomic_waker::AtomicWaker;
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// Threads that may be given something.
const OWNERS_MAX: usize = 64;
/// Blocks that are handed over together.
const BATCH: usize = 512;
/// Batches an owner may have waiting before the thread in the background waits for it.
const WAITING_MAX: usize = 64;
/// The pages of larger blocks go back to the kernel before they are returned, so that their owner has no work with them.
/// In bytes.
const LARGE: usize = 1 << 20;
/// Where there are many, buffers of this size are worth giving back at once as well.
const CHUNK: usize = 64 << 10;
/// Blocks an owner frees between two looks at the clock.
const STEP: usize = 64;

/// Blocks of one owner.
struct Batch(Vec<*mut u8>);

// SAFETY: nobody refers to a block in a batch any more; it is only to be freed, which any thread may do.
unsafe impl Send for Batch {}

/// A thread that takes back what it allocated.
struct Owner {
    heap: heap::Shared,
    returned: Mutex<Returned>,
    /// Number of batches in `returned.full`, to be read without the lock.
    waiting: AtomicUsize,
    waker: AtomicWaker,
}

struct Returned {
    full: Vec<Batch>,
    /// Room for batches to come.
    empty: Vec<Batch>,
}

impl Owner {
    const fn nobody() -> Self {
        Owner {
            heap: heap::Shared::none(),
            returned: Mutex::new(Returned { full: Vec::new(), empty: Vec::new() }),
            waiting: AtomicUsize::new(0),
            waker: AtomicWaker::new(),
        }
    }

    fn returned(&self) -> MutexGuard<'_, Returned> {
        self.returned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

static OWNERS: [Owner; OWNERS_MAX] = [const { Owner::nobody() }; OWNERS_MAX];
static OWNERS_COUNT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// What this thread returns at the moment; null while it frees as usual. Without a destructor, so that it works while
    /// a thread ends.
    static RETURNING: Cell<*mut Router> = const { Cell::new(std::ptr::null_mut()) };
}

/// A thread's right, and duty, to take back what it allocated: see [`Own::poll`] and [`Own::free`]. It stays with that
/// thread.
pub struct Own {
    index: usize,
    /// What is being freed.
    batch: Batch,
    delay: heap::PurgeDelay,
}

impl std::fmt::Debug for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Own({})", self.index)
    }
}

impl Own {
    /// The calling thread takes back what it allocates, from now on and for as long as the process lives. `None` when
    /// there are too many threads that do, or the allocator needs no such thing.
    pub fn claim() -> Option<Self> {
        let heap = heap::mine()?;
        let index = OWNERS_COUNT.fetch_add(1, Relaxed);
        let owner = OWNERS.get(index)?;
        owner.heap.set(heap);
        Some(Own { index, batch: Batch(Vec::new()), delay: heap::PurgeDelay::present() })
    }

    /// Ready when something was returned.
    pub fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let owner = &OWNERS[self.index];
        let is_ready = || owner.waiting.load(Relaxed) > 0 || !self.batch.0.is_empty();
        if is_ready() {
            return Poll::Ready(());
        }
        owner.waker.register(cx.waker());
        if is_ready() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Frees what was returned, for as long as `goes_on` says so; it is asked every few blocks. Only the thread that
    /// claimed this may call it.
    ///
    /// Pages that become empty go back to the kernel at once: later nobody would think of it, as what the allocator puts
    /// off it does when more is freed near by.
    pub fn free(&mut self, mut goes_on: impl FnMut() -> bool) {
        let _at_once = self.delay.none();
        loop {
            while !self.batch.0.is_empty() {
                let rest = self.batch.0.len().saturating_sub(STEP);
                for block in self.batch.0.drain(rest..) {
                    heap::free(block);
                }
                if !goes_on() {
                    return;
                }
            }
            if !self.next() {
                return;
            }
        }
    }

    /// Takes the next batch, if there is one and nobody is at it: a thread in the background may have been interrupted
    /// right there, and those that serve clients do not wait for it.
    fn next(&mut self) -> bool {
        let owner = &OWNERS[self.index];
        let Ok(mut returned) = owner.returned.try_lock() else { return false };
        let Some(next) = returned.full.pop() else { return false };
        owner.waiting.store(returned.full.len(), Relaxed);
        let done = std::mem::replace(&mut self.batch, next);
        if returned.empty.len() < WAITING_MAX {
            returned.empty.push(done);
        }
        true
    }
}

/// True when somebody has something to free that was returned to it.
pub fn any_waiting() -> bool {
    OWNERS.iter().any(|owner| owner.waiting.load(Relaxed) > 0)
}

/// A thread's means to return what it drops. It stays with that thread.
#[derive(Debug)]
pub struct Returns(Box<Router>);

/// Blocks on their way to their owners.
struct Router {
    own: Option<usize>,
    /// It has time: it waits for owners that have much to free already.
    is_patient: bool,
    /// The owner of the last block, probably that of the next.
    last: usize,
    batches: Vec<Batch>,
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let blocks: usize = self.batches.iter().map(|batch| batch.0.len()).sum();
        write!(f, "Router({blocks} blocks)")
    }
}

// SAFETY: the blocks it holds are nobody's, as in a batch.
unsafe impl Send for Router {}

impl Returns {
    /// For a thread that serves clients: what it allocated itself (`own`) it frees at once, for nothing else it waits.
    pub fn new(own: Option<&Own>) -> Self {
        Self::with(own, false)
    }

    /// For a thread in the background, which owns nothing and has time.
    pub fn patient() -> Self {
        Self::with(None, true)
    }

    fn with(own: Option<&Own>, is_patient: bool) -> Self {
        let own = own.map(|own| own.index);
        Returns(Box::new(Router { own, is_patient, last: 0, batches: Vec::new() }))
    }

    /// Runs `drop`; what it frees goes back to those who allocated it.
    pub fn while_dropping<R>(&mut self, drop: impl FnOnce() -> R) -> R {
        /// Ends the returning also when `drop` does not return.
        struct Until;
        impl Drop for Until {
            fn drop(&mut self) {
                RETURNING.set(std::ptr::null_mut());
            }
        }
        let _until = Until;
        RETURNING.set(&raw mut *self.0);
        drop()
    }

    /// Hands over what was collected.
    pub fn flush(&mut self) {
        for owner in 0..self.0.batches.len() {
            if !self.0.batches[owner].0.is_empty() {
                self.0.send(owner);
            }
        }
    }
}

/// Takes a block that is being freed, if this thread returns at the moment and the block is another one's.
#[inline]
pub(super) fn take(block: *mut u8, size: usize) -> bool {
    let router = RETURNING.get();
    !router.is_null() && take_slowly(router, block, size)
}

#[inline(never)]
fn take_slowly(router: *mut Router, block: *mut u8, size: usize) -> bool {
    // What is freed on the way is not returned, so the router is borrowed once at a time.
    RETURNING.set(std::ptr::null_mut());
    // SAFETY: `while_dropping` borrows the router for as long as RETURNING names it, and only this thread sees RETURNING.
    let taken = unsafe { &mut *router }.take(block, size);
    RETURNING.set(router);
    taken
}

impl Router {
    fn take(&mut self, block: *mut u8, size: usize) -> bool {
        let owners = OWNERS_COUNT.load(Relaxed).min(OWNERS_MAX);
        if owners == 0 {
            return false;
        }
        let owns = |index: &usize| OWNERS[*index].heap.contains(block);
        let last = self.last;
        let owner = std::iter::once(last).chain(0..owners).find(owns);
        // A thread that is no more, or one of those that serve no clients.
        let Some(owner) = owner else { return false };
        self.last = owner;
        if self.own == Some(owner) {
            return false;
        }
        if self.is_patient && size > LARGE {
            release(block, size);
        }
        if self.batches.len() <= owner {
            self.batches.resize_with(owners, || Batch(Vec::new()));
        }
        let batch = &mut self.batches[owner].0;
        if batch.capacity() < BATCH {
            batch.reserve_exact(BATCH);
        }
        batch.push(block);
        if batch.len() == BATCH {
            self.send(owner);
        }
        true
    }

    fn send(&mut self, index: usize) {
        let owner = &OWNERS[index];
        while self.is_patient && owner.waiting.load(Relaxed) >= WAITING_MAX {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let mut returned = owner.returned();
        let next = returned.empty.pop().unwrap_or(Batch(Vec::new()));
        returned.full.push(std::mem::replace(&mut self.batches[index], next));
        owner.waiting.store(returned.full.len(), Relaxed);
        drop(returned);
        owner.waker.wake();
    }
}

/// Frees a buffer; the pages of a large one go back to the kernel at once. The allocator would keep them for a while, and
/// many buffers that grow and go would make the process far larger than what is in use.
pub fn discard(mut buffer: Vec<u8>) {
    if buffer.capacity() >= LARGE {
        release(buffer.as_mut_ptr(), buffer.capacity());
    }
}

/// The same for one of many buffers of a middling size.
pub fn discard_chunk(mut buffer: Vec<u8>) {
    if buffer.capacity() >= CHUNK {
        release(buffer.as_mut_ptr(), buffer.capacity());
    }
}

/// Gives the pages of a block back to the kernel, those that are wholly in it.
fn release(block: *mut u8, size: usize) {
    let page = super::page_size();
    let skipped = block.align_offset(page);
    let whole = size.saturating_sub(skipped) / page * page;
    if whole > 0 {
        // SAFETY: the range lies within a block that nobody reads or writes any more but its owner, who after freeing it
        // expects nothing of what is in it; the kernel shows zeros from now on. A failure leaves everything as it was.
        unsafe { libc::madvise(block.add(skipped).cast(), whole, libc::MADV_DONTNEED) };
    }
}

/// What of mimalloc is needed.
#[cfg(feature = "mimalloc")]
mod heap {
    use libmimalloc_sys::{
        mi_free, mi_heap_contains_block, mi_heap_get_default, mi_heap_t, mi_option_get, mi_option_set,
        mi_option_t,
    };
    use std::ffi::c_long;
    use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

    /// `mi_option_purge_delay`, which the bindings do not name.
    const PURGE_DELAY: mi_option_t = 15;

    /// How long empty pages stay before they go back to the kernel, in milliseconds.
    #[derive(Clone, Copy)]
    pub(super) struct PurgeDelay(c_long);

    impl PurgeDelay {
        /// As it is set now.
        pub(super) fn present() -> Self {
            // SAFETY: options may be read and set at any time, by any thread.
            PurgeDelay(unsafe { mi_option_get(PURGE_DELAY) })
        }

        fn set(self) {
            // SAFETY: as above.
            unsafe { mi_option_set(PURGE_DELAY, self.0) };
        }

        /// They do not stay while the result of this lives: those of other threads neither, which costs them little for
        /// the moments it lasts.
        pub(super) fn none(self) -> AtOnce {
            PurgeDelay(0).set();
            AtOnce(self)
        }
    }

    /// See [`PurgeDelay::none`].
    pub(super) struct AtOnce(PurgeDelay);

    impl Drop for AtOnce {
        fn drop(&mut self) {
            self.0.set();
        }
    }

    /// The heap of a thread, for others to compare with.
    pub(super) struct Shared(AtomicPtr<mi_heap_t>);

    /// The heap of this thread.
    #[derive(Clone, Copy)]
    pub(super) struct Mine(*mut mi_heap_t);

    pub(super) fn mine() -> Option<Mine> {
        // SAFETY: the function has no preconditions.
        let heap = unsafe { mi_heap_get_default() };
        (!heap.is_null()).then_some(Mine(heap))
    }

    impl Shared {
        pub(super) const fn none() -> Self {
            Shared(AtomicPtr::new(std::ptr::null_mut()))
        }

        pub(super) fn set(&self, heap: Mine) {
            self.0.store(heap.0, Relaxed);
        }

        /// True when the block was allocated by that thread.
        pub(super) fn contains(&self, block: *mut u8) -> bool {
            let heap = self.0.load(Relaxed);
            // SAFETY: the heap is that of a thread which lives as long as the process. The block is one of mimalloc's that
            // is not freed yet, so the page it looks at stays; whose page that is can be read by any thread.
            !heap.is_null() && unsafe { mi_heap_contains_block(heap, block.cast()) }
        }
    }

    pub(super) fn free(block: *mut u8) {
        // SAFETY: the block came from `Counting::dealloc`, whose caller gave it up, and was taken instead of being freed.
        unsafe { mi_free(block.cast()) }
    }
}

/// Without mimalloc nobody owns anything.
#[cfg(not(feature = "mimalloc"))]
mod heap {
    pub(super) struct Shared;
    pub(super) enum Mine {}

    pub(super) fn mine() -> Option<Mine> {
        None
    }

    impl Shared {
        pub(super) const fn none() -> Self {
            Shared
        }

        pub(super) fn set(&self, heap: Mine) {
            match heap {}
        }

        pub(super) fn contains(&self, _: *mut u8) -> bool {
            false
        }
    }

    pub(super) fn free(_: *mut u8) {}

    pub(super) struct PurgeDelay;

    impl PurgeDelay {
        pub(super) fn present() -> Self {
            PurgeDelay
        }

        pub(super) fn none(&self) {}
    }
}

#[cfg(all(test, feature = "mimalloc"))]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    /// The tests' own allocator is not the counting one, so blocks are taken by hand here.
    fn block(size: usize) -> *mut u8 {
        // SAFETY: any size may be asked for.
        unsafe { libmimalloc_sys::mi_malloc(size).cast() }
    }

    #[test]
    fn blocks_go_back_to_the_thread_that_allocated_them() {
        const BLOCKS: usize = 3 * BATCH + 7;
        let (sender, receiver) = std::sync::mpsc::channel();
        let done = Arc::new(AtomicBool::new(false));
        let owner = std::thread::spawn({
            let done = Arc::clone(&done);
            move || {
                let mut own = Own::claim().expect("there are few threads here");
                let blocks: Vec<usize> =
                    (0..BLOCKS).map(|number| block(16 + number % 100) as usize).collect();
                sender.send((own.index, blocks)).unwrap();
                let mut freed = 0;
                let is_empty =
                    |own: &Own| own.batch.0.is_empty() && OWNERS[own.index].waiting.load(Relaxed) == 0;
                while !done.load(Relaxed) || !is_empty(&own) {
                    // A few at a time, as between two requests.
                    own.free(|| {
                        freed += 1;
                        freed % 3 != 0
                    });
                }
                freed
            }
        });
        let (index, blocks) = receiver.recv().unwrap();
        let mut returns = Returns::patient();
        let foreign = block(100);
        returns.while_dropping(|| {
            assert!(!take(foreign, 100), "this thread takes nothing back");
            for block in blocks {
                assert!(take(block as *mut u8, 16));
            }
        });
        assert!(!take(foreign, 100), "it does not return any more");
        heap::free(foreign);
        returns.flush();
        done.store(true, Relaxed);
        let steps = owner.join().unwrap();
        assert!(steps >= BLOCKS / STEP, "{steps}");
        assert!(OWNERS[index].returned().full.is_empty());
    }
}
