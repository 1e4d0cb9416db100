//! Looking at how keys and values are stored.

use super::super::{ControlCtx, Flow};
use super::digest::Digest;
use tidegate_commands::model::{Error, Reply, parse_i64};
use tidegate_data::keyspace::size_class;
use tidegate_data::types::string::{INT_LEN_MAX, parse_int};
use tidegate_data::value::{TypeCode, Value};
use tidegate_data::{Record, ValueRef, slot};

/// Looks at a key whether its time has come or not: this is what is there.
fn look<R>(cx: &mut ControlCtx, key: &[u8], look: impl FnOnce(&Record) -> R) -> Option<R> {
    let shared = cx.shared();
    let (shard, hash) = (shared.shards.of_slot(slot(key)), shared.hasher.hash(key));
    let db = cx.session.db;
    cx.with_shard(shard, |data| data.databases.table(db).get(hash, key).map(look))
}

/// `DEBUG OBJECT`
pub(super) fn object(cx: &mut ControlCtx, key: &[u8], reply: &mut Reply) -> Result<Flow, Error> {
    let clock = (cx.now_ms() / 1000) as u32 & 0x00ff_ffff;
    let line = look(cx, key, |record| {
        let value = record.value();
        // A clock of 24 bits goes round in half a year.
        let idle_s = clock.wrapping_sub(record.access()) & 0x00ff_ffff;
        format!(
            "Value at:{:p} refcount:1 encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{idle_s}",
            record.key().as_ptr(),
            value.encoding_name(),
            serialized_len(value),
            record.access(),
        )
    });
    reply.simple(&line.ok_or(Error::NoSuchKey)?);
    Ok(Flow::Done)
}

/// Bytes the value takes in an RDB file, before compression.
fn serialized_len(value: ValueRef<'_>) -> usize {
    let mut scratch = [0; INT_LEN_MAX];
    let bytes = value.string(&mut scratch).unwrap_or_default();
    match (bytes.len() <= 11).then(|| parse_int(bytes)).flatten() {
        Some(-0x80..=0x7f) => 2,
        Some(-0x8000..=0x7fff) => 3,
        Some(-0x8000_0000..=0x7fff_ffff) => 5,
        _ => length_len(bytes.len()) + bytes.len(),
    }
}

/// Bytes the length of a string takes in an RDB file.
fn length_len(len: usize) -> usize {
    match len {
        0..=0x3f => 1,
        0x40..=0x3fff => 2,
        0x4000..=0xffff_ffff => 5,
        _ => 9,
    }
}

/// `DEBUG SDSLEN`: lengths and allocations. Key and short value share one allocation, which is named for both.
pub(super) fn string_sizes(cx: &mut ControlCtx, key: &[u8], reply: &mut Reply) -> Result<Flow, Error> {
    let sizes = look(cx, key, |record| match record.value() {
        ValueRef::Bytes { bytes, .. } => Some((record.key().len(), bytes.len(), 0, record.heap_size())),
        ValueRef::Boxed(Value::String(string)) => {
            let spare = string.heap_size().saturating_sub(string.len());
            Some((record.key().len(), string.len(), spare, string.heap_size()))
        }
        _ => None,
    });
    let (key_len, value_len, spare, size) =
        sizes.ok_or(Error::NoSuchKey)?.ok_or(Error::new("ERR Not an sds encoded string."))?;
    reply.simple(&format!(
        "key_sds_len:{key_len}, key_sds_avail:0, key_zmalloc: {}, val_sds_len:{value_len}, val_sds_avail:{spare}, \
         val_zmalloc: {size}",
        size_class(key_len)
    ));
    Ok(Flow::Done)
}

/// `DEBUG HTSTATS`: keys, expiries and sizes of a database's tables.
pub(super) fn table_statistics(cx: &mut ControlCtx, db: &[u8], reply: &mut Reply) -> Result<Flow, Error> {
    let db = parse_i64(db).ok_or(Error::NotInteger)?;
    let databases = cx.shared().config.databases();
    let db = usize::try_from(db).ok().filter(|db| *db < databases);
    let db = db.ok_or(Error::new("ERR Out of range database"))?;
    let (mut keys, mut expires, mut bytes, mut index_bytes, mut largest) = (0, 0, 0, 0, 0);
    cx.each_shard(|_, data| {
        let table = data.databases.table(db);
        keys += table.len();
        expires += table.expires_len();
        bytes += table.bytes();
        index_bytes += table.index_bytes();
        largest = largest.max(table.len());
    });
    let shards = cx.shared().shards.len();
    let text = format!(
        "[Dictionary HT]\nshards: {shards}\nnumber of elements: {keys}\nelements of the largest shard: {largest}\n\
         bytes: {bytes}\nbytes of directories and segments: {index_bytes}\n\
         [Expires HT]\nnumber of elements: {expires}\n"
    );
    reply.verbatim("txt", text.as_bytes());
    Ok(Flow::Done)
}

/// `DEBUG HTSTATS-KEY`: no value there is so far has a table inside.
pub(super) fn key_table_statistics(cx: &mut ControlCtx, key: &[u8]) -> Result<Flow, Error> {
    look(cx, key, Record::type_code).ok_or(Error::NoSuchKey)?;
    Err(Error::new("ERR The value stored at the specified key is not represented using an hash table"))
}

/// `DEBUG STRUCTSIZE`
pub(super) fn struct_sizes(reply: &mut Reply) -> Flow {
    let text = format!(
        "bits:{} record:{} value:{} client:{} types:{}",
        usize::BITS,
        size_of::<Record>(),
        size_of::<Value>(),
        size_of::<crate::session::Client>(),
        TypeCode::ALL.len()
    );
    reply.bulk(text.as_bytes());
    Flow::Done
}

/// `DEBUG DIGEST`: over all databases, at one moment.
pub(super) fn digest(cx: &mut ControlCtx, reply: &mut Reply) -> Flow {
    let databases = cx.shared().config.databases();
    let mut all = Digest::default();
    cx.with_keyspace(|hold| {
        for db in 0..databases {
            let (mut keys, mut any) = (Digest::default(), false);
            hold.each(|_, data| {
                let table = data.databases.table(db);
                any |= !table.is_empty();
                table.for_each(&mut |record| keys.add_entry(record));
            });
            if any {
                all.add_database(db, &keys);
            }
        }
    });
    reply.simple(&all.to_string());
    Flow::Done
}

/// `DEBUG DIGEST-VALUE`: zeros for keys that are not there.
pub(super) fn digest_values(cx: &mut ControlCtx, keys: &[&[u8]], reply: &mut Reply) -> Flow {
    reply.array(keys.len());
    for key in keys {
        let digest = look(cx, key, Digest::of_value).unwrap_or_default();
        reply.simple(&digest.to_string());
    }
    Flow::Done
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_data::value::StringEncoding;

    #[test]
    fn lengths_in_a_dump() {
        for (value, len) in [(5, 2), (300, 3), (70_000, 5), (1 << 40, 14)] {
            assert_eq!(serialized_len(ValueRef::Int(value)), len, "{value}");
        }
        let text = [b'x'; 100];
        for (len, serialized) in [(0, 1), (63, 64), (100, 102)] {
            let value = ValueRef::Bytes { bytes: &text[..len], encoding: StringEncoding::Raw };
            assert_eq!(serialized_len(value), serialized);
        }
    }
}
