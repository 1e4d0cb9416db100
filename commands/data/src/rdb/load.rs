//! From the encoding of a value to a record of our own, whatever wrote it.

use super::code::{self, Dialect};
use super::read::{Reader, Source};
use super::{Error, decode, module, stream};
use crate::keyspace::{Expiry, Record};
use crate::types::{
    encodings::Encodings,
    hash::Hash,
    list::List,
    packed::Item,
    set::Set,
    string::{INT_LEN_MAX, encoding_of},
    zset::{self, Zset},
};
use crate::value::TypeCode;

/// What loading depends on besides the bytes.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Who wrote the bytes.
    pub dialect: Dialect,
    /// The forms that collections take.
    pub encodings: Encodings,
}

/// Reads a value in the encoding `code` and puts it under `key`. O(size), O(n log n) for a large sorted set.
///
/// A collection without elements is [`Error::Empty`], but has been read to its end.
pub fn load<S: Source>(
    code: u8,
    reader: &mut Reader<S>,
    key: &[u8],
    expiry_ms: Option<i64>,
    rules: &Rules,
) -> Result<Record, Error> {
    let Some(kind) = code::type_of(code) else {
        return Err(match code {
            code::MODULE_2 => return module::load(reader, key, expiry_ms),
            _ => Error::UnknownType(code),
        });
    };
    let encodings = &rules.encodings;
    match kind {
        TypeCode::String => Ok(match reader.string()? {
            Item::Int(value) => Record::new_int(key, value, expiry_ms),
            Item::Bytes(bytes) => Record::new_bytes(key, bytes, encoding_of(bytes), expiry_ms),
        }),
        TypeCode::List => collection(key, list(code, reader, encodings)?, expiry_ms),
        TypeCode::Set => collection(key, set(code, reader, encodings)?, expiry_ms),
        TypeCode::Zset => collection(key, zset(code, reader, encodings)?, expiry_ms),
        TypeCode::Stream => Ok(Record::new_collection(key, stream::load(code, reader)?, expiry_ms)),
        TypeCode::Hash => collection(key, hash(code, reader, rules)?, expiry_ms),
        // Their encoding is that of modules, which was seen to above.
        TypeCode::RateLimit
        | TypeCode::Counter
        | TypeCode::Sequence
        | TypeCode::Uniq
        | TypeCode::Bloom
        | TypeCode::Cuckoo
        | TypeCode::Cms
        | TypeCode::TopK
        | TypeCode::TDigest
        | TypeCode::Breaker
        | TypeCode::Cache
        | TypeCode::Lock
        | TypeCode::Idem
        | TypeCode::Queue => Err(Error::UnknownType(code)),
    }
}

fn collection<T: crate::Collection>(key: &[u8], value: T, expiry_ms: Option<i64>) -> Result<Record, Error> {
    if value.is_empty() { Err(Error::Empty) } else { Ok(Record::new_collection(key, value, expiry_ms)) }
}

fn list<S: Source>(code: u8, reader: &mut Reader<S>, encodings: &Encodings) -> Result<List, Error> {
    let (mut list, limit) = (List::default(), encodings.list_limit());
    decode::list(code, reader, &mut |item| {
        list.push_back(item, limit);
        Ok(())
    })?;
    Ok(list)
}

fn set<S: Source>(code: u8, reader: &mut Reader<S>, encodings: &Encodings) -> Result<Set, Error> {
    let (mut set, limits) = (Set::default(), encodings.set_limits());
    let mut scratch = [0; INT_LEN_MAX];
    decode::set(code, reader, &mut |member, deadline| {
        let member = member.bytes(&mut scratch);
        if !set.add(member, &limits) {
            return Err(Error::Corrupt("Duplicate set members detected"));
        }
        if deadline.is_some() {
            set.set_deadline(member, deadline);
        }
        Ok(())
    })?;
    Ok(set)
}

/// A sorted set is large or small from its first member on, as if it had been so when it was saved: a small one forgets
/// the sign of a zero.
fn zset<S: Source>(code: u8, reader: &mut Reader<S>, encodings: &Encodings) -> Result<Zset, Error> {
    /// With these nothing is small.
    const NONE: zset::Limits = zset::Limits { len: 0, name_len: 0 };
    let (mut zset, mut limits) = (Zset::default(), encodings.zset_limits());
    if matches!(code, code::ZSET_LISTPACK | code::ZSET_ZIPLIST) {
        limits.name_len = usize::MAX;
    }
    let mut waiting: Option<Vec<(Vec<u8>, f64)>> = Some(Vec::new());
    let mut scratch = [0; INT_LEN_MAX];
    decode::zset(code, reader, &mut |member, score, deadline| {
        let member = member.bytes(&mut scratch);
        if let Some(few) = &mut waiting {
            if few.len() < limits.len && member.len() <= limits.name_len && deadline.is_none() {
                few.push((member.to_vec(), score));
                return Ok(());
            }
            add_members(&mut zset, few, NONE)?;
            waiting = None;
        }
        if zset.put(member, score, NONE).is_some() {
            return Err(DUPLICATE);
        }
        if deadline.is_some() {
            zset.set_deadline(member, deadline);
        }
        Ok(())
    })?;
    add_members(&mut zset, &waiting.unwrap_or_default(), limits)?;
    Ok(zset)
}

const DUPLICATE: Error = Error::Corrupt("Duplicate zset fields detected");

fn add_members(zset: &mut Zset, members: &[(Vec<u8>, f64)], limits: zset::Limits) -> Result<(), Error> {
    let mut all = members.iter();
    let is_double = all.any(|(member, score)| zset.put(member, *score, limits).is_some());
    if is_double { Err(DUPLICATE) } else { Ok(()) }
}

fn hash<S: Source>(code: u8, reader: &mut Reader<S>, rules: &Rules) -> Result<Hash, Error> {
    let (mut hash, mut limits) = (Hash::default(), rules.encodings.hash_limits());
    // What was packed stays so whatever the size of its items, as in Redis: limits on that may have been larger then.
    if matches!(
        code,
        code::HASH_LISTPACK | code::HASH_ZIPLIST | code::HASH_LISTPACK_EX | code::HASH_LISTPACK_EX_PRE_GA
    ) {
        limits.value = usize::MAX;
    }
    let (mut field_scratch, mut value_scratch) = ([0; INT_LEN_MAX], [0; INT_LEN_MAX]);
    decode::hash(code, rules.dialect, reader, &mut |field, value, deadline| {
        let deadline = deadline.map_or(Expiry::Clear, Expiry::At);
        let (field, value) = (field.bytes(&mut field_scratch), value.bytes(&mut value_scratch));
        let is_new = hash.set(field, value, deadline, limits);
        if is_new { Ok(()) } else { Err(Error::Corrupt("Duplicate hash fields detected")) }
    })?;
    Ok(hash)
}
