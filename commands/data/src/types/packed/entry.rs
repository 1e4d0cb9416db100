//! One entry of a packed sequence: how an item is written, read and stepped over in either direction.
//!
//! An entry is a head (kind, length or integer), the bytes of a string, and the size of both once more in a form that
//! is read from its end, so that a sequence can be walked backwards. Heads and sizes are those of Redis' listpack:
//!
//! | First byte  | Meaning                                                | Head  |
//! |-------------|--------------------------------------------------------|-------|
//! | `0xxxxxxx`  | integer 0 to 127                                       | 1     |
//! | `10xxxxxx`  | string of up to 63 bytes                               | 1     |
//! | `110xxxxx`  | 13-bit integer, high bits first                        | 2     |
//! | `1110xxxx`  | string of up to 4,095 bytes, high bits of length first | 2     |
//! | `F0`        | string, 32-bit length, little-endian                   | 5     |
//! | `F1`..`F4`  | 16-, 24-, 32-, 64-bit integer, little-endian           | 3,4,5,9 |
//!
//! Each item has exactly one form: an integer the shortest head that holds it, a string that reads as an integer (and
//! prints back the same) the form of that integer. So items are equal exactly if their entries are.

use crate::types::string::{INT_LEN_MAX, format_int, parse_int};

const STRING_6: u8 = 0x80;
const STRING_12: u8 = 0xe0;
const STRING_32: u8 = 0xf0;
const INT_13: u8 = 0xc0;
const INT_16: u8 = 0xf1;
const INT_24: u8 = 0xf2;
const INT_32: u8 = 0xf3;
const INT_64: u8 = 0xf4;

const HEAD_SIZE_MAX: usize = 9;
const BACK_SIZE_MAX: usize = 5;
/// Longest string whose size, with that of its head, takes one byte behind it.
const MEDIUM_LEN_MAX: usize = 125;

/// Sizes of whole entries by their first byte; 0: it depends on more than that byte.
const SIZES: [u8; 256] = {
    let mut sizes = [0; 256];
    let mut first = 0;
    while first < 256 {
        sizes[first] = match first as u8 {
            0..STRING_6 => 2,
            short @ STRING_6..INT_13 => (short - STRING_6) + 2,
            INT_13..STRING_12 => 3,
            INT_16 => 4,
            INT_24 => 5,
            INT_32 => 6,
            INT_64 => 10,
            _ => 0,
        };
        first += 1;
    }
    sizes
};

/// An item as it is stored. Make one of bytes with `Item::from`: bytes that are the decimal form of an integer become
/// [`Item::Int`], and two items are equal exactly if their bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    Int(i64),
    /// Not the decimal form of an `i64`.
    Bytes(&'a [u8]),
}

impl<'a> Item<'a> {
    /// The item's bytes; those of an integer are written into `scratch`.
    pub fn bytes<'s>(self, scratch: &'s mut [u8; INT_LEN_MAX]) -> &'s [u8]
    where
        'a: 's,
    {
        match self {
            Self::Int(value) => format_int(value, scratch),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// A copy of the item's bytes.
    pub fn to_vec(self) -> Vec<u8> {
        self.bytes(&mut [0; INT_LEN_MAX]).to_vec()
    }

    /// Number of bytes of the item's text.
    pub fn text_len(self) -> usize {
        match self {
            Self::Int(value) => {
                let digits = value.unsigned_abs().checked_ilog10().map_or(1, |log| log as usize + 1);
                digits + usize::from(value < 0)
            }
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    /// Bytes the item takes in a packed sequence.
    #[inline]
    pub fn entry_size(self) -> usize {
        match self {
            Self::Bytes(bytes) if bytes.len() < 64 => bytes.len() + 2,
            Self::Bytes(bytes) if bytes.len() <= MEDIUM_LEN_MAX => bytes.len() + 3,
            item => {
                let size = Head::of(item).len() + item.body().len();
                size + back_size(size)
            }
        }
    }

    pub(super) fn body(self) -> &'a [u8] {
        match self {
            Self::Int(_) => &[],
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl<'a> From<&'a [u8]> for Item<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        match parse_int(bytes) {
            Some(value) => Self::Int(value),
            None => Self::Bytes(bytes),
        }
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Item<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::from(bytes.as_slice())
    }
}

impl<'a> From<&'a Vec<u8>> for Item<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::from(bytes.as_slice())
    }
}

impl From<i64> for Item<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

/// What stands before and behind the bytes of a string of up to 63 bytes, which most items are; `None` for others.
#[inline]
pub(super) fn short_marks(item: Item<'_>) -> Option<(u8, u8)> {
    match item {
        Item::Bytes(bytes) if bytes.len() < 64 => {
            let len = bytes.len() as u8;
            Some((STRING_6 | len, len + 1))
        }
        _ => None,
    }
}

/// The same for a string of 64 to 125 bytes.
#[inline]
pub(super) fn medium_marks(item: Item<'_>) -> Option<([u8; 2], u8)> {
    match item {
        Item::Bytes(bytes) if (64..=MEDIUM_LEN_MAX).contains(&bytes.len()) => {
            let len = bytes.len() as u8;
            Some(([STRING_12, len], len + 2))
        }
        _ => None,
    }
}

/// What stands before the bytes of an entry.
pub(super) struct Head {
    bytes: [u8; HEAD_SIZE_MAX],
    len: u8,
}

impl Head {
    pub(super) fn of(item: Item<'_>) -> Self {
        match item {
            Item::Int(value) => Self::of_int(value),
            Item::Bytes(bytes) => Self::of_len(bytes.len()),
        }
    }

    fn of_int(value: i64) -> Self {
        let le = value.to_le_bytes();
        match value {
            0..=127 => Self::new(&[le[0]]),
            -4096..=4095 => Self::new(&[INT_13 | (le[1] & 0x1f), le[0]]),
            -0x8000..=0x7fff => Self::new(&[INT_16, le[0], le[1]]),
            -0x80_0000..=0x7f_ffff => Self::new(&[INT_24, le[0], le[1], le[2]]),
            -0x8000_0000..=0x7fff_ffff => Self::new(&[INT_32, le[0], le[1], le[2], le[3]]),
            _ => {
                let mut head = Self { bytes: [INT_64; HEAD_SIZE_MAX], len: 9 };
                head.bytes[1..].copy_from_slice(&le);
                head
            }
        }
    }

    fn of_len(len: usize) -> Self {
        let le = len.to_le_bytes();
        match len {
            0..=63 => Self::new(&[STRING_6 | le[0]]),
            64..=4095 => Self::new(&[STRING_12 | le[1], le[0]]),
            _ => {
                assert!(u32::try_from(len).is_ok(), "an item of a packed sequence is shorter than 4 GB");
                Self::new(&[STRING_32, le[0], le[1], le[2], le[3]])
            }
        }
    }

    fn new(bytes: &[u8]) -> Self {
        let mut head = Self { bytes: [0; HEAD_SIZE_MAX], len: bytes.len() as u8 };
        head.bytes[..bytes.len()].copy_from_slice(bytes);
        head
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len()]
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.len)
    }
}

/// The size of head and body, as it ends an entry.
pub(super) struct Back {
    bytes: [u8; BACK_SIZE_MAX],
    len: u8,
}

impl Back {
    pub(super) fn of(size: usize) -> Self {
        let len = back_size(size);
        let mut bytes = [0; BACK_SIZE_MAX];
        let mut rest = size;
        for byte in bytes[1..len].iter_mut().rev() {
            *byte = (rest & 0x7f) as u8 | 0x80;
            rest >>= 7;
        }
        bytes[0] = rest as u8;
        Self { bytes, len: len as u8 }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// Writes an entry at the end of `entries`.
pub fn push<'n>(entries: &mut Vec<u8>, item: impl Into<Item<'n>>) {
    let item = item.into();
    let (head, body) = (Head::of(item), item.body());
    entries.extend_from_slice(head.as_bytes());
    entries.extend_from_slice(body);
    entries.extend_from_slice(Back::of(head.len() + body.len()).as_bytes());
}

/// Bytes in which the size of head and body is written. The limits are Redis', one below what would fit.
const fn back_size(size: usize) -> usize {
    match size {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

/// Size of the entry `bytes` begins with.
#[inline]
pub fn size(bytes: &[u8]) -> usize {
    match SIZES[usize::from(bytes[0])] {
        0 => long_size(bytes),
        size => usize::from(size),
    }
}

fn long_size(bytes: &[u8]) -> usize {
    let size = match bytes[0] {
        STRING_12..STRING_32 => 2 + len_12(bytes),
        STRING_32 => 5 + len_32(bytes),
        _ => panic!("not an entry of a packed sequence"),
    };
    size + back_size(size)
}

/// The item of the entry `bytes` begins with, and the size of that entry.
#[inline]
pub fn read(bytes: &[u8]) -> (Item<'_>, usize) {
    match bytes[0] {
        small @ 0..STRING_6 => (Item::Int(i64::from(small)), 2),
        short @ STRING_6..INT_13 => {
            let len = usize::from(short - STRING_6);
            (Item::Bytes(&bytes[1..=len]), len + 2)
        }
        first => read_long(first, bytes),
    }
}

fn read_long(first: u8, bytes: &[u8]) -> (Item<'_>, usize) {
    match first {
        INT_13..STRING_12 => {
            let value = i16::from_be_bytes([(first & 0x1f) << 3, 0]) | (i16::from(bytes[1]) << 3);
            (Item::Int(i64::from(value >> 3)), 3)
        }
        STRING_12..STRING_32 => read_string(2, len_12(bytes), bytes),
        STRING_32 => read_string(5, len_32(bytes), bytes),
        INT_16 => (Item::Int(i64::from(i16::from_le_bytes([bytes[1], bytes[2]]))), 4),
        INT_24 => (Item::Int(i64::from(i32::from_le_bytes([0, bytes[1], bytes[2], bytes[3]]) >> 8)), 5),
        INT_32 => {
            let value = i32::from_le_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]);
            (Item::Int(i64::from(value)), 6)
        }
        INT_64 => {
            let mut le = [0; 8];
            le.copy_from_slice(&bytes[1..9]);
            (Item::Int(i64::from_le_bytes(le)), 10)
        }
        _ => panic!("not an entry of a packed sequence"),
    }
}

fn read_string(head: usize, len: usize, bytes: &[u8]) -> (Item<'_>, usize) {
    let size = head + len;
    (Item::Bytes(&bytes[head..size]), size + back_size(size))
}

fn len_12(bytes: &[u8]) -> usize {
    usize::from(bytes[0] & 0x0f) << 8 | usize::from(bytes[1])
}

fn len_32(bytes: &[u8]) -> usize {
    u32::from_le_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]) as usize
}

/// Size of the entry `bytes` ends with.
#[inline]
pub fn size_of_last(bytes: &[u8]) -> usize {
    let last = bytes[bytes.len() - 1];
    if last < 0x80 {
        return usize::from(last) + 1;
    }
    let mut size = 0;
    for (digit, &byte) in bytes.iter().rev().take(BACK_SIZE_MAX).enumerate() {
        size |= usize::from(byte & 0x7f) << (7 * digit);
        if byte < 0x80 {
            break;
        }
    }
    size + back_size(size)
}

/// Like [`read`] for bytes of unknown origin: `None` unless they begin with a whole entry in the one form it may have.
pub fn read_checked(bytes: &[u8]) -> Option<(Item<'_>, usize)> {
    let head = match *bytes.first()? {
        0..INT_13 => 1,
        INT_13..STRING_32 => 2,
        STRING_32 | INT_32 => 5,
        INT_16 => 3,
        INT_24 => 4,
        INT_64 => 9,
        _ => return None,
    };
    if bytes.len() < head || bytes.len() < size(bytes) {
        return None;
    }
    let (item, size) = read(bytes);
    let canonical = match item {
        Item::Int(_) => true,
        Item::Bytes(text) => Item::from(text) == item,
    };
    let inner = head + item.body().len();
    let exact = canonical
        && Head::of(item).as_bytes() == &bytes[..head]
        && Back::of(inner).as_bytes() == &bytes[inner..size];
    exact.then_some((item, size))
}
