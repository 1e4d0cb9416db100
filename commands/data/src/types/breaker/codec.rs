//! What a breaker is, in numbers: the same in files, eight bytes each, and in the journal, as text.
//!
//! ```text
//! kept, the eight settings, state (0 closed, 1 open, 2 half-open), open until, opens, opened at,
//! forced (0 no, 1 open, 2 closed), failures in a row, probes that succeeded, that failed,
//! number of the newest bucket, (ok fail slow)*10, the oldest first; probes that are out, (token until)*
//! ```

use super::settings::OPTIONS;
use super::window::{BUCKETS, Calls, Window};
use super::{Breaker, Force, Parts, Probe, Settings, State};
use crate::rdb::Error;
use crate::types::fields::Fields;
use crate::types::native::Native;

/// Numbers beside those of probes.
const FIXED: usize = 1 + OPTIONS.len() + 8 + 1 + 3 * BUCKETS + 1;

impl Parts {
    pub(super) fn numbers(&self) -> Vec<i64> {
        let (newest, buckets) = self.window.parts();
        let mut numbers = Vec::with_capacity(FIXED + 2 * self.probes.len());
        numbers.push(self.is_kept.into());
        numbers.extend(self.settings.numbers());
        numbers.extend([
            self.state as i64,
            self.until_ms,
            self.opens,
            self.opened_ms,
            self.force as i64,
            self.in_a_row,
            self.probes_ok,
            self.probes_failed,
            newest,
        ]);
        numbers.extend(buckets.iter().flat_map(|calls| [calls.ok, calls.fail, calls.slow]));
        numbers.push(self.probes.len() as i64);
        numbers.extend(self.probes.iter().flat_map(|probe| [probe.token, probe.until_ms]));
        numbers
    }

    fn of_numbers(numbers: &[i64]) -> Option<Self> {
        let mut rest = numbers.iter().copied();
        let mut next = || rest.next();
        let is_kept = next()? != 0;
        let mut settings = [0; OPTIONS.len()];
        for number in &mut settings {
            *number = next()?;
        }
        let settings = Settings::of_numbers(settings)?;
        let state = match next()? {
            0 => State::Closed,
            1 => State::Open,
            2 => State::HalfOpen,
            _ => return None,
        };
        let (until_ms, opens, opened_ms) = (next()?, next()?, next()?);
        let force = match next()? {
            0 => Force::Auto,
            1 => Force::Open,
            2 => Force::Closed,
            _ => return None,
        };
        let (in_a_row, probes_ok, probes_failed, newest) = (next()?, next()?, next()?, next()?);
        let mut buckets = [Calls::default(); BUCKETS];
        for calls in &mut buckets {
            *calls = Calls { ok: next()?, fail: next()?, slow: next()? };
        }
        let len = usize::try_from(next()?).ok()?;
        let plausible = [until_ms, opens, opened_ms, in_a_row, probes_ok, probes_failed, newest]
            .iter()
            .all(|number| (0..1 << 60).contains(number))
            && probes_ok.max(probes_failed) <= 1000
            && buckets.iter().all(|calls| calls.is_plausible());
        let whole = len.checked_mul(2).and_then(|more| more.checked_add(FIXED));
        if !plausible || whole != Some(numbers.len()) {
            return None;
        }
        let probes = numbers[FIXED..].chunks_exact(2);
        let probes = probes.map(|probe| Probe { token: probe[0], until_ms: probe[1] }).collect();
        let window = Window::of_parts(newest, buckets);
        Some(Parts {
            settings,
            is_kept,
            state,
            force,
            until_ms,
            opened_ms,
            opens,
            in_a_row,
            window,
            probes,
            probes_ok,
            probes_failed,
            unflushed: false,
        })
    }
}

impl Breaker {
    /// All that it is, in numbers. O(probes that are out).
    pub fn numbers(&self) -> Vec<i64> {
        self.parts.numbers()
    }

    /// The breaker of these numbers, which anybody may have written; `None` if there is none. O(numbers).
    pub fn of_numbers(numbers: &[i64]) -> Option<Self> {
        Parts::of_numbers(numbers).map(|parts| Breaker { parts: Box::new(parts) })
    }
}

impl Native for Breaker {
    const MODULE: &'static [u8; 9] = b"natCB----";

    fn save(view: &Breaker, payload: &mut Vec<u8>) {
        for number in view.numbers() {
            payload.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn load(payload: &[u8], _: u32) -> Result<Self, Error> {
        let mut fields = Fields::new(payload);
        let mut numbers = Vec::with_capacity(payload.len() / 8);
        while let Some(number) = fields.i64() {
            numbers.push(number);
        }
        let read = Self::of_numbers(&numbers).filter(|_| fields.is_done());
        read.ok_or(Error::Corrupt("no breaker has such a form"))
    }
}
