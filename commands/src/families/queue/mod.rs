//! `XQUEUE.*`: work queues with leases, delays, priorities, groups, retries and dead letters.
//!
//! The structure and what it decides is in `tidegate_data::types::queue`. Here are the commands; `open` is how a queue is
//! changed and the journal told of it, in the words of `effect`.

mod bind;
mod bindings;
mod call;
mod calls;
mod create;
mod effect;
mod letters;
mod manage;
mod open;
mod pop;
mod push;
mod read;
mod redrive;
mod settle;
#[cfg(test)]
mod tests;

pub(crate) use bind::apply_binding;
pub use bindings::{BindingBook, BoundQueue};
pub use calls::{CallBook, Caller, QueueCall};
pub(crate) use effect::apply;
pub(crate) use open::as_copy;
pub(crate) use push::push_behind;

use crate::model::{Acl, Args, Backwards, Error, Family, Reply, family, parse_i64};
use tidegate_data::Key;
use tidegate_data::types::queue::{Id, State};

pub(super) static FAMILY: Family = family(
    "queue",
    Acl::QUEUE,
    &[
        &create::CREATE,
        &push::PUSH,
        &pop::POP,
        &settle::ACK,
        &settle::NACK,
        &settle::EXTEND,
        &read::PEEK,
        &read::GET,
        &read::LEN,
        &read::INFO,
        &manage::DEL,
        &redrive::REDRIVE,
        &manage::PURGE,
        &manage::PAUSE,
        &bind::BIND,
        &bind::UNBIND,
        &call::CALL,
        &call::REPLY,
    ],
);

/// Longest duration, in milliseconds: what a double counts.
const DURATION_MAX_MS: i64 = 1 << 53;
/// Longest group, name under which pushes are one, consumer and reason.
const NAME_MAX: usize = 256;
/// The priority of messages that do not say.
const PRIORITY_DEFAULT: u8 = 4;

/// Somebody wrote the last id there can be into a file.
const NO_IDS: Error = Error::new("ERR the queue has run out of ids");

/// Reads a number that must lie between two others.
fn between(args: &mut Args, token: &str, min: u64, max: u64) -> Result<u64, Error> {
    let number = u64::try_from(args.integer()?).ok();
    number
        .filter(|number| (min..=max).contains(number))
        .ok_or_else(|| Error::text(format!("ERR {token} must be between {min} and {max}")))
}

/// Reads a count of keys, and passes over these.
fn skip_keys(args: &mut Args) -> Result<(), Error> {
    let keys = parse_i64(args.next()?).filter(|number| *number > 0);
    let keys = keys.ok_or(Error::new("ERR numkeys should be greater than 0"))?;
    if usize::try_from(keys).map_or(true, |keys| keys > args.remaining()) {
        return Err(Error::Syntax);
    }
    args.skip(keys as usize);
    Ok(())
}

/// Reads a duration in milliseconds; 0 where that has a meaning.
fn duration_ms(args: &mut Args, min: i64) -> Result<u64, Error> {
    let ms = args.integer()?;
    if (min..=DURATION_MAX_MS).contains(&ms) { Ok(ms as u64) } else { Err(Error::NotInteger) }
}

/// Reads a name.
fn name<'a>(args: &mut Args<'a>, what: &str) -> Result<&'a [u8], Error> {
    let name = args.next()?;
    if name.len() > NAME_MAX { Err(too_big(what, NAME_MAX as u64)) } else { Ok(name) }
}

/// Reads the name of a state.
fn state(args: &mut Args) -> Result<State, Error> {
    let name = args.next()?;
    State::of_name(name).ok_or_else(|| quoted("ERR invalid state '", name, "'"))
}

fn too_big(what: &str, max: u64) -> Error {
    Error::text(format!("TOOBIG {what} exceeds {max} bytes"))
}

/// An error that shows something a client sent.
fn quoted(before: &str, shown: &[u8], after: &str) -> Error {
    /// Longest part that an error shows.
    const SHOWN_MAX: usize = 128;
    let mut text = before.as_bytes().to_vec();
    text.extend_from_slice(&shown[..shown.len().min(SHOWN_MAX)]);
    text.extend_from_slice(after.as_bytes());
    Error::text(text)
}

fn of_queue(code: &str, key: Key, after: &str) -> Error {
    quoted(&format!("{code} queue '"), key.bytes(), after)
}

/// What `id#token` says, if it says something.
pub(crate) fn receipt(text: &[u8]) -> Option<(Id, u64)> {
    let at = text.iter().position(|byte| *byte == b'#')?;
    let token = parse_i64(&text[at + 1..])?;
    Some((Id::of_text(&text[..at])?, u64::try_from(token).ok()?))
}

/// An id as commands know it.
fn text_of(id: Id) -> Backwards {
    let mut text = Backwards::default();
    text.number(id.seq).byte(b'-').number(id.ms);
    text
}

/// What [`receipt`] reads.
fn receipt_of(id: Id, token: u64) -> Backwards {
    let mut text = Backwards::default();
    text.number(token).byte(b'#').number(id.seq).byte(b'-').number(id.ms);
    text
}

fn reply_id(reply: &mut Reply, id: Id) {
    reply.bulk(text_of(id).as_bytes());
}
