//! MurmurHash2 by Austin Appleby (public domain), in the two widths that Redis' sketches use. Where an element goes in a
//! sketch depends on the very bits, so they can never change.

/// MurmurHash64A. O(len).
#[inline]
pub fn murmur64(bytes: &[u8], seed: u64) -> u64 {
    const MULTIPLIER: u64 = 0xc6a4_a793_5bd1_e995;
    let mixed = |word: u64| {
        let word = word.wrapping_mul(MULTIPLIER);
        (word ^ word >> 47).wrapping_mul(MULTIPLIER)
    };
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(MULTIPLIER);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        hash = (hash ^ mixed(u64::from_le_bytes(*word))).wrapping_mul(MULTIPLIER);
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(MULTIPLIER);
    }
    hash = (hash ^ hash >> 47).wrapping_mul(MULTIPLIER);
    hash ^ hash >> 47
}

/// MurmurHash2 for 32 bits. O(len).
#[inline]
pub fn murmur32(bytes: &[u8], seed: u32) -> u32 {
    const MULTIPLIER: u32 = 0x5bd1_e995;
    let mut hash = seed ^ bytes.len() as u32;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let word = u32::from_le_bytes(*word).wrapping_mul(MULTIPLIER);
        let word = (word ^ word >> 24).wrapping_mul(MULTIPLIER);
        hash = hash.wrapping_mul(MULTIPLIER) ^ word;
    }
    if !rest.is_empty() {
        let mut word = [0; 4];
        word[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u32::from_le_bytes(word)).wrapping_mul(MULTIPLIER);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(MULTIPLIER);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What SMHasher's verification gives: the hashes of the keys 0, 0 1, 0 1 2, ... with seeds 256, 255, ..., hashed.
    #[test]
    fn hashes_are_those_of_smhasher() {
        let key: Vec<u8> = (0..=255).collect();
        let mut hashes = Vec::new();
        for len in 0..256 {
            hashes.extend_from_slice(&murmur32(&key[..len], 256 - len as u32).to_le_bytes());
        }
        assert_eq!(murmur32(&hashes, 0), 0x2786_4C1E);
        let mut hashes = Vec::new();
        for len in 0..256 {
            hashes.extend_from_slice(&murmur64(&key[..len], 256 - len as u64).to_le_bytes());
        }
        assert_eq!(murmur64(&hashes, 0) as u32, 0x1F0D_3804);
    }
}
