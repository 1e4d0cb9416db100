//! A key as a capability.

/// A key that a request may touch: its bytes, what hashing them gave, and the shard that holds it.
///
/// Only the router makes keys, from the key specs a command declares; a handler cannot invent one. So access
/// control, the cluster slot, the set of locks, client tracking and the handler all speak of the same keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<'a> {
    bytes: &'a [u8],
    hash: u64,
    shard: u16,
}

impl<'a> Key<'a> {
    /// For the router (and test harnesses) only.
    pub fn new(bytes: &'a [u8], hash: u64, shard: u16) -> Self {
        Key { bytes, hash, shard }
    }

    /// The name.
    #[inline]
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The hash in the keyspace table.
    #[inline]
    pub fn hash(self) -> u64 {
        self.hash
    }

    /// The shard that holds it.
    #[inline]
    pub fn shard(self) -> u16 {
        self.shard
    }
}
