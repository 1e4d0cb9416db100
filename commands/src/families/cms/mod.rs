//! Count-min sketches: about how often everything was seen. Names, replies and errors are those of RedisBloom.

mod count;
mod init;
mod merge;

use crate::model::{Acl, Ctx, Error, Family, family};
use tidegate_data::Key;
use tidegate_data::types::cms::Cms;

pub(super) static FAMILY: Family = family(
    "cms",
    Acl::CMS,
    &[
        &init::CMS_INITBYDIM,
        &init::CMS_INITBYPROB,
        &count::CMS_INCRBY,
        &count::CMS_QUERY,
        &merge::CMS_MERGE,
        &count::CMS_INFO,
    ],
);

const NO_KEY: Error = Error::new("CMS: key does not exist");
const TOO_LARGE: Error = Error::new("CMS: Insufficient memory to create the key");

/// The sketch at a key, for a command that only reads.
fn sketch<'c>(cx: &'c mut Ctx, key: Key) -> Result<&'c Cms, Error> {
    cx.keys.read_as::<Cms>(key)?.ok_or(NO_KEY)
}
