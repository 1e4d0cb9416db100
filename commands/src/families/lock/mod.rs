//! `LOCK.*`: locks whose holders have tokens that this server checks, and leases that end by themselves.
//!
//! Who may have a lock is decided in `tidegate_data::types::lock`. Who waits for one stands in line: see `acquire`.

mod acquire;
mod effect;
mod look;
mod release;
#[cfg(test)]
mod tests;

pub(crate) use effect::apply;

use crate::model::{Acl, Args, Error, Family, family};
use tidegate_data::Key;
use tidegate_data::types::lock::{LEASE_MAX_MS, OWNER_LEN_MAX};

pub(super) static FAMILY: Family = family(
    "lock",
    Acl::RESILIENCE,
    &[&acquire::ACQUIRE, &release::RENEW, &release::RELEASE, &look::GET, &look::WATCH],
);

/// Longest part of a name that an error shows.
const SHOWN_MAX: usize = 128;

fn owner<'a>(args: &mut Args<'a>) -> Result<&'a [u8], Error> {
    args.name_within("owner", OWNER_LEN_MAX)
}

fn lease_ms(args: &mut Args) -> Result<i64, Error> {
    args.between("lease", 1, LEASE_MAX_MS)
}

fn not_owner(key: Key, owner: &[u8]) -> Error {
    let name = key.bytes();
    let shown = &name[..name.len().min(SHOWN_MAX)];
    Error::text([b"NOTOWNER lock '", shown, b"' is not held by '", owner, b"'"].concat())
}
