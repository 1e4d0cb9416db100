//! The memory of one state, and what its functions need to know about the running script.
//!
//! A script may not use more than its limit. The core reports an allocation that fails by jumping to the nearest
//! protected call, over whatever lies between; so none fails while Rust code runs in a script: what such code allocates
//! beyond the limit is noticed when it returns, and raised there.

use crate::host::{Host, Stop};
use crate::slots::Slots;
use std::alloc::{Layout, alloc, dealloc, realloc};
use std::ffi::c_void;
use std::ptr::{self, NonNull};

/// The core aligns everything for pointers and doubles.
pub(crate) const ALIGN: usize = 8;

/// What belongs to one state besides what the core knows.
#[derive(Debug)]
pub(crate) struct Heap {
    /// Bytes allocated.
    pub(crate) used: usize,
    /// Bytes a script may allocate.
    pub(crate) limit: usize,
    /// How deep in Rust functions called by the script it is; the limit does not count there.
    pub(crate) in_rust: u32,
    /// What runs the script, unless it is at work already.
    pub(crate) host: Option<NonNull<dyn Host>>,
    /// Why the script is being ended.
    pub(crate) stop: Option<Stop>,
    /// Counts the scripts that were run.
    pub(crate) runs: u32,
    /// Instructions between two looks at the clock.
    pub(crate) interval: i32,
    /// Small pieces of memory that are not in use at the moment.
    slots: Slots,
}

impl Heap {
    pub(crate) fn new(limit: usize, interval: i32) -> Self {
        Heap {
            used: 0,
            limit,
            in_rust: 1,
            host: None,
            stop: None,
            runs: 0,
            interval,
            slots: Slots::default(),
        }
    }

    /// The script has used more than it may.
    pub(crate) fn is_over(&self) -> bool {
        self.used > self.limit
    }
}

/// The core's allocator.
///
/// # Safety
/// `data` is the state's [`Heap`], `old` and `old_size` are what was given out before.
pub(crate) unsafe extern "C-unwind" fn allocate(
    data: *mut c_void,
    old: *mut c_void,
    old_size: usize,
    new_size: usize,
) -> *mut c_void {
    let heap = data.cast::<Heap>();
    // SAFETY: the heap lives as long as its state, and no reference to it is alive while the core runs: whoever makes
    // one lets go of it before the next call into the core.
    let (used, limit, in_rust) = unsafe { ((*heap).used, (*heap).limit, (*heap).in_rust) };
    let rest = used - old_size;
    if new_size == 0 {
        if !old.is_null() && old_size > 0 {
            // SAFETY: it was allocated here with this size.
            unsafe { give_back(heap, old.cast(), old_size) };
        }
        // SAFETY: as above.
        unsafe { (*heap).used = rest };
        return ptr::null_mut();
    }
    let Some(wanted) = rest.checked_add(new_size) else { return ptr::null_mut() };
    // Shrinking never fails.
    if wanted > limit && in_rust == 0 && new_size > old_size {
        return ptr::null_mut();
    }
    let Ok(layout) = Layout::from_size_align(new_size, ALIGN) else { return ptr::null_mut() };
    // SAFETY: the heap is nobody else's now; the sizes are not 0, and the old one is what was asked for.
    let fresh = unsafe {
        if old.is_null() || old_size == 0 {
            take(heap, layout)
        } else if Slots::holds(old_size) || Slots::holds(new_size) {
            if Slots::holds(old_size) && Slots::class(old_size) == Slots::class(new_size) {
                old.cast()
            } else {
                let fresh = take(heap, layout);
                if !fresh.is_null() {
                    ptr::copy_nonoverlapping(old.cast::<u8>(), fresh, old_size.min(new_size));
                    give_back(heap, old.cast(), old_size);
                }
                fresh
            }
        } else {
            realloc(old.cast(), Layout::from_size_align_unchecked(old_size, ALIGN), new_size)
        }
    };
    if fresh.is_null() {
        if in_rust > 0 {
            std::alloc::handle_alloc_error(layout);
        }
        return ptr::null_mut();
    }
    // SAFETY: as above.
    unsafe { (*heap).used = wanted };
    fresh.cast()
}

/// Memory for a layout, or a null pointer.
///
/// # Safety
/// `heap` is alive and nobody else's; the size is not 0.
#[inline]
unsafe fn take(heap: *mut Heap, layout: Layout) -> *mut u8 {
    // SAFETY: the caller vouches for it.
    unsafe { if Slots::holds(layout.size()) { (*heap).slots.take(layout.size()) } else { alloc(layout) } }
}

/// Takes back what [`take`] gave for this size.
///
/// # Safety
/// As for [`take`], and nobody uses the memory any more.
#[inline]
unsafe fn give_back(heap: *mut Heap, memory: *mut u8, size: usize) {
    // SAFETY: the caller vouches for it.
    unsafe {
        if Slots::holds(size) {
            (*heap).slots.give_back(memory, size);
        } else {
            dealloc(memory, Layout::from_size_align_unchecked(size, ALIGN));
        }
    }
}
