//! Bloom filters: what was seen, without keeping it. Names, replies and errors are those of RedisBloom.

mod add;
mod ask;
mod dump;

use crate::families::sketch::FILTER_NOT_FOUND;
use crate::model::{Acl, Ctx, Error, Family, family};
use tidegate_data::Key;
use tidegate_data::types::bloom::Bloom;

pub(super) static FAMILY: Family = family(
    "bf",
    Acl::BLOOM,
    &[
        &add::BF_RESERVE,
        &add::BF_ADD,
        &add::BF_MADD,
        &add::BF_INSERT,
        &ask::BF_EXISTS,
        &ask::BF_MEXISTS,
        &ask::BF_CARD,
        &ask::BF_INFO,
        &dump::BF_SCANDUMP,
        &dump::BF_LOADCHUNK,
        &dump::BF_DEBUG,
    ],
);

/// The filter at a key, for a command that only reads.
fn filter<'c>(cx: &'c mut Ctx, key: Key) -> Result<&'c Bloom, Error> {
    cx.keys.read_as::<Bloom>(key)?.ok_or(FILTER_NOT_FOUND)
}
