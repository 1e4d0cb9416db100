//! Registers of six bits, four in three bytes, from the lowest bits up.

use super::{Mark, REGISTER_BITS, REGISTER_MAX};

/// The register `index`. O(1).
pub(super) fn get(registers: &[u8], index: usize) -> u8 {
    let (byte, shift) = place(index);
    let low = registers[byte] >> shift;
    let high = if shift > 2 { registers[byte + 1] << (8 - shift) } else { 0 };
    (low | high) & REGISTER_MAX
}

/// Sets the register `index`. O(1).
pub(super) fn set(registers: &mut [u8], index: usize, value: u8) {
    let (byte, shift) = place(index);
    registers[byte] = registers[byte] & !(REGISTER_MAX << shift) | value << shift;
    if shift > 2 {
        let back = 8 - shift;
        registers[byte + 1] = registers[byte + 1] & !(REGISTER_MAX >> back) | value >> back;
    }
}

/// The first byte of a register and where it begins in there.
fn place(index: usize) -> (usize, usize) {
    let bit = index * REGISTER_BITS;
    (bit / 8, bit % 8)
}

/// Raises a register to what a mark asks for; true when it was lower.
pub(super) fn raise(registers: &mut [u8], mark: Mark) -> bool {
    let raises = get(registers, mark.index) < mark.value;
    if raises {
        set(registers, mark.index, mark.value);
    }
    raises
}

/// Visits all registers.
pub(super) fn each(registers: &[u8], mut visit: impl FnMut(usize, u8)) {
    for (group, [a, b, c]) in registers.as_chunks::<3>().0.iter().enumerate() {
        let first = group * 4;
        visit(first, a & REGISTER_MAX);
        visit(first + 1, (a >> 6 | b << 2) & REGISTER_MAX);
        visit(first + 2, (b >> 4 | c << 4) & REGISTER_MAX);
        visit(first + 3, c >> 2);
    }
}
