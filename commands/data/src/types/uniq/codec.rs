//! The form of counts of items in files.
//!
//! ```text
//! bucket-ms i64   buckets u32   sketches u32   (number of the bucket i64   size u32   sketch)*
//! ```
//!
//! A sketch has the bytes that a string of `PFADD` has.

use super::{Parts, Shape, Uniq};
use crate::rdb::Error;
use crate::types::counter::DURATION_MAX_MS;
use crate::types::fields::Fields;
use crate::types::hll::{self, Sketch};
use crate::types::native::Native;

const WRONG: Error = Error::Corrupt("no counts of items have such a form");

impl Uniq {
    /// Appends its form. O(its size).
    pub fn write(&self, out: &mut Vec<u8>) {
        let Parts { shape, sketches, .. } = &*self.parts;
        out.extend_from_slice(&shape.bucket_ms.to_le_bytes());
        out.extend_from_slice(&(shape.buckets as u32).to_le_bytes());
        out.extend_from_slice(&(sketches.len() as u32).to_le_bytes());
        for (number, sketch) in sketches {
            out.extend_from_slice(&number.to_le_bytes());
            out.extend_from_slice(&(sketch.bytes().len() as u32).to_le_bytes());
            out.extend_from_slice(sketch.bytes());
        }
    }

    /// The counts of a form that anybody may have written. O(its size).
    ///
    /// # Errors
    /// It is none.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let mut fields = Fields::new(bytes);
        let read = Self::read_fields(&mut fields).ok_or(Error::Truncated)??;
        if fields.is_done() { Ok(read) } else { Err(WRONG) }
    }

    fn read_fields(fields: &mut Fields<'_>) -> Option<Result<Self, Error>> {
        let shape = Shape { bucket_ms: fields.i64()?, buckets: fields.u32()?.into() };
        let mut parts = Parts { shape, ..Parts::default() };
        let len = fields.u32()?;
        if !shape.is_valid() || i64::from(len) > shape.buckets {
            return Some(Err(WRONG));
        }
        for _ in 0..len {
            let number = fields.i64()?;
            let size = fields.u32()? as usize;
            let bytes = fields.bytes(size)?;
            let start_ms = number.checked_mul(shape.bucket_ms);
            let in_time = start_ms.is_some_and(|ms| (0..=DURATION_MAX_MS).contains(&ms));
            let in_order = parts.sketches.back().is_none_or(|(before, _)| *before < number);
            // Counting it walks over all of its runs: bytes that pass make a whole sketch.
            let sketch = hll::count(bytes).ok().and_then(|_| Sketch::new(bytes));
            match sketch {
                Some(sketch) if in_time && in_order => {
                    parts.sketches_size += sketch.heap_size();
                    parts.sketches.push_back((number, sketch));
                }
                _ => return Some(Err(WRONG)),
            }
        }
        Some(Ok(Uniq { parts: Box::new(parts) }))
    }
}

impl Native for Uniq {
    const MODULE: &'static [u8; 9] = b"natUN----";

    fn save(view: &Uniq, payload: &mut Vec<u8>) {
        view.write(payload);
    }

    fn load(payload: &[u8], _: u32) -> Result<Self, Error> {
        Self::read(payload)
    }
}
