//! How much memory the process uses: a counting wrapper around the allocator, and what the kernel and the allocator
//! say themselves.
//!
//! `maxmemory` and `used_memory` need a figure that is exact, cheap to read, and falls at once when memory is freed;
//! mimalloc only tells what it reserved. So every allocation is counted with the size class it takes, in
//! a counter of its thread's own: two plain memory accesses per allocation.
#![expect(unsafe_code, reason = "a global allocator is an unsafe trait; it only counts and forwards")]

mod owners;

pub use owners::{Own, Returns, any_waiting, discard, discard_chunk};

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::Relaxed};
use tidegate_data::keyspace::size_class;

/// Threads with a counter of their own; all later ones share the last.
const COUNTERS: usize = 128;

/// A counter on a cache line of its own (two, as processors fetch pairs).
#[repr(align(128))]
struct Counter(AtomicIsize);

static COUNTS: [Counter; COUNTERS] = [const { Counter(AtomicIsize::new(0)) }; COUNTERS];
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// This thread's counter. Without a destructor, so that it works while a thread ends.
    static COUNTER: Cell<usize> = const { Cell::new(usize::MAX) };
}

#[inline]
fn count(bytes: isize) {
    let index = COUNTER.get();
    if index < COUNTERS - 1 {
        // Only this thread writes here: no locked instruction is needed. One thread may free what another allocated,
        // so a counter may be negative; the sum never is.
        let counter = &COUNTS[index].0;
        counter.store(counter.load(Relaxed).wrapping_add(bytes), Relaxed);
    } else {
        count_slowly(index, bytes);
    }
}

#[cold]
fn count_slowly(index: usize, bytes: isize) {
    if index == usize::MAX {
        COUNTER.set(THREADS.fetch_add(1, Relaxed).min(COUNTERS - 1));
    }
    let counter = &COUNTS[COUNTER.get()].0;
    counter.fetch_add(bytes, Relaxed);
}

/// Bytes allocated now, each allocation rounded up to its size class. 0 when the process does not use [`Counting`].
pub fn used() -> usize {
    let counters = THREADS.load(Relaxed).min(COUNTERS);
    let sum: isize = COUNTS[..counters].iter().map(|counter| counter.0.load(Relaxed)).sum();
    sum.max(0) as usize
}

/// What this thread has allocated more than it has freed, in bytes: to learn how much that changed since some time ago,
/// which costs next to nothing.
#[inline]
pub fn own() -> isize {
    let index = COUNTER.get();
    // A thread that never allocated.
    if index == usize::MAX { 0 } else { COUNTS[index].0.load(Relaxed) }
}

/// An allocator that counts what another one gives out. With the feature `mimalloc` that has to be mimalloc.
#[derive(Debug, Clone, Copy)]
pub struct Counting<A>(pub A);

// SAFETY: every call is forwarded unchanged, but for blocks that are freed later, by the thread that allocated them; neither
// that nor counting allocates on its way or unwinds.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counting<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(size_class(layout.size()) as isize);
        // SAFETY: the caller's promises are passed on.
        unsafe { self.0.alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(size_class(layout.size()) as isize));
        if owners::take(pointer, layout.size()) {
            return;
        }
        // SAFETY: the caller's promises are passed on.
        unsafe { self.0.dealloc(pointer, layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(size_class(layout.size()) as isize);
        // SAFETY: the caller's promises are passed on.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        let moved = unsafe { self.0.realloc(pointer, layout, new_size) };
        if !moved.is_null() {
            count(size_class(new_size) as isize - size_class(layout.size()) as isize);
        }
        moved
    }
}

/// Gives free memory of this thread, of threads that ended, and of regions that nobody uses, back to the kernel. It walks
/// everything this thread has allocated, so it is for threads that have little, or time.
pub fn purge() {
    #[cfg(feature = "mimalloc")]
    // SAFETY: the function has no preconditions.
    unsafe {
        libmimalloc_sys::mi_collect(true);
    }
}

/// Notices that much memory was freed since it last said so.
#[derive(Debug, Default)]
pub struct Freed {
    highest: usize,
}

impl Freed {
    /// Less than this is not worth walking the heap for, in bytes.
    const LEAST: usize = 8 << 20;

    /// True when an eighth of the memory in use at the highest, and at least 8 MiB, is free again.
    pub fn much(&mut self) -> bool {
        self.much_of(used())
    }

    fn much_of(&mut self, used: usize) -> bool {
        self.highest = self.highest.max(used);
        let much = self.highest - used >= Self::LEAST.max(self.highest / 8);
        if much {
            self.highest = used;
        }
        much
    }
}

/// The allocator's own report: `MEMORY MALLOC-STATS`. `None` when it has none.
#[cfg(feature = "mimalloc")]
pub fn allocator_report() -> Option<String> {
    unsafe extern "C" fn append(message: *const std::ffi::c_char, report: *mut std::ffi::c_void) {
        // SAFETY: mimalloc passes a C string, and back the pointer it was given below.
        let (message, report) =
            unsafe { (std::ffi::CStr::from_ptr(message), &mut *report.cast::<Vec<u8>>()) };
        report.extend_from_slice(message.to_bytes());
    }
    let mut report: Vec<u8> = Vec::new();
    // SAFETY: `append` is called before this returns, with the pointer to `report`, which lives longer.
    unsafe {
        libmimalloc_sys::mi_stats_print_out(Some(append), (&raw mut report).cast());
    }
    Some(String::from_utf8_lossy(&report).into_owned())
}

/// The allocator's own report: `MEMORY MALLOC-STATS`. `None` when it has none.
#[cfg(not(feature = "mimalloc"))]
pub fn allocator_report() -> Option<String> {
    None
}

/// Resident memory of the process in bytes: all of it, and what belongs to no file, which is the allocator's but for
/// the stacks. Zeros where the kernel does not tell.
pub fn resident() -> (usize, usize) {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: Vec<usize> = statm.split(' ').map(|pages| pages.parse().unwrap_or(0)).collect();
    let [_, all, of_files, ..] = pages[..] else { return (0, 0) };
    (all * page_size(), all.saturating_sub(of_files) * page_size())
}

fn page_size() -> usize {
    // SAFETY: sysconf has no preconditions.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

/// Memory of the machine in bytes.
pub fn total_system() -> usize {
    // SAFETY: sysconf has no preconditions.
    let pages = unsafe { libc::sysconf(libc::_SC_PHYS_PAGES) };
    usize::try_from(pages).unwrap_or(0) * page_size()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drop_is_noticed_once() {
        let mut freed = Freed::default();
        assert!(!freed.much_of(100 << 20));
        assert!(!freed.much_of(90 << 20), "not an eighth");
        assert!(freed.much_of(80 << 20));
        assert!(!freed.much_of(79 << 20));
        assert!(!freed.much_of(200 << 20));
        assert!(freed.much_of(0));
    }

    #[test]
    fn what_one_thread_allocates_and_another_frees_sums_to_nothing() {
        let before = used();
        count(4096);
        assert!(used() >= 4096);
        std::thread::spawn(|| count(-4096)).join().unwrap();
        // Other tests do not use the counters: nothing in a test process counts by itself.
        assert_eq!(used(), before);
    }

    #[test]
    fn the_kernel_knows_this_process() {
        let (all, anonymous) = resident();
        assert!(anonymous > 100_000 && all > anonymous && total_system() > all);
    }
}
