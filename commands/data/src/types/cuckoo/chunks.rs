//! A filter in pieces, as `CF.SCANDUMP` gives them and files hold them: a header, then the slots of all layers one behind the
//! other. All numbers are little endian.
//!
//! ```text
//! items u64, buckets u64, deletes u64, layers u64, bucket size u16, iterations u16, expansion u16
//! ```

use super::{Cuckoo, Layer, Parts};
use crate::rdb::Error;
use crate::types::fields::{Fields, HeaderError, SKETCH_VERSION};
use crate::types::native::Native;
use crate::types::zeroed::SKETCH_SIZE_MAX;

/// Most bytes of a piece.
const CHUNK_MAX: usize = 16 << 20;

const HEADER_LEN: usize = 4 * 8 + 3 * 2;

/// More layers than there are bytes in a filter of the largest size, if they grow at all.
const LAYERS_MAX: u64 = 1 << 16;

const BAD_HEADER: Error = Error::Corrupt("the header of a filter contradicts itself");

/// A piece lies, at least in part, outside the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkError;

impl Cuckoo {
    /// The header: all but the slots. O(1).
    pub fn header(&self) -> Vec<u8> {
        let parts = &*self.parts;
        let mut out = Vec::with_capacity(HEADER_LEN);
        for number in [parts.items, parts.buckets, parts.deletes, parts.layers.len() as u64] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [u16::from(parts.bucket_size), parts.iterations_max, parts.expansion] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out
    }

    /// The filter of a header, with empty slots. Anybody may have written the header: what it says is what a filter of at most
    /// `room` bytes can be, or refused. O(layers).
    pub fn of_header(header: &[u8], room: u64) -> Result<Self, HeaderError> {
        let (mut parts, sizes) = sizes_of(header).ok_or(HeaderError::Malformed)?;
        let slots: u64 = sizes.iter().map(|buckets| buckets * u64::from(parts.bucket_size)).sum();
        if slots > room {
            return Err(HeaderError::TooLarge);
        }
        for buckets in sizes {
            parts.push(Layer::new(buckets, parts.bucket_size, room).ok_or(HeaderError::TooLarge)?);
        }
        Ok(Cuckoo { parts: Box::new(parts) })
    }

    /// The piece of the slots that begins at `start`, counted over all layers; `None` behind the last one. O(layers).
    pub fn chunk(&self, start: u64) -> Option<&[u8]> {
        let mut offset = usize::try_from(start).ok()?;
        for layer in &self.parts.layers {
            if let Some(rest) = layer.slots.get(offset..).filter(|rest| !rest.is_empty()) {
                return Some(&rest[..rest.len().min(CHUNK_MAX)]);
            }
            offset -= layer.slots.len();
        }
        None
    }

    /// Puts a piece back that ends at `end`, counted over all layers. O(size).
    pub fn put_chunk(&mut self, end: u64, piece: &[u8]) -> Result<(), ChunkError> {
        let mut offset = end.checked_sub(piece.len() as u64).ok_or(ChunkError)?;
        for layer in &mut self.parts.layers {
            let len = layer.slots.len() as u64;
            if offset < len {
                let rest = &mut layer.slots[offset as usize..];
                rest.get_mut(..piece.len()).ok_or(ChunkError)?.copy_from_slice(piece);
                return Ok(());
            }
            offset -= len;
        }
        Err(ChunkError)
    }
}

/// What a header says, without layers, and the buckets of each. Together they have no more than the largest size.
fn sizes_of(header: &[u8]) -> Option<(Parts, Vec<u64>)> {
    let mut fields = Fields::new(header);
    let (items, buckets, deletes, layers_len) = (fields.u64()?, fields.u64()?, fields.u64()?, fields.u64()?);
    let (bucket_size, iterations_max, expansion) = (fields.u16()?, fields.u16()?, fields.u16()?);
    let bucket_size = u8::try_from(bucket_size).ok().filter(|size| *size > 0)?;
    let expands = expansion.is_power_of_two();
    let is_sound = fields.is_done()
        && buckets.is_power_of_two()
        && iterations_max > 0
        && (expands || expansion == 0 && layers_len == 1)
        && (1..=LAYERS_MAX).contains(&layers_len);
    if !is_sound {
        return None;
    }
    let parts = Parts { items, deletes, buckets, bucket_size, iterations_max, expansion, ..Parts::default() };
    let mut sizes = Vec::with_capacity(layers_len as usize);
    let mut slots = 0_u64;
    for index in 0..layers_len as usize {
        let buckets = parts.buckets_of(index)?;
        let layer = buckets.checked_mul(bucket_size.into())?;
        slots = slots.checked_add(layer).filter(|slots| *slots <= SKETCH_SIZE_MAX)?;
        sizes.push(buckets);
    }
    (items <= slots).then_some((parts, sizes))
}

/// Header and slots.
impl Native for Cuckoo {
    const MODULE: &'static [u8; 9] = b"MBbloomCF";
    const VERSION: u32 = SKETCH_VERSION;

    fn save(view: &Cuckoo, payload: &mut Vec<u8>) {
        payload.reserve(HEADER_LEN + view.parts.slots_len);
        payload.extend_from_slice(&view.header());
        for layer in &view.parts.layers {
            payload.extend_from_slice(&layer.slots);
        }
    }

    fn load(payload: &[u8], _: u32) -> Result<Self, Error> {
        let (header, mut rest) = payload.split_at_checked(HEADER_LEN).ok_or(BAD_HEADER)?;
        let (parts, sizes) = sizes_of(header).ok_or(BAD_HEADER)?;
        // The slots must be there before there is memory for them.
        let slots: u64 = sizes.iter().map(|buckets| buckets * u64::from(parts.bucket_size)).sum();
        if slots != rest.len() as u64 {
            return Err(BAD_HEADER);
        }
        let mut filter = Self::of_header(header, SKETCH_SIZE_MAX).map_err(|_| BAD_HEADER)?;
        for layer in &mut filter.parts.layers {
            let (piece, behind) = rest.split_at(layer.slots.len());
            layer.slots.copy_from_slice(piece);
            rest = behind;
        }
        Ok(filter)
    }
}
