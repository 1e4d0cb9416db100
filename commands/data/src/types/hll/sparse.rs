//! Registers as runs of equal ones:
//!
//! ```text
//! 00xxxxxx            1 to 64 registers that are 0
//! 01xxxxxx xxxxxxxx   1 to 16384 registers that are 0
//! 1vvvvvxx            1 to 4 registers that are 1 to 32
//! ```
//!
//! Lengths and values are stored less one. A sketch is changed here step by step as Redis does it, so that both hold
//! the same bytes.

use super::{Corrupted, HEADER, Mark, REGISTERS};

/// The greatest value a run can have.
const VALUE_MAX: u8 = 32;
/// The longest run with a value.
const VALUE_LEN_MAX: usize = 4;
/// The longest run of zeros in one byte.
const SHORT_LEN_MAX: usize = 64;
/// Runs that may have become equal to their neighbours when one was split.
const MERGED_RUNS: usize = 5;

/// Equal registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// How many.
    pub len: usize,
    /// What each of them holds.
    pub value: u8,
    /// Zeros written in two bytes.
    pub is_long: bool,
}

impl Run {
    /// The run that begins at `at`. A second byte that is missing counts as zero.
    fn at(bytes: &[u8], at: usize) -> Option<Run> {
        let byte = *bytes.get(at)?;
        Some(match byte >> 6 {
            0 => Run { len: usize::from(byte) + 1, value: 0, is_long: false },
            1 => {
                let low = bytes.get(at + 1).copied().unwrap_or(0);
                Run { len: (usize::from(byte & 0x3f) << 8 | usize::from(low)) + 1, value: 0, is_long: true }
            }
            _ => Run { len: usize::from(byte & 3) + 1, value: (byte >> 2 & 0x1f) + 1, is_long: false },
        })
    }

    /// Bytes it takes.
    fn size(self) -> usize {
        1 + usize::from(self.is_long)
    }
}

/// The runs of a sparse sketch as they are written, valid or not.
pub fn runs(sketch: &[u8]) -> impl Iterator<Item = Run> {
    let mut at = HEADER;
    std::iter::from_fn(move || {
        let run = Run::at(sketch, at)?;
        at += run.size();
        Some(run)
    })
}

/// Visits all runs with the index of their first register. What was visited before corruption was found is of no use.
pub(super) fn each(bytes: &[u8], mut visit: impl FnMut(usize, Run)) -> Result<(), Corrupted> {
    let (mut at, mut index) = (0, 0);
    while let Some(run) = Run::at(bytes, at) {
        if index + run.len > REGISTERS {
            return Err(Corrupted);
        }
        visit(index, run);
        index += run.len;
        at += run.size();
    }
    if index == REGISTERS { Ok(()) } else { Err(Corrupted) }
}

/// Appends a run of zeros.
pub(super) fn push_zeros(bytes: &mut Vec<u8>, len: usize) {
    if len > SHORT_LEN_MAX {
        let less_one = len - 1;
        bytes.extend_from_slice(&[0x40 | (less_one >> 8) as u8, less_one as u8]);
    } else if len > 0 {
        bytes.push(len as u8 - 1);
    }
}

fn value_byte(value: u8, len: usize) -> u8 {
    0x80 | (value - 1) << 2 | (len as u8 - 1)
}

/// What raising a register of a sparse sketch came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Raised {
    /// It was high enough.
    No,
    /// Done.
    Yes,
    /// It takes a dense sketch; nothing was done.
    NoRoom,
}

/// Raises a register of a sketch (header included) that may grow up to `max_bytes`.
pub(super) fn raise(sketch: &mut Vec<u8>, mark: Mark, max_bytes: usize) -> Result<Raised, Corrupted> {
    if mark.value > VALUE_MAX {
        return Ok(Raised::NoRoom);
    }
    let Found { at, previous, first, run } = find(sketch, mark.index)?;
    if run.value >= mark.value {
        return Ok(Raised::No);
    }
    let (before, behind) = (mark.index - first, first + run.len - 1 - mark.index);
    let push_rest = |bytes: &mut Vec<u8>, len: usize| match (run.value, len) {
        (0, _) => push_zeros(bytes, len),
        (_, 0) => {}
        (value, len) => bytes.push(value_byte(value, len)),
    };
    let mut split = Vec::with_capacity(5);
    push_rest(&mut split, before);
    split.push(value_byte(mark.value, 1));
    push_rest(&mut split, behind);
    let old_size = run.size();
    if at + old_size > sketch.len() {
        return Err(Corrupted);
    }
    if split.len() > old_size && sketch.len() + split.len() - old_size > max_bytes {
        return Ok(Raised::NoRoom);
    }
    sketch.splice(at..at + old_size, split);
    merge(sketch, previous.unwrap_or(HEADER));
    Ok(Raised::Yes)
}

/// The run that holds a register.
struct Found {
    at: usize,
    /// Where the run before it is.
    previous: Option<usize>,
    /// Its first register.
    first: usize,
    run: Run,
}

fn find(sketch: &[u8], index: usize) -> Result<Found, Corrupted> {
    let (mut at, mut previous, mut first) = (HEADER, None, 0);
    loop {
        let run = Run::at(sketch, at).ok_or(Corrupted)?;
        if index < first + run.len {
            return Ok(Found { at, previous, first, run });
        }
        previous = Some(at);
        at += run.size();
        first += run.len;
    }
}

/// Joins neighbours of one value from the run at `at` on, over the few runs that a change can have touched.
fn merge(sketch: &mut Vec<u8>, mut at: usize) {
    for _ in 0..MERGED_RUNS {
        let Some(run) = Run::at(sketch, at) else { return };
        let next = Run::at(sketch, at + 1).filter(|next| run.value > 0 && next.value == run.value);
        match next {
            Some(next) if run.len + next.len <= VALUE_LEN_MAX => {
                sketch[at + 1] = value_byte(run.value, run.len + next.len);
                // The joined run is looked at again: it may join the one behind it, too.
                sketch.remove(at);
            }
            _ => at += run.size(),
        }
    }
}
