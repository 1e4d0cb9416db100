//! HyperLogLogs: how many different elements were seen, without keeping them.

mod debug;
mod sketch;

use crate::model::{Acl, Ctx, Error, Family, family};
use tidegate_data::types::hll::{Corrupted, Encoding};
use tidegate_data::types::string::INT_LEN_MAX;
use tidegate_data::{Key, StringEncoding, ValueRef};

pub(super) static FAMILY: Family = family(
    "hyperloglog",
    Acl::HYPERLOGLOG,
    &[&sketch::PFADD, &sketch::PFCOUNT, &sketch::PFMERGE, &debug::PFDEBUG, &debug::PFSELFTEST],
);

const NO_SKETCH: Error = Error::new("WRONGTYPE Key is not a valid HyperLogLog string value.");
const CORRUPTED: Error = Error::new("INVALIDOBJ Corrupted HLL object detected");

fn corrupted(_: Corrupted) -> Error {
    CORRUPTED
}

/// The bytes of a string that is a sketch.
fn sketch_of<'v>(
    value: ValueRef<'v>,
    scratch: &'v mut [u8; INT_LEN_MAX],
) -> Result<(&'v [u8], Encoding), Error> {
    let bytes = value.string(scratch).ok_or(Error::WrongType)?;
    Ok((bytes, Encoding::of(bytes).ok_or(NO_SKETCH)?))
}

/// Gives a string that has it not yet encoding `raw`, which Redis does even where it then changes nothing.
fn make_raw(cx: &mut Ctx, key: Key, encoding_name: &str) -> Result<(), Error> {
    if encoding_name != StringEncoding::Raw.name() {
        cx.keys.edit_string_if(key, 0, |_, _| ((), false))?;
    }
    Ok(())
}
