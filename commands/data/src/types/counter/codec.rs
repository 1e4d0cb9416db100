//! The form of a counter in files.
//!
//! ```text
//! total i64   first i64   last i64   tiers u8
//! per tier: bucket-ms i64   buckets u32   sums u32   [number of the newest bucket i64   sum i64 ...]
//! ```
//!
//! The sums are those from the first that is not 0 up to the newest bucket's.

use super::ring::Ring;
use super::{Counter, DURATION_MAX_MS, Parts, Tier, Tiers};
use crate::rdb::Error;
use crate::types::fields::Fields;
use crate::types::native::Native;

const WRONG: Error = Error::Corrupt("no counter has such a form");

impl Counter {
    /// Appends its form. O(buckets).
    pub fn write(&self, out: &mut Vec<u8>) {
        let parts = &self.parts;
        for figure in [parts.total, parts.first_ms, parts.last_ms] {
            out.extend_from_slice(&figure.to_le_bytes());
        }
        out.push(parts.tiers.len() as u8);
        for (tier, ring) in parts.tiers.iter().zip(&parts.rings) {
            out.extend_from_slice(&tier.bucket_ms.to_le_bytes());
            out.extend_from_slice(&(tier.buckets as u32).to_le_bytes());
            let filled = ring.filled();
            out.extend_from_slice(&(filled.len() as u32).to_le_bytes());
            ring.newest().into_iter().chain(filled).for_each(|number| {
                out.extend_from_slice(&number.to_le_bytes());
            });
        }
    }

    /// The counter of a form that anybody may have written. O(buckets).
    ///
    /// # Errors
    /// It is none.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let mut fields = Fields::new(bytes);
        let read = Self::read_fields(&mut fields).ok_or(Error::Truncated)??;
        if fields.is_done() { Ok(read) } else { Err(WRONG) }
    }

    fn read_fields(fields: &mut Fields<'_>) -> Option<Result<Self, Error>> {
        let (total, first_ms, last_ms) = (fields.i64()?, fields.i64()?, fields.i64()?);
        let mut parts = Parts { total, first_ms, last_ms, ..Parts::default() };
        let mut tiers = Vec::new();
        let count = usize::from(fields.u8()?);
        for ring in parts.rings.iter_mut().take(count) {
            let tier = Tier { bucket_ms: fields.i64()?, buckets: fields.u32()?.into() };
            tiers.push(tier);
            let len = fields.u32()? as usize;
            if len == 0 {
                continue;
            }
            let newest = fields.i64()?;
            let mut sums = Vec::with_capacity(len.min(fields.left() / size_of::<i64>()));
            for _ in 0..len {
                sums.push(fields.i64()?);
            }
            let end_ms = newest.checked_mul(tier.bucket_ms);
            if tier.bucket_ms <= 0
                || len as i64 > tier.kept()
                || !end_ms.is_some_and(|ms| (0..=DURATION_MAX_MS).contains(&ms))
            {
                return Some(Err(WRONG));
            }
            *ring = Ring::new(newest, &sums);
        }
        let times = 0..=DURATION_MAX_MS;
        match Tiers::new(&tiers) {
            Ok(tiers) if tiers.len() == count && times.contains(&first_ms) && times.contains(&last_ms) => {
                parts.tiers = tiers;
                Some(Ok(Counter { parts: Box::new(parts) }))
            }
            _ => Some(Err(WRONG)),
        }
    }
}

impl Native for Counter {
    const MODULE: &'static [u8; 9] = b"natCT----";

    fn save(view: &Counter, payload: &mut Vec<u8>) {
        view.write(payload);
    }

    fn load(payload: &[u8], _: u32) -> Result<Self, Error> {
        Self::read(payload)
    }
}
