//! `CACHE.*`: a cache whose entries are computed by one caller at a time, who cannot store what is out of date by then.
//!
//! Values are of the type `cache`; leases are in memory only, with the shard of their key (`tidegate_data::Leases`), and end when
//! the key is changed or deleted. What tags invalidate is decided in `tidegate_data::types::cache`.

mod effect;
mod get;
mod put;
#[cfg(test)]
mod tests;

pub(crate) use effect::{apply, apply_tags};

use crate::model::{Acl, Family, family};
use tidegate_data::types::cache::{Cache, TagBook};
use tidegate_data::{Boxed, Record};
use xxhash_rust::xxh3::xxh3_64;

pub(super) static FAMILY: Family =
    family("cache", Acl::RESILIENCE, &[&get::GET, &put::PUT, &put::INVALIDATE]);

/// Finds the tags of a value that was loaded or restored.
pub fn adopt(record: &mut Record, book: &TagBook) {
    if let Some(cache) = record.boxed_mut().and_then(<Cache as Boxed>::of_mut) {
        cache.link(book);
    }
}

/// What stands for the name of a tag.
fn tag_hash(name: &[u8]) -> u64 {
    xxh3_64(name)
}
