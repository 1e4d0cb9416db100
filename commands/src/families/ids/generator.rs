//! Where new names come from: one word per form that all threads share, which only grows.
//!
//! The upper bits of a word are milliseconds of the clock that never goes back, the lower ones a sequence within the
//! millisecond. When that overflows the next millisecond is borrowed: nothing waits, and nothing comes twice.

use std::sync::atomic::{AtomicI64, AtomicU16, AtomicU64, Ordering::Relaxed};

use crate::model::Error;

/// Bits of a snowflake's sequence, of its node, and of its time.
pub(super) const SEQ_BITS: u32 = 12;
pub(super) const NODE_BITS: u32 = 10;
pub(super) const TIME_BITS: u32 = 41;

/// The default of `id-epoch`: 2020-01-01.
pub const EPOCH_DEFAULT_MS: i64 = 1_577_836_800_000;

/// Bits of the sequence of ULIDs. It is added to their random part, in which it takes no bits of its own.
const ULID_SEQ_BITS: u32 = 16;
/// Bits of the random part of a ULID. The first is 0 to begin with, so that adding never overflows.
pub(super) const ULID_RANDOM_BITS: u32 = 80;

/// What makes names, for all threads.
#[derive(Debug)]
pub struct Ids {
    node: AtomicU16,
    epoch_ms: AtomicI64,
    snowflake: AtomicU64,
    ulid: AtomicU64,
    uuid: AtomicU64,
    /// What the random part of ULIDs is made from.
    secret: [u64; 2],
}

impl Ids {
    /// Two processes need different secrets.
    pub fn new(secret: [u64; 2]) -> Self {
        Ids {
            node: AtomicU16::new(0),
            epoch_ms: AtomicI64::new(EPOCH_DEFAULT_MS),
            snowflake: AtomicU64::new(0),
            ulid: AtomicU64::new(0),
            uuid: AtomicU64::new(0),
            secret,
        }
    }

    /// `id-node`, 0 to 1023: the part of snowflakes that tells servers apart.
    pub fn set_node(&self, node: u16) {
        self.node.store(node & ((1 << NODE_BITS) - 1), Relaxed);
    }

    /// `id-epoch`: the time from which snowflakes count, Unix ms.
    pub fn set_epoch_ms(&self, epoch_ms: i64) {
        self.epoch_ms.store(epoch_ms, Relaxed);
    }

    pub fn epoch_ms(&self) -> i64 {
        self.epoch_ms.load(Relaxed)
    }

    /// Takes the next `count` values of a word, all of them later than whatever was taken before.
    fn take(word: &AtomicU64, seq_bits: u32, now_ms: i64, count: i64) -> std::ops::Range<u64> {
        let now = (now_ms.max(0) as u64) << seq_bits;
        let first = |last: u64| now.max(last + 1);
        let last = word.fetch_update(Relaxed, Relaxed, |last| Some(first(last) + count as u64 - 1));
        let first = first(last.unwrap_or_else(|last| last));
        first..first + count as u64
    }

    /// Makes snowflakes.
    pub(super) fn snowflakes(
        &self,
        now_ms: i64,
        count: i64,
    ) -> Result<impl Iterator<Item = u64> + use<>, Error> {
        let (node, epoch_ms) = (u64::from(self.node.load(Relaxed)), self.epoch_ms());
        let since_epoch = |ms: i64| ms.checked_sub(epoch_ms).filter(|ms| (0..1 << TIME_BITS).contains(ms));
        // The sequence may have borrowed some milliseconds.
        if since_epoch(now_ms).is_none() || since_epoch(now_ms + 1000).is_none() {
            return Err(Error::new("ERR the time does not fit a snowflake of this id-epoch"));
        }
        let taken = Self::take(&self.snowflake, SEQ_BITS, now_ms, count);
        Ok(taken.map(move |word| {
            let (ms, seq) = ((word >> SEQ_BITS) - epoch_ms as u64, word & ((1 << SEQ_BITS) - 1));
            ms << (NODE_BITS + SEQ_BITS) | node << SEQ_BITS | seq
        }))
    }

    /// Makes ULIDs: within a millisecond each is the one before plus 1.
    pub(super) fn ulids(&self, now_ms: i64, count: i64) -> impl Iterator<Item = u128> {
        Self::take(&self.ulid, ULID_SEQ_BITS, now_ms, count).map(|word| {
            let (ms, seq) = (word >> ULID_SEQ_BITS, word & ((1 << ULID_SEQ_BITS) - 1));
            u128::from(ms) << ULID_RANDOM_BITS | (self.random_of(ms) + u128::from(seq))
        })
    }

    /// 79 bits that look random to who does not know the secret, the same for all threads.
    fn random_of(&self, ms: u64) -> u128 {
        let [a, b] = self.secret;
        let high = mixed(mixed(ms ^ a) ^ b);
        let low = mixed(mixed(ms ^ b).wrapping_add(a));
        (u128::from(high) << 64 | u128::from(low)) >> (129 - ULID_RANDOM_BITS)
    }

    /// Makes UUIDs of version 7 that lack their random bits.
    pub(super) fn uuids(&self, now_ms: i64, count: i64) -> impl Iterator<Item = Uuid7> + use<> {
        Self::take(&self.uuid, SEQ_BITS, now_ms, count).map(Uuid7)
    }
}

/// Time and counter of a UUID.
#[derive(Debug, Clone, Copy)]
pub(super) struct Uuid7(u64);

impl Uuid7 {
    /// The whole of it.
    pub(super) fn with_random(self, random: u64) -> u128 {
        const VERSION: u64 = 7 << 12;
        const VARIANT: u64 = 0b10 << 62;
        let counter = self.0 & ((1 << SEQ_BITS) - 1);
        let high = (self.0 >> SEQ_BITS) << 16 | VERSION | counter;
        u128::from(high) << 64 | u128::from(VARIANT | random >> 2)
    }
}

/// The finaliser of splitmix64, by Sebastiano Vigna (public domain).
fn mixed(mut word: u64) -> u64 {
    word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}
