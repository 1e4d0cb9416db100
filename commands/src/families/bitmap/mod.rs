//! Bitmaps: strings seen as rows of bits.

mod bit;
mod combine;
mod field;
mod range;

use crate::model::{Acl, Ctx, Error, Family, family, parse_i64};

pub(super) static FAMILY: Family = family(
    "bitmap",
    Acl::BITMAP,
    &[
        &bit::SETBIT,
        &bit::GETBIT,
        &range::BITCOUNT,
        &range::BITPOS,
        &combine::BITOP,
        &field::BITFIELD,
        &field::BITFIELD_RO,
    ],
);

/// The index of a bit, within what a string may hold.
fn bit_offset(cx: &Ctx, text: &[u8]) -> Result<u64, Error> {
    checked_offset(cx, parse_i64(text))
}

fn checked_offset(cx: &Ctx, offset: Option<i64>) -> Result<u64, Error> {
    offset
        .and_then(|offset| u64::try_from(offset).ok())
        .filter(|offset| offset / 8 < cx.env.limits().max_bulk_len)
        .ok_or(Error::new("ERR bit offset is not an integer or out of range"))
}
