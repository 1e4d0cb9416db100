//! Reading: where bytes come from, and the lengths, strings and numbers all encodings are made of.
//!
//! ```text
//! length  00LLLLLL                6 bits
//!         01LLLLLL LLLLLLLL       14 bits
//!         10000000 <u32, big endian>
//!         10000001 <u64, big endian>
//! string  <length> <bytes>
//!         11000000 <i8>   11000001 <i16 le>   11000010 <i32 le>      an integer in decimal
//!         11000011 <length compressed> <length> <LZF>
//! ```

use super::{Error, lzf};
use crate::types::{
    packed::Item,
    string::{INT_LEN_MAX, format_int},
};

/// Where bytes come from.
pub trait Source {
    /// How many bytes are left at most. A length beyond that is refused before anything is allocated for it.
    fn remaining(&self) -> u64;

    /// The next `len` bytes, to be used before the next call.
    fn take(&mut self, len: usize) -> Result<&[u8], Error>;
}

impl Source for &[u8] {
    fn remaining(&self) -> u64 {
        self.len() as u64
    }

    fn take(&mut self, len: usize) -> Result<&[u8], Error> {
        let (taken, rest) = self.split_at_checked(len).ok_or(Error::Truncated)?;
        *self = rest;
        Ok(taken)
    }
}

/// What a length field says.
enum Length {
    Plain(u64),
    /// A string of this special form follows.
    Special(u8),
}

const INT8: u8 = 0;
const INT16: u8 = 1;
const INT32: u8 = 2;
const LZF: u8 = 3;

/// Reads from a source.
#[derive(Debug)]
pub struct Reader<S> {
    source: S,
    /// What was decompressed last.
    scratch: Vec<u8>,
}

impl<S: Source> Reader<S> {
    /// A reader of what `source` gives.
    pub fn new(source: S) -> Self {
        Reader { source, scratch: Vec::new() }
    }

    /// The source.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// The source, to be read by other means.
    pub fn source_mut(&mut self) -> &mut S {
        &mut self.source
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&[u8], Error> {
        if len as u64 > self.source.remaining() {
            return Err(Error::Truncated);
        }
        self.source.take(len)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        self.source.take(N)?.try_into().map_err(|_| Error::Truncated)
    }

    /// One byte.
    pub fn byte(&mut self) -> Result<u8, Error> {
        self.array().map(|[byte]| byte)
    }

    /// A double in eight bytes, little endian.
    pub fn double(&mut self) -> Result<f64, Error> {
        self.array().map(f64::from_le_bytes)
    }

    /// A time in eight bytes, little endian: milliseconds.
    pub fn millis(&mut self) -> Result<i64, Error> {
        self.array().map(i64::from_le_bytes)
    }

    /// A number written as a length.
    pub fn number(&mut self) -> Result<u64, Error> {
        match self.length()? {
            Length::Plain(number) => Ok(number),
            Length::Special(_) => Err(Error::Corrupt("a string where a length must be")),
        }
    }

    /// How many elements follow, each of `size_min` bytes or more: what cannot fit is refused.
    pub fn count(&mut self, size_min: u64) -> Result<u64, Error> {
        let count = self.number()?;
        if count > self.source.remaining() / size_min {
            return Err(Error::Truncated);
        }
        Ok(count)
    }

    fn length(&mut self) -> Result<Length, Error> {
        let first = self.byte()?;
        Ok(match first >> 6 {
            0 => Length::Plain(u64::from(first)),
            1 => Length::Plain(u64::from(first & 0x3f) << 8 | u64::from(self.byte()?)),
            2 => match first {
                0x80 => Length::Plain(u64::from(u32::from_be_bytes(self.array()?))),
                0x81 => Length::Plain(u64::from_be_bytes(self.array()?)),
                _ => return Err(Error::Corrupt("unknown form of a length")),
            },
            _ => Length::Special(first & 0x3f),
        })
    }

    /// A string, to be used before anything else is read. O(size).
    pub fn string(&mut self) -> Result<Item<'_>, Error> {
        match self.length()? {
            Length::Plain(len) => self.sized(len).map(Item::from),
            Length::Special(INT8) => self.array().map(|bytes| Item::Int(i8::from_le_bytes(bytes).into())),
            Length::Special(INT16) => self.array().map(|bytes| Item::Int(i16::from_le_bytes(bytes).into())),
            Length::Special(INT32) => self.array().map(|bytes| Item::Int(i32::from_le_bytes(bytes).into())),
            Length::Special(LZF) => self.compressed().map(Item::from),
            Length::Special(_) => Err(Error::Corrupt("unknown form of a string")),
        }
    }

    /// A string as bytes, to be used before anything else is read.
    pub fn bytes(&mut self) -> Result<&[u8], Error> {
        // The borrow of what `string` gives would last too long otherwise.
        match self.length()? {
            Length::Plain(len) => self.sized(len),
            Length::Special(LZF) => self.compressed(),
            Length::Special(form) => {
                let value = match form {
                    INT8 => self.array().map(i8::from_le_bytes)?.into(),
                    INT16 => self.array().map(i16::from_le_bytes)?.into(),
                    INT32 => self.array().map(i32::from_le_bytes)?.into(),
                    _ => return Err(Error::Corrupt("unknown form of a string")),
                };
                self.scratch.clear();
                self.scratch.extend_from_slice(format_int(value, &mut [0; INT_LEN_MAX]));
                Ok(&self.scratch)
            }
        }
    }

    /// Goes past a string.
    pub fn skip_string(&mut self) -> Result<(), Error> {
        let len = match self.length()? {
            Length::Plain(len) => len,
            Length::Special(INT8) => 1,
            Length::Special(INT16) => 2,
            Length::Special(INT32) => 4,
            Length::Special(LZF) => {
                let packed_len = self.number()?;
                self.number()?;
                packed_len
            }
            Length::Special(_) => return Err(Error::Corrupt("unknown form of a string")),
        };
        self.sized(len).map(|_| ())
    }

    fn sized(&mut self, len: u64) -> Result<&[u8], Error> {
        self.take(usize::try_from(len).map_err(|_| Error::Truncated)?)
    }

    fn compressed(&mut self) -> Result<&[u8], Error> {
        let packed_len = self.number()?;
        let len = usize::try_from(self.number()?).map_err(|_| Error::Truncated)?;
        let packed_len = usize::try_from(packed_len).map_err(|_| Error::Truncated)?;
        if packed_len as u64 > self.source.remaining() {
            return Err(Error::Truncated);
        }
        self.scratch.clear();
        // One huge string must not keep its memory for all that follow.
        self.scratch.shrink_to(SCRATCH_KEPT);
        if !lzf::decompress(self.source.take(packed_len)?, len, &mut self.scratch) {
            return Err(Error::Corrupt("Invalid LZF compressed string"));
        }
        Ok(&self.scratch)
    }
}

/// Room for strings up to this size is kept.
const SCRATCH_KEPT: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &[u8]) -> Reader<&[u8]> {
        Reader::new(bytes)
    }

    #[test]
    fn lengths_of_all_forms() {
        assert_eq!(reader(&[0x3f]).number(), Ok(63));
        assert_eq!(reader(&[0x7f, 0xff]).number(), Ok(16383));
        assert_eq!(reader(&[0x80, 1, 2, 3, 4]).number(), Ok(0x0102_0304));
        assert_eq!(reader(&[0x81, 255, 255, 255, 255, 255, 255, 255, 255]).number(), Ok(u64::MAX));
        assert_eq!(reader(&[0x81, 0]).number(), Err(Error::Truncated));
        assert!(matches!(reader(&[0x82]).number(), Err(Error::Corrupt(_))));
        assert!(matches!(reader(&[0xc0, 5]).number(), Err(Error::Corrupt(_))));
        assert_eq!(reader(&[5, 0, 0, 0, 0, 0]).count(1), Ok(5));
        assert_eq!(reader(&[5, 0, 0, 0, 0]).count(1), Err(Error::Truncated));
    }

    #[test]
    fn strings_of_all_forms() {
        assert_eq!(reader(b"\x03abcd").string(), Ok(Item::Bytes(b"abc")));
        assert_eq!(reader(&[0xc0, 0xff]).string(), Ok(Item::Int(-1)));
        assert_eq!(reader(&[0xc1, 0x39, 0x30]).string(), Ok(Item::Int(12345)));
        assert_eq!(reader(&[0xc2, 0, 0, 0, 0x80]).string(), Ok(Item::Int(i64::from(i32::MIN))));
        assert_eq!(reader(&[0xc1, 0x39, 0x30]).bytes(), Ok(&b"12345"[..]));
        assert_eq!(reader(b"\xc3\x06\x0b\x01xx\xe0\x00").string(), Err(Error::Truncated));
        assert_eq!(reader(b"\xc3\x06\x0b\x01xx\xe0\x00\x01").string(), Ok(Item::Bytes(b"xxxxxxxxxxx")));
        assert!(matches!(reader(&[0xc4]).string(), Err(Error::Corrupt(_))));
    }

    #[test]
    fn lengths_beyond_the_input_allocate_nothing() {
        let huge = [0x81, 0x7f, 255, 255, 255, 255, 255, 255, 255, 1, 2];
        assert_eq!(reader(&huge).string(), Err(Error::Truncated));
        let packed = [&[0xc3, 2][..], &huge].concat();
        assert!(matches!(reader(&packed).string(), Err(Error::Corrupt(_))));
    }
}
