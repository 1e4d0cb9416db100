//! t-digests: quantiles of numbers, without keeping them. Names, replies and errors are those of RedisBloom.
//!
//! Unlike there, asking changes nothing: see the data structure.

mod add;
mod ask;
mod ends;
mod merge;

use crate::model::{Acl, Args, Ctx, Error, Family, family, parse_i64};
use tidegate_data::Key;
use tidegate_data::types::tdigest::{COMPRESSION_MAX, TDigest};

pub(super) static FAMILY: Family = family(
    "tdigest",
    Acl::TDIGEST,
    &[
        &add::TDIGEST_CREATE,
        &add::TDIGEST_RESET,
        &add::TDIGEST_ADD,
        &merge::TDIGEST_MERGE,
        &ends::TDIGEST_MIN,
        &ends::TDIGEST_MAX,
        &ask::TDIGEST_QUANTILE,
        &ask::TDIGEST_CDF,
        &ask::TDIGEST_RANK,
        &ask::TDIGEST_REVRANK,
        &ask::TDIGEST_BYRANK,
        &ask::TDIGEST_BYREVRANK,
        &ends::TDIGEST_TRIMMED_MEAN,
        &ends::TDIGEST_INFO,
    ],
);

const NO_KEY: Error = Error::new("ERR T-Digest: key does not exist");

/// The compression of a digest for which none is given.
const COMPRESSION: u64 = 100;

/// The digest at a key, for a command that only reads.
fn digest<'c>(cx: &'c mut Ctx, key: Key) -> Result<&'c TDigest, Error> {
    cx.keys.read_as::<TDigest>(key)?.ok_or(NO_KEY)
}

fn compression(args: &mut Args) -> Result<u64, Error> {
    const NO_NUMBER: Error = Error::new("ERR T-Digest: error parsing compression parameter");
    const NOT_POSITIVE: Error =
        Error::new("ERR T-Digest: compression parameter needs to be a positive integer");
    const TOO_LARGE: Error = Error::new("ERR T-Digest: allocation failed");
    let compression = args.next().ok().and_then(parse_i64).ok_or(NO_NUMBER)?;
    match u64::try_from(compression) {
        Err(_) | Ok(0) => Err(NOT_POSITIVE),
        Ok(compression) if compression > COMPRESSION_MAX => Err(TOO_LARGE),
        Ok(compression) => Ok(compression),
    }
}
