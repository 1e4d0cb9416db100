//! The packed encodings: a whole small collection in one string.
//!
//! Each is walked from its start, and gives [`Item`](crate::types::packed::Item)s or what is wrong with it. Besides the bounds, all that
//! its own redundancy allows to check is checked: lengths of neighbours, offsets of the end, counts.

mod intset;
mod listpack;
mod ziplist;
mod zipmap;

pub use intset::IntSet;
pub use listpack::{Listpack, listpack_header};
pub use ziplist::Ziplist;
#[cfg(test)]
pub(super) use ziplist::tests::ziplist as ziplist_for_tests;
pub use zipmap::Zipmap;

use super::Error;

/// The first `N` bytes of `bytes`, and the rest.
fn split<const N: usize>(bytes: &[u8]) -> Option<([u8; N], &[u8])> {
    let (head, rest) = bytes.split_first_chunk()?;
    Some((*head, rest))
}

/// Iterators that met an error have nothing more to give.
fn stop_at_error<T>(item: Option<Result<T, Error>>, rest: &mut &[u8]) -> Option<Result<T, Error>> {
    if let Some(Err(_)) = &item {
        *rest = &[];
    }
    item
}
