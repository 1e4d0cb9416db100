//! Zipmaps: how Redis up to 2.4 packed small hashes.
//!
//! ```text
//! <count u8, 254: unknown> (<length> <field> <length> <unused u8> <value> <unused bytes>)... ff
//! length: one byte below 254, or fe and u32
//! ```

use super::super::Error;
use super::{split, stop_at_error};

const BAD: Error = Error::Corrupt("Zipmap integrity check failed.");
const END: u8 = 0xff;
const LONG: u8 = 0xfe;

/// The fields and values of a zipmap, in order.
#[derive(Debug, Clone)]
pub struct Zipmap<'a> {
    rest: &'a [u8],
    left: Option<u8>,
}

impl<'a> Zipmap<'a> {
    /// The fields and values of `blob`. Their number is checked at the end.
    pub fn new(blob: &'a [u8]) -> Result<Self, Error> {
        let [count, rest @ .., END] = blob else { return Err(BAD) };
        // Redis never wrote one without fields.
        if rest.is_empty() {
            return Err(BAD);
        }
        Ok(Zipmap { rest, left: (*count < LONG).then_some(*count) })
    }

    fn decode(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let (len, rest) = length(self.rest)?;
        let (field, rest) = rest.split_at_checked(len)?;
        let (len, rest) = length(rest)?;
        let ([unused], rest) = split(rest)?;
        let (value, rest) = rest.split_at_checked(len)?;
        self.rest = rest.get(usize::from(unused)..)?;
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1)?;
        }
        Some((field, value))
    }
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes.split_first()? {
        (&LONG, rest) => {
            let (len, rest) = split(rest)?;
            let len = u32::from_le_bytes(len);
            // Shorter ones take one byte.
            (len >= LONG.into()).then_some((len as usize, rest))
        }
        (&END, _) => None,
        (&len, rest) => Some((len.into(), rest)),
    }
}

impl<'a> Iterator for Zipmap<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return match self.left.replace(0) {
                None | Some(0) => None,
                Some(_) => Some(Err(BAD)),
            };
        }
        let pair = self.decode().ok_or(BAD);
        if pair.is_err() {
            self.left = None;
        }
        stop_at_error(Some(pair), &mut self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pair<'a> = (&'a [u8], &'a [u8]);

    fn pairs(blob: &[u8]) -> Result<Vec<Pair<'_>>, Error> {
        Zipmap::new(blob)?.collect()
    }

    #[test]
    fn fields_with_and_without_unused_space() {
        let good = b"\x02\x03foo\x03\x00bar\x05hello\x05\x02world..\xff";
        let expected = [(&b"foo"[..], &b"bar"[..]), (b"hello", b"world")];
        assert_eq!(pairs(good), Ok(expected.to_vec()));
        let mut unknown = good.to_vec();
        unknown[0] = LONG;
        assert_eq!(pairs(&unknown), Ok(expected.to_vec()));
        for (at, value) in [(0, 1), (0, 3), (1, 4), (1, 0xfe), (6, 200), (16, 9), (good.len() - 1, 0)] {
            let mut bad = good.to_vec();
            bad[at] = value;
            assert!(pairs(&bad).is_err(), "{at} {value}");
        }
        for len in 0..good.len() {
            assert!(pairs(&good[..len]).is_err());
        }
    }
}
