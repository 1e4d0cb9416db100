//! The ten fields that `COMMAND INFO` tells about a command.

use crate::registry::Entry;
use tidegate_commands::model::{BeginSearch, FindKeys, KeySpec, Reply};

/// Writes the properties of a command and of its subcommands.
pub(super) fn write(entry: &Entry, reply: &mut Reply) {
    let range = entry.key_range();
    reply.array(10);
    reply.bulk(entry.name.as_bytes());
    reply.integer(i64::from(entry.arity));
    write_statuses(entry.flag_names(), reply);
    reply.integer(range.first as i64);
    reply.integer(i64::from(range.last));
    reply.integer(range.step as i64);
    write_categories(entry, reply);
    reply.set(entry.docs.tips.len());
    for tip in entry.docs.tips {
        reply.bulk(tip.as_bytes());
    }
    reply.set(entry.key_specs.len());
    for spec in &entry.key_specs {
        write_spec(spec, reply);
    }
    if entry.subcommands.is_empty() {
        reply.set(0);
    } else {
        reply.array(entry.subcommands.len());
    }
    for subcommand in &entry.subcommands {
        write(subcommand, reply);
    }
}

/// A set of words as statuses.
pub(super) fn write_statuses<'n>(names: impl Iterator<Item = &'n str>, reply: &mut Reply) {
    let names: Vec<&str> = names.collect();
    reply.set(names.len());
    for name in names {
        reply.simple(name);
    }
}

fn write_categories(entry: &Entry, reply: &mut Reply) {
    let names: Vec<String> = entry.acl.names().map(|name| format!("@{name}")).collect();
    write_statuses(names.iter().map(String::as_str), reply);
}

fn write_spec(spec: &KeySpec, reply: &mut Reply) {
    reply.map(3 + usize::from(spec.notes.is_some()));
    if let Some(notes) = spec.notes {
        reply.bulk(b"notes");
        reply.bulk(notes.as_bytes());
    }
    reply.bulk(b"flags");
    write_statuses(spec.flags.names(), reply);
    reply.bulk(b"begin_search");
    match spec.begin {
        BeginSearch::Index(index) => {
            write_step("index", 1, reply);
            write_number("index", index as i64, reply);
        }
        BeginSearch::Keyword(word, from) => {
            write_step("keyword", 2, reply);
            reply.bulk(b"keyword");
            reply.bulk(word.as_bytes());
            write_number("startfrom", i64::from(from), reply);
        }
        BeginSearch::Unknown => write_step("unknown", 0, reply),
    }
    reply.bulk(b"find_keys");
    match spec.find {
        FindKeys::Range { last, step, limit } => {
            write_step("range", 3, reply);
            write_number("lastkey", i64::from(last), reply);
            write_number("keystep", step as i64, reply);
            write_number("limit", limit as i64, reply);
        }
        FindKeys::KeyNum { count, first, step } => {
            write_step("keynum", 3, reply);
            write_number("keynumidx", count as i64, reply);
            write_number("firstkey", first as i64, reply);
            write_number("keystep", step as i64, reply);
        }
        FindKeys::Unknown => write_step("unknown", 0, reply),
    }
}

/// The head of a step of a spec: its type, and a map of `fields` to follow.
fn write_step(kind: &str, fields: usize, reply: &mut Reply) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
    reply.map(fields);
}

fn write_number(name: &str, value: i64, reply: &mut Reply) {
    reply.bulk(name.as_bytes());
    reply.integer(value);
}
