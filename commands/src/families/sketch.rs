//! What the commands of all sketches share.

use crate::model::{Args, Ctx, Effects, Error, Outcome, Reply, parse_i64};
use std::ops::RangeInclusive;
use tidegate_data::types::collection::Collection;
use tidegate_data::types::zeroed::SKETCH_SIZE_MAX;
use tidegate_data::{Key, Write};

/// Most elements of the first part of a filter.
pub(super) const CAPACITY_MAX: i64 = 1 << 30;
/// Most times that a part of a filter may be larger than the one before.
pub(super) const EXPANSION_MAX: i64 = 32_768;

pub(super) const FILTER_NOT_FOUND: Error = Error::new("ERR not found");
pub(super) const FILTER_TOO_LARGE: Error = Error::new("ERR Insufficient memory to create filter");

/// Why there is no new value, which is `too_large` unless `maxmemory` leaves less room than the largest may take.
pub(super) fn no_room(cx: &Ctx, too_large: Error) -> Error {
    const NO_ROOM: Error = Error::new("OOM command not allowed when used memory > 'maxmemory'.");
    if cx.env.limits().memory_left < SKETCH_SIZE_MAX { NO_ROOM } else { too_large }
}

/// Keeps a new value, which `new` makes of at most so many bytes.
pub(super) fn store<T: Collection>(
    cx: &mut Ctx,
    key: Key,
    new: impl FnOnce(u64) -> Option<T>,
    too_large: Error,
) -> Result<(), Error> {
    let new = new(cx.env.limits().memory_left).ok_or_else(|| no_room(cx, too_large))?;
    cx.keys.store(key, new);
    Ok(())
}

/// The filter at a key, or a new one, which is told. `new` makes it of at most so many bytes.
pub(super) fn filter_to_add_to<'k, 'a, 'n, T: Collection>(
    cx: &'k mut Ctx<'a>,
    key: Key<'n>,
    creates: bool,
    new: impl FnOnce(u64) -> Option<T>,
) -> Result<(Write<'k, 'a, 'n, T>, bool), Error> {
    let (room, refused) = (cx.env.limits().memory_left, no_room(cx, FILTER_TOO_LARGE));
    let mut filter = cx.keys.write_or_create::<T>(key)?;
    let is_new = filter.is_new();
    if is_new {
        if !creates {
            return Err(FILTER_NOT_FOUND);
        }
        *filter.change() = new(room).ok_or(refused)?;
    }
    Ok((filter, is_new))
}

/// What adding to a filter journals where the command does not say it all: the command that reserves a new filter, which
/// depends on the configuration, then `adding` with the elements that found room, for which there may be more when this is
/// replayed.
pub(super) fn added<'i>(
    cx: &Ctx,
    reserving: Option<&dyn Fn() -> Effects>,
    adding: &[&'i [u8]],
    items: impl Iterator<Item = &'i [u8]>,
) -> Outcome {
    cx.env.changed_as(|| {
        let mut effects = reserving.map_or_else(Effects::default, |reserving| reserving());
        let command: Vec<&[u8]> = adding.iter().copied().chain(items).collect();
        if command.len() > adding.len() {
            effects.push(&command);
        }
        Outcome::ChangedAs(effects)
    })
}

/// What a command replies that tells numbers about a value.
pub(super) fn info(reply: &mut Reply, fields: &[(&str, u64)]) {
    reply.map(fields.len());
    integers(reply, fields);
}

/// Names and numbers, as part of a map.
pub(super) fn integers(reply: &mut Reply, fields: &[(&str, u64)]) {
    for (name, value) in fields {
        reply.simple(name);
        reply.integer(*value as i64);
    }
}

/// The number after an option. Nothing there is as bad as no number.
pub(super) fn number(args: &mut Args, error: &'static str) -> Result<i64, Error> {
    args.next().ok().and_then(parse_i64).ok_or(Error::new(error))
}

/// The same, within a range.
pub(super) fn number_in(
    args: &mut Args,
    range: RangeInclusive<i64>,
    error: &'static str,
) -> Result<i64, Error> {
    let number = number(args, error)?;
    if range.contains(&number) { Ok(number) } else { Err(Error::new(error)) }
}

/// A wrong number of arguments, where the arity allows more than there may be.
pub(super) fn wrong_arity(name: &'static str) -> Error {
    Error::Arity(name.into())
}
