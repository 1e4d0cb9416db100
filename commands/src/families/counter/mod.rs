//! `CTR.*`: how much happened when, as sums over any window of time.
//!
//! The state and its effects are in `tidegate_data::types::counter`; here are the commands, and how a change reaches the
//! journal: at once, or, where soft state is gathered, a little later (`effect`).

mod add;
mod create;
mod effect;
mod read;
#[cfg(test)]
mod tests;

pub(crate) use effect::{apply, mark_flushed, unflushed};

use crate::model::{Acl, Args, Error, Family, family};
use tidegate_data::types::counter::DURATION_MAX_MS;

pub(super) static FAMILY: Family =
    family("counter", Acl::COUNTER, &[&create::CREATE, &add::ADD, &read::SUM, &read::RANGE, &read::INFO]);

pub(super) const BEYOND_RETENTION: Error = Error::new("ERR window exceeds retention");
pub(super) const OTHER_TIERS: Error = Error::new("ERR counter exists with other tiers");

/// Most windows of one call: each may walk over a whole tier.
pub(super) const WINDOWS_MAX: usize = 128;

/// Reads a duration in ms: 1 to 2^53.
pub(super) fn duration_ms(args: &mut Args) -> Result<i64, Error> {
    let ms = args.integer()?;
    if (1..=DURATION_MAX_MS).contains(&ms) { Ok(ms) } else { Err(Error::NotInteger) }
}

/// Reads windows up to the end.
pub(super) fn windows_ms(args: &mut Args) -> Result<Vec<i64>, Error> {
    if args.remaining() > WINDOWS_MAX {
        return Err(Error::new("ERR too many windows"));
    }
    (0..args.remaining()).map(|_| duration_ms(args)).collect()
}

/// Reads an optional `NX`, and that nothing follows.
pub(super) fn only_if_missing(args: &mut Args) -> Result<bool, Error> {
    let nx = args.take_word("NX");
    args.end()?;
    Ok(nx)
}
