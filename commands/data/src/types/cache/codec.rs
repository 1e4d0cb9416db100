//! The form of a cached value in files.
//!
//! ```text
//! flags u8   fresh until i64   fresh for i64   tags u16   (hash u64)*   value
//! flags: 1 it is known that there is none, 2 of no use any more: nothing else is said of it
//! ```

use super::tags::{TAGS_MAX, Tagged};
use super::{Cache, Parts};
use crate::rdb::Error;
use crate::types::fields::Fields;
use crate::types::native::Native;

const WRONG: Error = Error::Corrupt("no cached value has such a form");

const NONE: u8 = 1;
const DEAD: u8 = 2;

impl Cache {
    /// Appends its form. O(size).
    pub fn write(&self, out: &mut Vec<u8>) {
        if self.is_dead() {
            out.push(DEAD);
            return;
        }
        let parts = &self.parts;
        out.push(if parts.is_none { NONE } else { 0 });
        out.extend_from_slice(&parts.fresh_until_ms.to_le_bytes());
        out.extend_from_slice(&parts.fresh_ms.to_le_bytes());
        out.extend_from_slice(&(parts.tags.len() as u16).to_le_bytes());
        for tag in self.tags() {
            out.extend_from_slice(&tag.to_le_bytes());
        }
        out.extend_from_slice(&parts.value);
    }

    /// The value of a form that anybody may have written; its tags are yet to be found ([`Cache::link`]). O(size).
    ///
    /// # Errors
    /// It is none.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let mut fields = Fields::new(bytes);
        let parts = match fields.u8().ok_or(Error::Truncated)? {
            DEAD if fields.is_done() => Parts { is_dead: true, ..Parts::default() },
            flags @ (0 | NONE) => Self::read_fields(&mut fields, flags == NONE).ok_or(Error::Truncated)??,
            _ => return Err(WRONG),
        };
        Ok(Cache { parts: Box::new(parts) })
    }

    fn read_fields(fields: &mut Fields<'_>, is_none: bool) -> Option<Result<Parts, Error>> {
        let (fresh_until_ms, fresh_ms) = (fields.i64()?, fields.i64()?);
        let len = usize::from(fields.u16()?);
        if len > TAGS_MAX || fresh_ms < 0 {
            return Some(Err(WRONG));
        }
        let mut tags = Vec::with_capacity(len);
        for _ in 0..len {
            tags.push(Tagged::unlinked(fields.u64()?));
        }
        let value = fields.bytes(fields.left())?;
        if is_none && !value.is_empty() {
            return Some(Err(WRONG));
        }
        let (value, tags) = (value.into(), tags.into());
        Some(Ok(Parts { value, is_none, is_dead: false, fresh_until_ms, fresh_ms, tags }))
    }
}

impl Native for Cache {
    const MODULE: &'static [u8; 9] = b"natCA----";

    fn save(view: &Cache, payload: &mut Vec<u8>) {
        view.write(payload);
    }

    fn load(payload: &[u8], _: u32) -> Result<Self, Error> {
        Self::read(payload)
    }
}
