//! HyperLogLog sketches: how many different elements were seen, within 0.81 %, in at most 12 KiB.
//!
//! A sketch is a string in Redis' own layout, so that values migrate either way and counts are the same:
//!
//! ```text
//! 0    "HYLL"
//! 4    encoding: 0 dense, 1 sparse
//! 5    three bytes that are not used
//! 8    the last count, little endian; the highest bit tells that it is out of date
//! 16   dense: 16384 registers of 6 bits; sparse: runs of equal registers, see `sparse`
//! ```
//!
//! A register holds the longest run of zeros, plus one, in the hashes of the elements that fell to it. As the bytes may
//! come from a client, none of them is trusted.

mod dense;
mod estimate;
mod self_test;
mod sparse;

pub use self_test::self_test;
pub use sparse::{Run, runs};

use crate::keyspace::size_class;
use crate::types::murmur::murmur64;

/// Number of registers.
pub const REGISTERS: usize = 1 << INDEX_BITS;

const INDEX_BITS: u32 = 14;
/// Bits of a hash in which zeros are counted.
const COUNTED_BITS: u32 = 64 - INDEX_BITS;
/// Bits of a register.
const REGISTER_BITS: usize = 6;
const REGISTER_MAX: u8 = (1 << REGISTER_BITS) - 1;

const MAGIC: &[u8] = b"HYLL";
const ENCODING: usize = 4;
const COUNT: std::ops::Range<usize> = 8..16;
const HEADER: usize = 16;
const DENSE_LEN: usize = HEADER + REGISTERS * REGISTER_BITS / 8;
const OUT_OF_DATE: u8 = 0x80;

/// The bytes begin as a sketch does, but make none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupted;

/// How the registers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Each in six bits.
    Dense,
    /// As runs of equal ones.
    Sparse,
}

impl Encoding {
    /// The encoding of a sketch; `None` if the bytes are no sketch. Runs are not looked at: they may still be
    /// corrupted. O(1).
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < HEADER || !bytes.starts_with(MAGIC) {
            return None;
        }
        match bytes[ENCODING] {
            0 if bytes.len() == DENSE_LEN => Some(Self::Dense),
            1 => Some(Self::Sparse),
            _ => None,
        }
    }

    /// What `PFDEBUG ENCODING` answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Sparse => "sparse",
        }
    }
}

/// A place in a sketch and what an element asks it to hold at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    index: usize,
    value: u8,
}

impl Mark {
    /// The mark of an element.
    pub fn of(element: &[u8]) -> Self {
        let hash = hash(element);
        let index = hash as usize & (REGISTERS - 1);
        // The bit behind the last one ends a run of nothing but zeros.
        let counted = hash >> INDEX_BITS | 1 << COUNTED_BITS;
        Mark { index, value: counted.trailing_zeros() as u8 + 1 }
    }

    /// A mark of this place and value, if there can be one.
    pub fn new(index: u64, value: u64) -> Option<Self> {
        let is_mark = index < REGISTERS as u64 && (1..=u64::from(REGISTER_MAX)).contains(&value);
        is_mark.then_some(Mark { index: index as usize, value: value as u8 })
    }

    /// The register.
    pub fn index(self) -> usize {
        self.index
    }

    /// What it is to hold at least.
    pub fn value(self) -> u8 {
        self.value
    }
}

/// The hash that decides about an element, with the seed that Redis' sketches use.
fn hash(bytes: &[u8]) -> u64 {
    const SEED: u64 = 0xadc8_3b19;
    murmur64(bytes, SEED)
}

/// The count that was noted in a sketch, unless it is out of date. O(1).
pub fn noted_count(bytes: &[u8]) -> Option<u64> {
    let count = <[u8; 8]>::try_from(bytes.get(COUNT)?).ok()?;
    (count[7] & OUT_OF_DATE == 0).then(|| u64::from_le_bytes(count))
}

/// Notes the count in a sketch.
pub fn note_count(bytes: &mut [u8], count: u64) {
    bytes[COUNT].copy_from_slice(&count.to_le_bytes());
}

/// Notes that the last count is out of date.
pub fn forget_count(bytes: &mut [u8]) {
    bytes[COUNT.end - 1] |= OUT_OF_DATE;
}

/// Counts the elements of a sketch, without a look at the noted count. O(1), with a large constant.
pub fn count(bytes: &[u8]) -> Result<u64, Corrupted> {
    let mut histogram = estimate::Histogram::default();
    match Encoding::of(bytes).ok_or(Corrupted)? {
        Encoding::Dense => {
            dense::each(&bytes[HEADER..], |_, value| histogram.add(value, 1));
        }
        Encoding::Sparse => {
            sparse::each(&bytes[HEADER..], |_, run| histogram.add(run.value, run.len))?;
        }
    }
    Ok(histogram.estimate())
}

/// Marks of one element in a dense sketch; true when it changed. O(1).
pub fn add_dense(bytes: &mut [u8], mark: Mark) -> bool {
    dense::raise(&mut bytes[HEADER..], mark)
}

/// The registers of several sketches together.
pub struct Union {
    registers: Box<[u8; REGISTERS]>,
}

impl Default for Union {
    fn default() -> Self {
        Union { registers: Box::new([0; REGISTERS]) }
    }
}

impl Union {
    /// Adds a sketch.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), Corrupted> {
        let registers = &mut self.registers;
        match Encoding::of(bytes).ok_or(Corrupted)? {
            Encoding::Dense => {
                dense::each(&bytes[HEADER..], |index, value| registers[index] = registers[index].max(value));
                Ok(())
            }
            Encoding::Sparse => sparse::each(&bytes[HEADER..], |start, run| {
                for register in &mut registers[start..start + run.len] {
                    *register = (*register).max(run.value);
                }
            }),
        }
    }

    /// Counts the elements of all of them.
    pub fn count(&self) -> u64 {
        let mut histogram = estimate::Histogram::default();
        self.registers.iter().for_each(|value| histogram.add(*value, 1));
        histogram.estimate()
    }

    /// The registers.
    pub fn registers(&self) -> &[u8; REGISTERS] {
        &self.registers
    }

    /// What every register that is not 0 asks for, in ascending order.
    pub fn marks(&self) -> impl Iterator<Item = Mark> {
        let registers = self.registers.iter().enumerate();
        registers.filter(|(_, value)| **value > 0).map(|(index, value)| Mark { index, value: *value })
    }
}

/// A sketch that is being written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sketch {
    bytes: Vec<u8>,
    encoding: Encoding,
}

impl Default for Sketch {
    /// An empty one, which is sparse.
    fn default() -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[..MAGIC.len()].copy_from_slice(MAGIC);
        bytes[ENCODING] = 1;
        sparse::push_zeros(&mut bytes, REGISTERS);
        Sketch { bytes, encoding: Encoding::Sparse }
    }
}

impl Sketch {
    /// A copy of a sketch. `None` if the bytes are none.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        Some(Sketch { bytes: bytes.to_vec(), encoding: Encoding::of(bytes)? })
    }

    /// The bytes to be stored.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes of its allocation. O(1).
    pub fn heap_size(&self) -> usize {
        size_class(self.bytes.capacity())
    }

    /// How its registers are stored.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Raises one register; true when that changed something. A sparse sketch of more than `sparse_max_bytes` becomes
    /// a dense one. O(N) where N is the size of a sparse one, else O(1).
    pub fn add(&mut self, mark: Mark, sparse_max_bytes: usize) -> Result<bool, Corrupted> {
        if self.encoding == Encoding::Dense {
            return Ok(dense::raise(&mut self.bytes[HEADER..], mark));
        }
        match sparse::raise(&mut self.bytes, mark, sparse_max_bytes)? {
            sparse::Raised::No => Ok(false),
            sparse::Raised::Yes => {
                forget_count(&mut self.bytes);
                Ok(true)
            }
            sparse::Raised::NoRoom => {
                self.make_dense()?;
                Ok(dense::raise(&mut self.bytes[HEADER..], mark))
            }
        }
    }

    /// Stores every register in six bits.
    pub fn make_dense(&mut self) -> Result<(), Corrupted> {
        if self.encoding == Encoding::Dense {
            return Ok(());
        }
        let mut bytes = vec![0; DENSE_LEN];
        bytes[..HEADER].copy_from_slice(&self.bytes[..HEADER]);
        bytes[ENCODING] = 0;
        let registers = &mut bytes[HEADER..];
        sparse::each(&self.bytes[HEADER..], |start, run| {
            if run.value > 0 {
                (start..start + run.len).for_each(|index| dense::set(registers, index, run.value));
            }
        })?;
        self.bytes = bytes;
        self.encoding = Encoding::Dense;
        Ok(())
    }

    /// Notes that the last count is out of date.
    pub fn forget_count(&mut self) {
        forget_count(&mut self.bytes);
    }
}

#[cfg(test)]
mod tests;
