//! Ziplists: the packed encoding of Redis 2.2 to 6.2.
//!
//! ```text
//! <size u32> <offset of the last entry u32> <count u16, 65535: unknown> <entry>... ff
//! entry: <size of the entry before it: one byte, or fe and u32> <encoding> <data>
//! 00LLLLLL <bytes>            up to 63         11000000 <i16>    11110000 <i24>
//! 01LLLLLL LLLLLLLL <bytes>   up to 16383      11010000 <i32>    11111110 <i8>
//! 10------ <u32, big endian> <bytes>           11100000 <i64>    1111xxxx   0..=12, as 1..=13
//! ```

use super::super::Error;
use super::split;
use crate::types::packed::Item;

const BAD: Error = Error::Corrupt("Ziplist integrity check failed.");
const END: u8 = 0xff;
const COUNT_UNKNOWN: u16 = u16::MAX;
const HEADER: usize = 10;
/// The size of the entry before is in the four bytes that follow.
const LONG_SIZE: u8 = 0xfe;

/// The entries of a ziplist, in order.
#[derive(Debug, Clone)]
pub struct Ziplist<'a> {
    rest: &'a [u8],
    /// Size of the blob up to the terminator.
    size: usize,
    /// Where the header says the last entry is.
    tail: usize,
    /// Size of the entry before.
    previous: usize,
    left: Option<u16>,
}

impl<'a> Ziplist<'a> {
    /// The entries of `blob`. Their number and the place of the last are checked at the end.
    pub fn new(blob: &'a [u8]) -> Result<Self, Error> {
        let (size, rest) = split(blob).ok_or(BAD)?;
        let (tail, rest) = split(rest).ok_or(BAD)?;
        let (count, rest) = split(rest).ok_or(BAD)?;
        let [entries @ .., END] = rest else { return Err(BAD) };
        let tail = u32::from_le_bytes(tail) as usize;
        if u32::from_le_bytes(size) as usize != blob.len() || tail >= blob.len() {
            return Err(BAD);
        }
        let count = u16::from_le_bytes(count);
        let left = (count != COUNT_UNKNOWN).then_some(count);
        Ok(Ziplist { rest: entries, size: blob.len() - 1, tail, previous: 0, left })
    }

    /// How many entries its header promises; `None` when it does not.
    pub fn len_hint(&self) -> Option<usize> {
        self.left.map(usize::from)
    }

    fn decode(&mut self) -> Result<Item<'a>, Error> {
        let (previous, entry) = size_before(self.rest).ok_or(BAD)?;
        let (item, rest) = decode(entry).ok_or(BAD)?;
        if previous != self.previous {
            return Err(BAD);
        }
        let at = self.size - self.rest.len();
        self.previous = self.rest.len() - rest.len();
        self.rest = rest;
        if rest.is_empty() && at != self.tail {
            return Err(BAD);
        }
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1).ok_or(BAD)?;
        }
        Ok(item)
    }
}

impl<'a> Iterator for Ziplist<'a> {
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

fn size_before(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes.split_first()? {
        (&LONG_SIZE, rest) => split(rest).map(|(size, rest)| (u32::from_le_bytes(size) as usize, rest)),
        (&END, _) => None,
        (&size, rest) => Some((size.into(), rest)),
    }
}

/// The entry whose encoding starts here, and what follows it.
fn decode(bytes: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let text = |len: usize, rest: &'_ [u8]| -> Option<(usize, usize)> {
        // As offsets, for the lifetimes' sake.
        let start = bytes.len() - rest.len();
        (len <= rest.len()).then_some((start, start + len))
    };
    let range = match first {
        0x00..=0x3f => text(usize::from(first), rest)?,
        0x40..=0x7f => {
            let ([low], rest) = split(rest)?;
            text(usize::from(first & 0x3f) << 8 | usize::from(low), rest)?
        }
        0x80..=0xbf => {
            let (len, rest) = split(rest)?;
            text(u32::from_be_bytes(len) as usize, rest)?
        }
        0xc0 => return split(rest).map(|(bytes, rest)| (Item::Int(i16::from_le_bytes(bytes).into()), rest)),
        0xd0 => return split(rest).map(|(bytes, rest)| (Item::Int(i32::from_le_bytes(bytes).into()), rest)),
        0xe0 => return split(rest).map(|(bytes, rest)| (Item::Int(i64::from_le_bytes(bytes)), rest)),
        0xf0 => {
            let ([a, b, c], rest) = split(rest)?;
            return Some((Item::Int(i64::from(i32::from_le_bytes([0, a, b, c]) >> 8)), rest));
        }
        0xfe => return split(rest).map(|(bytes, rest)| (Item::Int(i8::from_le_bytes(bytes).into()), rest)),
        0xf1..=0xfd => return Some((Item::Int(i64::from(first & 0x0f) - 1), rest)),
        _ => return None,
    };
    Some((Item::from(&bytes[range.0..range.1]), &bytes[range.1..]))
}

const _: () = assert!(HEADER == 4 + 4 + 2);

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A ziplist of these encoded entries.
    pub(crate) fn ziplist(entries: &[&[u8]]) -> Vec<u8> {
        let (mut body, mut previous, mut tail) = (Vec::new(), 0usize, HEADER);
        for entry in entries {
            let start = body.len();
            tail = HEADER + start;
            if previous < LONG_SIZE.into() {
                body.push(previous as u8);
            } else {
                body.push(LONG_SIZE);
                body.extend_from_slice(&(previous as u32).to_le_bytes());
            }
            body.extend_from_slice(entry);
            previous = body.len() - start;
        }
        let mut blob = ((HEADER + body.len() + 1) as u32).to_le_bytes().to_vec();
        blob.extend_from_slice(&(tail as u32).to_le_bytes());
        blob.extend_from_slice(&(entries.len() as u16).to_le_bytes());
        blob.extend_from_slice(&body);
        blob.push(END);
        blob
    }

    fn items(blob: &[u8]) -> Result<Vec<Item<'_>>, Error> {
        Ziplist::new(blob)?.collect()
    }

    #[test]
    fn entries_of_all_encodings() {
        let long = [&[0x41, 0x2c][..], &[b'l'; 300]].concat();
        let longest = [&[0x80, 0, 0, 0x4e, 0x20][..], &vec![b'm'; 20000]].concat();
        let blob = ziplist(&[
            b"\x03abc",
            &[0xf1],
            &[0xfd],
            &[0xfe, 0x80],
            &[0xc0, 0x39, 0x30],
            &long,
            &[0xf0, 0, 0, 0x80],
            &[0xd0, 0xff, 0xff, 0xff, 0x7f],
            &longest,
            &[0xe0, 0, 0, 0, 0, 0, 0, 0, 0x80],
        ]);
        let expected = [
            Item::Bytes(b"abc"),
            Item::Int(0),
            Item::Int(12),
            Item::Int(-128),
            Item::Int(12345),
            Item::Bytes(&[b'l'; 300]),
            Item::Int(-(1 << 23)),
            Item::Int(i64::from(i32::MAX)),
            Item::Bytes(&longest[5..]),
            Item::Int(i64::MIN),
        ];
        assert_eq!(items(&blob), Ok(expected.to_vec()));
        assert_eq!(items(&ziplist(&[])), Ok(vec![]));
    }

    #[test]
    fn damage_is_noticed() {
        let good = ziplist(&[b"\x02ab", &[0xf5], b"\x01c"]);
        assert_eq!(items(&good).map(|items| items.len()), Ok(3));
        for len in 0..good.len() {
            assert!(items(&good[..len]).is_err());
        }
        // Size, place of the last entry, count, and each entry's size of the one before.
        for at in (0..10).chain([10, 14, 16, good.len() - 1]) {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(items(&bad).is_err(), "byte {at} bit {bit}");
            }
        }
    }
}
