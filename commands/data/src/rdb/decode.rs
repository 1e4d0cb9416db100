//! Every encoding of a list, set, hash or sorted set, as its elements one by one.
//!
//! Elements come in the order of the bytes. That nothing occurs twice is for the receiver to check, which has to look it
//! up anyway. A collection without elements gives none: whether that is an error is the caller's business.

use super::Error;
use super::blob::{IntSet, Listpack, Ziplist, Zipmap};
use super::code::{self, Dialect};
use super::read::{Reader, Source};
use crate::types::packed::Item;

/// Takes an element.
pub type EachItem<'f> = &'f mut dyn FnMut(Item<'_>) -> Result<(), Error>;
/// Takes a member and its deadline in Unix milliseconds, if it has one.
pub type EachMember<'f> = &'f mut dyn FnMut(Item<'_>, Option<i64>) -> Result<(), Error>;
/// Takes a member, its score (never NaN) and its deadline.
pub type EachScored<'f> = &'f mut dyn FnMut(Item<'_>, f64, Option<i64>) -> Result<(), Error>;
/// Takes a field, its value and its deadline.
pub type EachField<'f> = &'f mut dyn FnMut(Item<'_>, Item<'_>, Option<i64>) -> Result<(), Error>;

/// Nodes of a quicklist: a listpack, or one element as it is.
const NODE_PLAIN: u64 = 1;
const NODE_PACKED: u64 = 2;

/// Elements of a list.
pub fn list<S: Source>(code: u8, reader: &mut Reader<S>, each: EachItem<'_>) -> Result<(), Error> {
    match code {
        code::LIST => {
            for _ in 0..reader.count(1)? {
                each(reader.string()?)?;
            }
            Ok(())
        }
        code::LIST_ZIPLIST => {
            named("List ziplist integrity check failed.", Ziplist::new(reader.bytes()?), |pack| {
                items(pack, each)
            })
        }
        code::LIST_QUICKLIST => {
            for _ in 0..reader.count(1)? {
                items(Ziplist::new(reader.bytes()?)?, each)?;
            }
            Ok(())
        }
        code::LIST_QUICKLIST_2 => {
            for _ in 0..reader.count(2)? {
                match reader.number()? {
                    NODE_PLAIN => match reader.bytes()? {
                        b"" => return Err(Error::Corrupt("Quicklist integrity check failed.")),
                        item => each(Item::from(item))?,
                    },
                    NODE_PACKED => items(Listpack::new(reader.bytes()?)?, each)?,
                    _ => return Err(Error::Corrupt("Quicklist integrity check failed.")),
                }
            }
            Ok(())
        }
        _ => Err(Error::UnknownType(code)),
    }
}

/// Members of a set.
pub fn set<S: Source>(code: u8, reader: &mut Reader<S>, each: EachMember<'_>) -> Result<(), Error> {
    match code {
        code::SET => {
            for _ in 0..reader.count(1)? {
                each(reader.string()?, None)?;
            }
            Ok(())
        }
        code::SET_INTSET => {
            IntSet::new(reader.bytes()?)?.try_for_each(|member| each(Item::Int(member?), None))
        }
        code::SET_LISTPACK => items(Listpack::new(reader.bytes()?)?, &mut |member| each(member, None)),
        code::OWN_SET => {
            let mut member = Vec::new();
            for _ in 0..reader.count(1 + 8)? {
                copy(reader.bytes()?, &mut member);
                let deadline = deadline(reader.millis()?);
                each(Item::from(&member), deadline)?;
            }
            Ok(())
        }
        _ => Err(Error::UnknownType(code)),
    }
}

/// Members of a sorted set.
pub fn zset<S: Source>(code: u8, reader: &mut Reader<S>, each: EachScored<'_>) -> Result<(), Error> {
    let scored = |member: Item<'_>, score: Item<'_>| each(member, score_of(score)?, None);
    match code {
        code::ZSET_ZIPLIST => {
            named("Zset ziplist integrity check failed.", Ziplist::new(reader.bytes()?), |pack| {
                pairs(pack, scored)
            })
        }
        code::ZSET_LISTPACK => {
            named("Zset listpack integrity check failed.", Listpack::new(reader.bytes()?), |pack| {
                pairs(pack, scored)
            })
        }
        code::ZSET | code::ZSET_2 | code::OWN_ZSET => {
            let size_min = match code {
                code::ZSET => 1 + 1,
                code::ZSET_2 => 1 + 8,
                _ => 1 + 8 + 8,
            };
            let mut member = Vec::new();
            for _ in 0..reader.count(size_min)? {
                copy(reader.bytes()?, &mut member);
                let score = if code == code::ZSET { text_double(reader)? } else { reader.double()? };
                let deadline = if code == code::OWN_ZSET { deadline(reader.millis()?) } else { None };
                each(Item::from(&member), not_nan(score)?, deadline)?;
            }
            Ok(())
        }
        _ => Err(Error::UnknownType(code)),
    }
}

/// Fields of a hash.
pub fn hash<S: Source>(
    code: u8,
    dialect: Dialect,
    reader: &mut Reader<S>,
    each: EachField<'_>,
) -> Result<(), Error> {
    match code {
        code::HASH_ZIPMAP => Zipmap::new(reader.bytes()?)?.try_for_each(|pair| {
            let (field, value) = pair?;
            each(Item::from(field), Item::from(value), None)
        }),
        code::HASH_ZIPLIST => {
            named("Hash ziplist integrity check failed.", Ziplist::new(reader.bytes()?), |pack| {
                pairs(pack, |field, value| each(field, value, None))
            })
        }
        code::HASH_LISTPACK => {
            named("Hash listpack integrity check failed.", Listpack::new(reader.bytes()?), |pack| {
                pairs(pack, |field, value| each(field, value, None))
            })
        }
        code::HASH_LISTPACK_EX | code::HASH_LISTPACK_EX_PRE_GA => {
            if code == code::HASH_LISTPACK_EX {
                // The earliest deadline, which the fields tell as well.
                reader.millis()?;
            }
            let mut entries = Listpack::new(reader.bytes()?)?;
            while let Some(field) = entries.next() {
                let (field, value) = (field?, entries.entry()?);
                let deadline = entries.integer()?;
                each(field, value, (deadline != 0).then_some(deadline))?;
            }
            Ok(())
        }
        code::HASH | code::HASH_22 | code::HASH_METADATA => fields(code, dialect, reader, each),
        _ => Err(Error::UnknownType(code)),
    }
}

/// The encodings of a hash that are no blob.
fn fields<S: Source>(
    code: u8,
    dialect: Dialect,
    reader: &mut Reader<S>,
    each: EachField<'_>,
) -> Result<(), Error> {
    let earliest = if code == code::HASH_METADATA { reader.millis()? } else { 0 };
    let size_min = match (code, dialect) {
        (code::HASH, _) => 2,
        (code::HASH_22, Dialect::Valkey) => 2 + 8,
        _ => 3,
    };
    let mut field = Vec::new();
    for _ in 0..reader.count(size_min)? {
        let mut due = None;
        if code == code::HASH_METADATA {
            due = after(earliest, reader.number()?)?;
        } else if code == code::HASH_22 && dialect == Dialect::Redis {
            due = after(1, reader.number()?)?;
        }
        copy(reader.bytes()?, &mut field);
        if code == code::HASH_22 && dialect == Dialect::Valkey {
            let value = reader.bytes()?.to_vec();
            let deadline = deadline(reader.millis()?);
            each(Item::from(&field), Item::from(&value), deadline)?;
        } else {
            each(Item::from(&field), reader.string()?, due)?;
        }
    }
    Ok(())
}

/// A deadline as the distance from another one, plus one; 0: none.
fn after(earliest: i64, distance: u64) -> Result<Option<i64>, Error> {
    if distance == 0 {
        return Ok(None);
    }
    let deadline = earliest.checked_add_unsigned(distance - 1);
    deadline.map(Some).ok_or(Error::Corrupt("a deadline beyond all time"))
}

/// A deadline in eight bytes; negative: none.
fn deadline(millis: i64) -> Option<i64> {
    (millis >= 0).then_some(millis)
}

/// Keeps a string beyond the next thing that is read.
fn copy(bytes: &[u8], to: &mut Vec<u8>) {
    to.clear();
    to.extend_from_slice(bytes);
}

/// Gives everything that is wrong with a blob the name Redis has for it, so that logs read alike.
fn named<P>(
    name: &'static str,
    pack: Result<P, Error>,
    read: impl FnOnce(P) -> Result<(), Error>,
) -> Result<(), Error> {
    pack.and_then(read).map_err(|error| match error {
        Error::Corrupt(_) => Error::Corrupt(name),
        error => error,
    })
}

fn items<'a>(
    mut entries: impl Iterator<Item = Result<Item<'a>, Error>>,
    each: EachItem<'_>,
) -> Result<(), Error> {
    entries.try_for_each(|item| each(item?))
}

fn pairs<'a>(
    mut entries: impl Iterator<Item = Result<Item<'a>, Error>>,
    mut each: impl FnMut(Item<'a>, Item<'a>) -> Result<(), Error>,
) -> Result<(), Error> {
    while let Some(first) = entries.next() {
        let second = entries.next().ok_or(Error::Corrupt("a field without a value"))?;
        each(first?, second?)?;
    }
    Ok(())
}

fn score_of(item: Item<'_>) -> Result<f64, Error> {
    match item {
        Item::Int(value) => Ok(value as f64),
        Item::Bytes(text) => {
            parse_double(text).ok_or(Error::Corrupt("a score that is no number")).and_then(not_nan)
        }
    }
}

fn parse_double(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn not_nan(score: f64) -> Result<f64, Error> {
    if score.is_nan() { Err(Error::Corrupt("Zset with NAN score detected")) } else { Ok(score) }
}

/// A double as text with its length in one byte, or one of three special values.
fn text_double<S: Source>(reader: &mut Reader<S>) -> Result<f64, Error> {
    match reader.byte()? {
        253 => Ok(f64::NAN),
        254 => Ok(f64::INFINITY),
        255 => Ok(f64::NEG_INFINITY),
        len => parse_double(reader.take(len.into())?).ok_or(Error::Corrupt("a score that is no number")),
    }
}

#[cfg(test)]
mod tests;
