//! From registers to a number of elements: Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches",
//! arXiv:1702.01284, in the order of operations that gives Redis' very numbers.

use super::{COUNTED_BITS, REGISTERS};

/// 0.5 / ln(2)
const ALPHA_INF: f64 = 0.721_347_520_444_481_7;

/// How many registers hold each value.
pub(super) struct Histogram([u32; 64]);

impl Default for Histogram {
    fn default() -> Self {
        Histogram([0; 64])
    }
}

impl Histogram {
    pub(super) fn add(&mut self, value: u8, registers: usize) {
        self.0[usize::from(value)] += registers as u32;
    }

    /// The number of elements. Registers that no hash can fill do not count.
    pub(super) fn estimate(&self) -> u64 {
        let registers = REGISTERS as f64;
        let of = |value: u32| f64::from(self.0[value as usize]);
        let mut sum = registers * tau((registers - of(COUNTED_BITS + 1)) / registers);
        for value in (1..=COUNTED_BITS).rev() {
            sum = (sum + of(value)) * 0.5;
        }
        sum += registers * sigma(of(0) / registers);
        let estimate = (ALPHA_INF * registers * registers / sum).round();
        // No hash leads there, but bytes from a client may: C's conversion gives this number.
        if estimate < 2_f64.powi(63) { estimate as u64 } else { 1 << 63 }
    }
}

fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut sum) = (1.0, x);
    loop {
        x *= x;
        let before = sum;
        sum += x * y;
        y += y;
        if sum.to_bits() == before.to_bits() {
            return sum;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut sum) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = sum;
        y *= 0.5;
        sum -= (1.0 - x) * (1.0 - x) * y;
        if sum.to_bits() == before.to_bits() {
            return sum / 3.0;
        }
    }
}
