//! Strings: the growable form for values too long to live inside a record, and the rules by which a string counts as
//! an integer or as a short string.

use std::fmt;

use crate::{keyspace::size_class, value::StringEncoding};

/// Longest string which OBJECT ENCODING calls `embstr`; longer ones are `raw`.
pub const EMBSTR_LEN_MAX: usize = 44;

/// Longest decimal form of an `i64`, the sign included.
pub const INT_LEN_MAX: usize = 20;

/// Up to this size spare capacity doubles the string, above it a string grows by this much.
const PREALLOCATION_MAX: usize = 1024 * 1024;

/// A string on its own allocation. It starts without spare capacity (SET), and gets some on its first growth (APPEND,
/// SETRANGE), so that appending is O(1) amortised.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct LongString {
    bytes: Vec<u8>,
}

impl LongString {
    /// A copy of `bytes`, without spare capacity.
    pub fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec() }
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn as_bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Replaces the content, in the present allocation unless that is too small or more than twice too large.
    pub fn assign(&mut self, bytes: &[u8]) {
        if bytes.len() <= self.bytes.capacity() && bytes.len() >= self.bytes.capacity() / 2 {
            self.bytes.clear();
            self.bytes.extend_from_slice(bytes);
        } else {
            self.bytes = bytes.to_vec();
        }
    }

    /// Adds `tail` at the end; O(tail) amortised.
    pub fn append(&mut self, tail: &[u8]) {
        self.reserve_for(self.len().saturating_add(tail.len()));
        self.bytes.extend_from_slice(tail);
    }

    /// Sets the length, padding with zero bytes or cutting off the end.
    pub fn resize(&mut self, len: usize) {
        self.reserve_for(len);
        self.bytes.resize(len, 0);
    }

    /// Bytes of the allocation behind the string, spare capacity included.
    pub fn heap_size(&self) -> usize {
        size_class(self.bytes.capacity())
    }

    fn reserve_for(&mut self, len: usize) {
        if len > self.bytes.capacity() {
            // One that is made is made to measure, one that grows may grow again.
            let spare = if self.bytes.is_empty() { 0 } else { len.min(PREALLOCATION_MAX) };
            let wanted = len.saturating_add(spare);
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
    }
}

impl From<Vec<u8>> for LongString {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }
}

impl fmt::Debug for LongString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LongString({} bytes)", self.len())
    }
}

/// Copies at most 16 bytes to the front of `to`, as two overlapping pieces of a fixed length: a general copy is a call
/// that takes longer.
#[inline]
pub fn copy_short(to: &mut [u8], from: &[u8]) {
    fn ends<const N: usize>(to: &mut [u8], from: &[u8]) {
        let last = from.len() - N;
        to[..N].copy_from_slice(&from[..N]);
        to[last..last + N].copy_from_slice(&from[last..]);
    }
    debug_assert!(from.len() <= 16, "longer ones have a middle");
    match from.len() {
        8.. => ends::<8>(to, from),
        4.. => ends::<4>(to, from),
        2.. => ends::<2>(to, from),
        1 => to[0] = from[0],
        _ => {}
    }
}

/// The encoding a freshly set string that is not an integer has.
pub fn encoding_of(bytes: &[u8]) -> StringEncoding {
    if bytes.len() <= EMBSTR_LEN_MAX { StringEncoding::Embstr } else { StringEncoding::Raw }
}

/// The integer `bytes` is the canonical decimal form of: no blanks, no `+`, no leading zeros, no `-0`, within `i64`.
/// Formatting the result gives back exactly `bytes`.
#[inline]
pub fn parse_int(bytes: &[u8]) -> Option<i64> {
    match bytes {
        [digit @ b'0'..=b'9'] => Some(i64::from(digit - b'0')),
        [b'1'..=b'9', ..] if bytes.len() <= 8 => parse_short(bytes),
        _ => parse_any(bytes),
    }
}

/// At most eight bytes, all at once: two digits become a number, then two of these, then two of those.
#[inline]
fn parse_short(bytes: &[u8]) -> Option<i64> {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let len = bytes.len() as u32;
    let text = if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let last = u64::from(u32::from_le_bytes(*last));
        u64::from(u32::from_le_bytes(*first)) | last << (8 * (len - 4))
    } else {
        // At most three bytes: the first, the middle and the last are all of them.
        let (first, middle, last) = (bytes.first()?, bytes.get(bytes.len() / 2)?, bytes.last()?);
        let last = u64::from(*last) << (8 * (len - 1));
        u64::from(*first) | u64::from(*middle) << (8 * (len / 2)) | last
    };
    // Zeros in front make it eight digits. What is no digit is below or above them.
    let digits = (text << (64 - 8 * len)).wrapping_sub(ZEROS << (64 - 8 * len));
    let above = digits.wrapping_add(0x7676_7676_7676_7676);
    if (digits | above | text) & HIGH != 0 {
        return None;
    }
    let pairs = digits.wrapping_mul(10) + (digits >> 8);
    let high = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(0x000f_4240_0000_0064);
    let low = (pairs >> 16 & 0x0000_00ff_0000_00ff).wrapping_mul(0x0000_2710_0000_0001);
    Some((high.wrapping_add(low) >> 32) as i64)
}

fn parse_any(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut magnitude = 0u64;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        // At most 19 digits: no overflow of the u64.
        magnitude = magnitude * 10 + u64::from(digit - b'0');
    }
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// Writes `value` in decimal at the end of `scratch` and returns that part.
pub fn format_int(value: i64, scratch: &mut [u8; INT_LEN_MAX]) -> &[u8] {
    let mut start = INT_LEN_MAX;
    let mut rest = value.unsigned_abs();
    loop {
        start -= 1;
        scratch[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        start -= 1;
        scratch[start] = b'-';
    }
    &scratch[start..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn short_integers_are_parsed_as_any_are() {
        let mut texts: Vec<Vec<u8>> = (0..20_000).map(|n: u32| n.to_string().into_bytes()).collect();
        texts.extend(
            [99_999, 100_000, 9_999_999, 12_345_678, 99_999_999].map(|n: u32| n.to_string().into_bytes()),
        );
        // Any byte in the place of any digit.
        for len in 1..=8 {
            for at in 0..len {
                for byte in 0..=u8::MAX {
                    let mut text = b"98765432"[..len].to_vec();
                    text[at] = byte;
                    texts.push(text);
                }
            }
        }
        for text in texts {
            assert_eq!(parse_int(&text), parse_any(&text), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn only_canonical_decimals_are_integers() {
        for text in ["", "-", "+1", " 1", "1 ", "01", "-0", "-01", "1.0", "9223372036854775808", "1a", "--1"]
        {
            assert_eq!(parse_int(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_int(b"-9223372036854775809"), None);
        assert_eq!(parse_int(b"99999999999999999999"), None);
        for value in [0, 1, -1, 10, i64::MAX, i64::MIN] {
            assert_eq!(parse_int(value.to_string().as_bytes()), Some(value));
        }
    }

    #[test]
    fn growth_leaves_room_and_assignment_reuses_it() {
        let mut string = LongString::new(&[7; 2000]);
        assert_eq!(string.heap_size(), 2048);
        string.append(&[8; 100]);
        assert!(string.heap_size() >= 4200);
        let place = string.as_bytes().as_ptr();
        string.append(&[9; 2000]);
        assert_eq!(string.as_bytes().as_ptr(), place);
        assert_eq!(string.len(), 4100);
        assert_eq!(string.as_bytes()[2099..2101], [8, 9]);
        string.assign(&[1; 3000]);
        assert_eq!(string.as_bytes().as_ptr(), place);
        string.resize(3001);
        assert_eq!(string.as_bytes()[2999..], [1, 0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 8 } else { 256 }, failure_persistence: None, ..Default::default() })]

        #[test]
        fn integers_survive_text(value: i64) {
            let mut scratch = [0; INT_LEN_MAX];
            let text = format_int(value, &mut scratch);
            let expected = value.to_string();
            prop_assert_eq!(text, expected.as_bytes());
            prop_assert_eq!(parse_int(text), Some(value));
        }
    }
}
