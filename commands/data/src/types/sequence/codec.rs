//! The form of a sequence in files.
//!
//! ```text
//! start i64   step i64   max i64   retain i64   flags u8   period u8   [zone length u8   zone]
//! value i64   period start i64
//! remembered u32   (until i64   first i64   last i64   id length u16   id)*
//! flags: 1 cycle, 2 there is a value, 4 there is a period start
//! ```

use super::remembered::{Block, ID_LEN_MAX};
use super::{Calendar, Named, Parts, Period, Sequence, Settings};
use crate::rdb::Error;
use crate::types::fields::Fields;
use crate::types::native::Native;

const WRONG: Error = Error::Corrupt("no sequence has such a form");

const CYCLE: u8 = 1;
const VALUE: u8 = 2;
const PERIOD_START: u8 = 4;

impl Sequence {
    /// Appends its form. O(what is remembered).
    pub fn write(&self, out: &mut Vec<u8>) {
        let Parts { settings, value, period_ms, remembered } = &*self.parts;
        for number in [settings.start, settings.step, settings.max, settings.retain_ms] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        out.push(
            flag(settings.cycle, CYCLE)
                | flag(value.is_some(), VALUE)
                | flag(period_ms.is_some(), PERIOD_START),
        );
        match &settings.calendar {
            None => out.push(0),
            Some(calendar) => {
                out.push(calendar.period as u8);
                out.push(calendar.zone.len() as u8);
                out.extend_from_slice(calendar.zone.as_bytes());
            }
        }
        for number in [value.unwrap_or(0), period_ms.unwrap_or(0)] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let named = remembered.iter();
        out.extend_from_slice(&(named.len() as u32).to_le_bytes());
        for (id, until_ms, block) in named {
            for number in [until_ms, block.first, block.last] {
                out.extend_from_slice(&number.to_le_bytes());
            }
            out.extend_from_slice(&(id.len() as u16).to_le_bytes());
            out.extend_from_slice(id);
        }
    }

    /// The sequence of a form that anybody may have written. O(what is remembered).
    ///
    /// # Errors
    /// It is none.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let mut fields = Fields::new(bytes);
        let read = Self::read_fields(&mut fields).ok_or(Error::Truncated)??;
        if fields.is_done() { Ok(read) } else { Err(WRONG) }
    }

    fn read_fields(fields: &mut Fields<'_>) -> Option<Result<Self, Error>> {
        let (start, step, max) = (fields.i64()?, fields.i64()?, fields.i64()?);
        let retain_ms = fields.i64()?;
        let flags = fields.u8()?;
        let calendar = match fields.u8()? {
            0 => None,
            code => {
                let len = usize::from(fields.u8()?);
                let zone = std::str::from_utf8(fields.bytes(len)?).ok();
                let (Some(zone), Some(period)) = (zone, Period::of_code(code)) else {
                    return Some(Err(WRONG));
                };
                Some(Calendar { period, zone: zone.into() })
            }
        };
        if step == 0 || retain_ms <= 0 || flags & !(CYCLE | VALUE | PERIOD_START) != 0 {
            return Some(Err(WRONG));
        }
        let (value, period_ms) = (fields.i64()?, fields.i64()?);
        let settings = Settings { start, step, max, cycle: flags & CYCLE != 0, calendar, retain_ms };
        let mut parts = Parts {
            settings,
            value: (flags & VALUE != 0).then_some(value),
            period_ms: (flags & PERIOD_START != 0).then_some(period_ms),
            ..Parts::default()
        };
        for _ in 0..fields.u32()? {
            let (until_ms, block) = (fields.i64()?, Block { first: fields.i64()?, last: fields.i64()? });
            let len = usize::from(fields.u16()?);
            let id = fields.bytes(len)?;
            if len > ID_LEN_MAX || parts.remembered.find(id, i64::MIN).is_some() {
                return Some(Err(WRONG));
            }
            parts.remembered.insert(&Named { id: id.into(), until_ms, block });
        }
        Some(Ok(Sequence { parts: Box::new(parts) }))
    }
}

impl Native for Sequence {
    const MODULE: &'static [u8; 9] = b"natSQ----";

    fn save(view: &Sequence, payload: &mut Vec<u8>) {
        view.write(payload);
    }

    fn load(payload: &[u8], _: u32) -> Result<Self, Error> {
        Self::read(payload)
    }
}
