//! The ID of a stream entry: a time in milliseconds and a sequence number within it.

use std::fmt;

/// An entry's ID. IDs grow from entry to entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Unix time in milliseconds, or whatever the producer chose.
    pub ms: u64,
    /// Distinguishes entries of the same millisecond.
    pub seq: u64,
}

impl StreamId {
    /// `0-0`: before every entry, so also "none".
    pub const MIN: Self = Self { ms: 0, seq: 0 };
    /// The last possible ID.
    pub const MAX: Self = Self { ms: u64::MAX, seq: u64::MAX };

    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// True for `0-0`.
    pub fn is_zero(self) -> bool {
        self == Self::MIN
    }

    /// The ID right after this one; `None` after the last.
    pub fn successor(self) -> Option<Self> {
        u128::from(self).checked_add(1).map(Self::from)
    }

    /// The ID right before this one; `None` before `0-0`.
    pub fn predecessor(self) -> Option<Self> {
        u128::from(self).checked_sub(1).map(Self::from)
    }
}

/// The number whose big-endian bytes order IDs.
impl From<StreamId> for u128 {
    fn from(id: StreamId) -> Self {
        Self::from(id.ms) << 64 | Self::from(id.seq)
    }
}

impl From<u128> for StreamId {
    fn from(number: u128) -> Self {
        Self { ms: (number >> 64) as u64, seq: number as u64 }
    }
}

/// `<ms>-<seq>`, as clients see it.
impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_carry_into_the_milliseconds() {
        let id = StreamId::new(5, u64::MAX);
        assert_eq!(id.successor(), Some(StreamId::new(6, 0)));
        assert_eq!(StreamId::new(6, 0).predecessor(), Some(id));
        assert_eq!(StreamId::MAX.successor(), None);
        assert_eq!(StreamId::MIN.predecessor(), None);
        assert_eq!(StreamId::new(5, 1).successor(), Some(StreamId::new(5, 2)));
        assert_eq!(id.to_string(), "5-18446744073709551615");
    }
}
