//! Looking at how keys and values are stored.

use super::super::{ControlCtx, Flow};
use crate::digest::{Digest, Digests};
use tidegate_commands::model::{Encodings, Error, Reply, parse_i64};
use tidegate_data::keyspace::size_class;
use tidegate_data::types::set::{Set, SetRef};
use tidegate_data::value::{TypeCode, Value};
use tidegate_data::{Hash, HashRef, List, ListRef, Record, ValueRef, Zset, ZsetRef, rdb, slot};

/// Looks at a key whether its time has come or not: this is what is there.
fn look<R>(cx: &mut ControlCtx, key: &[u8], look: impl FnOnce(&Record) -> R) -> Option<R> {
    let shared = cx.shared();
    let (shard, hash) = (shared.shards.of_slot(slot(key)), shared.hasher.hash(key));
    cx.with_record(shard, hash, key, |_, record| record.map(look))
}

/// `DEBUG OBJECT`
pub(super) fn object(cx: &mut ControlCtx, key: &[u8], reply: &mut Reply) -> Result<Flow, Error> {
    let clock = (cx.now_ms() / 1000) as u32 & 0x00ff_ffff;
    let limits = cx.worker.exec.limits;
    let line = look(cx, key, |record| {
        let value = record.value();
        // A clock of 24 bits goes round in half a year.
        let idle_s = clock.wrapping_sub(record.access()) & 0x00ff_ffff;
        let list = value.collection::<List>().map(|list| list_figures(list, &limits.encodings));
        format!(
            "Value at:{:p} refcount:1 encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{idle_s}{}",
            record.key().as_ptr(),
            value.encoding_name(),
            serialized_len(value, limits.compress_dumps),
            record.access(),
            list.unwrap_or_default(),
        )
    });
    reply.simple(&line.ok_or(Error::NoSuchKey)?);
    Ok(Flow::Done)
}

/// What Redis tells of a list's nodes, here of the runs in which the list is written to files.
fn list_figures(list: ListRef, encodings: &Encodings) -> String {
    /// Bytes of a listpack besides its entries.
    const LISTPACK: usize = 7;
    let (mut nodes, mut size) = (0, 0);
    for node in list.nodes() {
        nodes += 1;
        size += node.size() + LISTPACK;
    }
    format!(
        " ql_nodes:{nodes} ql_avg_node:{:.2} ql_listpack_max:{} ql_compressed:{} ql_uncompressed_size:{size}",
        list.len() as f64 / f64::from(nodes),
        encodings.list_max_listpack_size,
        u8::from(encodings.list_compress_depth != 0),
    )
}

/// Bytes the value takes in an RDB file.
fn serialized_len(value: ValueRef<'_>, compress: bool) -> usize {
    /// Counts what it is given.
    struct Counter(usize);
    impl rdb::Output for Counter {
        fn put(&mut self, bytes: &[u8]) {
            self.0 += bytes.len();
        }
    }
    let mut writer = rdb::Writer::new(Counter(0), compress);
    rdb::save(value, &mut writer);
    writer.into_output().0
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

/// `DEBUG HTSTATS-KEY`: members and size of a value that is a table.
pub(super) fn key_table_statistics(
    cx: &mut ControlCtx,
    key: &[u8],
    reply: &mut Reply,
) -> Result<Flow, Error> {
    let text = look(cx, key, |record| {
        let value = record.value();
        let members = match value.encoding_name() {
            "hashtable" | "skiplist" => {
                let set = value.collection::<Set>().map(SetRef::len);
                let hash = value.collection::<Hash>().map(HashRef::len);
                set.or(hash).or(value.collection::<Zset>().map(ZsetRef::len))?
            }
            _ => return None,
        };
        let bytes = record.heap_size();
        Some(format!("[Dictionary HT]\nnumber of elements: {members}\nbytes: {bytes}\n"))
    });
    let text = text.ok_or(Error::NoSuchKey)?.ok_or(Error::new(
        "ERR The value stored at the specified key is not represented using an hash table",
    ))?;
    reply.verbatim("txt", text.as_bytes());
    Ok(Flow::Done)
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
    let mut digests = Digests::default();
    cx.with_keyspace(|hold| {
        for db in 0..databases {
            hold.each(|_, data| data.databases.table(db).for_each(&mut |record| digests.add(db, record)));
        }
    });
    reply.simple(&digests.total().to_string());
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
            assert_eq!(serialized_len(ValueRef::Int(value), true), len, "{value}");
        }
        let text = [b'x'; 100];
        for (len, serialized) in [(0, 1), (63, 64), (100, 102)] {
            let value = ValueRef::Bytes { bytes: &text[..len], encoding: StringEncoding::Raw };
            assert_eq!(serialized_len(value, false), serialized);
            assert!(serialized_len(value, true) <= serialized);
        }
    }
}
