//! The form in files. All numbers are little endian.
//!
//! ```text
//! k u32, width u32, depth u32, decay f64, random u64
//! for each cell: fingerprint u32, count u32
//! for each of the k places: 0 u8, or 1 u8, fingerprint u32, count u32, length u32, element
//! ```

use super::heap::Top;
use super::{Cell, Settings, TopK};
use crate::rdb::Error;
use crate::types::fields::{Fields, SKETCH_VERSION};
use crate::types::native::Native;

const BAD: Error = Error::Corrupt("a list of the most frequent elements contradicts itself");

impl Native for TopK {
    const MODULE: &'static [u8; 9] = b"TopK-TYPE";
    const VERSION: u32 = SKETCH_VERSION;

    fn save(view: &TopK, payload: &mut Vec<u8>) {
        let parts = &*view.parts;
        payload.reserve(28 + size_of_val(&*parts.cells) + parts.heap.k());
        for number in [parts.heap.k() as u32, parts.width, parts.depth] {
            payload.extend_from_slice(&number.to_le_bytes());
        }
        payload.extend_from_slice(&parts.decay.to_le_bytes());
        payload.extend_from_slice(&parts.random.to_le_bytes());
        for number in parts.cells.iter().flatten() {
            payload.extend_from_slice(&number.to_le_bytes());
        }
        for place in parts.heap.places() {
            payload.push(u8::from(place.is_some()));
            if let Some((fingerprint, top)) = place {
                for number in [fingerprint, top.count, top.element.len() as u32] {
                    payload.extend_from_slice(&number.to_le_bytes());
                }
                payload.extend_from_slice(&top.element);
            }
        }
    }

    fn load(payload: &[u8], _: u32) -> Result<Self, Error> {
        loaded(payload).ok_or(BAD)
    }
}

fn loaded(payload: &[u8]) -> Option<TopK> {
    let mut fields = Fields::new(payload);
    let (k, width, depth) = (fields.u32()?.into(), fields.u32()?.into(), fields.u32()?.into());
    let settings = Settings { k, width, depth, decay: fields.f64()? };
    let random = fields.u64().filter(|random| *random != 0)?;
    // What there is to be must be there before there is memory for it.
    let cells = width.checked_mul(depth)?.checked_mul(size_of::<Cell>() as u64)?;
    if cells.checked_add(k)? > fields.left() as u64 {
        return None;
    }
    let mut topk = TopK::new(&settings, u64::MAX)?;
    let parts = &mut *topk.parts;
    parts.random = random;
    for cell in &mut parts.cells {
        *cell = [fields.u32()?, fields.u32()?];
    }
    for at in 0..parts.heap.k() {
        match fields.u8()? {
            0 => {}
            1 => {
                let (fingerprint, count, len) = (fields.u32()?, fields.u32()?, fields.u32()?);
                let element = fields.bytes(len as usize)?;
                parts.heap.put(at, fingerprint, Top { count, element: element.into() });
            }
            _ => return None,
        }
    }
    fields.is_done().then_some(topk)
}
