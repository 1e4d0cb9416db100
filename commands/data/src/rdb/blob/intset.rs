//! Intsets: integers in ascending order, all of one size.
//!
//! ```text
//! <size of one u32: 2, 4, 8> <count u32> <integer, little endian>...
//! ```

use super::super::Error;
use super::split;

const BAD: Error = Error::Corrupt("Intset integrity check failed.");

/// The integers of an intset, ascending.
#[derive(Debug, Clone)]
pub struct IntSet<'a> {
    integers: std::slice::ChunksExact<'a, u8>,
    previous: Option<i64>,
}

impl<'a> IntSet<'a> {
    /// The integers of `blob`. That they ascend is checked on the way.
    pub fn new(blob: &'a [u8]) -> Result<Self, Error> {
        let (size, rest) = split(blob).ok_or(BAD)?;
        let (count, rest) = split(rest).ok_or(BAD)?;
        let size = u32::from_le_bytes(size) as usize;
        let count = u32::from_le_bytes(count) as usize;
        if !matches!(size, 2 | 4 | 8) || count == 0 || count.checked_mul(size) != Some(rest.len()) {
            return Err(BAD);
        }
        Ok(IntSet { integers: rest.chunks_exact(size), previous: None })
    }

    /// The header of an intset of `count` integers of `size` bytes each.
    pub fn header(size: usize, count: usize) -> [u8; 8] {
        let count = u32::try_from(count).expect("a packed set has few members");
        let mut header = [0; 8];
        header[0] = size as u8;
        header[4..].copy_from_slice(&count.to_le_bytes());
        header
    }
}

impl Iterator for IntSet<'_> {
    type Item = Result<i64, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.integers.next()?;
        let value = match *bytes {
            [a, b] => i16::from_le_bytes([a, b]).into(),
            [a, b, c, d] => i32::from_le_bytes([a, b, c, d]).into(),
            _ => split(bytes).map(|(bytes, _)| i64::from_le_bytes(bytes))?,
        };
        if self.previous.is_some_and(|previous| previous >= value) {
            self.integers = [].chunks_exact(1);
            return Some(Err(BAD));
        }
        self.previous = Some(value);
        Some(Ok(value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.integers.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integers(blob: &[u8]) -> Result<Vec<i64>, Error> {
        IntSet::new(blob)?.collect()
    }

    #[test]
    fn integers_of_all_sizes() {
        let blob = |size: usize, values: &[i64]| {
            let mut blob = IntSet::header(size, values.len()).to_vec();
            for value in values {
                blob.extend_from_slice(&value.to_le_bytes()[..size]);
            }
            blob
        };
        assert_eq!(integers(&blob(2, &[-5, 0, 300])), Ok(vec![-5, 0, 300]));
        assert_eq!(integers(&blob(4, &[-70000, 70000])), Ok(vec![-70000, 70000]));
        assert_eq!(integers(&blob(8, &[i64::MIN, i64::MAX])), Ok(vec![i64::MIN, i64::MAX]));
        assert_eq!(integers(&blob(2, &[1, 1])), Err(BAD));
        assert_eq!(integers(&blob(2, &[2, 1])), Err(BAD));
        assert_eq!(integers(&blob(2, &[])), Err(BAD));
        assert_eq!(integers(&blob(3, &[1])), Err(BAD));
        assert_eq!(integers(&blob(2, &[1, 2])[..11]), Err(BAD));
        assert_eq!(integers(&[2, 0, 0, 0, 255, 255, 255, 255, 1, 0]), Err(BAD));
    }
}
