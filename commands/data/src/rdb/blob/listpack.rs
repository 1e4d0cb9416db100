//! Listpacks: the packed encoding since Redis 7.0, in streams since 5.0.
//!
//! ```text
//! <size u32> <count u16, 65535: unknown> <entry>... ff
//! entry: <encoding and data> <its length, backwards: 7 bits a byte, all but the first byte from the right marked>
//! 0xxxxxxx            0..=127             11110001 <i16>      11110011 <i32>
//! 10LLLLLL <bytes>    up to 63            11110010 <i24>      11110100 <i64>
//! 110xxxxx xxxxxxxx   13-bit integer      11110000 <u32> <bytes>
//! 1110LLLL LLLLLLLL <bytes>   up to 4095
//! ```

use super::super::Error;
use super::split;
use crate::types::packed::Item;

const BAD: Error = Error::Corrupt("Listpack integrity check failed.");
const END: u8 = 0xff;
/// This count means that it must be counted.
const COUNT_UNKNOWN: u16 = u16::MAX;
const HEADER: usize = 6;

/// The header and the terminator around `body`, which holds `count` entries: header first. A blob is the header, the
/// body, and the byte `ff`.
pub fn listpack_header(body: usize, count: usize) -> [u8; HEADER] {
    let size = u32::try_from(HEADER + body + 1).expect("packed collections stay far below 4 GiB");
    let count = u16::try_from(count).unwrap_or(COUNT_UNKNOWN);
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&size.to_le_bytes());
    header[4..].copy_from_slice(&count.to_le_bytes());
    header
}

/// The entries of a listpack, in order.
#[derive(Debug, Clone)]
pub struct Listpack<'a> {
    rest: &'a [u8],
    /// How many entries must still come, if the header knows.
    left: Option<u16>,
}

impl<'a> Listpack<'a> {
    /// The entries of `blob`. Their number is checked at the end.
    pub fn new(blob: &'a [u8]) -> Result<Self, Error> {
        let (size, rest) = split(blob).ok_or(BAD)?;
        let (count, rest) = split(rest).ok_or(BAD)?;
        let [entries @ .., END] = rest else { return Err(BAD) };
        if u32::from_le_bytes(size) as usize != blob.len() {
            return Err(BAD);
        }
        let count = u16::from_le_bytes(count);
        Ok(Listpack { rest: entries, left: (count != COUNT_UNKNOWN).then_some(count) })
    }

    /// How many entries its header promises; `None` when it does not.
    pub fn len_hint(&self) -> Option<usize> {
        self.left.map(usize::from)
    }

    /// The next entry, which must be there and an integer.
    pub fn integer(&mut self) -> Result<i64, Error> {
        match self.next() {
            Some(Ok(Item::Int(value))) => Ok(value),
            Some(Err(error)) => Err(error),
            Some(Ok(Item::Bytes(_))) | None => Err(BAD),
        }
    }

    /// The next entry, which must be there.
    pub fn entry(&mut self) -> Result<Item<'a>, Error> {
        self.next().unwrap_or(Err(BAD))
    }

    fn decode(&mut self) -> Result<Item<'a>, Error> {
        let (item, size) = decode(self.rest).ok_or(BAD)?;
        let after = backlen(size, self.rest.get(size..).ok_or(BAD)?).ok_or(BAD)?;
        self.rest = after;
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1).ok_or(BAD)?;
        }
        Ok(item)
    }
}

impl<'a> Iterator for Listpack<'a> {
    type Item = Result<Item<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return match self.left.replace(0) {
                None | Some(0) => None,
                Some(_) => Some(Err(BAD)),
            };
        }
        let item = self.decode();
        if item.is_err() {
            self.rest = &[];
            self.left = None;
        }
        Some(item)
    }
}

/// The entry at the start of `bytes`, and the size of its encoding and data.
fn decode(bytes: &[u8]) -> Option<(Item<'_>, usize)> {
    let (&first, rest) = bytes.split_first()?;
    let text = |head: usize, len: usize| {
        let end = head.checked_add(len)?;
        Some((Item::from(bytes.get(head..end)?), end))
    };
    let int = |value: i64, size: usize| Some((Item::Int(value), size));
    match first {
        0x00..=0x7f => int(first.into(), 1),
        0x80..=0xbf => text(1, usize::from(first & 0x3f)),
        0xc0..=0xdf => {
            let value = i64::from(first & 0x1f) << 8 | i64::from(*rest.first()?);
            // The sign bit is the 13th.
            int((value ^ 0x1000) - 0x1000, 2)
        }
        0xe0..=0xef => text(2, usize::from(first & 0x0f) << 8 | usize::from(*rest.first()?)),
        0xf0 => text(5, u32::from_le_bytes(split(rest)?.0) as usize),
        0xf1 => int(i16::from_le_bytes(split(rest)?.0).into(), 3),
        0xf2 => {
            let ([a, b, c], _) = split(rest)?;
            int(i64::from(i32::from_le_bytes([0, a, b, c]) >> 8), 4)
        }
        0xf3 => int(i32::from_le_bytes(split(rest)?.0).into(), 5),
        0xf4 => int(i64::from_le_bytes(split(rest)?.0), 9),
        _ => None,
    }
}

/// What follows the length at the end of an entry of this size, which must be exactly this size's.
fn backlen(size: usize, bytes: &[u8]) -> Option<&[u8]> {
    // Redis' limits, one below what would fit.
    let len = match size {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    };
    let (found, after) = bytes.split_at_checked(len)?;
    let mut rest = size;
    for (at, byte) in found.iter().enumerate().rev() {
        // The first byte carries no mark: that is how a walk from the end finds it.
        let expected = if at == 0 { rest as u8 } else { (rest & 0x7f) as u8 | 0x80 };
        if *byte != expected {
            return None;
        }
        rest >>= 7;
    }
    Some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(blob: &[u8]) -> Result<Vec<Item<'_>>, Error> {
        Listpack::new(blob)?.collect()
    }

    /// What `redis-server` 7.0.15 makes of `HSET h a 1 bb -5 ccc 300 d 70000 e 5000000 f -3000000000 g x...x`.
    #[test]
    fn entries_of_all_encodings() {
        let mut body = vec![5, 1, 0x81, b'x', 2, 0xdf, 0xff, 2, 0xf1, 0x2c, 0x01, 3];
        body.extend_from_slice(&[0xf2, 0x70, 0x11, 0x01, 4, 0xf3, 0, 0, 0, 0x80, 5]);
        body.extend_from_slice(&[0xf4, 1, 0, 0, 0, 0, 0, 0, 0x80, 9]);
        let long = [b'y'; 100];
        body.extend_from_slice(&[0xe0, 100]);
        body.extend_from_slice(&long);
        body.push(102);
        let longer = [b'z'; 5000];
        body.extend_from_slice(&[0xf0, 0x88, 0x13, 0, 0]);
        body.extend_from_slice(&longer);
        body.extend_from_slice(&[0x27, 0x80 | 0x0d]);
        let mut blob = listpack_header(body.len(), 8).to_vec();
        blob.extend_from_slice(&body);
        blob.push(END);
        let expected = [
            Item::Int(5),
            Item::Bytes(b"x"),
            Item::Int(-1),
            Item::Int(300),
            Item::Int(70000),
            Item::Int(i64::from(i32::MIN)),
            Item::Int(i64::MIN + 1),
            Item::Bytes(&long),
        ];
        assert_eq!(items(&blob), Err(BAD), "one entry more than the header says");
        blob[4] = 9;
        let found = items(&blob).unwrap();
        assert_eq!(found[..8], expected);
        assert_eq!(found[8], Item::Bytes(&longer));
        blob[4..6].fill(0xff);
        assert_eq!(items(&blob).map(|found| found.len()), Ok(9), "the count is unknown");
        blob[4..6].copy_from_slice(&[10, 0]);
        assert_eq!(items(&blob), Err(BAD));
    }

    #[test]
    fn damage_is_noticed() {
        let good = [8, 0, 0, 0, 1, 0, 5, 1, END];
        assert_eq!(items(&good), Err(BAD), "the size is wrong");
        let good = [9, 0, 0, 0, 1, 0, 5, 1, END];
        assert_eq!(items(&good), Ok(vec![Item::Int(5)]));
        assert_eq!(items(&[7, 0, 0, 0, 0, 0, END]), Ok(vec![]));
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good;
                bad[at] ^= 1 << bit;
                // The value itself has no redundancy.
                if at != 6 {
                    assert!(items(&bad).is_err(), "byte {at} bit {bit}");
                }
            }
        }
        for len in 0..good.len() {
            assert!(items(&good[..len]).is_err());
        }
    }
}
