//! t-digests: the distribution of numbers in little memory, exact towards both ends (T. Dunning and O. Ertl, "Computing Extremely
//! Accurate Quantiles Using t-Digests", 2019), in the merging form, and with the very sizes and steps, of RedisBloom.
//!
//! Numbers gather as nodes of weight 1. When there is no room for more, all nodes are sorted, and neighbours become one as long
//! as its weight is small for where it lies.
//!
//! Unlike in RedisBloom, asking changes nothing: what has gathered is brought together in a copy. So a value depends on what
//! was added alone, not on when somebody asked, and is the same everywhere.

mod ask;
mod form;
#[cfg(test)]
mod tests;

pub use ask::Merged;

use crate::keyspace::size_class;
use crate::types::collection::AlwaysBoxed;
use crate::value::TypeCode;

/// The highest compression: a digest takes up to 96 bytes for each unit of it, and what asks for a result may sort that
/// much.
pub const COMPRESSION_MAX: u64 = 1_000_000;

/// What RedisBloom counts for a digest without its nodes, and for a node.
const DIGEST_OVERHEAD: u64 = 80;
const NODE_SIZE: u64 = 16;

/// Numbers that lie close together.
#[derive(Clone, Copy, Debug)]
struct Node {
    mean: f64,
    weight: u64,
}

/// By their bits: the mean of numbers near the ends of the range may be no number, which is equal to nothing.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        (self.mean.to_bits(), self.weight) == (other.mean.to_bits(), other.weight)
    }
}

/// There would be more numbers than can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow;

/// A t-digest.
#[derive(Clone, Debug, PartialEq)]
pub struct TDigest {
    parts: Box<Parts>,
}

#[derive(Clone, Debug, PartialEq)]
struct Parts {
    compression: u64,
    min: f64,
    max: f64,
    /// How many of the nodes are merged. Those come first, sorted.
    merged_len: usize,
    merged_weight: u64,
    unmerged_weight: u64,
    /// How often nodes were merged.
    compressions: u64,
    nodes: Vec<Node>,
}

impl Default for TDigest {
    fn default() -> Self {
        const COMPRESSION: u64 = 100;
        TDigest::new(COMPRESSION)
    }
}

impl TDigest {
    /// An empty digest. `compression` is from 1 to [`COMPRESSION_MAX`].
    pub fn new(compression: u64) -> Self {
        let parts = Parts {
            compression,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            merged_len: 0,
            merged_weight: 0,
            unmerged_weight: 0,
            compressions: 0,
            nodes: Vec::new(),
        };
        TDigest { parts: Box::new(parts) }
    }

    /// Adds a finite number. O(log compression) on average; every so often O(compression · log compression).
    pub fn add(&mut self, number: f64) -> Result<(), Overflow> {
        self.parts.add(Node { mean: number, weight: 1 })
    }

    /// A digest of all that these have. O(nodes · log compression).
    pub fn merged(compression: u64, sources: &[&TDigest]) -> Result<Self, Overflow> {
        let mut all = Self::new(compression);
        for source in sources {
            let from = source.ask();
            for node in from.nodes() {
                all.parts.add(*node)?;
            }
        }
        Ok(all)
    }

    /// Forgets all numbers.
    pub fn reset(&mut self) {
        *self = Self::new(self.parts.compression);
    }

    /// What answers questions about the numbers. O(1) when all nodes are merged, else O(nodes · log nodes).
    pub fn ask(&self) -> Merged<'_> {
        Merged::of(self)
    }

    pub fn compression(&self) -> u64 {
        self.parts.compression
    }

    /// Most nodes.
    pub fn capacity(&self) -> u64 {
        6 * self.parts.compression + 10
    }

    pub fn merged_nodes(&self) -> usize {
        self.parts.merged_len
    }

    pub fn unmerged_nodes(&self) -> usize {
        self.parts.nodes.len() - self.parts.merged_len
    }

    pub fn merged_weight(&self) -> u64 {
        self.parts.merged_weight
    }

    pub fn unmerged_weight(&self) -> u64 {
        self.parts.unmerged_weight
    }

    /// How many numbers were added.
    pub fn size(&self) -> u64 {
        self.parts.weight()
    }

    /// How often nodes were merged.
    pub fn compressions(&self) -> u64 {
        self.parts.compressions
    }

    /// The least number, unless there is none.
    pub fn min(&self) -> Option<f64> {
        (self.size() > 0).then_some(self.parts.min)
    }

    /// The greatest number, unless there is none.
    pub fn max(&self) -> Option<f64> {
        (self.size() > 0).then_some(self.parts.max)
    }

    /// The size in bytes that RedisBloom tells: with room for all nodes, which here is not taken before they are there.
    pub fn told_size(&self) -> u64 {
        DIGEST_OVERHEAD + NODE_SIZE * self.capacity()
    }
}

impl Parts {
    /// Never more than `i64::MAX`.
    fn weight(&self) -> u64 {
        self.merged_weight + self.unmerged_weight
    }

    fn capacity(&self) -> usize {
        6 * self.compression as usize + 10
    }

    fn add(&mut self, node: Node) -> Result<(), Overflow> {
        let weight = self.weight().checked_add(node.weight).filter(|weight| i64::try_from(*weight).is_ok());
        weight.ok_or(Overflow)?;
        if self.nodes.len() + 1 >= self.capacity() {
            self.compress();
        }
        self.min = self.min.min(node.mean);
        self.max = self.max.max(node.mean);
        self.nodes.push(node);
        self.unmerged_weight += node.weight;
        Ok(())
    }

    fn compress(&mut self) {
        if self.nodes.len() > self.merged_len {
            let weight = self.weight();
            merge(&mut self.nodes, self.compression, weight);
            self.merged_len = self.nodes.len();
            self.merged_weight += self.unmerged_weight;
            self.unmerged_weight = 0;
            self.compressions += 1;
        }
    }
}

/// Sorts nodes and makes those of neighbours one that may be. `weight` is that of all.
fn merge(nodes: &mut Vec<Node>, compression: u64, weight: u64) {
    nodes.sort_by(|a, b| a.mean.total_cmp(&b.mean));
    let total = weight as f64;
    let normalizer = compression as f64 / (2.0 * std::f64::consts::PI * total * total.ln());
    // How much weight a node may have whose edge is at this quantile.
    let room_at = |quantile: f64| quantile * (1.0 - quantile);
    let mut last = 0;
    let mut before = 0.0;
    for next in 1..nodes.len() {
        let Node { mean, weight } = nodes[next];
        let together = nodes[last].weight as f64 + weight as f64;
        let size = together * normalizer;
        if size <= room_at(before / total) && size <= room_at((before + together) / total) {
            let target = &mut nodes[last];
            target.weight += weight;
            target.mean += (mean - target.mean) * weight as f64 / target.weight as f64;
        } else {
            before += nodes[last].weight as f64;
            last += 1;
            nodes[last] = Node { mean, weight };
        }
    }
    nodes.truncate(last + 1);
}

impl AlwaysBoxed for TDigest {
    const CODE: TypeCode = TypeCode::TDigest;
    const ENCODING: &'static str = "raw";

    fn size_behind(&self) -> usize {
        size_class(size_of::<Parts>()) + size_class(self.parts.nodes.capacity() * size_of::<Node>())
    }
}
