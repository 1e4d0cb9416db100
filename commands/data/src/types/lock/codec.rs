//! The form of a lock in files.
//!
//! ```text
//! mode u8 (0 exclusive, 1 shared)   meta length u32   meta
//! holders u32   (token i64   end i64   first i64   longest i64   holds i64   owner length u16   owner)*, by owner
//! ```

use super::{Effect, Holder, Lock, META_LEN_MAX, Mode, OWNER_LEN_MAX};
use crate::rdb::Error;
use crate::types::fields::Fields;
use crate::types::native::{Native, TOKEN_END};

const WRONG: Error = Error::Corrupt("no lock has such a form");

impl Lock {
    fn write(&self, out: &mut Vec<u8>) {
        let parts = &self.parts;
        out.push((parts.mode == Mode::Shared).into());
        out.extend_from_slice(&(parts.meta.len() as u32).to_le_bytes());
        out.extend_from_slice(&parts.meta);
        out.extend_from_slice(&(parts.holders.len() as u32).to_le_bytes());
        for Holder { owner, token, end_ms, first_ms, hold_max_ms, holds } in &parts.holders {
            for number in [token, end_ms, first_ms, hold_max_ms, holds] {
                out.extend_from_slice(&number.to_le_bytes());
            }
            out.extend_from_slice(&(owner.len() as u16).to_le_bytes());
            out.extend_from_slice(owner);
        }
    }

    fn read(fields: &mut Fields<'_>) -> Option<Result<Self, Error>> {
        let mode = match fields.u8()? {
            0 => Mode::Exclusive,
            1 => Mode::Shared,
            _ => return Some(Err(WRONG)),
        };
        let meta_len = fields.u32()? as usize;
        let meta = fields.bytes(meta_len)?;
        let count = fields.u32()?;
        if meta_len > META_LEN_MAX || count == 0 || mode == Mode::Exclusive && count > 1 {
            return Some(Err(WRONG));
        }
        let mut lock = Lock::default();
        for _ in 0..count {
            let (token, end_ms, first_ms) = (fields.i64()?, fields.i64()?, fields.i64()?);
            let (hold_max_ms, holds) = (fields.i64()?, fields.i64()?);
            let len = usize::from(fields.u16()?);
            let owner: Box<[u8]> = fields.bytes(len)?.into();
            let is_sound = len <= OWNER_LEN_MAX && (1..TOKEN_END).contains(&token) && end_ms > 0 && holds > 0;
            let is_sound = is_sound && hold_max_ms >= 0 && first_ms >= 0;
            let is_next = lock.parts.holders.last().is_none_or(|last| last.owner < owner);
            if !is_sound || !is_next {
                return Some(Err(WRONG));
            }
            let holder = Holder { owner, token, end_ms, first_ms, hold_max_ms, holds };
            lock.apply(&Effect::Grant { holder, mode, meta: Some(meta.into()) });
        }
        Some(Ok(lock))
    }
}

impl Native for Lock {
    const MODULE: &'static [u8; 9] = b"natLK----";

    fn save(view: &Lock, payload: &mut Vec<u8>) {
        view.write(payload);
    }

    fn load(payload: &[u8], _: u32) -> Result<Self, Error> {
        let mut fields = Fields::new(payload);
        let lock = Self::read(&mut fields).ok_or(Error::Truncated)??;
        if fields.is_done() { Ok(lock) } else { Err(WRONG) }
    }

    fn token_max(view: &Lock) -> i64 {
        view.parts.holders.iter().map(|holder| holder.token).max().unwrap_or(0)
    }

    /// The copy of a lock is free.
    fn is_copied(_: &Lock) -> bool {
        false
    }

    fn deadline_ms(view: &Lock) -> Option<i64> {
        view.key_deadline_ms()
    }
}
