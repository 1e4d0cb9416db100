//! Streams: nodes of entries as listpacks, then the counters of the whole, then consumer groups.
//!
//! ```text
//! n, (<master id: 16 bytes, big endian> <listpack>)*n, length, last id,
//! [first id, greatest deleted id, entries added]                                            since Redis 7.0
//! groups, (name, last id, [entries read]                                                    since Redis 7.0
//!          n, (<id> <delivered at: i64> count)*n,
//!          consumers, (name, <seen at: i64>, [<active at: i64>], n, <id>*n)*)*              since Redis 7.2
//!
//! listpack: live entries, deleted ones, and what a [`Node`] consists of
//! ```
//!
//! A stream that Redis 7.0 cannot hold, because entries were given back (`XNACK`) or messages are remembered
//! (`XADD IDMP`) or appends are (`EV.APPEND IDEM`), is [`code::OWN_STREAM`]: the newest form above, then for every group `n,
//! (<id> count)*n` in the order in which entries were given back, then which of the following there are, one bit each:
//! 1: `seconds, most messages, added, duplicates, n, (producer, message, <id>)*n`; 2: `n, (name, version, <ms: i64>)*n`.

use super::Error;
use super::blob::{Listpack, listpack_header};
use super::code;
use super::read::{Reader, Source};
use super::write::{Output, Writer};
use crate::types::packed;
use crate::types::stream::{
    APPEND_NAME_MAX, Appends, Consumer, Counters, Entries, Group, Groups, Idempotence, IdempotenceLimits,
    Node, Parts, Stream, StreamId,
};

const BAD_NODE: Error = Error::Corrupt("Stream listpack integrity check failed.");
const ID_SIZE: usize = 16;
/// Messages are remembered.
const MESSAGES: u64 = 1;
/// Appends are remembered.
const APPENDS: u64 = 2;

/// Which figures there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    Redis5,
    Redis70,
    Redis72,
    Own,
}

/// The encoding of a stream.
pub(super) fn encoding_of(stream: &Stream) -> u8 {
    let released = stream.groups().iter().any(|(_, group)| group.released_len() > 0);
    let remembers = stream.idempotence().is_some() || stream.appends().is_some();
    if released || remembers { code::OWN_STREAM } else { code::STREAM_LISTPACKS_2 }
}

// ---- reading -----------------------------------------------------------------------------------------------

/// Reads a stream.
pub(super) fn load<S: Source>(code: u8, reader: &mut Reader<S>) -> Result<Stream, Error> {
    let form = match code {
        code::STREAM_LISTPACKS => Form::Redis5,
        code::STREAM_LISTPACKS_2 => Form::Redis70,
        code::STREAM_LISTPACKS_3 => Form::Redis72,
        code::OWN_STREAM => Form::Own,
        _ => return Err(Error::UnknownType(code)),
    };
    let mut nodes = Vec::new();
    for _ in 0..reader.count(1 + ID_SIZE as u64 + 1)? {
        let master = reader.bytes()?.try_into();
        let master =
            master.map_err(|_| Error::Corrupt("Stream node key entry is not the size of a stream ID"))?;
        let master = StreamId::from(u128::from_be_bytes(master));
        nodes.push((master, node(master, reader.bytes()?)?));
    }
    // The number of entries, which the nodes tell better.
    reader.number()?;
    let last_id = length_id(reader)?;
    let live: u64 = nodes.iter().map(|(_, node)| node.live()).sum();
    let mut max_deleted_id = StreamId::MIN;
    let mut added = live;
    if form >= Form::Redis70 {
        // The first ID, which the nodes tell better, too.
        length_id(reader)?;
        max_deleted_id = length_id(reader)?;
        added = reader.number()?;
    }
    let first_id = nodes.iter().find_map(|(master, node)| node.entries(*master).next().map(|entry| entry.id));
    if nodes.last().is_some_and(|(master, node)| node.last_id(*master) > last_id) {
        return Err(Error::Corrupt("Stream entry beyond the last ID"));
    }
    let counters = Counters { first_id: first_id.unwrap_or_default(), last_id, max_deleted_id, added };
    let entries = Entries::restore(nodes, counters).ok_or(Error::Corrupt("Stream entries out of order"))?;
    let mut groups = Groups::default();
    for _ in 0..reader.count(1)? {
        let (name, group) = group(form, reader, &entries)?;
        if !groups.add(&name, group) {
            return Err(Error::Corrupt("Duplicated consumer group name"));
        }
    }
    let parts = if form == Form::Own { reader.number()? } else { 0 };
    if parts & !(MESSAGES | APPENDS) != 0 {
        return Err(Error::Corrupt("unknown part of a stream"));
    }
    let idempotence = if parts & MESSAGES != 0 { Some(idempotence(reader)?) } else { None };
    let appends = if parts & APPENDS != 0 { Some(appends(reader)?) } else { None };
    Ok(Stream::new(Parts { entries, groups, idempotence, appends }))
}

/// A node, every item of it written anew in the one form that items have here.
fn node(master: StreamId, blob: &[u8]) -> Result<Node, Error> {
    let mut items = Listpack::new(blob).map_err(|_| BAD_NODE)?;
    let count = |item: Result<i64, Error>| u32::try_from(item.map_err(|_| BAD_NODE)?).map_err(|_| BAD_NODE);
    let (live, deleted) = (count(items.integer())?, count(items.integer())?);
    let mut bytes = Vec::with_capacity(blob.len());
    for item in items {
        packed::push_entry(&mut bytes, item.map_err(|_| BAD_NODE)?);
    }
    Node::from_parts(master, live, deleted, bytes).map_err(|_| BAD_NODE)
}

/// An ID of two lengths.
fn length_id<S: Source>(reader: &mut Reader<S>) -> Result<StreamId, Error> {
    Ok(StreamId::new(reader.number()?, reader.number()?))
}

/// An ID of sixteen bytes.
fn raw_id<S: Source>(reader: &mut Reader<S>) -> Result<StreamId, Error> {
    reader.array().map(|bytes| StreamId::from(u128::from_be_bytes(bytes)))
}

/// A pending entry, before it is known whose it is.
struct Unclaimed {
    id: StreamId,
    delivered_ms: i64,
    count: u64,
    is_claimed: bool,
}

fn group<S: Source>(
    form: Form,
    reader: &mut Reader<S>,
    entries: &Entries,
) -> Result<(Vec<u8>, Group), Error> {
    let name = reader.bytes()?.to_vec();
    let last_id = length_id(reader)?;
    let entries_read = if form >= Form::Redis70 {
        // -1 stands for "unknown".
        Some(reader.number()?).filter(|read| i64::try_from(*read).is_ok())
    } else {
        entries.added_up_to(last_id)
    };
    let mut group = Group::new(last_id, entries_read);
    let mut pending: Vec<Unclaimed> = Vec::new();
    for _ in 0..reader.count(ID_SIZE as u64 + 8 + 1)? {
        let (id, delivered_ms, count) = (raw_id(reader)?, reader.millis()?, reader.number()?);
        if pending.last().is_some_and(|last| last.id >= id) {
            return Err(Error::Corrupt("Duplicated global PEL entry loading stream consumer group"));
        }
        pending.push(Unclaimed { id, delivered_ms, count, is_claimed: false });
    }
    for _ in 0..reader.count(1 + 8 + 1)? {
        consumer(form, reader, &mut group, &mut pending)?;
    }
    if form == Form::Own {
        for _ in 0..reader.count(ID_SIZE as u64 + 1)? {
            let (id, count) = (raw_id(reader)?, reader.number()?);
            if group.get_pending(id).is_some() {
                return Err(Error::Corrupt("Stream entry given back and pending"));
            }
            group.release(id, count);
        }
    }
    if pending.iter().any(|pending| !pending.is_claimed) {
        return Err(Error::Corrupt("Stream CG PEL entry without consumer"));
    }
    Ok((name, group))
}

fn consumer<S: Source>(
    form: Form,
    reader: &mut Reader<S>,
    group: &mut Group,
    pending: &mut [Unclaimed],
) -> Result<(), Error> {
    let name = reader.bytes()?.to_vec();
    let seen_ms = reader.millis()?;
    let (consumer, is_new) = group.consumer_named(&name, seen_ms);
    if !is_new {
        return Err(Error::Corrupt("Duplicate stream consumer detected"));
    }
    group.consumer_mut(consumer).active_ms = if form >= Form::Redis72 {
        Some(reader.millis()?).filter(|active_ms| *active_ms >= 0)
    } else {
        Some(seen_ms)
    };
    for _ in 0..reader.count(ID_SIZE as u64)? {
        let id = raw_id(reader)?;
        let found = pending.binary_search_by_key(&id, |pending| pending.id);
        let at = found.map_err(|_| Error::Corrupt("Consumer entry not found in group global PEL"))?;
        let Unclaimed { delivered_ms, count, is_claimed, .. } = &mut pending[at];
        if std::mem::replace(is_claimed, true) {
            return Err(Error::Corrupt("Stream consumer PEL entry already has a consumer assigned"));
        }
        group.deliver(id, consumer, *delivered_ms, *count);
    }
    Ok(())
}

fn idempotence<S: Source>(reader: &mut Reader<S>) -> Result<Box<Idempotence>, Error> {
    let mut limit =
        || u32::try_from(reader.number()?).map_err(|_| Error::Corrupt("a limit beyond all limits"));
    let limits = IdempotenceLimits { duration_s: limit()?, len_max: limit()? };
    let (added, duplicates) = (reader.number()?, reader.number()?);
    let mut known = Idempotence::new(limits);
    let mut last = None;
    for _ in 0..reader.count(1 + 1 + ID_SIZE as u64)? {
        let producer = reader.bytes()?.to_vec();
        let message = reader.bytes()?.to_vec();
        let id = raw_id(reader)?;
        // Which messages are forgotten depends on their order.
        if last.replace(id).is_some_and(|last| last >= id) {
            return Err(Error::Corrupt("messages out of order"));
        }
        known.record(&producer, &message, id);
    }
    known.set_counts(added, duplicates);
    Ok(Box::new(known))
}

fn appends<S: Source>(reader: &mut Reader<S>) -> Result<Box<Appends>, Error> {
    let mut known = Appends::default();
    let len = reader.count(1 + 1 + 8)?;
    for _ in 0..len {
        let name = reader.bytes()?.to_vec();
        if name.len() > APPEND_NAME_MAX {
            return Err(Error::Corrupt("an append with too long a name"));
        }
        let version = i64::try_from(reader.number()?);
        let version = version.map_err(|_| Error::Corrupt("a version beyond all versions"))?;
        if !known.restore(&name, version, reader.millis()?) {
            return Err(Error::Corrupt("appends that are the same, or more than are remembered"));
        }
    }
    Ok(Box::new(known))
}

// ---- writing -----------------------------------------------------------------------------------------------

/// Writes a stream in the encoding [`encoding_of`] names.
pub(super) fn save<O: Output>(stream: &Stream, writer: &mut Writer<O>) {
    let entries = stream.entries();
    writer.number(entries.nodes_len() as u64);
    let mut blob = Vec::new();
    for (master, node) in entries.nodes() {
        writer.number(ID_SIZE as u64);
        write_raw_id(master, writer);
        pack(node, &mut blob);
        writer.blob(&blob);
    }
    writer.number(entries.len());
    write_length_id(entries.last_id(), writer);
    write_length_id(entries.first_id(), writer);
    write_length_id(entries.max_deleted_id(), writer);
    writer.number(entries.added());
    let is_own = encoding_of(stream) == code::OWN_STREAM;
    writer.number(stream.groups().len() as u64);
    for (name, group) in stream.groups().iter() {
        write_group(name, group, is_own, writer);
    }
    if is_own {
        let (messages, appends) = (stream.idempotence(), stream.appends());
        let part = |there: bool, part: u64| if there { part } else { 0 };
        writer.number(part(messages.is_some(), MESSAGES) | part(appends.is_some(), APPENDS));
        if let Some(messages) = messages {
            write_idempotence(messages, writer);
        }
        if let Some(appends) = appends {
            write_appends(appends, writer);
        }
    }
}

/// The listpack of a node.
fn pack(node: &Node, blob: &mut Vec<u8>) {
    let (live, deleted, bytes) = node.parts();
    blob.clear();
    blob.extend_from_slice(&listpack_header(0, 0));
    packed::push_entry(blob, i64::from(live));
    packed::push_entry(blob, i64::from(deleted));
    blob.extend_from_slice(bytes);
    let (mut count, mut at) = (2, 0);
    while at < bytes.len() {
        at += packed::entry_size(&bytes[at..]);
        count += 1;
    }
    let header = listpack_header(blob.len() - listpack_header(0, 0).len(), count);
    blob[..header.len()].copy_from_slice(&header);
    blob.push(0xff);
}

fn write_raw_id<O: Output>(id: StreamId, writer: &mut Writer<O>) {
    writer.raw(&u128::from(id).to_be_bytes());
}

fn write_length_id<O: Output>(id: StreamId, writer: &mut Writer<O>) {
    writer.number(id.ms);
    writer.number(id.seq);
}

fn write_group<O: Output>(name: &[u8], group: &Group, is_own: bool, writer: &mut Writer<O>) {
    writer.string(name);
    write_length_id(group.last_id(), writer);
    writer.number(group.entries_read().unwrap_or(u64::MAX));
    writer.number((group.pending_len() - group.released_len()) as u64);
    for (id, pending) in group.pending().filter(|(_, pending)| pending.owner().is_some()) {
        write_raw_id(*id, writer);
        writer.millis(pending.delivered_ms());
        writer.number(pending.deliveries);
    }
    writer.number(group.consumers_len() as u64);
    for (_, consumer) in group.consumers() {
        write_consumer(consumer, is_own, writer);
    }
    if is_own {
        writer.number(group.released_len() as u64);
        for (id, deliveries) in group.released() {
            write_raw_id(id, writer);
            writer.number(deliveries);
        }
    }
}

fn write_consumer<O: Output>(consumer: &Consumer, is_own: bool, writer: &mut Writer<O>) {
    writer.string(consumer.name());
    writer.millis(consumer.seen_ms);
    if is_own {
        writer.millis(consumer.active_ms.unwrap_or(-1));
    }
    writer.number(consumer.pending_len() as u64);
    for id in consumer.pending(StreamId::MIN) {
        write_raw_id(id, writer);
    }
}

fn write_appends<O: Output>(known: &Appends, writer: &mut Writer<O>) {
    writer.number(known.len() as u64);
    for (name, version, at_ms) in known.iter() {
        writer.string(name);
        writer.number(version as u64);
        writer.millis(at_ms);
    }
}

fn write_idempotence<O: Output>(known: &Idempotence, writer: &mut Writer<O>) {
    let limits = known.limits();
    for number in [limits.duration_s.into(), limits.len_max.into(), known.added(), known.duplicates()] {
        writer.number(number);
    }
    writer.number(known.messages().count() as u64);
    for (producer, message, id) in known.messages() {
        writer.string(producer);
        writer.string(message);
        write_raw_id(id, writer);
    }
}

#[cfg(test)]
mod tests;
