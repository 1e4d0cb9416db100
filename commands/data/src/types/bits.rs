//! Strings seen as rows of bits: counting them, finding one, combining several rows, and integers of any width in them.
//!
//! Bit 0 is the most significant one of the first byte, as everywhere in Redis. Behind its end a row is all zeros.

mod field;

pub use field::{Field, Overflow, OverflowRule};

use std::ops::RangeInclusive;

/// Bytes of the result that are computed from all sources before the next ones: they stay in the first-level cache.
const BLOCK: usize = 4096;

/// Bytes that are looked at in one go where nothing is expected to be found.
const STRIDE: usize = 64;

/// Number of bits that are 1. O(N).
pub fn count(bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<STRIDE>();
    let words = |bytes: &[u8]| {
        bytes.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word).count_ones()).sum::<u32>()
    };
    let whole: u64 = blocks.iter().map(|block| u64::from(words(block))).sum();
    let tail = rest.as_chunks::<8>().1;
    whole + u64::from(words(rest)) + u64::from(tail.iter().map(|byte| byte.count_ones()).sum::<u32>())
}

/// Number of bits that are 1 among the bits `range`, which must be inside the row. O(N).
pub fn count_in(bytes: &[u8], range: RangeInclusive<u64>) -> u64 {
    let Parts { head, body, tail } = Parts::of(bytes, range);
    let ends = [head, tail].into_iter().flatten().map(|end| u64::from((end.byte & end.mask).count_ones()));
    count(&bytes[body]) + ends.sum::<u64>()
}

/// The first bit that is `bit`. `None` if there is none. O(N).
pub fn position(bytes: &[u8], bit: bool) -> Option<u64> {
    let flip = if bit { 0 } else { u64::MAX };
    let (blocks, _) = bytes.as_chunks::<STRIDE>();
    let is_dull = |block: &&[u8; STRIDE]| {
        let words = block.as_chunks::<8>().0;
        words.iter().fold(0, |seen, word| seen | (u64::from_ne_bytes(*word) ^ flip)) == 0
    };
    let start = blocks.iter().take_while(is_dull).count() * STRIDE;
    let rest = &bytes[start..];
    let byte = rest.iter().position(|byte| byte ^ flip as u8 != 0)?;
    let bit = (rest[byte] ^ flip as u8).leading_zeros();
    Some((start + byte) as u64 * 8 + u64::from(bit))
}

/// The first bit that is `bit` among the bits `range`, which must be inside the row. O(N).
pub fn position_in(bytes: &[u8], range: RangeInclusive<u64>, bit: bool) -> Option<u64> {
    let Parts { head, body, tail } = Parts::of(bytes, range);
    let of_end = |end: End| {
        let wanted = if bit { end.byte } else { !end.byte } & end.mask;
        (wanted != 0).then(|| end.index as u64 * 8 + u64::from(wanted.leading_zeros()))
    };
    let start = body.start as u64 * 8;
    head.and_then(of_end)
        .or_else(|| position(&bytes[body], bit).map(|found| start + found))
        .or_else(|| tail.and_then(of_end))
}

/// A byte of which only the bits of a mask belong to a range of bits.
#[derive(Clone, Copy)]
struct End {
    index: usize,
    byte: u8,
    mask: u8,
}

/// A range of bits as whole bytes, and what of it shares a byte with bits outside.
struct Parts {
    head: Option<End>,
    body: std::ops::Range<usize>,
    tail: Option<End>,
}

impl Parts {
    fn of(bytes: &[u8], range: RangeInclusive<u64>) -> Self {
        let (first, last) = range.into_inner();
        debug_assert!(first <= last && last / 8 < bytes.len() as u64, "the range is inside the row");
        let (start, end) = ((first / 8) as usize, (last / 8) as usize);
        let (head, tail) = (0xff_u8 >> (first % 8), 0xff_u8 << (7 - last % 8));
        let part = |index: usize, mask| End { index, byte: bytes[index], mask };
        if start == end {
            return Parts { head: Some(part(start, head & tail)), body: 0..0, tail: None };
        }
        Parts { head: Some(part(start, head)), body: start + 1..end, tail: Some(part(end, tail)) }
    }
}

/// How several rows make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Set in all.
    And,
    /// Set in at least one.
    Or,
    /// Set in an odd number of them.
    Xor,
    /// Not set in the first; the others do not count.
    Not,
    /// Set in the first and in no other.
    Diff,
    /// Set in one of the others and not in the first.
    Diff1,
    /// Set in the first and in one of the others.
    AndOr,
    /// Set in exactly one.
    One,
}

/// The rows combined; as long as the longest. O(N * M) for M rows of N bytes.
pub fn combine(operation: Operation, rows: &[&[u8]]) -> Vec<u8> {
    let len = rows.iter().map(|row| row.len()).max().unwrap_or(0);
    let mut result = vec![0; len];
    let Some((first, others)) = rows.split_first() else { return result };
    for (block, out) in result.chunks_mut(BLOCK).enumerate() {
        let (start, len) = (block * BLOCK, out.len());
        let first = part(first, start, len);
        let others = others.iter().map(|row| part(row, start, len));
        match operation {
            Operation::And => {
                copy(out, first);
                for row in others {
                    fold(out, row, |a, b| a & b);
                    out[row.len()..].fill(0);
                }
            }
            Operation::Or => {
                copy(out, first);
                fold_all(out, others, |a, b| a | b);
            }
            Operation::Xor => {
                copy(out, first);
                fold_all(out, others, |a, b| a ^ b);
            }
            Operation::Not => {
                out.fill(0xff);
                fold(out, first, |a, b| a ^ b);
            }
            Operation::Diff => {
                fold_all(out, others, |a, b| a | b);
                fold(out, first, |a, b| b & !a);
                out[first.len()..].fill(0);
            }
            Operation::Diff1 => {
                fold_all(out, others, |a, b| a | b);
                fold(out, first, |a, b| a & !b);
            }
            Operation::AndOr => {
                fold_all(out, others, |a, b| a | b);
                fold(out, first, |a, b| a & b);
                out[first.len()..].fill(0);
            }
            Operation::One => {
                let mut twice = [0; BLOCK];
                copy(out, first);
                for row in others {
                    for ((out, twice), byte) in out.iter_mut().zip(&mut twice).zip(row) {
                        *twice |= *out & byte;
                        *out ^= byte;
                    }
                }
                fold(out, &twice, |a, b| a & !b);
            }
        }
    }
    result
}

/// Up to `len` bytes of a row from `start` on.
fn part(row: &[u8], start: usize, len: usize) -> &[u8] {
    let rest = row.get(start..).unwrap_or_default();
    &rest[..rest.len().min(len)]
}

fn copy(out: &mut [u8], row: &[u8]) {
    out[..row.len()].copy_from_slice(row);
}

/// Byte by byte, which the compiler turns into vectors.
fn fold(out: &mut [u8], row: &[u8], change: impl Fn(u8, u8) -> u8) {
    for (out, byte) in out.iter_mut().zip(row) {
        *out = change(*out, *byte);
    }
}

fn fold_all<'r>(out: &mut [u8], rows: impl Iterator<Item = &'r [u8]>, change: impl Fn(u8, u8) -> u8) {
    for row in rows {
        fold(out, row, &change);
    }
}

#[cfg(test)]
mod tests;
