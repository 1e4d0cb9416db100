//! Cuckoo filters: what was seen, where it can be removed as well. Names, replies and errors are those of RedisBloom.

mod add;
mod ask;
mod dump;
mod reserve;

use crate::families::sketch::FILTER_NOT_FOUND;
use crate::model::{Acl, Ctx, Error, Family, family};
use tidegate_data::Key;
use tidegate_data::types::cuckoo::Cuckoo;

pub(super) static FAMILY: Family = family(
    "cf",
    Acl::CUCKOO,
    &[
        &reserve::CF_RESERVE,
        &add::CF_ADD,
        &add::CF_ADDNX,
        &add::CF_INSERT,
        &add::CF_INSERTNX,
        &ask::CF_EXISTS,
        &ask::CF_MEXISTS,
        &ask::CF_COUNT,
        &add::CF_DEL,
        &ask::CF_INFO,
        &dump::CF_SCANDUMP,
        &dump::CF_LOADCHUNK,
        &dump::CF_COMPACT,
        &dump::CF_DEBUG,
    ],
);

/// The filter at a key, for a command that only reads.
fn filter<'c>(cx: &'c mut Ctx, key: Key) -> Result<&'c Cuckoo, Error> {
    cx.keys.read_as::<Cuckoo>(key)?.ok_or(FILTER_NOT_FOUND)
}
