//! Choosing at random, with the caller's numbers.

/// A source of random numbers, all 64 bits of them.
pub type Random<'r> = &'r mut dyn FnMut() -> u64;

/// A number in `0..bound`, without noticeable bias for bounds far below 2^64. `bound` must not be 0.
#[inline]
pub fn below(bound: usize, random: Random) -> usize {
    debug_assert!(bound > 0, "an empty range has no numbers");
    ((u128::from(random()) * bound as u128) >> 64) as usize
}

/// Calls `chosen` with `count` different numbers of `0..len` in ascending order, or with all if there are not as many.
/// Every set of numbers is as likely as any other. O(len).
pub fn choose(len: usize, count: usize, random: Random, mut chosen: impl FnMut(usize)) {
    let mut wanted = count.min(len);
    for number in 0..len {
        if wanted == 0 {
            return;
        }
        if below(len - number, random) < wanted {
            chosen(number);
            wanted -= 1;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Random numbers (splitmix64) for tests.
    pub(crate) fn numbers(mut state: u64) -> impl FnMut() -> u64 {
        move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ mixed >> 31
        }
    }

    #[test]
    fn chosen_numbers_differ_and_are_equally_likely() {
        let mut random = numbers(3);
        let mut counts = [0u32; 10];
        let rounds = if cfg!(miri) { 10 } else { 30_000 };
        for _ in 0..rounds {
            let mut last = None;
            let mut found = 0;
            choose(10, 3, &mut random, |number| {
                assert!(last < Some(number));
                last = Some(number);
                counts[number] += 1;
                found += 1;
            });
            assert_eq!(found, 3);
        }
        if !cfg!(miri) {
            assert!(counts.iter().all(|&count| (8700..9300).contains(&count)), "{counts:?}");
        }
        for (len, count) in [(0, 5), (5, 0), (5, 5), (5, usize::MAX)] {
            let mut found = Vec::new();
            choose(len, count, &mut random, |number| found.push(number));
            assert_eq!(found, (0..len.min(count)).collect::<Vec<_>>());
        }
    }
}
