//! The CRC-64 that ends every file and every `DUMP` payload: Jones' polynomial, reflected, from zero.

use crc::{CRC_64_REDIS, Crc, Digest, Table};

static CRC: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

/// Jones' polynomial, reflected.
const POLYNOMIAL: u64 = CRC_64_REDIS.poly.reverse_bits();

/// A checksum under way.
#[derive(Clone)]
pub struct Checksum(Digest<'static, u64, Table<16>>);

impl Default for Checksum {
    fn default() -> Self {
        Self(CRC.digest())
    }
}

impl Checksum {
    /// Goes on with `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The sum of all bytes so far.
    pub fn value(&self) -> u64 {
        self.0.clone().finalize()
    }

    /// What the sum of some bytes becomes when `zeros` bytes of value 0 follow them. The sum of two texts of the same length,
    /// combined by exclusive or, is the two sums combined so: a change at the front of a long text is worth
    /// `append_zeros(sum of the difference, bytes behind it)`. O(log zeros).
    pub fn append_zeros(sum: u64, mut zeros: u64) -> u64 {
        let apply = |matrix: &[u64; 64], vector: u64| {
            (0..64).filter(|bit| vector >> bit & 1 == 1).fold(0, |sum, bit| sum ^ matrix[bit])
        };
        // What one zero bit does to each bit of a sum, then eight of them: the polynomial is reflected.
        let mut matrix: [u64; 64] =
            std::array::from_fn(|bit| if bit == 0 { POLYNOMIAL } else { 1 << (bit - 1) });
        for _ in 0..3 {
            matrix = std::array::from_fn(|bit| apply(&matrix, matrix[bit]));
        }
        let mut sum = sum;
        while zeros > 0 {
            if zeros & 1 == 1 {
                sum = apply(&matrix, sum);
            }
            matrix = std::array::from_fn(|bit| apply(&matrix, matrix[bit]));
            zeros >>= 1;
        }
        sum
    }

    /// The sum of `bytes`.
    pub fn of(bytes: &[u8]) -> u64 {
        CRC.checksum(bytes)
    }
}

impl std::fmt::Debug for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Checksum({:016x})", self.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_the_one_redis_computes() {
        assert_eq!(Checksum::of(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        let mut sum = Checksum::default();
        sum.update(b"1234");
        assert_ne!(sum.value(), 0);
        sum.update(b"56789");
        assert_eq!(sum.value(), 0xe9c6_d914_c4b8_d9ca);
    }

    #[test]
    fn a_change_at_the_front_changes_the_sum_as_foretold() {
        for len in [0, 1, 2, 7, 8, 100, 4097] {
            let tail = vec![7u8; len];
            let [a, b] = [&b"0010"[..], b"0080"].map(|head| Checksum::of(&[head, &tail].concat()));
            let difference = [0, 0, b'1' ^ b'8', 0];
            assert_eq!(a ^ b, Checksum::append_zeros(Checksum::of(&difference), len as u64), "{len}");
        }
    }
}
