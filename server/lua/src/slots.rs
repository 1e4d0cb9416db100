//! Small pieces of memory that a state gave back and is about to want again.
//!
//! A script makes hundreds of strings, closures and small tables, which the collector frees together some scripts later.
//! Here they wait on lists of their own, by size, without a trip to the allocator. What waits is bounded.

use crate::heap::ALIGN;
use std::alloc::{Layout, alloc, dealloc};
use std::ptr;

/// Sizes are rounded up to a multiple of this, in bytes.
const STEP: usize = 16;
/// Larger pieces are not kept, in bytes.
const SIZE_MAX: usize = 256;
const CLASSES: usize = SIZE_MAX / STEP;
/// What one size may keep, in bytes.
const KEPT_MAX: usize = 32 << 10;

/// A piece that is not in use: its first word is where the next one is.
struct Free {
    next: *mut Free,
}

/// Pieces of one size.
#[derive(Debug, Clone, Copy)]
struct List {
    first: *mut Free,
    count: usize,
}

/// Small pieces of memory that are not in use.
#[derive(Debug)]
pub(crate) struct Slots([List; CLASSES]);

impl Default for Slots {
    fn default() -> Self {
        Slots([List { first: ptr::null_mut(), count: 0 }; CLASSES])
    }
}

impl Slots {
    /// Whether pieces of this size, which is not 0, come from here.
    #[inline]
    pub(crate) fn holds(size: usize) -> bool {
        size <= SIZE_MAX
    }

    /// Sizes with the same class are the same to [`Slots`].
    #[inline]
    pub(crate) fn class(size: usize) -> usize {
        (size - 1) / STEP
    }

    fn layout(class: usize) -> Layout {
        Layout::from_size_align((class + 1) * STEP, ALIGN).expect("a small power of two, and a small size")
    }

    /// A piece of at least this size, or a null pointer where there is no memory left.
    #[inline]
    pub(crate) fn take(&mut self, size: usize) -> *mut u8 {
        let class = Self::class(size);
        let list = &mut self.0[class];
        if list.first.is_null() {
            // SAFETY: the size is not 0.
            return unsafe { alloc(Self::layout(class)) };
        }
        let piece = list.first;
        // SAFETY: what is on a list is a piece that was given back: nobody else uses it, and its first word is a link.
        list.first = unsafe { (*piece).next };
        list.count -= 1;
        piece.cast()
    }

    /// Takes a piece back.
    ///
    /// # Safety
    /// [`Slots::take`] gave it for a size of this class, and nobody uses it any more.
    #[inline]
    pub(crate) unsafe fn give_back(&mut self, piece: *mut u8, size: usize) {
        let class = Self::class(size);
        let list = &mut self.0[class];
        if list.count * (class + 1) * STEP >= KEPT_MAX {
            // SAFETY: it was allocated with this layout.
            return unsafe { dealloc(piece, Self::layout(class)) };
        }
        #[expect(clippy::cast_ptr_alignment, reason = "pieces are aligned as their layout says")]
        let piece = piece.cast::<Free>();
        // SAFETY: it is ours now, has room for a link, and is aligned for one.
        unsafe { piece.write(Free { next: list.first }) };
        list.first = piece;
        list.count += 1;
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        for (class, list) in self.0.iter_mut().enumerate() {
            while !list.first.is_null() {
                let piece = list.first;
                // SAFETY: as in `take`; it was allocated with this layout.
                unsafe {
                    list.first = (*piece).next;
                    dealloc(piece.cast(), Self::layout(class));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_back_and_too_many_go() {
        let mut slots = Slots::default();
        let first = slots.take(17);
        // SAFETY: it is a piece of this class, and not used.
        unsafe { slots.give_back(first, 30) };
        assert_eq!(slots.take(32), first, "all of one class are the same");
        let count = 2 * KEPT_MAX / 32;
        let mut pieces: Vec<*mut u8> = (1..count).map(|_| slots.take(20)).collect();
        pieces.push(first);
        for piece in pieces {
            // SAFETY: as above.
            unsafe { slots.give_back(piece, 20) };
        }
        assert_eq!(slots.0[1].count, KEPT_MAX / 32);
        assert!(Slots::holds(1) && Slots::holds(256) && !Slots::holds(257));
    }
}
