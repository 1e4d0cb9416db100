//! Two hashes of a key: the cluster slot, which chooses the shard, and the seeded 64-bit hash, which finds the key in
//! its shard's table. They are independent, so that the keys of one shard still spread over its whole table.

use std::{
    fmt,
    hash::Hasher as _,
    sync::{Arc, OnceLock},
};

use foldhash::{SharedSeed, quality::FoldHasher};

/// Number of cluster slots.
const SLOTS: u16 = 16384;

/// Bits of the hash that index the directory at its deepest: the top ones.
pub(super) const PREFIX_BITS: u32 = 24;

/// `CRC_TABLES[k][b]`: CRC16-XMODEM of the byte `b` followed by `k` zero bytes.
static CRC_TABLES: [[u16; 256]; 16] = crc_tables();

/// The Redis cluster slot of `key` (0..16384): CRC16-XMODEM of its [hash tag](hash_tag).
#[expect(clippy::inline_always, reason = "a call per step costs as much as the steps: see ARCHITECTURE.md")]
#[inline(always)]
pub fn slot(key: &[u8]) -> u16 {
    // Most keys have 8 to 16 bytes and no brace: two words, which overlap in equal bytes, tell both.
    if let (Some(first), Some(last)) = (key.first_chunk::<8>(), key.last_chunk::<8>())
        && key.len() <= 16
        && zeros(u64::from_le_bytes(*first) ^ OPENING) | zeros(u64::from_le_bytes(*last) ^ OPENING) == 0
    {
        return crc_of_block(word_of(key)) % SLOTS;
    }
    slot_of_any(key)
}

fn slot_of_any(key: &[u8]) -> u16 {
    crc16(hash_tag(key)) % SLOTS
}

/// The part of `key` that chooses its slot: what stands between the first `{` and the first `}` after it, if that is
/// not empty; else the whole key.
#[inline]
pub fn hash_tag(key: &[u8]) -> &[u8] {
    let Some(open) = position(key, b'{') else { return key };
    let tail = &key[open + 1..];
    match position(tail, b'}') {
        None | Some(0) => key,
        Some(close) => &tail[..close],
    }
}

const LOW: u64 = 0x0101_0101_0101_0101;
/// Eight opening braces.
const OPENING: u64 = LOW * b'{' as u64;

/// The lowest set bit marks the first byte that is zero, if any; false marks can only follow it.
#[inline]
fn zeros(word: u64) -> u64 {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    word.wrapping_sub(LOW) & !word & HIGH
}

/// Position of the first `wanted`, eight bytes at a time.
#[inline]
fn position(bytes: &[u8], wanted: u8) -> Option<usize> {
    let pattern = LOW * u64::from(wanted);
    let (chunks, tail) = bytes.as_chunks::<8>();
    for (index, chunk) in chunks.iter().enumerate() {
        let zeros = zeros(u64::from_le_bytes(*chunk) ^ pattern);
        if zeros != 0 {
            return Some(index * 8 + zeros.trailing_zeros() as usize / 8);
        }
    }
    tail.iter().position(|&byte| byte == wanted).map(|at| chunks.len() * 8 + at)
}

/// Sixteen bytes at a step. The register starts at zero, so zero bytes in front change nothing: the odd bytes come
/// first, as one block padded on its left.
#[inline]
fn crc16(bytes: &[u8]) -> u16 {
    let (odd, blocks) = bytes.as_rchunks::<16>();
    let mut crc = if odd.is_empty() { 0 } else { crc_of_block(word_of(odd)) };
    for block in blocks {
        crc = crc_of_block(u128::from_be_bytes(*block) ^ (u128::from(crc) << 112));
    }
    crc
}

/// At most sixteen bytes as a big-endian number.
#[inline]
fn word_of(bytes: &[u8]) -> u128 {
    let len = bytes.len();
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        // The two overlap in equal bytes.
        return (u128::from(u64::from_be_bytes(*first)) << (8 * (len - 8)))
            | u128::from(u64::from_be_bytes(*last));
    }
    bytes.iter().fold(0, |word, byte| (word << 8) | u128::from(*byte))
}

#[inline]
fn crc_of_block(word: u128) -> u16 {
    let (high, low) = ((word >> 64) as u64, word as u64);
    let mut crc = 0;
    for at in 0..8 {
        crc ^= CRC_TABLES[at][usize::from((low >> (8 * at)) as u8)];
        crc ^= CRC_TABLES[at + 8][usize::from((high >> (8 * at)) as u8)];
    }
    crc
}

const fn crc_tables() -> [[u16; 256]; 16] {
    const POLYNOMIAL: u16 = 0x1021;
    let mut tables = [[0u16; 256]; 16];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ POLYNOMIAL };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut zeros = 1;
    while zeros < 16 {
        let mut byte = 0;
        while byte < 256 {
            let crc = tables[zeros - 1][byte];
            tables[zeros][byte] = (crc << 8) ^ tables[0][(crc >> 8) as usize];
            byte += 1;
        }
        zeros += 1;
    }
    tables
}

/// The hash by which tables find keys. All tables of a process share one, built from a seed which clients cannot know,
/// so that nobody can choose keys that collide.
#[derive(Clone)]
pub struct KeyHasher {
    seed: u64,
    shared: Arc<SharedSeed>,
    /// The bits that may differ between keys, for tests with collisions.
    #[cfg(test)]
    pub(super) mask: u64,
}

impl KeyHasher {
    /// A hasher for a random `seed`; the same seed gives the same hashes.
    pub fn new(seed: u64) -> Self {
        // The two parts must differ: the first is mixed into the state, the second into every block.
        Self {
            seed: seed.rotate_left(32) ^ 0x9e37_79b9_7f4a_7c15,
            shared: Arc::new(SharedSeed::from_u64(seed)),
            #[cfg(test)]
            mask: u64::MAX,
        }
    }

    /// The hasher of the tables inside values: those of members, fields, ... All of them share one seed, that of the
    /// first call of [`KeyHasher::seed_members`].
    pub fn members() -> Self {
        Self::of_members(0x7469_6465_6761_7465)
    }

    /// Seeds the tables inside values with a secret, so that nobody can choose members that collide. To be called
    /// once, before there is any value; later calls change nothing.
    pub fn seed_members(seed: u64) {
        Self::of_members(seed);
    }

    fn of_members(seed: u64) -> Self {
        static MEMBERS: OnceLock<KeyHasher> = OnceLock::new();
        MEMBERS.get_or_init(|| Self::new(seed)).clone()
    }

    /// Hash of `key`. Bits 63..40 index the directory, bits 39..24 are the tag inside a segment.
    #[expect(
        clippy::inline_always,
        reason = "a call per step costs as much as the steps: see ARCHITECTURE.md"
    )]
    #[inline(always)]
    pub fn hash(&self, key: &[u8]) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.seed, &self.shared);
        hasher.write(key);
        let hash = spread(hasher.finish());
        #[cfg(test)]
        let hash = hash & self.mask;
        hash
    }
}

impl fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The seed is a secret of the process.
        f.debug_struct("KeyHasher").finish_non_exhaustive()
    }
}

/// The 24 bits of `hash` which order segments.
#[cfg(test)]
pub(super) const fn prefix(hash: u64) -> u32 {
    (hash >> (64 - PREFIX_BITS)) as u32
}

/// `hash` with its prefix spread unevenly.
///
/// Taken as they are, all segments of a table would fill and split at the same time, and the allocator would keep what
/// every size of them once needed. So `x`, the top bits as a fraction of 1, becomes `(2x + x²) / 3`: a range of prefixes
/// at the low end has twice as many keys as one at the high end, segments of all sizes are there at any time, and what
/// one gives back another asks for. That saves 4 bytes of resident memory per key. (The idea is that of spiral hashing.)
#[inline]
const fn spread(hash: u64) -> u64 {
    const ONE: u64 = 1 << 31;
    const THIRD: u64 = u64::MAX / 3;
    const REST: u64 = u64::MAX >> PREFIX_BITS;
    let x = hash >> 33;
    // At most 3 * 2^62, and a third of it 2^62.
    let tripled = x * (2 * ONE + x);
    let prefix = ((tripled as u128 * THIRD as u128) >> 64) as u64;
    (prefix << 2) & !REST | hash & REST
}

/// The 16 bits of `hash` which order and tell apart the keys inside a segment.
#[inline]
pub(super) const fn tag(hash: u64) -> u16 {
    (hash >> 24) as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn crc16_bitwise(bytes: &[u8]) -> u16 {
        bytes.iter().fold(0, |crc, &byte| {
            (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
            })
        })
    }

    #[test]
    fn slots_are_those_of_redis() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        // CLUSTER KEYSLOT of redis-server 7.0.15.
        for (key, expected) in
            [("foo", 12182), ("bar", 5061), ("", 0), ("somekey", 11058), ("foo{hash_tag}", 2515)]
        {
            assert_eq!(slot(key.as_bytes()), expected, "{key}");
        }
    }

    #[test]
    fn hash_tags() {
        for (key, tag) in [
            ("{user1000}.following", "user1000"),
            ("foo{}{bar}", "foo{}{bar}"),
            ("foo{{bar}}zap", "{bar"),
            ("foo{bar}{zap}", "bar"),
            ("a-rather-long-prefix{tag}", "tag"),
            ("open{only-and-nothing-else", "open{only-and-nothing-else"),
            ("}{", "}{"),
            ("}{x}", "x"),
        ] {
            assert_eq!(hash_tag(key.as_bytes()), tag.as_bytes(), "{key}");
        }
    }

    #[test]
    fn prefixes_are_in_order_and_twice_as_dense_at_the_low_end() {
        let steps = 1_u64 << 16;
        let prefixes = (0..steps).map(|step| prefix(spread(step << 48))).collect::<Vec<_>>();
        assert!(prefixes.is_sorted());
        assert_eq!((prefix(spread(0)), prefix(spread(u64::MAX))), (0, (1 << PREFIX_BITS) - 1));
        let within = |from: u32| prefixes.iter().filter(|prefix| **prefix >> 16 == from).count();
        assert_eq!((within(0), within(128), within(255)), (383, 243, 192));
    }

    #[test]
    fn seeds_change_every_part_of_the_hash() {
        let (one, two) = (KeyHasher::new(1), KeyHasher::new(2));
        let same = (0..1000u32)
            .map(|n| (one.hash(&n.to_le_bytes()), two.hash(&n.to_le_bytes())))
            .filter(|(a, b)| prefix(*a) == prefix(*b) || tag(*a) == tag(*b))
            .count();
        assert!(same < 5, "{same} of 1000");
        assert_eq!(one.hash(b"key"), KeyHasher::new(1).hash(b"key"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 8 } else { 256 }, failure_persistence: None, ..Default::default() })]

        #[test]
        fn eight_bytes_at_a_time_change_nothing(bytes in prop::collection::vec(any::<u8>(), 0..80), wanted: u8) {
            prop_assert_eq!(crc16(&bytes), crc16_bitwise(&bytes));
            prop_assert_eq!(position(&bytes, wanted), bytes.iter().position(|&byte| byte == wanted));
        }

        #[test]
        fn short_keys_have_the_slots_of_any(bytes in prop::collection::vec(prop_oneof![any::<u8>(), b'{'..=b'}'], 0..20)) {
            prop_assert_eq!(slot(&bytes), slot_of_any(&bytes));
        }
    }
}
