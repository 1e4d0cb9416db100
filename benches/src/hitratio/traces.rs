//! Sequences of keys, the same for the same seed.

use std::collections::BTreeSet;

/// A source of numbers: fast, and good enough to draw keys.
#[derive(Clone, Debug)]
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Zipf's distribution over so many ranks, by its sums.
struct Zipf {
    sums: Vec<f64>,
}

impl Zipf {
    fn new(ranks: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let sums = (1..=ranks).map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        });
        Zipf { sums: sums.collect() }
    }

    fn draw(&self, draw: &mut Draw) -> usize {
        let at = draw.unit() * self.sums.last().copied().unwrap_or_default();
        self.sums.partition_point(|sum| *sum < at).min(self.sums.len() - 1)
    }
}

/// A trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// Zipf with exponent 0.9.
    Zipf09,
    /// Zipf with exponent 1.1.
    Zipf11,
    /// Twice as many keys as fit, by Zipf with exponent 0.7, and now and then a walk over keys that nobody asks for again.
    Scan,
    /// Round and round over more keys than fit: eight for five.
    Loop,
    /// Four in five requests go to as many keys as fit, by Zipf with exponent 0.7, of which a fifth is exchanged now and then;
    /// the others go anywhere among eight times as many.
    Shifting,
}

impl Trace {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Zipf09, Self::Zipf11, Self::Scan, Self::Loop, Self::Shifting];

    /// Its name in tables and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zipf09 => "zipf-0.9",
            Self::Zipf11 => "zipf-1.1",
            Self::Scan => "scan",
            Self::Loop => "loop",
            Self::Shifting => "shifting",
        }
    }

    /// `len` keys, made for a cache that has room for about `room` of them.
    pub fn keys(self, len: usize, room: usize, seed: u64) -> Vec<u32> {
        let mut draw = Draw(seed);
        let key = |number: usize| number as u32;
        match self {
            Self::Zipf09 => zipf(len, room * 8, 0.9, &mut draw),
            Self::Zipf11 => zipf(len, room * 8, 1.1, &mut draw),
            Self::Scan => {
                let zipf = Zipf::new(room * 2, 0.7);
                // A walk of half the room, then twice as many ordinary requests.
                let (walk, ordinary) = (room / 2, room);
                let mut fresh = room * 2;
                let each = |at: usize| {
                    if at % (walk + ordinary) >= ordinary {
                        fresh += 1;
                        key(fresh)
                    } else {
                        key(zipf.draw(&mut draw))
                    }
                };
                (0..len).map(each).collect()
            }
            Self::Loop => (0..len).map(|at| key(at % (room * 8 / 5))).collect(),
            Self::Shifting => {
                let (hot, all) = (room, room * 8);
                let zipf = Zipf::new(hot, 0.7);
                let mut set: Vec<u32> = (0..hot).map(key).collect();
                let period = room * 2;
                let each = |at: usize| {
                    if at % period == period - 1 {
                        // A fifth of it is exchanged for keys from anywhere.
                        for _ in 0..hot / 5 {
                            let place = draw.below(hot);
                            set[place] = key(draw.below(all));
                        }
                    }
                    if draw.below(10) < 8 { set[zipf.draw(&mut draw)] } else { key(draw.below(all)) }
                };
                (0..len).map(each).collect()
            }
        }
    }
}

fn zipf(len: usize, ranks: usize, exponent: f64, draw: &mut Draw) -> Vec<u32> {
    let zipf = Zipf::new(ranks, exponent);
    (0..len).map(|_| zipf.draw(draw) as u32).collect()
}

/// Number of different keys of a trace.
pub fn distinct(keys: &[u32]) -> usize {
    keys.iter().collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_repeat_and_differ() {
        for trace in Trace::ALL {
            let keys = trace.keys(20_000, 1000, 7);
            assert_eq!(keys, trace.keys(20_000, 1000, 7));
            assert!(distinct(&keys) > 1000, "{}: {} keys", trace.name(), distinct(&keys));
        }
        assert_ne!(Trace::Zipf09.keys(100, 1000, 7), Trace::Zipf09.keys(100, 1000, 8));
    }
}
