//! Memory full of zeros, or the answer that there is none. Sketches are as large as a client says: that must not end the
//! process, as `vec![0; len]` does, nor write to every page before anything is stored there, as `try_reserve` and `resize`
//! do.

#![expect(unsafe_code, reason = "nothing safe gives zeroed memory that may be refused; under Miri in CI")]

use std::alloc::{Layout, alloc_zeroed};
use std::ptr::slice_from_raw_parts_mut;

/// The largest sketch, in bytes: every size that the limits of the commands allow for usual error rates, and few others.
pub const SKETCH_SIZE_MAX: u64 = 1 << 31;

/// Types of which zero bytes are a value.
pub trait Zeros: Copy + sealed::Sealed {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for u8 {}
    impl Sealed for u32 {}
    impl Sealed for [u32; 2] {}
}

impl Zeros for u8 {}
impl Zeros for u32 {}
impl Zeros for [u32; 2] {}

/// `len` zeros; `None` where there is no memory for them, or they are more than `room` bytes, or more than a sketch may have.
/// O(1) for the large sizes that allocators take straight from the system.
pub fn zeroed<T: Zeros>(len: u64, room: u64) -> Option<Box<[T]>> {
    let size = len.checked_mul(size_of::<T>() as u64)?;
    if size > room.min(SKETCH_SIZE_MAX) {
        return None;
    }
    if size == 0 {
        return Some(Box::default());
    }
    let len = usize::try_from(len).ok()?;
    let layout = Layout::array::<T>(len).ok()?;
    // SAFETY: the layout has a size other than 0.
    let start = unsafe { alloc_zeroed(layout) };
    if start.is_null() {
        return None;
    }
    // SAFETY: the allocation is that of a slice of `len` elements, all zero bytes, which `Zeros` says are values.
    Some(unsafe { Box::from_raw(slice_from_raw_parts_mut(start.cast::<T>(), len)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_or_none() {
        assert_eq!(zeroed::<u32>(3, 12).as_deref(), Some(&[0; 3][..]));
        assert_eq!(zeroed::<[u32; 2]>(2, 100).as_deref(), Some(&[[0; 2]; 2][..]));
        assert_eq!(zeroed::<u8>(0, 0).as_deref(), Some(&[][..]));
        assert_eq!(zeroed::<u8>(SKETCH_SIZE_MAX + 1, u64::MAX), None);
        assert_eq!(zeroed::<u32>(3, 11), None);
        assert_eq!(zeroed::<u32>(u64::MAX, u64::MAX), None);
    }
}
