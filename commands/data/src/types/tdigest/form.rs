//! The form in files. All numbers are little endian.
//!
//! ```text
//! compression u64, min f64, max f64, compressions u64, merged nodes u64
//! for each node: mean f64, weight u64
//! ```

use super::{COMPRESSION_MAX, Node, TDigest};
use crate::rdb::Error;
use crate::types::fields::{Fields, SKETCH_VERSION};
use crate::types::native::Native;

const BAD: Error = Error::Corrupt("a t-digest contradicts itself");

impl Native for TDigest {
    const MODULE: &'static [u8; 9] = b"TDIS-TYPE";
    const VERSION: u32 = SKETCH_VERSION;

    fn save(view: &TDigest, payload: &mut Vec<u8>) {
        let parts = &*view.parts;
        payload.reserve(40 + size_of_val(&*parts.nodes));
        payload.extend_from_slice(&parts.compression.to_le_bytes());
        payload.extend_from_slice(&parts.min.to_le_bytes());
        payload.extend_from_slice(&parts.max.to_le_bytes());
        payload.extend_from_slice(&parts.compressions.to_le_bytes());
        payload.extend_from_slice(&(parts.merged_len as u64).to_le_bytes());
        for node in &parts.nodes {
            payload.extend_from_slice(&node.mean.to_le_bytes());
            payload.extend_from_slice(&node.weight.to_le_bytes());
        }
    }

    fn load(payload: &[u8], _: u32) -> Result<Self, Error> {
        loaded(payload).ok_or(BAD)
    }
}

fn loaded(payload: &[u8]) -> Option<TDigest> {
    let mut fields = Fields::new(payload);
    let compression = fields.u64().filter(|compression| (1..=COMPRESSION_MAX).contains(compression))?;
    let mut digest = TDigest::new(compression);
    let capacity = digest.capacity();
    let parts = &mut *digest.parts;
    (parts.min, parts.max) = (fields.f64()?, fields.f64()?);
    parts.compressions = fields.u64()?;
    parts.merged_len = usize::try_from(fields.u64()?).ok()?;
    let nodes_len = fields.left() / size_of::<Node>();
    if nodes_len as u64 >= capacity || parts.merged_len > nodes_len {
        return None;
    }
    parts.nodes.reserve_exact(nodes_len);
    let mut weights = [0_u64; 2];
    for at in 0..nodes_len {
        let node = Node { mean: fields.f64()?, weight: fields.u64()? };
        if node.weight == 0 || node.mean.is_nan() {
            return None;
        }
        let is_unmerged = at >= parts.merged_len;
        if !is_unmerged && parts.nodes.last().is_some_and(|last| last.mean > node.mean) {
            return None;
        }
        let weight = &mut weights[usize::from(is_unmerged)];
        *weight = weight.checked_add(node.weight)?;
        parts.nodes.push(node);
    }
    let total = weights[0].checked_add(weights[1])?;
    let bounds_are_sound =
        if nodes_len == 0 { parts.min > parts.max } else { parts.min <= parts.max && parts.min.is_finite() };
    [parts.merged_weight, parts.unmerged_weight] = weights;
    (fields.is_done() && i64::try_from(total).is_ok() && bounds_are_sound).then_some(digest)
}
