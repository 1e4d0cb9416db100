//! Streams: adding, reading, trimming and deleting entries, and the groups of consumers who share them.

mod add;
mod append;
mod claim;
mod delete;
mod group;
mod ids;
mod info;
mod pending;
mod propagate;
mod range;
mod read;
mod read_group;
mod settings;
mod trim;

pub(super) use append::FAMILY as EVENTS;
pub(crate) use append::apply;
pub(crate) use ids::parse_strict as parse_id;

use crate::model::{Acl, Error, Family, Reply, family};
use ids::IdText;
use tidegate_data::types::stream::{Entry, StreamId};
use tidegate_data::{Item, Key};

pub(super) static FAMILY: Family = family(
    "stream",
    Acl::STREAM,
    &[
        &add::XADD,
        &trim::XTRIM,
        &delete::XDEL,
        &delete::XDELEX,
        &delete::XACKDEL,
        &range::XLEN,
        &range::XRANGE,
        &range::XREVRANGE,
        &read::XREAD,
        &read_group::XREADGROUP,
        &pending::XACK,
        &pending::XNACK,
        &pending::XPENDING,
        &claim::XCLAIM,
        &claim::XAUTOCLAIM,
        &settings::XSETID,
        &settings::XCFGSET,
        &settings::XIDMPRECORD,
    ],
);

/// Containers belong to no ACL category of their own; their subcommands do.
pub(super) static CONTAINERS: Family = family("stream", Acl::NONE, &[&group::XGROUP, &info::XINFO]);

/// The text as C sees it: up to the first zero byte.
fn c_text(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// The group does not exist, nor perhaps the key, in the words of most commands; `rest` is what `XREADGROUP` adds.
fn no_such_key_or_group(key: Key, group: &[u8], rest: &str) -> Error {
    let mut text = b"NOGROUP No such key '".to_vec();
    text.extend_from_slice(c_text(key.bytes()));
    text.extend_from_slice(b"' or consumer group '");
    text.extend_from_slice(c_text(group));
    text.push(b'\'');
    text.extend_from_slice(rest.as_bytes());
    Error::text(text)
}

/// The group does not exist, in the words of `XGROUP` and `XINFO`.
fn no_such_group(key: Key, group: &[u8]) -> Error {
    let mut text = b"NOGROUP No such consumer group '".to_vec();
    text.extend_from_slice(c_text(group));
    text.extend_from_slice(b"' for key name '");
    text.extend_from_slice(c_text(key.bytes()));
    text.push(b'\'');
    Error::text(text)
}

/// A subcommand with arguments of none of its forms.
fn unknown_form(container: &str, subcommand: &[u8]) -> Error {
    let mut text = b"ERR unknown subcommand or wrong number of arguments for '".to_vec();
    let shown = c_text(subcommand);
    text.extend_from_slice(&shown[..shown.len().min(128)]);
    text.extend_from_slice(format!("'. Try {container} HELP.").as_bytes());
    Error::text(text)
}

fn reply_id(reply: &mut Reply, id: StreamId) {
    reply.bulk(IdText::of(id).as_bytes());
}

/// Answers an entry: its ID, its fields and values.
fn reply_entry(reply: &mut Reply, entry: Entry) {
    reply.array(2);
    reply_id(reply, entry.id);
    reply_fields(reply, entry);
}

fn reply_fields(reply: &mut Reply, entry: Entry) {
    reply.array(2 * entry.fields.len());
    for (name, value) in entry.fields {
        reply_item(reply, name);
        reply_item(reply, value);
    }
}

fn reply_item(reply: &mut Reply, item: Item) {
    match item {
        Item::Int(value) => reply.bulk_integer(value),
        Item::Bytes(bytes) => reply.bulk(bytes),
    }
}
