//! The one shape of every `HELP` subcommand.

use tidegate_commands::model::{Args, Error, Reply};

/// Answers `HELP` of a container: a headline, its own lines, and how to get here again.
pub(super) fn help(reply: &mut Reply<'_>, container: &str, lines: &[&str]) {
    reply.array(lines.len() + 3);
    reply.simple(&format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for line in lines.iter().chain(&["HELP", "    Print this help."]) {
        reply.simple(line);
    }
}

/// The answer to a subcommand with more arguments than any of its forms has.
pub(super) fn unknown_form(args: &Args<'_>) -> Error {
    let mut text = b"ERR unknown subcommand or wrong number of arguments for '".to_vec();
    text.extend_from_slice(args.get(1));
    text.extend_from_slice(b"'. Try ");
    text.extend_from_slice(&args.get(0).to_ascii_uppercase());
    text.extend_from_slice(b" HELP.");
    Error::text(text)
}
