//! Making up data and replies.

use super::super::{ControlCtx, Flow};
use crate::acl::Access;
use tidegate_commands::model::{Error, Protocol, Reply, parse_i64};
use tidegate_data::types::string::encoding_of;
use tidegate_data::{Entry, Record, slot};

/// `DEBUG POPULATE count [prefix] [size]`: keys `prefix:0` and so on, unless they are there already. Neither
/// journaled nor replicated.
pub(super) fn populate(cx: &mut ControlCtx, count: &[u8], rest: &[&[u8]]) -> Result<(), Error> {
    let positive = |word: &[u8]| {
        let number = parse_i64(word).ok_or(Error::NotInteger)?;
        usize::try_from(number).map_err(|_| Error::new("ERR value is out of range, must be positive"))
    };
    let count = positive(count)?;
    let prefix = rest.first().copied().unwrap_or(b"key");
    let size = rest.get(1).map_or(Ok(0), |size| positive(size))?;
    let (db, now_ms) = (cx.session.db, cx.now_ms());
    let access = cx.worker.access(cx.session).initial();
    let (mut key, mut value) = (Vec::new(), Vec::new());
    for number in 0..count {
        key.clear();
        key.extend_from_slice(prefix);
        key.extend_from_slice(format!(":{number}").as_bytes());
        value.clear();
        value.extend_from_slice(format!("value:{number}").as_bytes());
        if size > 0 {
            value.resize(size, 0);
        }
        cx.may_use(&key, Access::ALL)?;
        cx.worker.exec.note_touch(db, &key, true);
        let shared = cx.shared();
        let (shard, hash) = (shared.shards.of_slot(slot(&key)), shared.hasher.hash(&key));
        cx.with_shard(shard, |data| {
            let expired = match data.databases.table_mut(db).entry(hash, &key) {
                Entry::Occupied(entry) => {
                    let due = entry.record().expiry_ms().is_some_and(|deadline| now_ms > deadline);
                    due.then(|| entry.remove())
                }
                Entry::Vacant(_) => None,
            };
            if let Entry::Vacant(entry) = data.databases.table_mut(db).entry(hash, &key) {
                let record = Record::new_bytes(&key, &value, encoding_of(&value), None);
                record.set_access(access);
                entry.insert(record);
                data.watched.touch(db as u16, &key);
            }
            expired
        });
    }
    Ok(())
}

#[expect(clippy::approx_constant, reason = "the number clients' tests expect, not an approximation of pi")]
const TEST_DOUBLE: f64 = 3.141;

/// `DEBUG PROTOCOL type`: one reply of every type there is.
pub(super) fn protocol(kind: &[u8], reply: &mut Reply) -> Result<Flow, Error> {
    match &*kind.to_ascii_lowercase() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.integer(12345),
        b"double" => reply.double(TEST_DOUBLE),
        b"bignum" => reply.big_number("1234567999999999999999999999999999999"),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|n| reply.integer(n));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|n| reply.integer(n));
        }
        b"map" => {
            reply.map(3);
            for n in 0..3 {
                reply.integer(n);
                reply.boolean(n == 1);
            }
        }
        b"attrib" => {
            if reply.protocol() == Protocol::Resp3 {
                reply.attribute(1);
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.integer(90);
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" => {
            if reply.protocol() == Protocol::Resp2 {
                return Err(Error::new("ERR RESP2 is not supported by this command"));
            }
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.integer(42);
            reply.bulk(b"Some real reply following the push reply");
        }
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        b"verbatim" => reply.verbatim("txt", b"This is a verbatim\nstring"),
        _ => {
            return Err(Error::new(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(Flow::Done)
}
