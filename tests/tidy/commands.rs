//! Every command is tested, and its declaration agrees with itself.

use tidegate::registry::{Entry, Registry};
use tidegate_commands::model::{Argument, arguments};

use super::{assert_only, sources};

/// All commands and subcommands.
fn every<R>(look: impl Fn(&Entry) -> Option<R>) -> Vec<R> {
    let registry = Registry::new(&[]).expect("nothing is renamed");
    let entries = registry.entries().iter();
    entries.flat_map(|entry| std::iter::once(entry).chain(&entry.subcommands)).filter_map(look).collect()
}

/// Commands that no test names. Tests of `wire` must also pass with Redis 7.0.15, which lacks newer ones.
const UNTESTED: &[&str] = &["client|setinfo"];

/// A test names a command at the start of a quoted text or of a line of a transcript.
#[test]
fn every_command_is_tested() {
    let mut text = String::new();
    for source in sources(&[".rs", ".py", ".js", ".sh", ".txt"]) {
        let is_test = ["tests/wire", "tests/clients"].iter().any(|dir| source.path.starts_with(dir))
            || source.path.ends_with("tests.rs");
        let tests = source.text.split_once("#[cfg(test)]").map_or("", |(_, tests)| tests);
        if is_test && source.path.rsplit_once('.').is_some_and(|(_, ending)| ending == "txt") {
            text += &transcript_lines(&source.text);
            continue;
        }
        text += if is_test { &source.text } else { tests };
        text.push('\n');
    }
    text.make_ascii_lowercase();
    let is_start = |before: &str| before.ends_with(['"', '\'']) || before.ends_with("> ");
    let is_named = |name: &str| {
        text.match_indices(name).any(|(at, _)| {
            let after = text[at + name.len()..].chars().next();
            is_start(&text[..at]) && after.is_none_or(|c| !(c.is_alphanumeric() || "_-.".contains(c)))
        })
    };
    let untested = every(|entry| {
        let in_line = entry.name.replace('|', " ");
        let in_words = entry.name.replace('|', "\", \"");
        let is_tested = entry.is_container() || is_named(&in_line) || is_named(&in_words);
        (!is_tested).then(|| entry.name.clone())
    });
    assert_only(untested, UNTESTED, "no test names the command");
}

/// The commands of a transcript as lines of a conversation.
fn transcript_lines(transcript: &str) -> String {
    let command = |line: &str| {
        let line = line.trim_start_matches('~');
        let rest = line.strip_prefix("@+").and_then(|rest| rest.split_once(' '));
        format!("> {}\n", rest.map_or(line, |(_, command)| command))
    };
    transcript.lines().map(command).collect()
}

#[test]
fn every_syntax_can_be_read() {
    let wrong = every(|entry| {
        let error = arguments(entry.docs.syntax, &entry.key_specs).err()?;
        Some(format!("{}: {error}", entry.name))
    });
    assert_only(wrong, &[], "the syntax line does not follow the notation");
}

/// Where Redis' own arity and arguments differ: the handler tells the client, or forms have different lengths.
const LOOSE: &[&str] = &[
    "client|kill -3: 2..None",
    "command -1: 1..Some(1)",
    "command|getkeys -4: 2..Some(2)",
    "command|getkeysandflags -4: 2..Some(2)",
    "debug -2: 1..Some(1)",
    "geohash -2: 3..None",
    "geopos -2: 3..None",
    "hotkeys|start -2: 4..None",
    "pfmerge -2: 3..None",
    "quit -1: 1..Some(1)",
];

#[test]
fn syntax_and_arity_agree() {
    let differing = every(|entry| {
        if entry.is_container() {
            return None;
        }
        let tree = arguments(entry.docs.syntax, &entry.key_specs).ok()?;
        let least = entry.words + tree.iter().map(Argument::words_min).sum::<usize>();
        let most: Option<usize> = tree.iter().map(Argument::words_max).sum();
        let most = most.map(|most| most + entry.words);
        let agrees = if entry.arity > 0 {
            least == entry.arity as usize && most == Some(least)
        } else {
            least == entry.arity.unsigned_abs() as usize && most != Some(least)
        };
        (!agrees).then(|| format!("{} {}: {least}..{most:?}", entry.name, entry.arity))
    });
    assert_only(differing, LOOSE, "arity and syntax differ");
}

#[test]
fn every_command_is_documented() {
    let silent = every(|entry| {
        let docs = &entry.docs;
        let is_told = docs.summary.ends_with('.') && !docs.since.is_empty();
        (!is_told).then(|| entry.name.clone())
    });
    assert_only(silent, &[], "the summary is no sentence, or the version is missing");
}
