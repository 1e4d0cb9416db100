//! The form of an idempotency key in files.
//!
//! ```text
//! state u8 (0 pending, 1 done; 2 with fingerprint)   token i64   until i64   [fingerprint length u16   fingerprint]   [response]
//! ```

use super::{FINGERPRINT_LEN_MAX, Idem, Parts, Progress};
use crate::rdb::Error;
use crate::types::fields::Fields;
use crate::types::native::{Native, TOKEN_END};

const WRONG: Error = Error::Corrupt("no idempotency key has such a form");

const DONE: u8 = 1;
const FINGERPRINT: u8 = 2;

impl Native for Idem {
    const MODULE: &'static [u8; 9] = b"natID----";

    fn save(view: &Idem, payload: &mut Vec<u8>) {
        let Some(parts) = &view.parts else { return };
        let response = match &parts.progress {
            Progress::Pending { .. } => None,
            Progress::Done { response, .. } => Some(response),
        };
        let done = if response.is_some() { DONE } else { 0 };
        payload.push(done | if parts.fingerprint.is_some() { FINGERPRINT } else { 0 });
        payload.extend_from_slice(&parts.token.to_le_bytes());
        payload.extend_from_slice(&parts.progress.until_ms().to_le_bytes());
        if let Some(fingerprint) = &parts.fingerprint {
            payload.extend_from_slice(&(fingerprint.len() as u16).to_le_bytes());
            payload.extend_from_slice(fingerprint);
        }
        payload.extend_from_slice(response.map_or(&[][..], |response| response));
    }

    fn load(payload: &[u8], _: u32) -> Result<Self, Error> {
        let mut fields = Fields::new(payload);
        read(&mut fields).ok_or(Error::Truncated)?
    }

    fn token_max(view: &Idem) -> i64 {
        view.token()
    }

    /// Who runs a request does not run its copy.
    fn is_copied(view: &Idem) -> bool {
        view.parts.as_ref().is_some_and(|parts| matches!(parts.progress, Progress::Done { .. }))
    }

    fn deadline_ms(view: &Idem) -> Option<i64> {
        view.key_deadline_ms()
    }
}

fn read(fields: &mut Fields<'_>) -> Option<Result<Idem, Error>> {
    let flags = fields.u8()?;
    let (token, until_ms) = (fields.i64()?, fields.i64()?);
    let fingerprint = if flags & FINGERPRINT == 0 {
        None
    } else {
        let len = usize::from(fields.u16()?);
        Some(fields.bytes(len)?)
    };
    let is_sound = flags <= (DONE | FINGERPRINT) && (1..TOKEN_END).contains(&token) && until_ms > 0;
    let fits = fingerprint.is_none_or(|fingerprint| fingerprint.len() <= FINGERPRINT_LEN_MAX);
    let response = fields.bytes(fields.left())?;
    if !is_sound || !fits || flags & DONE == 0 && !response.is_empty() {
        return Some(Err(WRONG));
    }
    let progress = if flags & DONE == 0 {
        Progress::Pending { end_ms: until_ms }
    } else {
        Progress::Done { response: response.into(), until_ms }
    };
    let fingerprint = fingerprint.map(Into::into);
    Some(Ok(Idem { parts: Some(Box::new(Parts { token, fingerprint, progress })) }))
}
