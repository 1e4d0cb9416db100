//! From a value to the encoding that every Redis from 7.0 on reads, or, where that cannot hold it, to one of our own.

use super::blob::{IntSet, listpack_header};
use super::write::{Output, Writer};
use super::{code, module, stream};
use crate::keyspace::{ValueRef, View};
use crate::types::hash::{Field, HashRef};
use crate::types::list::ListRef;
use crate::types::packed::{self, PackedRef};
use crate::types::set::{IntsRef, SetRef};
use crate::types::string::INT_LEN_MAX;
use crate::types::zset::ZsetRef;

/// Nodes of a list are listpacks.
const NODE_PACKED: u64 = 2;

/// The encoding [`save`] gives a value. O(1), O(groups) for a stream.
pub fn encoding_of(value: ValueRef<'_>) -> u8 {
    match View::of(value) {
        View::Int(_) | View::Bytes(_) => code::STRING,
        View::List(_) => code::LIST_QUICKLIST_2,
        View::Set(SetRef::Ints(_)) => code::SET_INTSET,
        View::Set(SetRef::Strings(_)) => code::SET,
        View::Set(SetRef::Large(members)) => {
            if members.deadlines_len() > 0 {
                code::OWN_SET
            } else {
                code::SET
            }
        }
        View::Zset(ZsetRef::Packed(_)) => code::ZSET_LISTPACK,
        View::Zset(zset) => {
            if zset.deadlines_len() > 0 {
                code::OWN_ZSET
            } else {
                code::ZSET_2
            }
        }
        View::Hash(HashRef::Packed { is_table: false, .. }) => code::HASH_LISTPACK,
        View::Hash(hash) => {
            if has_deadlines(hash) {
                code::HASH_METADATA
            } else {
                code::HASH
            }
        }
        View::Stream(stream) => stream::encoding_of(stream),
        View::Native(_) => code::MODULE_2,
    }
}

/// Writes a value in the encoding [`encoding_of`] names. O(size).
pub fn save<O: Output>(value: ValueRef<'_>, writer: &mut Writer<O>) {
    match View::of(value) {
        View::Int(value) => writer.integer(value),
        View::Bytes(bytes) => writer.string(bytes),
        View::List(list) => save_list(list, writer),
        View::Set(SetRef::Ints(ints)) => save_ints(ints, writer),
        View::Set(set) => save_set(set, writer),
        View::Zset(zset @ ZsetRef::Packed(_)) => save_small_zset(zset, writer),
        View::Zset(zset) => save_zset(zset, writer),
        View::Hash(HashRef::Packed { pairs, is_table: false }) => {
            save_listpack(pairs, &mut Vec::new(), writer);
        }
        View::Hash(hash) => save_hash(hash, writer),
        View::Stream(stream) => stream::save(stream, writer),
        View::Native(native) => module::save(native, writer),
    }
}

fn save_list<O: Output>(list: ListRef<'_>, writer: &mut Writer<O>) {
    writer.number(list.nodes().count() as u64);
    let mut blob = Vec::new();
    for node in list.nodes() {
        writer.number(NODE_PACKED);
        save_listpack(node, &mut blob, writer);
    }
}

/// Items in Redis' order of bytes: ours, between a header and an end mark.
fn save_listpack<O: Output>(items: PackedRef<'_>, blob: &mut Vec<u8>, writer: &mut Writer<O>) {
    blob.clear();
    blob.extend_from_slice(&listpack_header(items.size(), items.len()));
    blob.extend_from_slice(items.entries());
    blob.push(0xff);
    writer.blob(blob);
}

fn save_ints<O: Output>(ints: IntsRef<'_>, writer: &mut Writer<O>) {
    let ends = [ints.at(0), ints.at(ints.len() - 1)];
    let fits = |min: i64, max: i64| ends.iter().all(|end| (min..=max).contains(end));
    let size = match () {
        () if fits(i16::MIN.into(), i16::MAX.into()) => 2,
        () if fits(i32::MIN.into(), i32::MAX.into()) => 4,
        () => 8,
    };
    let mut blob = IntSet::header(size, ints.len()).to_vec();
    for value in ints.iter() {
        blob.extend_from_slice(&value.to_le_bytes()[..size]);
    }
    writer.blob(&blob);
}

fn save_set<O: Output>(set: SetRef<'_>, writer: &mut Writer<O>) {
    writer.number(set.len() as u64);
    let mut scratch = [0; INT_LEN_MAX];
    if let SetRef::Large(members) = set
        && members.deadlines_len() > 0
    {
        for record in members.iter() {
            writer.string(record.key());
            writer.millis(record.expiry_ms().unwrap_or(NO_DEADLINE));
        }
        return;
    }
    for member in set.iter() {
        writer.string(member.bytes(&mut scratch));
    }
}

/// Stands for "never" in our own encodings.
const NO_DEADLINE: i64 = -1;

fn save_small_zset<O: Output>(zset: ZsetRef<'_>, writer: &mut Writer<O>) {
    let mut entries = Vec::new();
    let mut scratch = [0; INT_LEN_MAX];
    for (member, score) in zset {
        packed::push_entry(&mut entries, member.bytes(&mut scratch));
        push_score(&mut entries, score);
    }
    let mut blob = Vec::new();
    save_listpack(PackedRef::of_entries(&entries, 2 * zset.len() as u32), &mut blob, writer);
}

/// A score as Redis packs it: an integer, or text that reads back as the same double.
#[expect(clippy::float_cmp, reason = "exactness is the question")]
fn push_score(entries: &mut Vec<u8>, score: f64) {
    /// Integers beyond this are text for Redis as well.
    const INT_MAX: f64 = (i64::MAX / 2) as f64;
    /// Longer texts are shorter with an exponent.
    const PLAIN_LEN_MAX: usize = 24;
    let integer = score as i64;
    if score.abs() <= INT_MAX && integer as f64 == score {
        packed::push_entry(entries, integer);
        return;
    }
    let plain = format!("{score}");
    let text = if plain.len() <= PLAIN_LEN_MAX { plain } else { format!("{score:e}") };
    packed::push_entry(entries, text.as_bytes());
}

/// From the highest score to the lowest: Redis adds to the front of its list then.
fn save_zset<O: Output>(zset: ZsetRef<'_>, writer: &mut Writer<O>) {
    writer.number(zset.len() as u64);
    let timed = zset.deadlines_len() > 0;
    let mut scratch = [0; INT_LEN_MAX];
    for (member, score) in zset.range(0..zset.len(), true) {
        let member = member.bytes(&mut scratch);
        writer.string(member);
        writer.double(score);
        if timed {
            writer.millis(zset.deadline_ms(member).unwrap_or(NO_DEADLINE));
        }
    }
}

/// O(1) for a large hash, else O(size).
fn has_deadlines(hash: HashRef<'_>) -> bool {
    match hash {
        HashRef::Table(fields) => fields.deadlines_len() > 0,
        small => small.iter().any(|field| field.deadline_ms.is_some()),
    }
}

/// Fields with values; where there are deadlines, the earliest goes before, and the others count from there.
fn save_hash<O: Output>(hash: HashRef<'_>, writer: &mut Writer<O>) {
    let timed = has_deadlines(hash);
    let earliest_ms = hash.iter().filter_map(|field| field.deadline_ms).min().unwrap_or_default();
    if timed {
        writer.millis(earliest_ms);
    }
    writer.number(hash.len() as u64);
    let mut scratch = [0; INT_LEN_MAX];
    for Field { name, value, deadline_ms } in hash.iter() {
        if timed {
            writer.number(
                deadline_ms.map_or(0, |deadline_ms| deadline_ms.abs_diff(earliest_ms).saturating_add(1)),
            );
        }
        writer.string(name.bytes(&mut scratch));
        writer.string(value.bytes(&mut scratch));
    }
}

#[cfg(test)]
mod tests;
