//! The most frequent elements. Names, replies and errors are those of RedisBloom.

mod add;
mod ask;
mod reserve;

use crate::model::{Acl, Ctx, Error, Family, family};
use tidegate_data::Key;
use tidegate_data::types::topk::TopK;

pub(super) static FAMILY: Family = family(
    "topk",
    Acl::TOPK,
    &[
        &reserve::TOPK_RESERVE,
        &add::TOPK_ADD,
        &add::TOPK_INCRBY,
        &ask::TOPK_QUERY,
        &ask::TOPK_COUNT,
        &ask::TOPK_LIST,
        &ask::TOPK_INFO,
    ],
);

const NO_KEY: Error = Error::new("TopK: key does not exist");

/// The list at a key, for a command that only reads.
fn topk<'c>(cx: &'c mut Ctx, key: Key) -> Result<&'c TopK, Error> {
    cx.keys.read_as::<TopK>(key)?.ok_or(NO_KEY)
}
