//! LZF: the byte-oriented compression of long strings, as liblzf defines it.
//!
//! ```text
//! 000LLLLL <L+1 bytes>                  the bytes themselves, 1..=32
//! LLLooooo oooooooo                     L+2 bytes (3..=8) from o+1 bytes back
//! 111ooooo LLLLLLLL oooooooo            L+9 bytes (9..=264) from o+1 bytes back
//! ```
//!
//! Hand-written because the crate that did it is deprecated, and because both sides see hostile bytes.

/// Longest run of literal bytes.
const LITERAL_MAX: usize = 32;
/// Longest copy.
const COPY_MAX: usize = 264;
/// Farthest copy.
const DISTANCE_MAX: usize = 1 << 13;
/// Bits of a hash of three bytes.
const HASH_BITS: u32 = 14;

/// No input can grow by more than this: three bytes stand for 264 at most.
const GROWTH_MAX: usize = 88;

/// Appends what `input` stands for, exactly `len` bytes, to `out`. False when it is damaged or of another length; `out`
/// then holds something else.
pub(super) fn decompress(input: &[u8], len: usize, out: &mut Vec<u8>) -> bool {
    if len == 0 || len > input.len().saturating_mul(GROWTH_MAX) {
        return false;
    }
    let start = out.len();
    out.reserve_exact(len);
    let mut rest = input;
    while let [control, tail @ ..] = rest {
        let control = usize::from(*control);
        let produced = out.len() - start;
        if control < LITERAL_MAX {
            let run = control + 1;
            if run > tail.len() || run > len - produced {
                return false;
            }
            out.extend_from_slice(&tail[..run]);
            rest = &tail[run..];
            continue;
        }
        let (count, low, tail) = match (control >> 5, tail) {
            (7, [more, low, tail @ ..]) => (usize::from(*more) + 9, *low, tail),
            (short @ 1..=6, [low, tail @ ..]) => (short + 2, *low, tail),
            _ => return false,
        };
        let distance = ((control & 0x1f) << 8 | usize::from(low)) + 1;
        if distance > produced || count > len - produced {
            return false;
        }
        copy_within(out, distance, count);
        rest = tail;
    }
    out.len() - start == len
}

/// Repeats `count` bytes from `distance` bytes back; the two may overlap.
fn copy_within(out: &mut Vec<u8>, distance: usize, count: usize) {
    let from = out.len() - distance;
    if distance >= count {
        out.extend_from_within(from..from + count);
        return;
    }
    // What is copied so far is part of the source: each round can copy twice as much.
    let mut left = count;
    while left > 0 {
        let step = left.min(out.len() - from);
        out.extend_from_within(from..from + step);
        left -= step;
    }
}

/// Compresses strings one after the other; what it needs is allocated once.
pub(super) struct Compressor {
    /// Where three bytes of this hash were seen last, as a position in all input so far.
    seen: Box<[u32; 1 << HASH_BITS]>,
    /// Length of all input so far: what was seen before this is of another string.
    base: u32,
}

impl Compressor {
    pub(super) fn new() -> Self {
        Compressor { seen: vec![0; 1 << HASH_BITS].try_into().expect("the length is right"), base: 1 }
    }

    /// Appends `input` compressed to `out`, if that takes no more than `len_max` bytes. Else returns false, and `out` is
    /// as it was.
    pub(super) fn compress(&mut self, input: &[u8], len_max: usize, out: &mut Vec<u8>) -> bool {
        if input.is_empty() {
            return false;
        }
        let Some(base) = self.begin(input.len()) else { return false };
        let start = out.len();
        let fits = self.run(input, base, start.saturating_add(len_max), out);
        if !fits {
            out.truncate(start);
        }
        fits
    }

    /// Where this input begins in the positions; `None` when it is too long for them.
    fn begin(&mut self, len: usize) -> Option<usize> {
        let len = u32::try_from(len).ok().filter(|len| *len < u32::MAX / 2)?;
        if self.base.checked_add(len).is_none() {
            self.seen.fill(0);
            self.base = 1;
        }
        let base = self.base;
        self.base += len;
        Some(base as usize)
    }

    fn run(&mut self, input: &[u8], base: usize, end_max: usize, out: &mut Vec<u8>) -> bool {
        let (mut at, mut literal) = (0, 0);
        while at + 2 < input.len() {
            let place = &mut self.seen[hash(&input[at..])];
            let candidate = (*place as usize).checked_sub(base);
            *place = (base + at) as u32;
            let matching = candidate.filter(|from| {
                at - from <= DISTANCE_MAX && from < &at && input[*from..from + 3] == input[at..at + 3]
            });
            let Some(from) = matching else {
                at += 1;
                continue;
            };
            let count = common(&input[from..], &input[at..]);
            literals(&input[literal..at], out);
            copy(at - from, count, out);
            if out.len() > end_max {
                return false;
            }
            at += count;
            literal = at;
        }
        literals(&input[literal..], out);
        out.len() <= end_max
    }
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

fn hash(bytes: &[u8]) -> usize {
    let three = u32::from(bytes[0]) | u32::from(bytes[1]) << 8 | u32::from(bytes[2]) << 16;
    (three.wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize
}

/// How many bytes two texts have in common at their start, up to the longest copy.
fn common(older: &[u8], newer: &[u8]) -> usize {
    older.iter().zip(newer).take(COPY_MAX).take_while(|(a, b)| a == b).count()
}

fn literals(bytes: &[u8], out: &mut Vec<u8>) {
    for run in bytes.chunks(LITERAL_MAX) {
        out.push((run.len() - 1) as u8);
        out.extend_from_slice(run);
    }
}

fn copy(distance: usize, count: usize, out: &mut Vec<u8>) {
    let (distance, count) = (distance - 1, count - 2);
    let high = (distance >> 8) as u8;
    if count < 7 {
        out.push((count as u8) << 5 | high);
    } else {
        out.extend_from_slice(&[7 << 5 | high, (count - 7) as u8]);
    }
    out.push(distance as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(compressor: &mut Compressor, input: &[u8]) -> Option<usize> {
        let mut packed = b"before".to_vec();
        if !compressor.compress(input, input.len().saturating_sub(1), &mut packed) {
            assert_eq!(packed, b"before");
            return None;
        }
        let mut back = vec![9];
        assert!(decompress(&packed[6..], input.len(), &mut back));
        assert_eq!(&back[1..], input);
        Some(packed.len() - 6)
    }

    #[test]
    fn repetitions_shrink_and_come_back() {
        let mut compressor = Compressor::new();
        assert_eq!(round_trip(&mut compressor, &[b'a'; 264]), Some(5));
        assert!(round_trip(&mut compressor, &vec![b'a'; 100_000]).is_some_and(|len| len < 1300));
        assert!(round_trip(&mut compressor, b"hello hello hello hello").is_some());
        assert_eq!(round_trip(&mut compressor, b"abcdefghijklmnopqrstuvwxyz"), None);
        assert_eq!(round_trip(&mut compressor, b""), None);
    }

    /// `redis-server` 7.0.15 dumps a string of 100 times `x` with these bytes.
    #[test]
    fn bytes_of_redis_are_read() {
        let mut out = Vec::new();
        assert!(decompress(&[1, b'x', b'x', 0xe0, 0x57, 0, 1, b'x', b'x'], 100, &mut out));
        assert_eq!(out, [b'x'; 100]);
    }

    #[test]
    fn damage_is_noticed() {
        let mut out = Vec::new();
        // A length that nothing of this size can have, and one that is not kept.
        assert!(!decompress(&[0, b'x'], usize::MAX, &mut out));
        assert!(out.capacity() < 1000);
        for (input, len) in [
            (&[0, b'x'][..], 2),
            (&[1, b'x'], 2),
            (&[0x20, 0], 3),
            (&[0, b'x', 0x20, 1], 4),
            (&[0, b'x', 0xe0, 0], 10),
            (&[0, b'x', 0x20], 4),
            (&[], 0),
        ] {
            assert!(!decompress(input, len, &mut Vec::new()), "{input:?}");
        }
    }

    #[test]
    fn positions_start_anew_when_they_run_out() {
        let mut compressor = Compressor::new();
        compressor.base = u32::MAX - 10;
        assert!(round_trip(&mut compressor, &[7; 300]).is_some());
        assert_eq!(compressor.base, 301);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 512 }, failure_persistence: None, ..Default::default() })]

        #[test]
        fn any_text_comes_back(
            words in prop::collection::vec(prop::collection::vec(0u8..4, 1..40), 1..60),
        ) {
            let mut compressor = Compressor::new();
            round_trip(&mut compressor, &words.concat());
            round_trip(&mut compressor, &words.concat());
        }

        #[test]
        fn any_bytes_are_taken_or_refused(input: Vec<u8>, len in 0usize..100_000) {
            let mut out = Vec::new();
            if decompress(&input, len, &mut out) {
                prop_assert_eq!(out.len(), len);
            }
        }
    }
}
