//! What `COMMAND DOCS` tells about a command. redis-cli makes its hints from the arguments.

use super::info::write_statuses;
use crate::registry::Entry;
use tidegate_commands::model::{Argument, Flag, Reply, arguments};

/// Writes a map from names to documentation.
pub(super) fn write_all<'e>(entries: impl ExactSizeIterator<Item = &'e Entry>, reply: &mut Reply) {
    reply.map(entries.len());
    for entry in entries {
        reply.bulk(entry.name.as_bytes());
        write(entry, reply);
    }
}

fn write(entry: &Entry, reply: &mut Reply) {
    let docs = &entry.docs;
    let arguments =
        arguments(docs.syntax, &entry.key_specs).expect("every declared syntax is parsed by a test");
    let is_system = entry.flags.has(Flag::System);
    let fields = [
        !docs.complexity.is_empty(),
        docs.deprecated.is_some() || is_system,
        docs.deprecated.is_some(),
        docs.deprecated.is_some_and(|(_, replaced_by)| !replaced_by.is_empty()),
        !docs.history.is_empty(),
        !arguments.is_empty(),
        !entry.subcommands.is_empty(),
    ];
    reply.map(3 + fields.iter().filter(|field| **field).count());
    write_field("summary", docs.summary, reply);
    write_field("since", docs.since, reply);
    write_field("group", docs.group.0, reply);
    if !docs.complexity.is_empty() {
        write_field("complexity", docs.complexity, reply);
    }
    if docs.deprecated.is_some() || is_system {
        reply.bulk(b"doc_flags");
        let flags = [(docs.deprecated.is_some(), "deprecated"), (is_system, "syscmd")];
        write_statuses(flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name), reply);
    }
    if let Some((since, replaced_by)) = docs.deprecated {
        write_field("deprecated_since", since, reply);
        if !replaced_by.is_empty() {
            write_field("replaced_by", replaced_by, reply);
        }
    }
    if !docs.history.is_empty() {
        reply.bulk(b"history");
        reply.set(docs.history.len());
        for (version, change) in docs.history {
            reply.array(2);
            reply.bulk(version.as_bytes());
            reply.bulk(change.as_bytes());
        }
    }
    if !arguments.is_empty() {
        reply.bulk(b"arguments");
        write_arguments(&arguments, reply);
    }
    if !entry.subcommands.is_empty() {
        reply.bulk(b"subcommands");
        write_all(entry.subcommands.iter(), reply);
    }
}

fn write_field(name: &str, text: &str, reply: &mut Reply) {
    reply.bulk(name.as_bytes());
    reply.bulk(text.as_bytes());
}

fn write_arguments(arguments: &[Argument], reply: &mut Reply) {
    reply.array(arguments.len());
    for argument in arguments {
        write_argument(argument, reply);
    }
}

fn write_argument(argument: &Argument, reply: &mut Reply) {
    let texts = [
        ("token", &argument.token),
        ("since", &argument.since),
        ("deprecated_since", &argument.deprecated_since),
    ];
    let flags = [
        (argument.optional, "optional"),
        (argument.multiple, "multiple"),
        (argument.multiple_token, "multiple_token"),
    ];
    let has_flags = flags.iter().any(|(set, _)| *set);
    let fields = 2
        + usize::from(argument.key_spec.is_some())
        + texts.iter().filter(|(_, text)| text.is_some()).count()
        + usize::from(has_flags)
        + usize::from(!argument.arguments.is_empty());
    reply.map(fields);
    write_field("name", &argument.name, reply);
    write_field("type", argument.kind.name(), reply);
    if let Some(index) = argument.key_spec {
        reply.bulk(b"key_spec_index");
        reply.integer(index as i64);
    }
    for (name, text) in texts {
        if let Some(text) = text {
            write_field(name, text, reply);
        }
    }
    if has_flags {
        reply.bulk(b"flags");
        write_statuses(flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name), reply);
    }
    if !argument.arguments.is_empty() {
        reply.bulk(b"arguments");
        write_arguments(&argument.arguments, reply);
    }
}
