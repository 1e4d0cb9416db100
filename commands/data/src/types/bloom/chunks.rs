//! A filter in pieces, as `BF.SCANDUMP` gives them and files hold them: a header, then the bits of all links one behind
//! the other. All numbers are little endian.
//!
//! ```text
//! size u64, links u32, options u32, growth u32
//! for each link: bytes u64, bits u64, size u64, error rate f64, bits per element f64, hashes u32, capacity u64, log u8
//! ```

use super::{Bloom, HASHES_MAX, LINKS_MAX, Link, Parts};
use crate::rdb::Error;
use crate::types::fields::{Fields, HeaderError, SKETCH_VERSION};
use crate::types::native::Native;
use crate::types::zeroed::{SKETCH_SIZE_MAX, zeroed};

/// Most bytes of a piece.
const CHUNK_MAX: usize = 16 << 20;

/// Sizes are multiples of 64 bits, not powers of two.
const NO_ROUND: u32 = 1;
/// Hashes have 64 bits.
const HASH_64: u32 = 4;
/// There is only ever one link.
const NO_SCALING: u32 = 8;

const LINK_LEN: usize = 5 * 8 + 4 + 8 + 1;

const BAD_HEADER: Error = Error::Corrupt("the header of a filter contradicts itself");

/// Why a piece cannot be put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkError {
    /// No link has bits there.
    NoLink,
    /// The link ends before the piece does.
    TooLong,
}

impl Bloom {
    /// The header: all but the bits. O(links).
    pub fn header(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(20 + LINK_LEN * self.parts.links.len());
        let options = NO_ROUND | HASH_64 | if self.parts.is_scaling { 0 } else { NO_SCALING };
        out.extend_from_slice(&self.parts.size.to_le_bytes());
        out.extend_from_slice(&(self.parts.links.len() as u32).to_le_bytes());
        out.extend_from_slice(&options.to_le_bytes());
        out.extend_from_slice(&self.parts.growth.to_le_bytes());
        for link in &self.parts.links {
            for number in [link.bits.len() as u64, link.bits_len, link.size] {
                out.extend_from_slice(&number.to_le_bytes());
            }
            out.extend_from_slice(&link.error_rate.to_le_bytes());
            out.extend_from_slice(&link.bits_per_element.to_le_bytes());
            out.extend_from_slice(&link.hashes.to_le_bytes());
            out.extend_from_slice(&link.capacity.to_le_bytes());
            out.push(link.bits_log);
        }
        out
    }

    /// The filter of a header, without the bits. Anybody may have written the header: what it says is what a filter of at
    /// most `room` bytes can be, or refused. O(links).
    pub fn of_header(header: &[u8], room: u64) -> Result<Self, HeaderError> {
        let mut fields = Fields::new(header);
        let (mut parts, sizes) = Self::of_fields(&mut fields).ok_or(HeaderError::Malformed)?;
        if !fields.is_done() {
            return Err(HeaderError::Malformed);
        }
        if sizes.iter().sum::<u64>() > room {
            return Err(HeaderError::TooLarge);
        }
        for (link, size) in parts.links.iter_mut().zip(sizes) {
            link.bits = zeroed(size, room).ok_or(HeaderError::TooLarge)?;
            parts.bits_size += link.bits.len();
        }
        Ok(Bloom { parts: Box::new(parts) })
    }

    /// What a header says, without memory for bits, and how many bytes of them each link has. Together they are no more than the
    /// largest size.
    fn of_fields(fields: &mut Fields<'_>) -> Option<(Parts, Vec<u64>)> {
        let size = fields.u64()?;
        let (links_len, options, growth) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let links_len = links_len as usize;
        if links_len == 0 || links_len > LINKS_MAX || options & HASH_64 == 0 {
            return None;
        }
        let is_scaling = options & NO_SCALING == 0;
        let mut parts =
            Parts { size, growth, is_scaling, links: Vec::with_capacity(links_len), bits_size: 0 };
        let mut sizes = Vec::with_capacity(links_len);
        let (mut room, mut elements) = (SKETCH_SIZE_MAX, 0_u64);
        for _ in 0..links_len {
            let (bytes, bits_len, size) = (fields.u64()?, fields.u64()?, fields.u64()?);
            let (error_rate, bits_per_element) = (fields.f64()?, fields.f64()?);
            let (hashes, capacity, bits_log) = (fields.u32()?, fields.u64()?, fields.u8()?);
            room = room.checked_sub(bytes)?;
            elements = elements.checked_add(size)?;
            let fits = (1..=bytes * 8).contains(&bits_len) && (1..=HASHES_MAX).contains(&hashes);
            let is_sound = error_rate > 0.0 && error_rate < 1.0 && bits_per_element.is_finite();
            if !fits || !is_sound || capacity == 0 || size > capacity {
                return None;
            }
            let bits = Box::default();
            parts.links.push(Link {
                bits,
                bits_len,
                size,
                capacity,
                error_rate,
                bits_per_element,
                hashes,
                bits_log,
            });
            sizes.push(bytes);
        }
        (elements == size).then_some((parts, sizes))
    }

    /// The piece of the bits that begins at `start`, counted over all links; `None` behind the last one. O(links).
    pub fn chunk(&self, start: u64) -> Option<&[u8]> {
        let mut offset = usize::try_from(start).ok()?;
        for link in &self.parts.links {
            if let Some(rest) = link.bits.get(offset..).filter(|rest| !rest.is_empty()) {
                return Some(&rest[..rest.len().min(CHUNK_MAX)]);
            }
            offset -= link.bits.len();
        }
        None
    }

    /// Puts a piece back that ends at `end`, counted over all links. O(size).
    pub fn put_chunk(&mut self, end: u64, piece: &[u8]) -> Result<(), ChunkError> {
        let mut offset = end.checked_sub(piece.len() as u64).ok_or(ChunkError::NoLink)?;
        for link in &mut self.parts.links {
            let len = link.bits.len() as u64;
            if offset < len {
                let at = offset as usize;
                let target = link.bits.get_mut(at..).and_then(|rest| rest.get_mut(..piece.len()));
                target.ok_or(ChunkError::TooLong)?.copy_from_slice(piece);
                return Ok(());
            }
            offset -= len;
        }
        Err(ChunkError::NoLink)
    }
}

/// Header and bits.
impl Native for Bloom {
    const MODULE: &'static [u8; 9] = b"MBbloom--";
    const VERSION: u32 = SKETCH_VERSION;

    fn save(view: &Bloom, payload: &mut Vec<u8>) {
        payload.reserve(view.parts.bits_size + 20 + LINK_LEN * view.parts.links.len());
        payload.extend_from_slice(&view.header());
        for link in &view.parts.links {
            payload.extend_from_slice(&link.bits);
        }
    }

    fn load(payload: &[u8], _: u32) -> Result<Self, Error> {
        // The bits must be there before there is memory for them.
        let links = payload.get(8..12).map(|len| u32::from_le_bytes([len[0], len[1], len[2], len[3]]));
        let header_len = (links.unwrap_or(u32::MAX) as usize).saturating_mul(LINK_LEN).saturating_add(20);
        let (header, bits) = payload.split_at_checked(header_len).ok_or(BAD_HEADER)?;
        let mut sizes = Fields::new(&header[20..]);
        let mut total = 0_u64;
        while let Some(bytes) = sizes.u64() {
            total = total.saturating_add(bytes);
            sizes.skip(LINK_LEN - 8).ok_or(BAD_HEADER)?;
        }
        if total != bits.len() as u64 {
            return Err(BAD_HEADER);
        }
        let mut filter = Self::of_header(header, SKETCH_SIZE_MAX).map_err(|_| BAD_HEADER)?;
        let mut rest = bits;
        for link in &mut filter.parts.links {
            let (piece, behind) = rest.split_at(link.bits.len());
            link.bits.copy_from_slice(piece);
            rest = behind;
        }
        Ok(filter)
    }
}
