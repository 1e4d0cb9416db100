//! Sets of integers: sorted, each with as many bytes as the widest that was ever in the set needs.
//!
//! ```text
//! 0      bytes per integer: 2, 4 or 8
//! 1...   the integers in ascending order, little-endian
//! ```

/// Bytes per integer. The first byte of the packed form, which tells it from other packed forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Width {
    Two = 2,
    Four = 4,
    Eight = 8,
}

impl Width {
    const fn of_byte(byte: u8) -> Option<Self> {
        match byte {
            2 => Some(Self::Two),
            4 => Some(Self::Four),
            8 => Some(Self::Eight),
            _ => None,
        }
    }

    fn for_value(value: i64) -> Self {
        if i16::try_from(value).is_ok() {
            Self::Two
        } else if i32::try_from(value).is_ok() {
            Self::Four
        } else {
            Self::Eight
        }
    }

    const fn bytes(self) -> usize {
        self as usize
    }
}

/// True if these packed bytes are a set of integers. No bytes at all are not.
pub(super) fn is_ints(packed: &[u8]) -> bool {
    packed.first().is_some_and(|&byte| Width::of_byte(byte).is_some())
}

/// A set of integers to look at.
#[derive(Clone, Copy, Debug)]
pub struct IntsRef<'a> {
    width: Width,
    integers: &'a [u8],
}

impl<'a> IntsRef<'a> {
    /// The set in these packed bytes, if they are one of integers.
    pub(super) fn of(packed: &'a [u8]) -> Option<Self> {
        let (&first, integers) = packed.split_first()?;
        let width = Width::of_byte(first)?;
        debug_assert!(integers.len().is_multiple_of(width.bytes()), "whole integers");
        Some(Self { width, integers })
    }

    /// Number of integers.
    pub fn len(self) -> usize {
        self.integers.len() / self.width.bytes()
    }

    pub fn is_empty(self) -> bool {
        self.integers.is_empty()
    }

    /// The integer at `index` in ascending order, which must be below the length. O(1).
    pub fn at(self, index: usize) -> i64 {
        let start = index * self.width.bytes();
        decode(&self.integers[start..start + self.width.bytes()])
    }

    /// O(log n).
    pub fn contains(self, value: i64) -> bool {
        self.position(value).is_ok()
    }

    /// All integers, ascending.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator + use<'a> {
        self.integers.chunks_exact(self.width.bytes()).map(decode)
    }

    /// Where `value` is, or where it would be inserted.
    fn position(self, value: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        // What is added to a set of integers is often the next larger one.
        if high > 0 && value > self.at(high - 1) {
            return Err(high);
        }
        while low < high {
            let middle = low.midpoint(high);
            match self.at(middle).cmp(&value) {
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }
}

/// Reads an integer of 2, 4 or 8 bytes.
fn decode(bytes: &[u8]) -> i64 {
    match *bytes {
        [a, b] => i64::from(i16::from_le_bytes([a, b])),
        [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
        _ => i64::from_le_bytes(bytes.try_into().expect("an integer has 2, 4 or 8 bytes")),
    }
}

/// Adds `value` to packed bytes that are a set of integers or empty; false if it was there. O(n) for the move of what
/// is larger.
pub(super) fn insert(packed: &mut Vec<u8>, value: i64) -> bool {
    if packed.is_empty() {
        packed.push(Width::for_value(value) as u8);
    }
    let ints = IntsRef::of(packed).expect("integers are added to a set of integers");
    let Err(mut index) = ints.position(value) else { return false };
    let mut width = ints.width;
    if Width::for_value(value) > width {
        width = Width::for_value(value);
        let values: Vec<i64> = ints.iter().collect();
        packed.clear();
        packed.reserve_exact(1 + (values.len() + 1) * width.bytes());
        packed.push(width as u8);
        for value in &values {
            packed.extend_from_slice(&value.to_le_bytes()[..width.bytes()]);
        }
        // Beyond the range of all that were there.
        index = if value < 0 { 0 } else { values.len() };
    }
    let start = 1 + index * width.bytes();
    let old_len = packed.len();
    packed.resize(old_len + width.bytes(), 0);
    packed.copy_within(start..old_len, start + width.bytes());
    packed[start..start + width.bytes()].copy_from_slice(&value.to_le_bytes()[..width.bytes()]);
    true
}

/// Takes `value` out of packed bytes that are a set of integers; false if it was not there. O(n).
pub(super) fn remove(packed: &mut Vec<u8>, value: i64) -> bool {
    let Some(ints) = IntsRef::of(packed) else { return false };
    let Ok(index) = ints.position(value) else { return false };
    let width = ints.width.bytes();
    let start = 1 + index * width;
    packed.drain(start..start + width);
    if packed.len() == 1 {
        packed.clear();
    } else if packed.len() < packed.capacity() / 2 {
        packed.shrink_to(packed.len() + packed.len() / 4);
    }
    true
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn all(packed: &[u8]) -> Vec<i64> {
        IntsRef::of(packed).map_or_else(Vec::new, |ints| ints.iter().collect())
    }

    #[test]
    fn the_widest_integer_decides_about_the_bytes() {
        let mut packed = Vec::new();
        for (value, size) in [
            (5, 1 + 2),
            (-32768, 1 + 2 * 2),
            (32767, 1 + 3 * 2),
            (32768, 1 + 4 * 4),
            (-32769, 1 + 5 * 4),
            (i64::from(i32::MAX), 1 + 6 * 4),
            (i64::from(i32::MIN), 1 + 7 * 4),
            (i64::from(i32::MIN) - 1, 1 + 8 * 8),
            (i64::MAX, 1 + 9 * 8),
            (i64::MIN, 1 + 10 * 8),
        ] {
            assert!(insert(&mut packed, value));
            assert_eq!(packed.len(), size, "after {value}");
            assert!(!insert(&mut packed, value));
        }
        let mut expected = all(&packed);
        expected.sort_unstable();
        assert_eq!(all(&packed), expected);
        assert!(!IntsRef::of(&packed).unwrap().contains(6));
    }

    #[test]
    fn the_last_integer_takes_the_bytes_with_it() {
        let mut packed = Vec::new();
        assert!(!remove(&mut packed, 1));
        insert(&mut packed, 1);
        assert!(!remove(&mut packed, 2));
        assert!(!remove(&mut packed, 1 << 40));
        assert!(remove(&mut packed, 1));
        assert!(packed.is_empty());
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Insert(i64),
        Remove(i64),
    }

    fn value() -> impl Strategy<Value = i64> {
        prop_oneof![
            8 => -20..20_i64,
            2 => any::<i16>().prop_map(i64::from),
            1 => any::<i32>().prop_map(i64::from),
            1 => any::<i64>(),
            1 => prop_oneof![Just(i64::MIN), Just(i64::MAX)],
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 8 } else { 256 }, failure_persistence: None, ..Default::default() })]

        #[test]
        fn behaves_like_a_sorted_set(
            steps in prop::collection::vec(
                prop_oneof![value().prop_map(Step::Insert), value().prop_map(Step::Remove)], 0..120)
        ) {
            let mut packed = Vec::new();
            let mut model = BTreeSet::new();
            for step in steps {
                match step {
                    Step::Insert(value) => prop_assert_eq!(insert(&mut packed, value), model.insert(value)),
                    Step::Remove(value) => prop_assert_eq!(remove(&mut packed, value), model.remove(&value)),
                }
                prop_assert_eq!(all(&packed), model.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!(packed.is_empty(), model.is_empty());
            }
        }
    }
}
